"""Every assignment of every scenario file of the original is found in the bundle, or told to have no effect, with the reason.

The files are no part of the project; FACTS_DIR names the folder that holds them. What a file assigns is asked of bash,
which is not what the tool reads it with.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from test_facts import BLANKS
from tool import parallel, run

FACTS = Path(os.environ.get("FACTS_DIR", "/nonexistent"))
OLD = sorted((FACTS / "scenarios").glob("*.sh"))
LATER = sorted((FACTS / "scenarios-later").rglob("*.sh"))
pytestmark = pytest.mark.skipif(not OLD + LATER, reason="FACTS_DIR names no folder with scenario files")

# The charts of the catalogue and those of March 2026; none: those that the file names.
CHARTS = {
    "own": {},
    "catalogue": {"charts.modelservice.version": "auto", "charts.inferencePool.version": "auto", "charts.infra.version": "auto"},
    "2026-03": {"charts.modelservice.version": "v0.4.9", "charts.inferencePool.version": "v1.3.1"},
}
METHODS = "LLMDBENCH_DEPLOY_METHODS"
BOOLEANS = ("true", "false", "0", "1", "auto", "")
# An option that vLLM renamed is spelled as the image's version reads it.
RESPELLED = {"--disable-log-requests": "log-requests", "--no-enable-log-requests": "log-requests", "intel-i915": "gpu.intel.com/i915"}
# Environment variables that the chart makes of the parallelism; the address of the picker of this bundle.
MADE = re.compile("(TP_SIZE|DP_SIZE|DP_SIZE_LOCAL)$|.*enable_kv_cache_events")
VARIABLES = {v["variable"]: v["setting"] for v in json.loads(run("variables", "--format", "json").stdout) if v["variable"]}


def cases():
    for path in OLD + LATER:
        methods = ("modelservice",) if path.parent.name == "guides" else ("standalone", "modelservice")
        for method in methods:
            for charts in CHARTS if method == "modelservice" and path in LATER else ("own",):
                yield pytest.param(path, method, charts, id=f"{path.stem}-{method}-{charts}")


def assignments(path, tmp_path):
    """Each name that a file exports, with its value, or the text of the file that the value names."""
    documents = tmp_path / "documents"
    documents.mkdir()
    script = 'mktemp() { command mktemp -p "$DOCUMENTS"; }; . "$1"; for n in ${!LLMDBENCH_@}; do printf "%s\\0%s\\0" "$n" "${!n}"; done'
    env = {"PATH": os.environ["PATH"], "HOME": "/home/somebody", "DOCUMENTS": str(documents)}
    out = subprocess.run(["bash", "-c", script, "bash", path], env=env, capture_output=True, text=True, check=True).stdout.split("\0")
    pairs = zip(out[0::2], out[1::2])
    return {n: (Path(v).read_text(), True) if v.startswith(str(documents)) else (v, False) for n, v in pairs}


def rendered(path, method, sets, out):
    """What is deployed, the settings, and the notes; none where the tool refuses."""
    arguments = [a for k, v in sets.items() for a in ("--set", f"{k}={v}")]
    result = run("render", "-c", path, "-t", method, "--no-env", *arguments, "-o", out)
    if result.returncode != 0:
        return None, None, result.stderr.decode()
    bundle = json.loads((out / "bundle.json").read_text())
    record = f"{bundle['settings']['release']['value']}-bundle"
    deployed = {}
    for name in bundle["files"]:
        if re.match("(manifests|helm|run)/.*yaml$", name):
            objects = list(yaml.safe_load_all((out / name).read_text().replace(bundle["id"], "")))
            if not (isinstance(objects[0], dict) and objects[0].get("metadata", {}).get("name") == record):
                deployed[name] = objects
        elif name.endswith(".sh"):
            deployed[name] = [(out / name).read_text().replace(bundle["id"], "")]
    return deployed, {p: s["value"] for p, s in bundle["settings"].items()}, result.stderr.decode()


def scalars(value):
    if isinstance(value, dict):
        for k, v in value.items():
            yield str(k)
            yield from scalars(v)
    elif isinstance(value, list):
        for v in value:
            yield from scalars(v)
    elif isinstance(value, float) and value.is_integer():
        yield str(int(value))
    else:
        yield "true" if value is True else "false" if value is False else "" if value is None else str(value)


def expected(value, document):
    """The pieces of a value that must be found: the leaves of YAML, the words of arguments."""
    if document:
        try:
            tree = yaml.safe_load(value)
        except yaml.YAMLError:
            tree = None
        if isinstance(tree, (dict, list)):
            return [w for p in scalars(tree) for w in (expected(p, document=True) if "\n" in p else [p])]
        return value.replace("\\\n", " ").split()
    if value.startswith("[") and value.endswith("]"):
        return [w.strip() for w in value[1:-1].split("____")]
    return value.replace("____", " ").split()


def is_found(piece, leaves, text):
    """A piece with a reference in it is not known here; a name with a value behind it may stand in two places."""
    def stands(part):
        # A short piece must stand by itself.
        return part in leaves or (part in text if len(part) > 2 else re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text))

    piece = RESPELLED.get(piece, piece)
    parts = [p for p in re.split("[,:=]", piece.strip("\"';")) if p]
    return "REPLACE_ENV_" in piece or MADE.match(piece) or stands(piece) or (bool(parts) and all(map(stands, parts)))


def is_told(name, notes):
    setting = VARIABLES.get(name)
    about = [line for line in notes.splitlines() if line.startswith("note: ") and "is set again" not in line]
    return any(re.search(rf"\b{name}\b", line) or (setting and re.search(rf"(?<![\w.]){re.escape(setting)}(?![\w.])", line)) for line in about)


def lost(path, charts, deployed, notes, tmp_path):
    """The assignments of a file that are neither found in what is deployed nor told to have no effect."""
    leaves = set(scalars(list(deployed.values())))
    text = "\n".join(leaves)
    missing_ones = []
    values = {n: v for n, v in assignments(path, tmp_path).items() if v[0] and n != METHODS and not is_told(n, notes)}
    for name, (value, document) in values.items():
        if value in BOOLEANS or (charts != "own" and name.endswith("CHART_VERSION")):
            continue
        missing = [p for p in expected(value, document) if p and not is_found(p, leaves, text)]
        if missing:
            missing_ones.append(f"{name}: {missing[:5]} of {value[:200]!r}")
    return missing_ones


@pytest.mark.parametrize("path, method, charts", list(cases()))
def test_every_assignment_is_found_or_told(path, method, charts, tmp_path):
    sets = {**BLANKS.get(path.stem, {}), **CHARTS[charts]}
    deployed, _, notes = rendered(path, method, sets, tmp_path / "whole")
    assert deployed is not None, notes
    assert lost(path, charts, deployed, notes, tmp_path) == []


def is_overridden(name, others, method):
    """Whether each server of the method has a value of its own."""
    key = name.removeprefix("LLMDBENCH_VLLM_COMMON_")
    keys = [key, "TENSOR_PARALLELISM"] if key == "ACCELERATOR_NR" else [key]
    servers = ("VLLM_STANDALONE",) if method == "standalone" else ("VLLM_MODELSERVICE_DECODE", "VLLM_MODELSERVICE_PREFILL")
    sets = [any(re.search(rf"(?m)^ *export LLMDBENCH_{s}_{k}=", others) for k in keys) for s in servers]
    absent = "VLLM_MODELSERVICE_PREFILL_REPLICAS=0" in others
    # A script runs by a shell and one rank is one rank, said or not.
    if name.endswith("_MODEL_COMMAND") or name == "LLMDBENCH_VLLM_COMMON_DATA_PARALLELISM":
        return True
    return key != name and (all(sets) or (sets[0] and absent))


@pytest.mark.parametrize("path, method, charts", [c for c in cases() if c.values[2] == "own"])
def test_no_assignment_is_ignored_in_silence(path, method, charts, tmp_path):
    """Without the assignment, the settings are the same (it was a default), or what is deployed differs, or it was told.

    A value that is copied from the one for all servers changes nothing; neither does the one for all where each server
    has its own.
    """
    sets = {**BLANKS.get(path.stem, {}), **CHARTS[charts]}
    lines = path.read_text().splitlines(keepends=True)
    deployed, settings, notes = rendered(path, method, sets, tmp_path / "whole")
    assert deployed is not None, notes

    def without(number):
        match = re.match(r"\s*export\s+(LLMDBENCH_\w+)=(?!\$\(mktemp)", lines[number])
        name = match and match.group(1)
        others = "".join(lines[:number] + lines[number + 1 :])
        if not name or name == METHODS or "COMMON_" in lines[number].split("=", 1)[1] or is_overridden(name, others, method):
            return None
        if lines[number].rstrip().endswith("\\") or re.search(rf"\$\{{?{name}\b|\b{name}=", re.sub("(?m)^ *#.*", "", others)):
            return None
        shorter = tmp_path / f"{number}.sh"
        shorter.write_text(others)
        got, other, _ = rendered(shorter, method, sets, tmp_path / str(number))
        if got is None or other["edition"] != settings["edition"] or is_told(name, notes):
            return None
        return None if other == settings or got != deployed else name

    ignored = [n for n in parallel(without, range(len(lines))) if n]
    assert not ignored, ignored
