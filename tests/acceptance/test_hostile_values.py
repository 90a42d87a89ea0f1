"""A value arrives exactly as it was set, or is refused and nothing is written.

Each hostile value is set in every free-text setting that reaches a manifest, in three notations, and read back with
PyYAML and with `kubectl kustomize`. What a shell takes part in is run as the container would run it.
"""

import json
import re

import pytest

from hostile import NUL, UNREADABLE, VALUES, shown
from tool import (
    is_server,
    MODEL, Shell, deployment, json_text, kubelet, kustomize, kustomize_texts, load, load_all, parallel, refusal, render, server,
    server_text, set_args, single_quoted, yaml_scenario,
)

KEY = "hostile.example/value"
PORT = "8000"
# Linux takes no longer argument of a program (MAX_ARG_STRLEN), less what the script around a value needs.
LONGEST_ARGUMENT = 131_072 - 1_000
BASE = {"models": [MODEL], "namespace": "hostile"}


def passing(value):
    """A script that passes a value to the server."""
    return f"vllm serve {MODEL} --port {PORT} --hostile {single_quoted(value)}"


def recording(value):
    """A script that passes a value to a program that runs before the server."""
    return f"record {single_quoted(value)}"


# Settings of one group are set together, since none of them can change another.
GROUPS = {
    "values": {
        "pod.annotations": lambda v: {KEY: v},
        "vllm.env": lambda v: [{"name": "HOSTILE", "value": v}],
        "vllm.modelLoaderExtraConfig": lambda v: {"k": v},
        "standalone.args": lambda v: ["--hostile", v],
    },
    "JSON as text": {"vllm.modelLoaderExtraConfig": lambda v: json.dumps({"k": v})},
    "script": {"standalone.args": passing},
    "list after script": {"standalone.preprocess": recording, "standalone.args": lambda v: ["--hostile", v]},
    "script after script": {"standalone.preprocess": recording, "standalone.args": passing},
}


def by_file(directory, name, settings):
    path = directory / f"{name}.yaml"
    path.write_bytes(yaml_scenario(BASE | settings).encode())
    return ["-c", path]


def by_set(directory, name, settings):
    return set_args(BASE | settings)


def by_shell(directory, name, settings):
    lines = [("DEPLOY_METHODS", "standalone"), ("DEPLOY_MODEL_LIST", MODEL), ("VLLM_COMMON_NAMESPACE", "hostile"), ("VLLM_COMMON_INFERENCE_PORT", PORT)]
    lines = [(f"LLMDBENCH_{n}", v) for n, v in lines]
    for path, value in settings.items():
        if path == "pod.annotations":
            value = ",".join(f"{k}:{v}" for k, v in value.items())
        elif path == "vllm.env":
            lines += [(entry["name"], entry["value"]) for entry in value]
            value = ",".join(entry["name"] for entry in value)
        elif path == "standalone.args" and isinstance(value, list):
            value = "[" + "____".join(value) + "]"
        elif not isinstance(value, str):
            value = json_text(value)
        lines.append((SHELL_NAMES[path], value))
    path = directory / f"{name}.sh"
    path.write_bytes("".join(f"export {n}={single_quoted(v)}\n" for n, v in lines).encode())
    return ["-c", path]


SHELL_NAMES = {
    "pod.annotations": "LLMDBENCH_VLLM_COMMON_ANNOTATIONS",
    "vllm.env": "LLMDBENCH_VLLM_COMMON_ENVVARS_TO_YAML",
    "vllm.modelLoaderExtraConfig": "LLMDBENCH_VLLM_STANDALONE_MODEL_LOADER_EXTRA_CONFIG",
    "standalone.preprocess": "LLMDBENCH_VLLM_STANDALONE_PREPROCESS",
    "standalone.args": "LLMDBENCH_VLLM_STANDALONE_ARGS",
}
NOTATIONS = {"file": by_file, "set": by_set, "shell": by_shell}


def can_say(notation, group, path, value):
    """Whether a notation can say a value. The shell notations have no quoting of their own: commas part annotations,
    four underscores part arguments, and white space around a part does not count."""
    if notation != "shell" or path in ("vllm.env", "vllm.modelLoaderExtraConfig"):
        return True
    bare = value == value.strip()
    if path == "pod.annotations":
        return bare and "," not in value
    if path == "standalone.args" and group in ("values", "list after script"):
        return bare and value != "" and "__" not in value
    return "____" not in value


