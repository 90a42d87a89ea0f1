"""What is wrong is refused: exit 2, nothing written, the place, the line itself, and what to do about it."""

import json
import re
import stat
import subprocess

import pytest

from tool import BIN, MODEL, clean_env, files_of, refusal, render, run

TOKEN = "hf_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0xLuR"
START = f"models: [{MODEL}]\n"
SHELL = f"export LLMDBENCH_DEPLOY_METHODS=standalone\nexport LLMDBENCH_DEPLOY_MODEL_LIST={MODEL}\n"


def yaml(text):
    return {"s.yaml": START + text}


def shell(text):
    return {"s.sh": SHELL + text}


class Wrong:
    """One wrong input. `place` is `name:line:column`, `line` the line that is shown, `words` what the message says
    besides; a scenario file, when there is one, is the last argument."""

    def __init__(self, given, place, line, *words, args=()):
        self.files = given if isinstance(given, dict) else {}
        self.args = list(args) if self.files else list(given)
        if self.files:
            self.args += ["-c", next(iter(self.files))]
        self.place, self.line, self.words = place, line, words


def option(*sets):
    return ["-c", "minimal", *(a for s in sets for a in ("--set", s))]


WRONG = {
    "unknown key": Wrong(yaml("replica: 2\n"), "s.yaml:2:1", "replica: 2", "unknown setting `replica`", "did you mean `replicas`?"),
    "unknown key of a section": Wrong(yaml("vllm:\n  maxModelLne: 2\n"), "s.yaml:3:3", "  maxModelLne: 2", "did you mean `vllm.maxModelLen`?"),
    "unknown section": Wrong(yaml("standalon:\n  route: true\n"), "s.yaml:2:1", "standalon:", "did you mean `standalone`?"),
    "wrong section": Wrong(yaml("maxModelLen: 2\n"), "s.yaml:2:1", "maxModelLen: 2", "did you mean `vllm.maxModelLen`?"),
    "wrong section beside a near name": Wrong(yaml("port: 2\n"), "s.yaml:2:1", "port: 2", "did you mean `vllm.port`?"),
    "unknown variable": Wrong(
        shell("export LLMDBENCH_VLLM_COMON_REPLICAS=2\n"), "s.sh:3:8", "export LLMDBENCH_VLLM_COMON_REPLICAS=2",
        "unknown variable `LLMDBENCH_VLLM_COMON_REPLICAS`", "did you mean `LLMDBENCH_VLLM_COMMON_REPLICAS`?",
    ),
    "variable of another edition": Wrong(
        {"s.yaml": 'edition: "2026-03"\n'}, "--set:1:1", "LLMDBENCH_VLLM_STANDALONE_VLLM_LOAD_FORMAT=auto", "belongs to edition `2025-08`",
        args=["--set", "LLMDBENCH_VLLM_STANDALONE_VLLM_LOAD_FORMAT=auto"],
    ),
    "unknown edition": Wrong({"s.yaml": 'edition: "2025-09"\n'}, "s.yaml:1:10", 'edition: "2025-09"', "no edition `2025-09`", "`2025-08`"),
    "bad quantity": Wrong(yaml("storage:\n  model:\n    size: 300GB\n"), "s.yaml:4:11", "    size: 300GB", "not `300GB`", "40Gi"),
    "banana as memory": Wrong(yaml("resources: {memory: banana}\n"), "s.yaml:2:21", "resources: {memory: banana}", "`resources.memory` takes a quantity", "not `banana`"),
    "port out of range": Wrong(yaml("vllm:\n  port: 65536\n"), "s.yaml:3:9", "  port: 65536", "a port (1 to 65535)", "not `65536`"),
    "port of a variable": Wrong(
        shell("export LLMDBENCH_VLLM_COMMON_INFERENCE_PORT=80a\n"), "s.sh:3:45", "export LLMDBENCH_VLLM_COMMON_INFERENCE_PORT=80a", "a port (1 to 65535)", "not `80a`"
    ),
    "negative replicas": Wrong(yaml("replicas: -1\n"), "s.yaml:2:11", "replicas: -1", "not `-1`"),
    "a word of a closed set": Wrong(yaml("platform: openshfit\n"), "s.yaml:2:11", "platform: openshfit", "not `openshfit`", "did you mean `openshift`?"),
    "a list for a text": Wrong(yaml("namespace: [a]\n"), "s.yaml:2:12", "namespace: [a]", "not a list"),
    "a name that Kubernetes refuses": Wrong(yaml("namespace: My_Space\n"), "s.yaml:2:12", "namespace: My_Space", "`My_Space`", "lower case letters"),
    "a label that Kubernetes refuses": Wrong(
        yaml("pod:\n  nodeLabels: {gpu: a b}\n"), "s.yaml:3:21", "  nodeLabels: {gpu: a b}", "`pod.nodeLabels`", "letters, digits"
    ),
    "an annotation key that Kubernetes refuses": Wrong(yaml("pod: {annotations: {a b: c}}\n"), "s.yaml:2:26", "pod: {annotations: {a b: c}}", "`pod.annotations`"),
    "duplicate key": Wrong(yaml("replicas: 1\nreplicas: 2\n"), "s.yaml:3:1", "replicas: 2", "key `replicas` is given twice", "line 2"),
    "tab as indentation": Wrong(yaml("vllm:\n\tport: 1\n"), "s.yaml:3:2", "port: 1", "tabs"),
    "two documents": Wrong(yaml("---\nreplicas: 2\n"), "s.yaml:2:1", "---", "second YAML document"),
    "alias bomb": Wrong(yaml("a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98+i)}: &{chr(98+i)} [{','.join(['*' + chr(97+i)] * 9)}]\n" for i in range(8))), "s.yaml:", "", "nodes"),
    "command substitution": Wrong(
        shell("export LLMDBENCH_VLLM_COMMON_NAMESPACE=$(id -un)\n"), "s.sh:3:40", "export LLMDBENCH_VLLM_COMMON_NAMESPACE=$(id -un)", "command substitution `$(id -un)`"
    ),
    "back-ticks": Wrong(shell("export LLMDBENCH_VLLM_COMMON_NAMESPACE=`id`\n"), "s.sh:3:40", "=`id`", "command substitution"),
    "if": Wrong(shell("if true; then\nexport A=1\nfi\n"), "s.sh:3:1", "if true; then", "`if` is not part of the scenario language"),
    "a pipe": Wrong(shell("export A=1 | cat\n"), "s.sh:3:12", "export A=1 | cat", "is not part of the scenario language"),
    "a command": Wrong(shell("ls /\n"), "s.sh:3:1", "ls /", "command `ls`"),
    "source": Wrong(shell("source other.sh\n"), "s.sh:3:1", "source other.sh", "source"),
    "unset variable": Wrong(shell("export LLMDBENCH_VLLM_COMMON_NAMESPACE=$USER\n"), "s.sh:3:40", "=$USER", "variable `USER` has no value here", "${USER:-default}"),
    "unterminated quote": Wrong(shell("export A='b\n"), "s.sh:3:10", "export A='b", "quote"),
    "a here-document without end": Wrong(shell("export A=$(mktemp)\ncat << EOF > $A\nx\n"), "s.sh:4:", "cat << EOF > $A", "EOF"),
    "--set without =": Wrong(option("foo"), "--set:1:1", "foo", "`foo` is not of the form `path=value`"),
    "--set of nothing known": Wrong(option("vllm.prot=1"), "--set:1:1", "vllm.prot=1", "did you mean `vllm.port`?"),
    "--set of a wrong value": Wrong(option("vllm.port=x"), "--set:1:11", "vllm.port=x", "not `x`"),
    "--set in a list": Wrong(option('vllm.env=[{"name":"1A","value":"x"}]'), "--set:1:11", 'vllm.env=[{"name":"1A","value":"x"}]', "`1A`"),
    "unknown flag value": Wrong(["-c", "minimal", "-t", "standalon"], "--methods:1:11", "standalon", "did you mean `standalone`?"),
    "two models with one served name": Wrong(["-c", "minimal", "-m", "a/x:same,b/y:same"], "--models:1:10", "a/x:same,b/y:same", "`same` twice"),
    "port conflict in a list": Wrong(yaml('standalone:\n  args: [--port, "9000"]\n'), "s.yaml:3:9", '  args: [--port, "9000"]', "`--port 9000`", "`vllm.port` is 8000", "--port ${vllm.port}"),
    "port conflict in a script": Wrong(
        yaml(f"standalone:\n  args: cd / && vllm serve {MODEL} --port=9000 | tee /x\n"), "s.yaml:3:9", "--port=9000", "`--port 9000`", "`vllm.port` is 8000"
    ),
    "an alias that the script does not serve": Wrong(
        yaml("standalone:\n  args: vllm serve a/b --port 8000\n"), "s.yaml:3:9", "vllm serve a/b", "do not serve `a/b` as `alias`", "--served-model-name alias", args=["-m", "a/b:alias"]
    ),
    "floating tag": Wrong(yaml("standalone:\n  image: docker.io/x/y:latest\n"), "s.yaml:3:10", "  image: docker.io/x/y:latest", "floating version `latest`", "`standalone.image.tag`"),
    "branch as tag": Wrong(yaml("standalone:\n  image: docker.io/x/y:main\n"), "s.yaml:3:10", "  image: docker.io/x/y:main", "floating version `main`"),
    "no tag": Wrong(yaml("standalone:\n  image: docker.io/x/y\n"), "s.yaml:3:10", "  image: docker.io/x/y", "the tag is missing"),
    "unknown reference": Wrong(yaml("standalone:\n  args: [--port, '${vllm.prot}']\n"), "s.yaml:3:18", "args: [--port, '${vllm.prot}']", "`vllm.prot`", "did you mean `vllm.port`?"),
    "unknown name to replace": Wrong(
        yaml("standalone:\n  args: [--port, REPLACE_ENV_LLMDBENCH_VLLM_COMMON_INFERENCE_PRT]\n"), "s.yaml:3:18", "REPLACE_ENV_LLMDBENCH_VLLM_COMMON_INFERENCE_PRT",
        "did you mean `REPLACE_ENV_LLMDBENCH_VLLM_COMMON_INFERENCE_PORT`?",
    ),
    "one variable twice": Wrong(yaml("vllm:\n  env: [{name: A, value: b}, {name: A, value: c}]\n"), "s.yaml:3:30", "  env: [{name: A, value: b}", "`A` twice"),
    "more tensor parallelism than accelerators": Wrong(
        yaml("accelerator: {count: 2}\nparallelism: {tensor: 4}\n"), "s.yaml:3:23", "parallelism: {tensor: 4}", "needs 4 accelerators", "a pod has 2"
    ),
    "a device without a name": Wrong(yaml("network: {count: 2}\n"), "s.yaml:2:18", "network: {count: 2}", "`network.count` without `network.resource`", "rdma/ib"),
    "a file of arguments that is not there": Wrong(yaml("standalone: {args: ./gone.txt}\n"), "s.yaml:2:20", "standalone: {args: ./gone.txt}", "cannot read `./gone.txt`"),
    "dotted key": Wrong(yaml("vllm.port: 5\n"), "s.yaml:2:1", "vllm.port: 5", "`vllm.port`", "nest"),
    "a text for a section": Wrong(yaml("vllm: 5\n"), "s.yaml:2:7", "vllm: 5", "`vllm`", "mapping"),
    "names of two editions": Wrong(
        shell("export LLMDBENCH_VLLM_COMMON_SHM=1Gi\nexport LLMDBENCH_VLLM_COMMON_SHM_MEM=1Gi\n"), "s.sh:4:8", "export LLMDBENCH_VLLM_COMMON_SHM_MEM=1Gi", "2026-03", "--defaults"
    ),
    "no port in the arguments": Wrong(yaml("vllm: {port: 9000}\nstandalone:\n  args: [--x]\n"), "s.yaml:4:9", "  args: [--x]", "9000"),
    "another model in the arguments": Wrong(yaml("standalone:\n  args: vllm serve c/d\n"), "s.yaml:3:9", "  args: vllm serve c/d", "`c/d`", f"`{MODEL}`"),
    "open quote in a script": Wrong(yaml(f"standalone:\n  args: vllm serve {MODEL} 'x\n"), "s.yaml:3:9", f"  args: vllm serve {MODEL} 'x", "not closed"),
    "one variable without a name": Wrong(yaml("vllm:\n  env:\n    - value: a\n"), "s.yaml:4:7", "    - value: a", "name"),
    "value beside valueFrom": Wrong(
        yaml("vllm:\n  env:\n    - {name: A, value: a, valueFrom: {fieldRef: {fieldPath: status.podIP}}}\n"), "s.yaml:4:27", "    - {name: A, value: a", "`vllm.env`"
    ),
    "two volumes at one path": Wrong(yaml("storage: {model: {mountPath: /dev/shm}}\n"), None, None, "/dev/shm", "storage.model.mountPath"),
    "edition by --set": Wrong(option("edition=2025-08"), "--set:1:", "edition=2025-08", "--defaults"),
    "a release that starts with a digit": Wrong(["-c", "minimal", "-r", "1a"], "--release:1:11", "1a", "letter"),
    "two platforms": Wrong(
        option("LLMDBENCH_CONTROL_DEPLOY_IS_OPENSHIFT=1", "LLMDBENCH_CONTROL_DEPLOY_IS_MINIKUBE=1"), "--set:1:", "LLMDBENCH_CONTROL_DEPLOY_IS_", "openshift", "minikube"
    ),
    # These have no line to show.
    "unknown scenario": Wrong(["-c", "ocp_H100_standalone_llama70b"], None, None, "no scenario `ocp_H100_standalone_llama70b`", "did you mean `ocp_H100_standalone_llama-70b`?", "list"),
    "unknown edition of a flag": Wrong(["-c", "minimal", "--defaults", "2025-09"], None, None, "no edition `2025-09`", "`2025-08`"),
    "missing file": Wrong(["-c", "./gone.yaml"], None, None, "cannot read `./gone.yaml`"),
    "a directory as scenario": Wrong({"d/s.yaml": ""}, None, None, "cannot read `./d`", args=["-c", "./d"]),
    "huge file": Wrong({"s.yaml": "#" * 5_000_000}, None, None, "larger than 4194304 bytes"),
    "huge shell file": Wrong({"s.sh": "#\n" * 2_400_000}, None, None, "larger than"),
    "not UTF-8": Wrong({"s.yaml": b"models: [\xff]\n"}, None, None, "not UTF-8"),
    "not UTF-8 in shell": Wrong({"s.sh": b"export A=\xff\n"}, None, None, "not UTF-8"),
}
assert len(WRONG) >= 25
WRONG["a directory as scenario"].args = ["-c", "./d"]


