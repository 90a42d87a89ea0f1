"""Wrong inputs: one clear error with its place, the line itself and a hint, exit code 2, and nothing written."""

import json

import pytest

from tool import clean_env, refusal, render, run

TOKEN = "hf_" + "Zq7" * 12

# Name of the file, its text, what standard error must hold: the sentence, the place, the line, the hint.
FILES = {
    "unknown key": ("s.yaml", "models: [a/b]\nvllm:\n  maxModelLenn: 5\n", ["vllm.maxModelLenn", "s.yaml:3:3", "maxModelLenn: 5", "`vllm.maxModelLen`"]),
    "wrong section": ("s.yaml", "maxModelLen: 5\n", ["`maxModelLen`", "s.yaml:1:1", "`vllm.maxModelLen`"]),
    "dotted key": ("s.yaml", "vllm.port: 5\n", ["`vllm.port`", "s.yaml:1:1", "nest"]),
    "unknown variable": ("s.sh", "export LLMDBENCH_VLLM_COMMON_MAXMODEL_LEN=5\n", ["LLMDBENCH_VLLM_COMMON_MAXMODEL_LEN", "s.sh:1:8", "`LLMDBENCH_VLLM_COMMON_MAX_MODEL_LEN`"]),
    "variable of the other edition": ("s.sh", "export LLMDBENCH_VLLM_COMMON_SHM=1Gi\nexport LLMDBENCH_VLLM_COMMON_SHM_MEM=1Gi\n", ["LLMDBENCH_VLLM_COMMON_SHM_MEM", "2026-03", "s.sh:2:8", "--defaults"]),
    "bad quantity": ("s.yaml", "resources:\n  memory: banana\n", ["`banana`", "s.yaml:2:11", "`40Gi`"]),
    "bad quantity in shell": ("s.sh", "export LLMDBENCH_VLLM_COMMON_CPU_MEM=40GB\n", ["`40GB`", "s.sh:1:38", "LLMDBENCH_VLLM_COMMON_CPU_MEM"]),
    "bad port": ("s.yaml", "vllm: {port: 70000}\n", ["`70000`", "s.yaml:1:14", "65535"]),
    "bad word": ("s.yaml", "platform: openshif\n", ["`openshif`", "s.yaml:1:11", "`openshift`"]),
    "bad namespace": ("s.yaml", "namespace: Bad_Name\n", ["`Bad_Name`", "s.yaml:1:12", "lower case"]),
    "list for a scalar": ("s.yaml", "namespace: [a]\n", ["a list", "s.yaml:1:12"]),
    "scalar for a section": ("s.yaml", "vllm: 5\n", ["`vllm`", "s.yaml:1:7", "mapping"]),
    "duplicate key": ("s.yaml", "namespace: a\nreplicas: 1\nnamespace: b\n", ["`namespace`", "s.yaml:3:1", "line 1"]),
    "tab": ("s.yaml", "vllm:\n\tport: 5\n", ["not valid YAML", "s.yaml:2:", "tab"]),
    "two documents": ("s.yaml", "namespace: a\n---\nnamespace: b\n", ["second", "s.yaml:2:1"]),
    "command substitution": ("s.sh", "export LLMDBENCH_VLLM_COMMON_ANNOTATIONS=by:$(id -un)\n", ["`$(id -un)`", "s.sh:1:45"]),
    "if": ("s.sh", "if true; then\nexport LLMDBENCH_VLLM_COMMON_REPLICAS=1\nfi\n", ["`if`", "s.sh:1:1"]),
    "pipe": ("s.sh", "echo a | cat\n", ["s.sh:1:"]),
    "source": ("s.sh", "source ./other.sh\n", ["`source`", "s.sh:1:1"]),
    "unset variable": ("s.sh", "export LLMDBENCH_VLLM_COMMON_NAMESPACE=$NOWHERE\n", ["`NOWHERE`", "s.sh:1:40", ":-"]),
    "open quote": ("s.sh", 'export LLMDBENCH_VLLM_COMMON_NAMESPACE="a\n', ["quote", "s.sh:1:40"]),
    "here-document without an end": ("s.sh", "export X=$(mktemp)\ncat << EOF > $X\na\n", ["EOF", "s.sh:2:"]),
    "blank to fill in": ("s.sh", "export LLMDBENCH_VLLM_COMMON_NAMESPACE=\n", ["LLMDBENCH_VLLM_COMMON_NAMESPACE", "empty", "s.sh:1:8"]),
    "null to fill in": ("s.yaml", "namespace:\n", ["`namespace`", "empty", "s.yaml:1:1"]),
    "unknown reference": ("s.yaml", "standalone:\n  args: [--port, '${vllm.prt}']\n", ["vllm.prt", "s.yaml:2:18", "`vllm.port`"]),
    "unknown REPLACE_ENV": ("s.sh", "export LLMDBENCH_VLLM_STANDALONE_ARGS='[--x____REPLACE_ENV_LLMDBENCH_VLLM_COMMON_REPLICA]'\n", ["REPLACE_ENV_LLMDBENCH_VLLM_COMMON_REPLICA", "s.sh:1:39", "REPLICAS"]),
    "floating tag": ("s.yaml", "standalone: {image: {name: own-build, tag: main}}\n", ["`main`", "own-build", "s.yaml:1:44"]),
    "port of the arguments": ("s.yaml", "standalone:\n  args: [--port, '9']\n", ["--port 9", "8000", "s.yaml:2:9", "${vllm.port}"]),
    "no port in the arguments": ("s.yaml", "vllm: {port: 9000}\nstandalone:\n  args: [--x]\n", ["9000", "s.yaml:3:9"]),
    "another model in the arguments": ("s.yaml", "models: [a/b]\nstandalone:\n  args: vllm serve c/d\n", ["`c/d`", "`a/b`", "s.yaml:3:9"]),
    "alias that the script does not serve": ("s.yaml", "models: ['a/b:c']\nstandalone:\n  args: vllm serve a/b\n", ["`c`", "s.yaml:3:9", "--served-model-name"]),
    "open quote in a script": ("s.yaml", "standalone:\n  args: vllm serve facebook/opt-125m 'x\n", ["not closed", "s.yaml:2:9"]),
    "one served name twice": ("s.yaml", "models: [a/b, 'c/d:a/b']\n", ["`a/b` twice", "s.yaml:1:9"]),
    "env without a name": ("s.yaml", "vllm:\n  env:\n    - value: a\n", ["s.yaml:3:7", "name"]),
    "value beside valueFrom": ("s.yaml", "vllm:\n  env:\n    - {name: A, value: a, valueFrom: {fieldRef: {fieldPath: status.podIP}}}\n", ["s.yaml:3:27"]),
    "network device without a name": ("s.yaml", "network: {count: 2}\n", ["network.resource", "s.yaml:1:18"]),
    "more parallelism than accelerators": ("s.yaml", "accelerator: {count: 2}\nparallelism: {tensor: 4}\n", ["4", "s.yaml:2:23"]),
    "a method that is not rendered": ("s.yaml", "methods: [modelservice]\n", ["modelservice", "s.yaml:1:10", "--methods"]),
    "an edition that is not there": ("s.yaml", "edition: '2024-01'\n", ["2024-01", "s.yaml:1:10", "2025-08"]),
    "two volumes at one path": ("s.yaml", "storage: {model: {mountPath: /dev/shm}}\n", ["/dev/shm", "mountPath"]),
}


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_file_is_one_clear_error(name, tmp_path):
    file, text, wanted = FILES[name]
    (tmp_path / file).write_text(text)
    out = tmp_path / "out"
    if name not in ("a method that is not rendered",):
        result = render("-c", f"./{file}", "-t", "standalone", "-o", out, cwd=tmp_path)
    else:
        result = render("-c", f"./{file}", "-o", out, cwd=tmp_path)
    assert refusal(result, out) is None, result.stderr.decode()
    message = result.stderr.decode()
    for part in wanted:
        assert part in message, message
    assert not out.exists()


