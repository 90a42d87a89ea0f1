"""What the original itself deploys, measured: nothing of it may differ or be missing.

The facts are no part of the project. FACTS_DIR names the folder that holds them: `expected/NAME.METHOD.json`,
the original's `scenarios/NAME.sh`, and `tools/check_facts.py`.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tool import ROOT, render, shipped

FACTS = Path(os.environ.get("FACTS_DIR", "/nonexistent"))
pytestmark = pytest.mark.skipif(not (FACTS / "expected").is_dir(), reason="FACTS_DIR names no folder with measured facts")
NAMES = sorted(p.name.removesuffix(".standalone.json") for p in (FACTS / "expected").glob("*.standalone.json"))
IGNORED = ["@environment", "harness.hf_secret"]

# The template among them leaves these to its user, by their names in both languages.
BLANKS = {
    "kubernetes_A100_standalone_llama-3b": {
        "LLMDBENCH_IMAGE_REGISTRY": "ghcr.io", "LLMDBENCH_IMAGE_REPO": "llm-d", "LLMDBENCH_IMAGE_NAME": "llm-d-benchmark", "LLMDBENCH_IMAGE_TAG": "v0.3.0",
        "LLMDBENCH_VLLM_COMMON_NAMESPACE": "llmdbench", "LLMDBENCH_VLLM_COMMON_PVC_STORAGE_CLASS": "shared-vast",
    }
}


def arguments(name, facts):
    settings = dict(BLANKS.get(name, {}))
    if facts.get("cluster") == "ocp":
        settings["LLMDBENCH_CONTROL_DEPLOY_IS_OPENSHIFT"] = "1"
    return [a for k, v in settings.items() for a in ("--set", f"{k}={v}")]


def test_every_measured_scenario_ships():
    assert NAMES and set(NAMES) <= set(shipped())


@pytest.mark.parametrize("method", ["standalone", "modelservice"])
@pytest.mark.parametrize("language", ["sh", "yaml"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_differs_and_nothing_is_missing(name, language, method, tmp_path):
    expected = FACTS / "expected" / f"{name}.{method}.json"
    facts = json.loads(expected.read_text())
    scenario = (FACTS if language == "sh" else ROOT) / "scenarios" / f"{name}.{language}"
    out = tmp_path / name
    result = render("-c", scenario, "-t", method, *arguments(name, facts), "-o", out)
    assert result.returncode == 0, result.stderr.decode()
    ignore = [a for i in IGNORED for a in ("--ignore", i)]
    checked = subprocess.run(
        [sys.executable, FACTS / "tools" / "check_facts.py", expected, out, *ignore], capture_output=True, text=True, check=False
    )
    counts = dict((word, int(n)) for n, word in re.findall(r"(\d+) (\w+)", checked.stdout.splitlines()[-1]))
    assert counts.get("differ") == 0 and counts.get("missing") == 0, checked.stdout[-3000:] + checked.stderr
    assert sum(counts.values()) > 20, checked.stdout