def places(paths, group, value, d, shell):
    """What is wrong in a Deployment, one line each."""
    container = server(d)
    env = {e["name"]: e.get("value") for e in container["env"]}
    wrong = []

    def expect(path, got, want):
        if path in paths and got != want:
            wrong.append(f"{path}: {shown(want)} became {shown(got)}")

    expect("pod.annotations", d["spec"]["template"]["metadata"].get("annotations", {}).get(KEY), value)
    expect("vllm.env", env.get("HOSTILE"), value)
    # The tool writes this variable itself, so that the process gets what was set: the kubelet takes `$$` for `$`.
    config = json.loads(kubelet(env["LLMDBENCH_VLLM_STANDALONE_MODEL_LOADER_EXTRA_CONFIG"], {}))
    expect("vllm.modelLoaderExtraConfig", config.get("k"), value)
    if group == "values":
        expect("standalone.args", container["args"][-2:], ["--hostile", value])
    if "script" in group:
        code, got = shell.container(container)
        want = [["vllm", "serve", MODEL, *(["--hostile", value] if group.startswith("list") else ["--port", PORT, "--hostile", value])]]
        if group.endswith("after script"):
            want.insert(0, ["record", value])
        if group == "list after script":
            # In a list `$$` is the kubelet's way to write `$`, with a shell between as without.
            want[1][-1] = kubelet(value, {})
        if (code, got) != (0, want):
            wrong.append(f"{group}: {shown(value)} ran as {[[shown(w) for w in c] for c in got]}, exit {code}")
    return wrong


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    return Shell(tmp_path_factory.mktemp("shell"))


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("notation", NOTATIONS)
def test_each_value_alone(notation, group, tmp_path, shell):
    """A scenario for each value; every Deployment is read by PyYAML and all of them by one kustomize."""

    def one(numbered):
        number, value = numbered
        settings = {p: make(value) for p, make in GROUPS[group].items() if can_say(notation, group, p, value)}
        if len(settings) < len(GROUPS[group]) and (group != "values" or not settings):
            return [], None
        arguments = NOTATIONS[notation](tmp_path, number, settings)
        longest = max(len(str(a).encode()) for a in [*arguments, single_quoted(value)])
        times = 2 if group.endswith("after script") else 1
        if times * longest > LONGEST_ARGUMENT and (notation == "set" or "script" in group):
            return [], None
        result = render(*arguments, "--no-env", "-p", f"hostile-{number}")
        if result.returncode != 0:
            return [f"{shown(value)} is refused: {refusal(result) or result.stderr.decode().splitlines()[0]}"], None
        text = server_text(result.stdout.decode())
        d = load(text)
        return places(settings, group, value, d, shell), (text, d)

    done = parallel(one, list(enumerate(VALUES)))
    wrong = [w for w, _ in done for w in w]
    read = [r for _, r in done if r]
    assert not wrong, f"{len(wrong)} of {len(VALUES)}:\n" + "\n".join(wrong)
    assert len(read) > 150
    theirs = kustomize_texts(tmp_path / "kustomize", [text for text, _ in read])
    assert theirs == [d for _, d in read]


@pytest.mark.parametrize("notation", NOTATIONS)
def test_all_values_together(notation, tmp_path):
    """One scenario with every value as an annotation, a variable and an argument, as a directory that kustomize builds."""
    values = [v for v in VALUES if len(v) < 5000]
    if notation == "shell":
        values = [v for v in values if all(can_say("shell", "values", p, v) for p in ("pod.annotations", "standalone.args"))]
    settings = {
        "pod.annotations": {f"hostile.example/v{i}": v for i, v in enumerate(values)},
        "vllm.env": [{"name": f"HOSTILE_{i}", "value": v} for i, v in enumerate(values)],
        "standalone.args": ["--hostile", *(v for v in values if v != "--port")],
        "vllm.modelLoaderExtraConfig": {"k": values},
    }
    out = tmp_path / "out"
    result = render(*NOTATIONS[notation](tmp_path, "all", settings), "--no-env", "-o", out)
    assert result.returncode == 0, result.stderr.decode()
    ours = [load(p.read_bytes()) for p in sorted(out.glob("manifests/*/*.yaml"))]
    theirs = kustomize(out)
    assert theirs == ours
    for objects in (ours, theirs):
        d = next(o for o in objects if is_server(o))
        container = server(d)
        assert d["spec"]["template"]["metadata"]["annotations"] == settings["pod.annotations"]
        assert [e for e in container["env"] if e["name"].startswith("HOSTILE_")] == settings["vllm.env"]
        assert container["args"][-len(values) :] == settings["standalone.args"]
        config = kubelet(next(e["value"] for e in container["env"] if e["name"].endswith("EXTRA_CONFIG")), {})
        assert json.loads(config) == settings["vllm.modelLoaderExtraConfig"]
    # The record of the bundle says the same, in both of its forms.
    record = next(o for o in ours if o["kind"] == "ConfigMap" and "settings.yaml" in o["data"])
    recorded = load(record["data"]["settings.yaml"])
    bundle = json.loads((out / "bundle.json").read_bytes())["settings"]
    for said in (recorded, {path: s["value"] for path, s in bundle.items()}):
        assert said["pod.annotations"] == settings["pod.annotations"]
        assert [e for e in said["vllm.env"] if e["name"].startswith("HOSTILE_")] == settings["vllm.env"]