def prepare(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_input(name, tmp_path):
    case = WRONG[name]
    prepare(tmp_path, case.files)
    inputs = files_of(tmp_path)
    for output in ([], ["-o", "out"]):
        result = run("render", *case.args, *output, "--no-env", cwd=tmp_path)
        assert refusal(result) is None
        message = result.stderr.decode()
        assert not (tmp_path / "out").exists() and files_of(tmp_path) == inputs
        first = next(block for block in message.split("\n\n") if block.startswith("error: "))
        if case.place:
            shown = re.search(r"(?m)^ *--> (.*)$", first)
            assert shown and (shown[1].startswith(case.place) if case.place.endswith(":") else shown[1] == case.place), message[:2000]
            assert re.search(r":\d+:\d+$", shown[1])
            number = shown[1].split(":")[-2]
            assert re.search(rf"(?m)^ *{number} \| .*{re.escape(case.line)}", first), message[:2000]
        for word in case.words:
            assert word in first, message[:2000]


@pytest.mark.parametrize("text", [START + "replicas: x\n", SHELL + "export LLMDBENCH_VLLM_COMMON_REPLICAS=x\n"])
def test_standard_input_in_both_languages(text, tmp_path):
    wrong = run("render", "-c", "-", "-o", tmp_path / "out", stdin=text.encode())
    assert refusal(wrong, tmp_path / "out") is None
    assert f"standard input:{text[:text.index('=x' if '=x' in text else ': x')].count(chr(10)) + 1}:" in wrong.stderr.decode()
    assert "not `x`" in wrong.stderr.decode()
    right = render("-c", "-", stdin=text.replace(": x", ": 2").replace("=x", "=2").encode())
    assert right.returncode == 0 and b"\n  replicas: 2\n" in right.stdout, right.stderr
    assert render("-c", "-", stdin=b"models: [\xff]").returncode == 2


BLANKS = {
    "yaml": {5: "namespace", 10: "storage.storageClass", 13: "images.benchmark.registry", 14: "images.benchmark.repository", 15: "images.benchmark.name", 16: "images.benchmark.tag"},
    "sh": {
        2: "LLMDBENCH_IMAGE_REGISTRY", 3: "LLMDBENCH_IMAGE_REPO", 4: "LLMDBENCH_IMAGE_NAME", 5: "LLMDBENCH_IMAGE_TAG", 6: "LLMDBENCH_VLLM_COMMON_NAMESPACE",
        7: "LLMDBENCH_VLLM_COMMON_PVC_STORAGE_CLASS",
    },
}
TEMPLATE = {
    "yaml": ["-c", "kubernetes_A100_standalone_llama-3b"],
    "sh": ["-c", "s.sh"],
}


@pytest.mark.parametrize("language", BLANKS)
def test_each_blank_of_a_template_is_named_with_its_line(language, tmp_path):
    """A token may stay empty: it is no input."""
    lines = ["LLMDBENCH_HF_TOKEN", *BLANKS["sh"].values()]
    prepare(tmp_path, {"s.sh": "".join(f"export {n}=\n" for n in lines) + SHELL})
    result = run("render", "-q", *TEMPLATE[language], "-o", "out", cwd=tmp_path)
    assert refusal(result, tmp_path / "out") is None
    blocks = result.stderr.decode().strip().split("\n\n")
    named = {int(re.search(r"--> .*:(\d+):\d+", b)[1]): re.match(r"error: `(.*?)` is empty and must be filled in", b)[1] for b in blocks}
    assert named == BLANKS[language]


def test_a_foreign_directory_is_refused(tmp_path):
    for name, content in {"a/mine.txt": "x", "b/bundle.json": "{}", "c/.hidden": ""}.items():
        prepare(tmp_path, {name: content})
        folder = tmp_path / name[0]
        before = files_of(tmp_path)
        result = render("-c", "minimal", "-o", folder)
        assert result.returncode == 2 and b"holds no bundle" in result.stderr, result.stderr
        assert files_of(tmp_path) == before
    (tmp_path / "file").write_text("x")
    assert render("-c", "minimal", "-o", tmp_path / "file").returncode in (1, 2)
    assert (tmp_path / "file").read_text() == "x"


def test_a_directory_that_cannot_be_written_is_exit_1(tmp_path):
    result = render("-c", "minimal", "-o", "/proc/none/out")
    assert result.returncode == 1 and result.stderr.startswith(b"error: cannot write"), result.stderr


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    prepare(tmp_path, yaml("replicas: x\nvllm:\n  port: y\n  nothing: 1\nnamespace: A\n"))
    result = render("-c", "s.yaml", "--set", "resources.cpu=z", cwd=tmp_path)
    for word in ("`x`", "`y`", "`vllm.nothing`", "`A`", "`z`"):
        assert f"{word}" in result.stderr.decode(), result.stderr.decode()
    assert result.stderr.count(b"error: ") == 5


TOKEN_PLACES = {
    "argument": yaml(f"standalone:\n  args: [--api-key, {TOKEN}]\n"),
    "script": yaml(f"standalone:\n  args: vllm serve {MODEL} --port 8000 --api-key {TOKEN}\n"),
    "environment variable of the pod": yaml(f"vllm:\n  env: [{{name: KEY, value: {TOKEN}}}]\n"),
    "annotation": yaml(f"pod:\n  annotations: {{key: {TOKEN}}}\n"),
    "preprocess": yaml(f"standalone:\n  preprocess: login {TOKEN}\n"),
    "script that cannot be a block": yaml(f'standalone:\n  preprocess: "login \\n{TOKEN} \\n"\n'),
    "model loader": yaml(f'vllm:\n  modelLoaderExtraConfig: {{token: {TOKEN}}}\n'),
    "shell argument": shell(f"export LLMDBENCH_VLLM_STANDALONE_ARGS='[--api-key____{TOKEN}]'\n"),
    "shell variable": shell(f"export MY_KEY={TOKEN}\nexport LLMDBENCH_VLLM_COMMON_ENVVARS_TO_YAML=MY_KEY\n"),
}


def echoes(secret, result, directory):
    everything = [result.stdout, result.stderr, *files_of(directory).values()]
    return any(secret.encode() in text for text in everything)


@pytest.mark.parametrize("place", TOKEN_PLACES)
def test_a_credential_in_a_value_is_refused_and_not_shown(place, tmp_path):
    prepare(tmp_path, TOKEN_PLACES[place])
    out = tmp_path / "out"
    result = run("render", "-c", tmp_path / next(iter(TOKEN_PLACES[place])), "-o", out)
    assert refusal(result) is None
    assert b"looks like a Hugging Face token" in result.stderr and b"secretKeyRef" in result.stderr
    assert not out.exists() and TOKEN.encode() not in result.stderr + result.stdout


def test_a_credential_says_where_it_was_set(tmp_path):
    """The place only; the line would show it."""
    prepare(tmp_path, TOKEN_PLACES["argument"])
    result = run("render", "-c", "s.yaml", cwd=tmp_path)
    assert re.search(r"s\.yaml:3:\d+", result.stderr.decode()), result.stderr.decode()


@pytest.mark.parametrize("value", [TOKEN, "zq81 a'b", "zq-short-81"])
@pytest.mark.parametrize("variable", ["LLMDBENCH_HF_TOKEN", "LLMDBENCH_CLUSTER_TOKEN"])
def test_a_token_is_no_input(variable, value, tmp_path):
    """In the scenario, quoted in whatever way, with something wrong beside it, or in the environment."""
    quoted = "'" + value.replace("'", "'\\''") + "'"
    doubled = '"' + value + '"'
    secret = value.split()[0]
    for number, text in enumerate([f"export {variable}={quoted}\n", f"export {variable}={doubled}\n", f"{variable}={quoted} # x\n"]):
        prepare(tmp_path, {"s.sh": SHELL + text})
        out = tmp_path / "out"
        result = run("render", "-c", "s.sh", "-o", out, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert secret.encode() not in result.stdout + result.stderr
        assert not any(secret.encode() in t for t in files_of(out).values())
        stream = run("render", "-c", "s.sh", cwd=tmp_path)
        assert secret.encode() not in stream.stdout + stream.stderr
    for arguments, env in (
        (["-c", "minimal"], {variable: value}),
        (["-c", "minimal", "--set", f"{variable}={value}"], {}),
        (["-c", "minimal", "--set", "replicas=x"], {variable: value}),
        (["-c", "minimal", "--set", "replicas=x", "--set", f"{variable}={value}"], {}),
    ):
        result = run("render", *arguments, env=clean_env(**env))
        assert result.returncode == (2 if "replicas=x" in arguments else 0), result.stderr
        assert secret.encode() not in result.stdout + result.stderr


@pytest.mark.parametrize("line", [
    "export LLMDBENCH_HF_TOKEN={} | cat", "export LLMDBENCH_HF_TOKEN='{}' $(id)", "export LLMDBENCH_HF_TOKEN={}$(id)", "export LLMDBENCH_HF_TOKN={}",
    "export LLMDBENCH_VLLM_COMMON_REPLICAS={}", "export LLMDBENCH_HF_TOKEN=\"{}", "LLMDBENCH_HF_TOKEN={} ls", "export A={} B=$C", "ls {}",
])
def test_an_error_beside_a_token_does_not_show_it(line, tmp_path):
    prepare(tmp_path, shell(line.format(TOKEN) + "\n"))
    result = run("render", "-c", "s.sh", cwd=tmp_path)
    assert refusal(result) is None
    assert TOKEN.encode() not in result.stderr and TOKEN[:20].encode() not in result.stderr, result.stderr.decode()


def test_a_token_in_a_yaml_error_is_not_shown(tmp_path):
    for text in (f"replicas: {TOKEN}\n", f"hfToken: {TOKEN}\n", f"huggingFace: {{token: {TOKEN}}}\n", f"vllm: [{TOKEN}\n"):
        prepare(tmp_path, yaml(text))
        result = run("render", "-c", "s.yaml", cwd=tmp_path)
        assert refusal(result) is None
        assert TOKEN.encode() not in result.stderr, result.stderr.decode()


def test_files_are_readable_and_not_executable_by_chance(tmp_path):
    out = tmp_path / "out"
    assert render("-c", "minimal", "-o", out, umask=0o022).returncode == 0
    for path in out.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o755 if path.is_dir() or path.suffix == ".sh" else 0o644), path


def test_notes_are_one_line_each_and_can_be_silenced():
    loud = run("render", "-c", "kind_modelservice_inference-sim", "-t", "standalone", "--no-env")
    quiet = run("render", "-q", "-c", "kind_modelservice_inference-sim", "-t", "standalone", "--no-env")
    assert quiet.stderr == b"" and loud.stdout == quiet.stdout
    lines = loud.stderr.decode().splitlines()
    assert all(line.startswith("note: ") for line in lines) and len(lines) < 10
    assert any("decode.cpu" in line for line in lines)


@pytest.mark.parametrize("form", ["table", "markdown", "json"])
def test_list_and_variables(form):
    listed = run("list", "--format", form).stdout.decode()
    assert "minimal" in listed and "precise-prefix-cache-aware" in listed
    variables = run("variables", "--format", form).stdout.decode()
    for name in ["LLMDBENCH_VLLM_COMMON_MAX_MODEL_LEN", "vllm.maxModelLen", "LLMDBENCH_CONTROL_WORK_DIR", "no effect here"]:
        assert name in variables
    if form == "json":
        rows = json.loads(variables)
        assert len({r["variable"] for r in rows if r["variable"].startswith("LLMDBENCH_")}) >= 267
        assert all(r["meaning"] for r in rows)


def test_a_reader_that_stops_reading_is_no_error(tmp_path):
    process = subprocess.Popen([BIN, "render", "-q", "--no-env", "-c", "minimal"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0


def test_strict_takes_no_fallback():
    result = render("-c", "minimal", "--strict", "--no-env")
    assert refusal(result) is None
    assert "storage.storageClass" in result.stderr.decode() and "--strict" in result.stderr.decode()


def test_both_languages_on_standard_input_give_one_stream():
    yaml_text = f"models: [{MODEL}]\nnamespace: n\nedition: '2025-08'\nmethods: [standalone]\n"
    shell_text = SHELL + "LLMDBENCH_VLLM_COMMON_NAMESPACE=n\n"
    one, other = (render("-c", "-", "--no-env", stdin=text.encode()) for text in (yaml_text, shell_text))
    assert one.returncode == other.returncode == 0, one.stderr + other.stderr
    assert one.stdout == other.stdout


def test_a_stream_that_would_lack_helm_releases_is_refused(tmp_path):
    result = run("render", "-c", "minimal", "-t", "llm-d", "--no-env")
    assert refusal(result) is None
    assert b"would lack 3 Helm releases" in result.stderr and b"--charts" in result.stderr
    assert run("render", "-c", "minimal", "-t", "llm-d", "--no-env", "--charts", "flux").returncode == 0
    assert run("render", "-c", "minimal", "-t", "llm-d", "--no-env", "-o", "out", cwd=tmp_path).returncode == 0


def test_inflated_charts_are_not_for_a_directory(tmp_path):
    result = run("render", "-c", "minimal", "-t", "llm-d", "--no-env", "--charts", "inflate", "-o", "out", cwd=tmp_path)
    assert refusal(result, tmp_path / "out") is None
