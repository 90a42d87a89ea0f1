"""Runs the built binary and reads what it prints, for all acceptance tests.

The tests need `kubectl` and `bash` on PATH and the packages of requirements.txt:

    cargo build --release && python3 -m pytest tests/acceptance

TOOL_BIN names another binary than target/release/llmdbench or target/debug/llmdbench.
"""

import json
import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MODEL = "facebook/opt-125m"


def binary():
    given = os.environ.get("TOOL_BIN")
    built = [Path(given)] if given else [ROOT / "target" / kind / "llmdbench" for kind in ("release", "debug")]
    for path in built:
        if path.is_file():
            return str(path.resolve())
    raise SystemExit("no binary: run `cargo build --release`, or set TOOL_BIN")


BIN = binary()


def clean_env(**more):
    """The environment without anything that the tool reads, and with what `more` says."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("LLMDBENCH_")}
    env.update(more)
    return env


def run(*args, env=None, cwd=None, stdin=b"", **kwargs):
    """Runs the tool; the result has bytes."""
    return subprocess.run(
        [BIN, *map(str, args)], env=clean_env() if env is None else env, cwd=cwd, input=stdin, capture_output=True, **kwargs
    )


def render(*args, **kwargs):
    return run("render", "-q", *args, **kwargs)


def parallel(function, items):
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        return list(pool.map(function, items))


class KustomizeLoader(LOADER):
    """Reads what kustomize prints: it leaves the texts `=` and `<<` without quotes, which have types of their own in YAML 1.1."""


for tag in ("value", "merge"):
    KustomizeLoader.add_constructor(f"tag:yaml.org,2002:{tag}", lambda loader, node: node.value)


def load(text):
    return yaml.load(text, Loader=LOADER)


def load_all(text):
    return [d for d in yaml.load_all(text, Loader=LOADER) if d is not None]


def documents(stream):
    """The texts of the documents of a stream. No text inside a document can start a line with `---`: blocks are indented."""
    return [d for d in re.split(r"(?m)^---\n", stream) if d.strip()]


def is_server(o):
    """Whether an object is the Deployment of a model server."""
    return o["kind"] == "Deployment" and o["metadata"]["labels"]["app.kubernetes.io/component"] == "model-server"


def server_text(stream):
    """The text of the Deployment of the model server in a stream."""
    return next(d for d in documents(stream) if "\nkind: Deployment\n" in "\n" + d[:200] and "component: model-server\n" in d[:1000])


def deployment(stream):
    return load(server_text(stream))


def server(deployment_object):
    return deployment_object["spec"]["template"]["spec"]["containers"][0]


def env_of(container):
    """Plain environment variables of a container, with the kubelet's expansion of `$(NAME)`."""
    env = {}
    for entry in container["env"]:
        if "valueFrom" not in entry:
            env[entry["name"]] = kubelet(entry.get("value") or "", env)
    return env


def kubelet(text, env):
    """What the kubelet makes of a string of `command`, `args` or `env`: `$(NAME)` of a variable is replaced, `$$` is `$`.

    The algorithm of k8s.io/kubernetes/third_party/forked/golang/expansion.
    """
    out, i = [], 0
    while i < len(text):
        if text[i] != "$" or i + 1 == len(text):
            out.append(text[i])
            i += 1
        elif text[i + 1] == "$":
            out.append("$")
            i += 2
        elif text[i + 1] == "(" and ")" in text[i + 2 :]:
            end = text.index(")", i + 2)
            name = text[i + 2 : end]
            out.append(env.get(name, f"$({name})"))
            i = end + 1
        else:
            out.append("$")
            i += 1
    return "".join(out)


class Shell:
    """A directory with programs that print how they were called: name, number of arguments, arguments, each with NUL."""

    def __init__(self, directory, programs=("vllm", "record")):
        self.bin = Path(directory) / "bin"
        self.bin.mkdir(parents=True)
        for name in programs:
            path = self.bin / name
            path.write_text("#!/bin/bash\nprintf '%s\\0' \"${0##*/}\" \"$#\" \"$@\"\n")
            path.chmod(0o755)
        # Patterns such as `*` see an empty directory.
        self.cwd = Path(directory) / "cwd"
        self.cwd.mkdir()

    def run(self, argv, env=None):
        result = subprocess.run(
            argv,
            env={"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": "/home/pod", **(env or {})},
            cwd=self.cwd,
            capture_output=True,
            check=False,
        )
        return result.returncode, calls(result.stdout)

    def script(self, text, env=None):
        """What a shell makes of a script as the scenario's author wrote it."""
        return self.run(["/bin/bash", "-c", text], env)

    def container(self, container):
        """What the container of a manifest runs, after the kubelet has expanded its strings."""
        env = env_of(container)
        argv = [kubelet(word, env) for word in container["command"] + container.get("args", [])]
        return self.run(argv, env)