@pytest.mark.parametrize("value", NUL, ids=ascii)
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("notation", NOTATIONS)
def test_nul_is_refused(notation, group, value, tmp_path):
    """No string that reaches a process can hold NUL. Inside JSON it is an escape, which is text."""
    for path, make in GROUPS[group].items():
        if path == "vllm.modelLoaderExtraConfig":
            continue
        out = tmp_path / "out"
        result = render(*NOTATIONS[notation](tmp_path, "nul", {path: make(value)}), "--no-env", "-o", out)
        assert refusal(result, out) is None
        assert b"NUL" in result.stderr.splitlines()[0], result.stderr


@pytest.mark.parametrize("character", UNREADABLE, ids=ascii)
@pytest.mark.parametrize("notation", NOTATIONS)
def test_what_kustomize_cannot_read_is_refused(notation, character, tmp_path):
    """kustomize fails on these however they are escaped, or, with U+0085, makes a space of it."""
    for group in ("values", "script", "list after script"):
        for path, make in GROUPS[group].items():
            value = f"a{character}b"
            out = tmp_path / f"{group} {path}"
            result = render(*NOTATIONS[notation](tmp_path, "unreadable", {path: make(value)}), "--no-env", "-o", out)
            if result.returncode == 0 and path == "vllm.modelLoaderExtraConfig":
                # As an escape of JSON it is text that kustomize can read.
                read = next(o for o in kustomize(out) if is_server(o))
                assert places({path}, "", value, read, None) == []
                continue
            assert refusal(result, out) is None, path


# Pieces of script as an author writes them, not as a machine quotes them.
PIECES = [
    "$HOME", "${HOME}", "\"$HOME\"", "'$HOME'", "\\$HOME", "$(echo 1)", "`echo 1`", "\"$(echo a b)\"", "'$(echo 1)'", "\\`", "$$", "'$$'", "a$$b",
    "\"a b\"", "'a b'", "a\\ b", "a\\\\b", "'a'\"b\"c", "\"a'b\"", "'a\"b'", "\"\\\"\"", "\"\\\\\"", "\"\\a\"", "\"\\$\"", "\"a\\\nb\"", "a\\\nb", "'a\\\nb'",
    "# x", "a#b", "a # x", "\"# x\"", "a;", "a; record b", "a & record b", "a && record b", "a || record b", "a | cat", "> /dev/null", "2>&1", "< /dev/null",
    "*", "'*'", "?", "[a]", "~", "~/x", "'~'", "{a,b}", "'{a,b}'", "!", "!!", "'!'", "^", "%", "@", "-n", "--x=y", "x=y", "--x='a b'", "--x=\"$HOME/a\"",
    "\"\"", "''", "\"\" a", "'{\"a\": [1, \"$HOME\"]}'", "\"{\\\"a\\\": 1}\"", "$'a\\tb'", "$\"a\"", "${HOME:-x}", "${NONE:-x y}", "\"${NONE:-x y}\"", "${#HOME}", "$((1+1))",
    "$NONE", "\"$NONE\"", "$HF_HOME", "\"$HF_HOME\"", "'$HF_HOME'", "\\$HF_HOME", "${HF_HOME}x", "'${HF_HOME}'", "'$(HF_HOME)'", "\"\\$(HF_HOME)\"", "\\$\\(HF_HOME\\)", "'a$'", "a$", "$",
    "ä", "'日本語'", "\"😀\"", "{{ }}", "'{{ x }}'", "'{% x %}'", "\ta\t", "a\tb", "a\nrecord b", "\n", "a \\\n  b", "(echo a)", "'a'; exit 3", "<<EOF\na\nEOF", "<<< a", "\r", "a\r\n", "'a\r\n'",
]