def test_every_blank_of_the_template_is_named_with_its_line():
    message = render("-c", "kubernetes_A100_standalone_llama-3b").stderr.decode()
    for path in ["namespace", "storage.storageClass", "images.benchmark.registry", "images.benchmark.name", "images.benchmark.tag"]:
        assert f"`{path}` is empty" in message, message
    assert message.count("kubernetes_A100_standalone_llama-3b.yaml:") == 5


def test_all_errors_of_a_phase_at_once(tmp_path):
    (tmp_path / "s.yaml").write_text("namespace: A\nvllm: {port: x, nope: 1}\nresources: {cpu: z}\n")
    message = render("-c", "s.yaml", "--set", "replicas=-1", cwd=tmp_path).stderr.decode()
    for place in ["s.yaml:1:12", "s.yaml:2:14", "s.yaml:2:17", "s.yaml:3:18", "--set:1:10"]:
        assert place in message, message


@pytest.mark.parametrize(
    "arguments, wanted",
    [
        (["-c", "minima"], ["`minima`", "`minimal`", "list"]),
        (["-c", "./nowhere.yaml"], ["./nowhere.yaml", "No such file"]),
        (["-c", "minimal", "--set", "replicas"], ["path=value", "--set:1:1"]),
        (["-c", "minimal", "--set", "replica=2"], ["`replica`", "`replicas`"]),
        (["-c", "minimal", "--set", "edition=2025-08"], ["edition", "--defaults"]),
        (["-c", "minimal", "--defaults", "2024"], ["`2024`", "2025-08"]),
        (["-c", "minimal", "-p", "A"], ["--namespace", "`A`"]),
        (["-c", "minimal", "-r", "1a"], ["--release", "letter"]),
        (["-c", "minimal", "--strict"], ["storage.storageClass", "--strict"]),
        (["-c", "minimal", "--set", "LLMDBENCH_CONTROL_DEPLOY_IS_OPENSHIFT=1", "--set", "LLMDBENCH_CONTROL_DEPLOY_IS_MINIKUBE=1"], ["openshift", "minikube"]),
    ],
)
def test_wrong_flags(arguments, wanted, tmp_path):
    result = render(*arguments, "--no-env", cwd=tmp_path)
    assert refusal(result) is None, result.stderr.decode()
    for part in wanted:
        assert part in result.stderr.decode()


