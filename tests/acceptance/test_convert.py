"""`convert`: a shell scenario in YAML, with the same meaning, its comments, and nothing that is a default.

FACTS_DIR names the folder with scenario files of the original, for the round trip of each.
"""

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from test_facts import BLANKS
from tool import ROOT, refusal, run

FACTS = Path(os.environ.get("FACTS_DIR", "/nonexistent"))
FILES = sorted((FACTS / "scenarios").glob("*.sh")) + sorted((FACTS / "scenarios-later").rglob("*.sh"))
METHODS = ("standalone", "modelservice")


def converted(tmp_path, text):
    (tmp_path / "s.sh").write_text(text)
    result = run("convert", "./s.sh", cwd=tmp_path)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


def deployed(directory):
    """Objects and values of a bundle, without the record of where its settings came from."""
    bundle = json.loads((directory / "bundle.json").read_text())
    files = [f for f in bundle["files"] if f.startswith(("manifests/", "helm/"))]
    # Some objects name the bundle, which names its inputs.
    parsed = {f: list(yaml.safe_load_all((directory / f).read_text().replace(bundle["id"], ""))) for f in files}
    record = f"{bundle['settings']['release']['value']}-bundle"
    return {f: d for f, d in parsed.items() if d[0].get("metadata", {}).get("name") != record}


def same_bundle(shell, text, tmp_path, *arguments):
    """For every method that the shell file compiles by; how many there are."""
    (tmp_path / "converted.yaml").write_text(text)
    count = 0
    for method in METHODS:
        results = {}
        for name, scenario in (("shell", shell), ("yaml", tmp_path / "converted.yaml")):
            out = tmp_path / f"{method}-{name}"
            result = run("render", "-q", "-c", scenario, "-t", method, "--no-env", *arguments, "-o", out)
            results[name] = deployed(out) if result.returncode == 0 else result.returncode
        assert results["shell"] == results["yaml"], method
        count += not isinstance(results["shell"], int)
    return count


def test_comments_stay_with_their_settings(tmp_path):
    text = converted(
        tmp_path,
        "#!/usr/bin/env bash\n# About the file.\n# In two lines.\n\n"
        "# =====\n# Why this model\n#export LLMDBENCH_DEPLOY_MODEL_LIST=c/d\n# =====\nexport LLMDBENCH_DEPLOY_MODEL_LIST=a/b\n"
        "#export LLMDBENCH_VLLM_COMMON_CPU_MEM=1Gi\nexport LLMDBENCH_VLLM_COMMON_CPU_NR=7 # enough\n",
    )
    assert text.startswith("# About the file.\n# In two lines.\nedition: \"2025-08\"\n"), text
    assert "# Why this model\nmodels:\n- a/b\n" in text
    assert 'cpu: "7" # enough\n' in text
    assert "export" not in text and "===" not in text and "usr/bin" not in text


def test_nothing_equals_a_default(tmp_path):
    text = converted(tmp_path, "export LLMDBENCH_VLLM_COMMON_REPLICAS=1\nexport LLMDBENCH_VLLM_COMMON_INFERENCE_PORT=8001\n")
    assert yaml.safe_load(text) == {"edition": "2025-08", "vllm": {"port": 8001}}


def test_a_default_that_decides_something_stays(tmp_path):
    """Of two settings, one of which is made from the other where only that is set, both are written."""
    shell = "export LLMDBENCH_VLLM_COMMON_SHM=32Gi\nexport LLMDBENCH_VLLM_COMMON_BLOCK_SIZE=64\nexport LLMDBENCH_VLLM_STANDALONE_ARGS='[--port____8000]'\n"
    text = converted(tmp_path, shell)
    assert same_bundle(tmp_path / "s.sh", text, tmp_path) >= 1
    # No argument refers to it, so the pod has it as a variable, which a default has not.
    assert yaml.safe_load(text)["vllm"] == {"blockSize": 64}


def test_a_role_repeats_nothing_of_the_settings_for_all(tmp_path):
    text = converted(
        tmp_path,
        "export LLMDBENCH_VLLM_COMMON_SHM_MEM=9Gi\nexport LLMDBENCH_VLLM_COMMON_CPU_NR=9\n"
        "export LLMDBENCH_VLLM_MODELSERVICE_DECODE_CPU_NR=$LLMDBENCH_VLLM_COMMON_CPU_NR\n"
        "export LLMDBENCH_VLLM_MODELSERVICE_DECODE_CPU_MEM=9Gi\n",
    )
    assert yaml.safe_load(text) == {"edition": "2026-03", "resources": {"cpu": "9", "sharedMemory": "9Gi"}, "decode": {"memory": "9Gi"}}
    assert same_bundle(tmp_path / "s.sh", text, tmp_path) == 2