@pytest.mark.parametrize("place", ["args", "preprocess"])
def test_a_script_does_what_its_text_does(place, tmp_path, shell):
    """Whatever form a script is shown in, what runs in the pod is what bash makes of the text that was set."""

    def one(numbered):
        number, piece = numbered
        if place == "args":
            text, settings = f"vllm serve {MODEL} --piece {piece}".strip(), {}
        else:
            text, settings = f"record {piece}", {"standalone.args": ["--port", PORT]}
        settings = {f"standalone.{place}": text, **settings}
        result = render(*by_file(tmp_path, number, settings), "--no-env")
        if result.returncode != 0:
            return f"{shown(piece)} is refused: {refusal(result) or result.stderr.decode().splitlines()[0]}"
        container = server(deployment(result.stdout.decode()))
        # As the kubelet does, with the variables of this container.
        env = {e["name"]: e["value"] for e in container["env"] if "value" in e}
        if "'$(" in text:
            # Between single quotes the shell has no use for it, so it is the kubelet's.
            text = kubelet(text, env)
        got = shell.container(container)
        want = shell.script(text if place == "args" else f"set -e\n{text.strip()}\nexec vllm serve {MODEL} --port {PORT}", env)
        if "$$" in piece:
            # The shell's own number, another in each run.
            got, want = (re.sub(r"[0-9]+", "N", repr(x)) for x in (got, want))
        if "&" in piece:
            # Two commands at once may end in any order.
            got, want = ((x[0], sorted(x[1])) for x in (got, want))
        return None if got == want else f"{shown(piece)} ran as {got}, its text as {want}"

    wrong = [w for w in parallel(one, list(enumerate(PIECES))) if w]
    assert not wrong, f"{len(wrong)} of {len(PIECES)}:\n" + "\n".join(wrong)


def at(*path):
    """Reads one value out of the objects of a stream."""

    def read(objects):
        kind, *keys = path
        found = next(o for o in objects if (is_server(o) if kind == "Server" else o["kind"] == kind))
        for key in keys:
            found = found[key]
        return found

    return read


POD = ("Server", "spec", "template", "spec")
VLLM = (*POD, "containers", 0)

# Settings with a grammar of their own: how one is set, and where its value stands.
NARROW = {
    "namespace": at("Server", "metadata", "namespace"),
    "release": at("Server", "metadata", "labels", "app.kubernetes.io/part-of"),
    "models": lambda o: next(e["value"] for e in at(*VLLM, "env")(o) if e["name"] == "LLMDBENCH_VLLM_STANDALONE_MODEL"),
    "serviceAccount": at(*POD, "serviceAccountName"),
    "huggingFace.secretName": lambda o: next(e["valueFrom"] for e in at(*VLLM, "env")(o) if e["name"] == "HF_TOKEN")["secretKeyRef"]["name"],
    "huggingFace.secretKey": lambda o: next(e["valueFrom"] for e in at(*VLLM, "env")(o) if e["name"] == "HF_TOKEN")["secretKeyRef"]["key"],
    "storage.storageClass": at("PersistentVolumeClaim", "spec", "storageClassName"),
    "storage.model.claimName": at("PersistentVolumeClaim", "metadata", "name"),
    "storage.model.size": at("PersistentVolumeClaim", "spec", "resources", "requests", "storage"),
    "storage.model.mountPath": at(*VLLM, "volumeMounts", 0, "mountPath"),
    "accelerator.resource": lambda o: list(at(*VLLM, "resources", "limits")(o))[-1],
    "resources.cpu": at(*VLLM, "resources", "limits", "cpu"),
    "resources.memory": at(*VLLM, "resources", "limits", "memory"),
    "pod.nodeLabels": at(*POD, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms", 0, "matchExpressions", 0, "values", 0),
    "pod.schedulerName": at(*POD, "schedulerName"),
    "vllm.port": lambda o: str(at(*VLLM, "ports", 0, "containerPort")(o)),
    "vllm.loggingLevel": lambda o: next(e["value"] for e in at(*VLLM, "env")(o) if e["name"] == "VLLM_LOGGING_LEVEL"),
    "vllm.gpuMemoryUtilization": lambda o: at(*VLLM, "args")(o)[at(*VLLM, "args")(o).index("--gpu-memory-utilization") + 1],
    "standalone.image.tag": lambda o: at(*VLLM, "image")(o).removeprefix("docker.io/vllm/vllm-openai:"),
    "standalone.image.name": lambda o: at(*VLLM, "image")(o).removeprefix("docker.io/vllm/").removesuffix(":v0.26.0"),
    "standalone.image.registry": lambda o: at(*VLLM, "image")(o).removesuffix("/vllm/vllm-openai:v0.26.0"),
    "standalone.probes.path": at(*VLLM, "startupProbe", "httpGet", "path"),
    "standalone.sharedMemory": at(*POD, "volumes", 1, "emptyDir", "sizeLimit"),
    "standalone.httpRoute.hostname": at("HTTPRoute", "spec", "hostnames", 0),
    "harness.claimName": lambda o: [x for x in o if x["kind"] == "PersistentVolumeClaim"][1]["metadata"]["name"],
    "harness.serviceAccount": at("Deployment", "spec", "template", "spec", "serviceAccountName"),
    "harness.resultsDir": lambda o: at("Deployment", "spec", "template", "spec", "containers", 0)(o)["volumeMounts"][0]["mountPath"],
}

# Words and values that say "none" or have another spelling that is meant: the documented ones, and no others.
MEANT = {
    "storage.storageClass": {"auto"}, "accelerator.resource": {"auto", ""}, "pod.nodeLabels": {"auto"},
    "standalone.image.tag": {"auto", "latest"},
}


@pytest.mark.parametrize("path", NARROW)
def test_a_narrow_setting_takes_it_exactly_or_refuses_it(path, tmp_path):
    def one(numbered):
        number, value = numbered
        settings = {"standalone.httpRoute.enabled": True} if "httpRoute" in path else {}
        settings[path] = [value] if path == "models" else {"gpu.example/product": value} if path == "pod.nodeLabels" else value
        out = tmp_path / str(number)
        arguments = by_file(tmp_path, number, settings)
        result = render(*arguments, "--no-env")
        if result.returncode == 2:
            why = refusal(result)
            return f"{shown(value)}: {why}" if why else None
        if result.returncode != 0:
            return f"{shown(value)}: exit {result.returncode}: {result.stderr.decode()[:200]}"
        if value in MEANT.get(path, ()) or (path == "models" and ":" in value):
            return None
        objects = load_all(result.stdout.decode())
        try:
            got = NARROW[path](objects)
        except (KeyError, IndexError, StopIteration) as e:
            return f"{shown(value)} is accepted and stands nowhere ({e!r})"
        return None if got == value else f"{shown(value)} became {shown(got)}"

    results = parallel(one, list(enumerate(VALUES)))
    wrong = [w for w in results if w]
    assert not wrong, f"{len(wrong)} of {len(VALUES)}:\n" + "\n".join(wrong)


def test_a_refused_value_leaves_the_directory_as_it_is(tmp_path):
    out = tmp_path / "out"
    assert render("-c", "minimal", "--no-env", "-o", out).returncode == 0
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.rglob("*") if p.is_file()}
    for value in ["a b", "A", "", "\n"]:
        assert refusal(render("-c", "minimal", "--no-env", "-o", out, "--set", f"namespace={json_text(value)}")) is None
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.rglob("*") if p.is_file()}