def calls(output):
    """The calls that the programs of [`Shell`] printed; anything else they did is one more entry."""
    words = output.decode("utf-8", "surrogateescape").split("\0")
    found, i = [], 0
    while i < len(words) - 1:
        if not words[i + 1].isdigit():
            return found + [words[i:]]
        count = int(words[i + 1])
        found.append([words[i], *words[i + 2 : i + 2 + count]])
        i += 2 + count
    return found + ([words[i:]] if words[i:] != [""] else [])


def json_text(value):
    """JSON, which is also YAML; unicode as it is, but for what YAML does not let stand as it is."""
    return re.sub("[\x7f-\x84\x86-\x9f\ufffe\uffff]", lambda m: f"\\u{ord(m[0]):04x}", json.dumps(value, ensure_ascii=False))


def single_quoted(text):
    """One shell word in single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"


def set_args(settings):
    """`--set` arguments, each value as JSON."""
    return [a for path, value in settings.items() for a in ("--set", f"{path}={json_text(value)}")]


def yaml_scenario(settings):
    """A YAML scenario whose values are JSON, with one level of keys an entry."""
    tree = {}
    for path, value in settings.items():
        at = tree
        *sections, key = path.split(".")
        for section in sections:
            at = at.setdefault(section, {})
        at[key] = value
    return json_yaml(tree)


def json_yaml(tree, indent=0):
    lines = []
    for key, value in tree.items():
        if isinstance(value, dict) and not any("/" in k or k == "k" for k in value):
            lines += [" " * indent + f"{key}:", json_yaml(value, indent + 2)]
        else:
            lines.append(" " * indent + f"{key}: {json_text(value)}")
    return "\n".join(lines)


def kustomize(directory):
    """The objects that `kubectl kustomize` makes of a directory, in its order."""
    result = subprocess.run(["kubectl", "kustomize", str(directory)], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return [d for d in yaml.load_all(result.stdout, Loader=KustomizeLoader) if d is not None]


def kustomize_texts(directory, texts):
    """The objects of all texts through one `kubectl kustomize`, in order."""
    directory.mkdir(parents=True)
    names = []
    for i, text in enumerate(texts):
        names.append(f"{i:05}.yaml")
        (directory / names[-1]).write_text(text, encoding="utf-8", newline="")
    (directory / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": names, "sortOptions": {"order": "fifo"}})
    )
    return kustomize(directory)


def files_of(directory):
    """Every file below a directory and its bytes."""
    directory = Path(directory)
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def refusal(result, output=None):
    """Why a refusal is not a clean one; None when it is."""
    text = result.stderr.decode("utf-8", "replace")
    first = text.splitlines()[0] if text else ""
    if result.returncode != 2:
        return f"exit {result.returncode}: {text[:300]}"
    if result.stdout:
        return f"refused, and wrote to standard output: {result.stdout[:100]!r}"
    if output is not None and Path(output).exists() and any(Path(output).iterdir()):
        return "refused, and wrote to the directory"
    if not first.startswith("error: ") or len(first) > 400 or "internal" in first:
        return f"not a clear error: {first[:400]!r}"
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text):
        return f"control characters on the terminal: {text[:300]!r}"
    return None


def shipped():
    """Names of the scenarios that ship with the tool."""
    return sorted(p.stem for p in (ROOT / "scenarios").glob("*.yaml"))


# What the one template among the shipped scenarios leaves to its user.
BLANKS = {
    "kubernetes_A100_standalone_llama-3b": {
        "namespace": "llmdbench",
        "storage.storageClass": "shared-vast",
        "images.benchmark": "ghcr.io/llm-d/llm-d-benchmark:v0.3.0",
    }
}


def filled(name):
    """`--set` arguments that fill in the blanks of a shipped scenario."""
    return [a for path, value in BLANKS.get(name, {}).items() for a in ("--set", f"{path}={value}")]
