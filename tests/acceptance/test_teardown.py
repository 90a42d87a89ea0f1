"""The delete plan: of a bundle from its record alone, of a scenario, as script and as data."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tool import filled, load, render, run, shipped

METHODS = ["standalone", "modelservice"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    out = tmp_path_factory.mktemp("bundle") / "out"
    assert render("-c", "minimal", "-o", out).returncode == 0
    return out


def plan(*args):
    result = run("teardown", *args, "-o", "json")
    assert result.returncode == 0, result.stderr.decode()
    return json.loads(result.stdout)


def identity(entry):
    return (entry.get("apiVersion", "helm"), entry.get("kind", "Release"), entry.get("namespace"), entry.get("name", entry.get("release")))


def test_the_script_is_that_of_the_bundle_from_the_record_or_the_scenario(bundle, tmp_path):
    script = (bundle / "teardown.sh").read_bytes()
    alone = tmp_path / "record.json"
    shutil.copy(bundle / "bundle.json", alone)
    for target in (bundle, bundle / "bundle.json", alone, "minimal"):
        assert run("teardown", target).stdout == script


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", shipped())
def test_every_object_and_release_is_in_the_plan_once_and_nothing_else(name, method, tmp_path):
    out = tmp_path / "out"
    assert render("-c", name, *filled(name), "-t", method, "-o", out).returncode == 0
    record = json.loads((out / "bundle.json").read_text())
    deep = plan(out, "--deep")
    entries = [identity(e) for e in deep["delete"] + deep["keep"]]
    assert len(entries) == len(set(entries))
    made = {identity(o) for o in record["objects"]} | {("helm", "Release", r["namespace"], r["name"]) for r in record["releases"]}
    secrets = {e for e in entries if e[1] == "Secret"}
    assert set(entries) - secrets == made and secrets
    assert all(e["kept because"] for e in plan(out)["keep"])


def test_what_runs_goes_before_what_holds_data_and_the_namespace_goes_last(bundle):
    kinds = [e["kind"] for e in plan(bundle, "--deep")["delete"]]
    assert kinds[-1] == "Namespace"
    last_workload = max(i for i, k in enumerate(kinds) if k in ("Deployment", "Job", "Service"))
    assert last_workload < min(i for i, k in enumerate(kinds) if k in ("PersistentVolumeClaim", "Secret"))


def test_volumes_token_and_namespace_stay_unless_asked_for(bundle):
    kept = {e["kind"] for e in plan(bundle)["keep"]}
    assert kept == {"PersistentVolumeClaim", "Secret", "Namespace"} and plan(bundle, "--deep")["keep"] == []
    assert load(run("teardown", bundle, "-o", "yaml").stdout) == plan(bundle)


def test_releases_go_in_reverse(tmp_path):
    out = tmp_path / "out"
    assert render("-c", "minimal", "-t", "modelservice", "-o", out).returncode == 0
    installed = [r["name"] for r in json.loads((out / "bundle.json").read_text())["releases"]]
    assert [e["release"] for e in plan(out)["delete"] if "release" in e] == installed[::-1] and len(installed) == 3


def refused(*args):
    result = run("teardown", *args)
    assert result.returncode == 2 and result.stdout == b""
    return result.stderr.decode()


def test_what_is_no_bundle_is_refused(bundle, tmp_path):
    record = json.loads((bundle / "bundle.json").read_text())
    for change, part in [({"format": 99}, "format 99"), ({"tool": "other"}, "no record of a bundle"), ({"delete": [{"name": "a|b"}]}, "does not read")]:
        path = tmp_path / "record.json"
        path.write_text(json.dumps(record | change))
        assert part in refused(path)
    assert "minimal" in refused("minimall")
    assert "bundle.json" in refused(tmp_path)
    assert "as it was rendered" in refused(bundle, "-p", "other")


def test_a_dry_run_asks_and_touches_nothing(bundle, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    for name in ("standup.sh", "smoketest.sh", "teardown.sh", "e2e.sh"):
        shown = subprocess.run(
            [copy / name, "--dry-run", "--context", "nowhere"], env={"PATH": "/usr/bin:/bin", "KUBECTL": "/bin/false", "HF_TOKEN": "hf_planted"},
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )
        assert shown.returncode == 0, name + shown.stderr
        assert "would" in shown.stdout and "hf_planted" not in shown.stdout + shown.stderr
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle"]


@pytest.mark.parametrize("args", [["--contxt", "x"], ["--step"], ["--step", "5-2"], ["--step", "nothing"], ["--admin", "--namespaced"], ["--timeout", "soon"]])
def test_wrong_usage_is_refused_before_anything_is_asked(bundle, args):
    result = subprocess.run([bundle / "standup.sh", *args], env={"PATH": "/usr/bin:/bin", "KUBECTL": "/bin/false"}, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "error" in result.stderr and result.stdout == ""


@pytest.mark.parametrize("method", METHODS)
def test_the_scripts_pass_shellcheck(method, tmp_path):
    out = tmp_path / "out"
    assert render("-c", "ocp_modelservice_llama-70b", "-t", method, "-o", out).returncode == 0
    scripts = sorted(out.glob("*.sh"))
    assert [p.name for p in scripts] == ["e2e.sh", "run.sh", "smoketest.sh", "standup.sh", "teardown.sh"]
    checker = Path(sys.executable).parent / "shellcheck"
    checked = subprocess.run([checker, *scripts], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout[:3000]