def pieces(value):
    """Parts of a pod that hold a value wherever they can."""
    return {
        "pod.extra.initContainers": [{"name": "init", "image": "example.com/init:v1", "args": [value], "env": [{"name": "A", "value": value}]}],
        "pod.extra.container": {"lifecycle": {"preStop": {"exec": {"command": [value]}}}},
        "pod.extra.pod": {"hostAliases": [{"ip": "127.0.0.1", "hostnames": [value]}]},
    }


@pytest.mark.parametrize("method", ["standalone", "modelservice"])
def test_parts_of_pods_hold_each_value(method, tmp_path):
    """Helm executes fields that the chart has no key for as templates, so there `{{` is written in its notation."""

    def one(index):
        value = VALUES[index]
        path = tmp_path / f"{index}.yaml"
        path.write_bytes(yaml_scenario(BASE | {"images.modelServer.tag": "v1"} | pieces(value)).encode())
        out = tmp_path / str(index)
        result = render("-c", path, "-t", method, "-o", out)
        assert result.returncode == 0, (shown(value), result.stderr.decode())
        if method == "standalone":
            pod = next(load(f.read_text()) for f in out.rglob("06-*-deployment-*.yaml"))["spec"]["template"]["spec"]
            fields, of_pod = pod["containers"][0], pod
            as_written = value
        else:
            role = load(next(out.glob("helm/*-ms/values.yaml")).read_text())["decode"]
            fields, of_pod = role["containers"][0]["extraConfig"], role["extraConfig"]
            pod = role
            as_written = value.replace("{{", '{{ "{{" }}')
        init = next(c for c in pod["initContainers"] if c["name"] == "init")
        assert init["args"] == [value] and init["env"][0]["value"] == value, shown(value)
        assert fields["lifecycle"]["preStop"]["exec"]["command"] == [as_written], shown(value)
        assert of_pod["hostAliases"][0]["hostnames"] == [as_written], shown(value)

    parallel(one, range(len(VALUES)))