def test_own_variables_are_resolved_and_lists_are_lists(tmp_path):
    text = converted(
        tmp_path,
        "export MINE=6\nexport LLMDBENCH_VLLM_COMMON_CPU_NR=$MINE\n"
        "export LLMDBENCH_VLLM_STANDALONE_ARGS='[--max-num-seqs____REPLACE_ENV_MINE____--port____REPLACE_ENV_LLMDBENCH_VLLM_COMMON_INFERENCE_PORT]'\n",
    )
    assert yaml.safe_load(text)["standalone"]["args"] == ["--max-num-seqs", "6", "--port", "${vllm.port}"]
    assert yaml.safe_load(text)["resources"]["cpu"] == "6" and "MINE" not in text


def test_a_long_script_is_written_in_lines(tmp_path):
    shell = (
        "export LLMDBENCH_VLLM_STANDALONE_ARGS=$(mktemp)\ncat << EOF > $LLMDBENCH_VLLM_STANDALONE_ARGS\n"
        "source /x.sh; \\\nvllm serve a/b \\\n  --kv-transfer-config '{\"a\": \"b --c\",   \"d\": 1}' \\\n--port 8000 \\\n  --enforce-eager --another-option-that-is-long\nEOF\n"
    )
    text = converted(tmp_path, shell)
    assert max(map(len, text.splitlines())) < 80 and '"\\' not in text
    assert same_bundle(tmp_path / "s.sh", text, tmp_path) >= 1
    script = yaml.safe_load(text)["standalone"]["args"]
    assert script == "source /x.sh; vllm serve a/b   --kv-transfer-config '{\"a\": \"b --c\",   \"d\": 1}' --port 8000   --enforce-eager --another-option-that-is-long"


def test_blanks_stay_blanks(tmp_path):
    text = converted(tmp_path, "export LLMDBENCH_VLLM_COMMON_NAMESPACE=   # yours\nexport LLMDBENCH_VLLM_COMMON_PVC_STORAGE_CLASS=\n")
    assert "namespace: # yours\n" in text
    assert yaml.safe_load(text) == {"edition": "2025-08", "namespace": None, "storage": {"storageClass": ""}}
    (tmp_path / "c.yaml").write_text(text)
    result = run("render", "-c", "./c.yaml", "-t", "standalone", cwd=tmp_path)
    assert refusal(result) is None and "`namespace` is empty" in result.stderr.decode()


def test_what_has_no_effect_is_told(tmp_path):
    (tmp_path / "s.sh").write_text("export LLMDBENCH_CONTROL_WORK_DIR=~/data\nexport LLMDBENCH_VLLM_COMMON_REPLICAS=2\n")
    result = run("convert", "./s.sh", cwd=tmp_path)
    assert "LLMDBENCH_CONTROL_WORK_DIR" in result.stderr.decode()
    assert yaml.safe_load(result.stdout) == {"edition": "2025-08", "replicas": 2}


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("s.sh", "export LLMDBENCH_VLLM_COMMON_REPLICAS=many\n", "takes a whole number"),
        ("s.sh", "export X=$(id -un)\n", "$(id -un)"),
        ("s.yaml", "replicas: 2\n", "is a YAML scenario already"),
    ],
)
def test_what_cannot_be_converted_is_refused_and_nothing_is_written(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    result = run("convert", f"./{name}", "-o", "out.yaml", cwd=tmp_path)
    assert refusal(result) is None, refusal(result)
    assert message in result.stderr.decode()
    assert not (tmp_path / "out.yaml").exists()


@pytest.mark.skipif(not FILES, reason="FACTS_DIR names no folder with scenario files")
@pytest.mark.parametrize("shell", FILES, ids=lambda p: p.stem)
def test_round_trip(shell, tmp_path):
    result = run("convert", shell, "-o", tmp_path / "c.yaml")
    assert result.returncode == 0, result.stderr.decode()
    text = (tmp_path / "c.yaml").read_text()
    assert not re.search("LLMDBENCH_", re.sub("#.*", "", text))
    arguments = [a for k, v in BLANKS.get(shell.stem, {}).items() for a in ("--set", f"{k}={v}")]
    assert same_bundle(shell, text, tmp_path, *arguments) == 2
