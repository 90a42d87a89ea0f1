"""The scripts of every bundle: which there are, and what they do without a cluster."""

import os
import re
import subprocess

import pytest

from tool import clean_env, filled, render, shipped

SCRIPTS = ["standup.sh", "smoketest.sh", "run.sh", "teardown.sh", "e2e.sh"]
METHODS = ["standalone", "modelservice"]


@pytest.fixture(scope="module", params=METHODS)
def bundle(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("scripts") / "out"
    assert render("-c", "minimal", "-t", request.param, "-o", out).returncode == 0
    return out


def call(bundle, script, *args, **env):
    """Runs a script where kubectl and helm are programs that fail and leave a trace."""
    trace = bundle.parent / "called"
    trace.unlink(missing_ok=True)
    stub = bundle.parent / "stub"
    stub.write_text(f'#!/bin/sh\necho "$@" >> {trace}\nexit 1\n')
    stub.chmod(0o755)
    variables = clean_env(KUBECTL=str(stub), HELM=str(stub), HELMFILE=str(stub), **env)
    result = subprocess.run([bundle / script, *args], env=variables, capture_output=True, text=True, cwd=bundle.parent, timeout=60)
    result.called = trace.read_text().splitlines() if trace.exists() else []
    return result


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", shipped())
def test_every_bundle_has_the_scripts_and_they_can_be_run(name, method, tmp_path):
    out = tmp_path / "out"
    assert render("-c", name, *filled(name), "-t", method, "-o", out).returncode == 0
    scripts = sorted(p.name for p in out.glob("*.sh"))
    assert scripts == sorted(SCRIPTS)
    assert all(os.access(out / s, os.X_OK) for s in scripts)
    for script in scripts:
        assert re.search(r"(?m)^set -euo pipefail$", (out / script).read_text())


def tree(directory):
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in directory.rglob("*") if p.is_file()}


@pytest.mark.parametrize("script", [s for s in SCRIPTS if s != "run.sh"])
def test_a_dry_run_touches_nothing(bundle, script):
    before = tree(bundle)
    result = call(bundle, script, "--dry-run", "--context", "somewhere", HF_TOKEN="hf_" + "x" * 34)
    assert result.returncode == 0, result.stderr
    # Helm's version may be asked for; no call leads to a cluster.
    assert not [c for c in result.called if not c.startswith("version")], result.called
    assert tree(bundle) == before
    assert "hf_" + "x" * 34 not in result.stdout + result.stderr


def test_a_dry_run_shows_every_manifest_and_release_in_order(bundle):
    shown = call(bundle, "standup.sh", "-n", "--context", "somewhere").stdout
    files = [str(p.relative_to(bundle)) for p in sorted(bundle.glob("manifests/*/*.yaml"))]
    assert len(files) > 8
    assert all(f in shown for f in files)
    of_namespace = [f for f in files if "1-namespace" in f]
    places = [shown.index(f) for f in of_namespace]
    assert places == sorted(places)
    releases = sorted(p.parent.name for p in bundle.glob("helm/*/values.yaml"))
    assert all(r in shown for r in releases)
    assert all(word in shown for word in (["--context somewhere"] if not releases else ["--context somewhere", "--kube-context somewhere"]))


@pytest.mark.parametrize(
    "steps, wanted",
    [
        ("0", {0}),
        ("3-5", {4, 5}),
        ("0,3-5,10", {0, 4, 5, 10}),
        ("04", {4}),
        ("smoketest", {10}),
        ("model-namespace,10_smoketest", {4, 10}),
        ("00_preflight", {0}),
    ],
)
def test_steps_are_chosen_by_number_range_and_name(bundle, steps, wanted):
    result = call(bundle, "standup.sh", "-n", "--context", "c", "--step", steps)
    assert result.returncode == 0, result.stderr
    assert {int(n) for n in re.findall(r"(?m)^step (\d+) ", result.stdout)} == wanted


@pytest.mark.parametrize(
    "script, args, said",
    [
        ("standup.sh", ["--step", "3..5"], "3..5"),
        ("standup.sh", ["--step", "5-3"], "5-3"),
        ("standup.sh", ["--step", "11"], "11"),
        ("standup.sh", ["--step", "no-such-step"], "no-such-step"),
        ("standup.sh", ["--step", ""], "--step"),
        ("standup.sh", ["--step", ","], "step"),
        ("standup.sh", ["--stpe", "3"], "--stpe"),
        ("standup.sh", ["--admin", "--namespaced"], "halves"),
        ("standup.sh", ["--timeout", "soon"], "soon"),
        ("teardown.sh", ["--deep=yes"], "--deep"),
        ("teardown.sh", ["extra"], "extra"),
        ("smoketest.sh", ["--context"], "--context"),
        ("e2e.sh", ["--step", "3"], "--step"),
    ],
)
def test_wrong_usage_says_so_and_does_nothing(bundle, script, args, said):
    result = call(bundle, script, *args)
    assert result.returncode == 2
    assert said in result.stderr and not result.called


def test_without_a_context_nothing_goes_on(bundle):
    for script in ("standup.sh", "smoketest.sh", "teardown.sh", "e2e.sh"):
        result = call(bundle, script)
        assert result.returncode == 2 and "--context" in result.stderr
        assert all(c.startswith("config ") for c in result.called)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_tells_of_every_option(bundle, script):
    result = call(bundle, script, "--help")
    assert result.returncode == 0 and not result.called
    text = (bundle / script).read_text()
    options = re.search(r"(?m)^flags=\((.*)\)\nvalues=\((.*)\)$", text)
    for option in " ".join(options.groups()).split():
        assert f"--{option}" in result.stdout, option


def test_halves_split_the_manifests(bundle):
    admin, rest = (call(bundle, "standup.sh", "-n", "--context", "c", half).stdout for half in ("--admin", "--namespaced"))
    assert "manifests/0-admin" in admin and "manifests/1-namespace" not in admin
    assert "manifests/1-namespace" in rest and "manifests/0-admin" not in rest


def test_timeouts_are_those_of_the_scenario(tmp_path):
    out = tmp_path / "out"
    sets = {"timeouts.ready": 1111, "timeouts.wait": 2222, "storage.model.downloadTimeout": 3333}
    assert render("-c", "minimal", "-o", out, *[a for k, v in sets.items() for a in ("--set", f"{k}={v}")]).returncode == 0
    shown = call(out, "standup.sh", "-n", "--context", "c").stdout
    assert re.search(r"at most 1111 s for deployment my-models/try-it-opt", shown)
    assert re.search(r"at most 2222 s for deployment my-models/try-it-data-access", shown)
    assert re.search(r"at most 3333 s for job my-models/try-it-download", shown)
