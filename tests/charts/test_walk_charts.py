"""Every assignment of the later scenario files, looked for in what Helm makes of the charts, not in the values given to it.

FACTS_DIR names the folder with the files, CHARTS_DIR that with the charts, HELM another helm.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "acceptance"))
import test_walk as walk  # noqa: E402
from test_charts import CHARTS  # noqa: E402
from tool import clean_env, load_all, run  # noqa: E402

pytestmark = pytest.mark.skipif(not (walk.LATER and CHARTS.is_dir()), reason="FACTS_DIR and CHARTS_DIR name no folders with scenario files and charts")


def inflated(path, sets):
    arguments = [a for k, v in sets.items() for a in ("--set", f"{k}={v}")]
    result = run(
        "render", "-q", "-c", path, "-t", "modelservice", "--no-env", *arguments, "--charts", "inflate", "--charts-dir", CHARTS, env=clean_env()
    )
    assert result.returncode == 0, result.stderr.decode()
    return [o for o in load_all(result.stdout.decode()) if not (o["kind"] == "ConfigMap" and o["metadata"]["name"].endswith("-bundle"))]


@pytest.mark.parametrize("charts", ["catalogue", "2026-03"])
@pytest.mark.parametrize("path", walk.LATER, ids=lambda p: p.stem)
def test_every_assignment_is_found_in_what_helm_makes(path, charts, tmp_path):
    sets = walk.CHARTS[charts]
    deployed, _, notes = walk.rendered(path, "modelservice", sets, tmp_path / "whole")
    assert deployed is not None, notes
    rest = {name: objects for name, objects in deployed.items() if not name.startswith("helm/")}
    objects = inflated(path, sets)
    lost = walk.lost(path, charts, {**rest, "helm": objects}, notes, tmp_path)
    assert [text for text in lost if not is_carried_out(text, objects)] == []


def is_carried_out(text, objects):
    """Words that the charts act on and do not write down: how a command is made, and the kind of a rule."""
    name, _, word = text.partition(": ")
    if name.endswith("_MODEL_COMMAND"):
        role = "-decode" if "DECODE" in name else "-prefill"
        commands = [server(o).get("command") for o in objects if o["kind"] in ("Deployment", "LeaderWorkerSet") and o["metadata"]["name"].endswith(role)]
        wanted = {"custom": bool, "imageDefault": lambda c: c is None, "vllmServe": lambda c: c == ["vllm", "serve"]}
        return commands != [] and all(wanted[word.split("'")[1]](c) for c in commands)
    if name.endswith("_PROVIDER_CONFIG"):
        return word.startswith("['destinationRule']") and any(o["kind"] == "DestinationRule" for o in objects)
    return False


def server(workload):
    spec = workload["spec"]
    template = spec["template"] if workload["kind"] == "Deployment" else spec["leaderWorkerTemplate"]["workerTemplate"]
    return next(c for c in template["spec"]["containers"] if c["name"] == "vllm")


def test_the_walk_finds_what_is_lost(tmp_path):
    path = next(p for p in walk.LATER if p.stem == "wide-ep-lws")
    assert len(walk.lost(path, "catalogue", {}, "", tmp_path)) > 50