def test_text_that_is_not_utf_8_and_text_without_end(tmp_path):
    (tmp_path / "s.yaml").write_bytes(b"namespace: \xff\n")
    assert "UTF-8" in render("-c", "./s.yaml", cwd=tmp_path).stderr.decode()
    (tmp_path / "l.sh").write_text("# a\n" * 2_000_000)
    result = render("-c", "./l.sh", cwd=tmp_path)
    assert refusal(result) is None
    assert "larger" in result.stderr.decode()


def test_a_scenario_on_standard_input_in_both_languages():
    yaml = render("-c", "-", "--no-env", stdin=b"models: [a/b]\nnamespace: n\nedition: '2025-08'\nmethods: [standalone]\n")
    shell = render("-c", "-", "--no-env", "-t", "standalone", stdin=b"export LLMDBENCH_DEPLOY_MODEL_LIST=a/b\nLLMDBENCH_VLLM_COMMON_NAMESPACE=n\n")
    assert yaml.returncode == shell.returncode == 0, yaml.stderr + shell.stderr
    assert yaml.stdout == shell.stdout


def test_a_foreign_directory_is_refused(tmp_path):
    (tmp_path / "notes.md").write_text("mine")
    result = render("-c", "minimal", "--no-env", "-o", tmp_path)
    assert result.returncode == 2 and "no bundle" in result.stderr.decode()
    assert [p.name for p in tmp_path.iterdir()] == ["notes.md"]


def test_a_token_is_no_input_and_is_shown_nowhere(tmp_path):
    """In the scenario, in the environment, on a line with an error: it is in no output and no message."""
    scenario = tmp_path / "s.sh"
    scenario.write_text(f"export LLMDBENCH_HF_TOKEN={TOKEN}\nexport LLMDBENCH_CLUSTER_TOKEN={TOKEN}\nexport LLMDBENCH_DEPLOY_MODEL_LIST=a/b\n")
    out = tmp_path / "out"
    env = clean_env(LLMDBENCH_HF_TOKEN=TOKEN, HF_TOKEN=TOKEN)
    for arguments in ([], ["-o", out]):
        result = run("render", "-c", scenario, "-t", "standalone", *arguments, env=env)
        assert result.returncode == 0, result.stderr
        assert TOKEN.encode() not in result.stdout + result.stderr
    assert all(TOKEN not in p.read_text() for p in out.rglob("*") if p.is_file())
    scenario.write_text(f"export LLMDBENCH_HF_TOKEN={TOKEN} LLMDBENCH_NOPE=1\n")
    result = run("render", "-c", scenario, env=env)
    assert result.returncode == 2 and TOKEN.encode() not in result.stderr


@pytest.mark.parametrize("path, value", [("standalone.args", f"vllm serve a/b --api-key {TOKEN}"), ("vllm.env", [{"name": "A", "value": TOKEN}])])
def test_what_looks_like_a_credential_is_refused_and_not_repeated(path, value, tmp_path):
    section, key = path.split(".")
    (tmp_path / "s.yaml").write_text(json.dumps({"models": ["a/b"], section: {key: value}}))
    result = render("-c", "./s.yaml", "--no-env", cwd=tmp_path)
    assert refusal(result) is None
    message = result.stderr.decode()
    assert f"`{path}`" in message and "s.yaml:1:" in message and TOKEN not in message


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
    import subprocess

    from tool import BIN

    process = subprocess.Popen([BIN, "render", "-q", "--no-env", "-c", "minimal"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0
