"""The values for every chart version at hand: accepted by its schema, and without a key that it does not know.

FACTS_DIR names the folder that holds `charts/CHART/VERSION/` with `values.yaml` and, where the version has one,
`values.schema.json`. What Helm makes of them is looked at in tests/charts.
"""

import functools
import json
import os
import re
from pathlib import Path

import jsonschema
import pytest

from tool import filled, load, render, shipped

CHARTS = Path(os.environ.get("FACTS_DIR", "/nonexistent")) / "charts"
pytestmark = pytest.mark.skipif(not CHARTS.is_dir(), reason="FACTS_DIR names no folder with charts")

SETTINGS = {
    "llm-d-infra": "charts.infra", "llm-d-modelservice": "charts.modelservice",
    "inferencepool": "charts.inferencePool", "llm-d-router-gateway": "charts.inferencePool",
}
VERSIONS = [(p.parent.name, p.name) for p in sorted(CHARTS.glob("*/*")) if p.parent.name in SETTINGS]

# The library chart that a chart takes further keys from, its version, and the key that they stand below.
LIBRARIES = {"llm-d-router-gateway": ("routerlib", None, "router"), "inferencepool": ("epplib", "v1.5.0", "inferenceExtension")}

# Keys that a values.yaml lacks though templates read them, with what they do. ROLE is decode or prefill.
OPEN = {
    "llm-d-infra": {"gateway.listeners[].allowedRoutes": "listeners are copied as they are"},
    "inferencepool": {
        "inferenceExtension.pluginsCustomConfig": "each key is a file of the picker's ConfigMap",
        "inferencePool.modelServers.matchLabels": "each key is a label of the selector",
    },
    "llm-d-router-gateway": {},
    "llm-d-modelservice": {
        "ROLE.acceleratorTypes": "copied into the node affinity",
        "ROLE.containers[].args": "copied into the container",
        "ROLE.containers[].command": "copied into the container",
        "ROLE.containers[].env": "copied into the container",
        "ROLE.containers[].extraConfig": "copied into the container",
        "ROLE.containers[].livenessProbe": "copied into the container",
        "ROLE.containers[].readinessProbe": "copied into the container",
        "ROLE.containers[].startupProbe": "copied into the container",
        "ROLE.podAnnotations": "each key is an annotation of the pods",
        "fullnameOverride": "names every object",
        "modelArtifacts.authSecretName": "the Secret of HF_TOKEN",
        "modelArtifacts.labels": "each key is a label of the pods",
        "routing.inferencePool.name": "the backend of a route that the chart makes",
        "routing.proxy.secure": "an argument of the sidecar",
    },
}


def paths(values, prefix=""):
    """Every path of a leaf, with `[]` for the entries of a list."""
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from paths(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(values, list) and values:
        for value in values:
            yield from paths(value, f"{prefix}[]")
    else:
        yield prefix


@functools.cache
def known(chart, version):
    """The keys that a version has or reads."""
    def values(name, version):
        return load((CHARTS / name / version / "values.yaml").read_text())

    names = set(paths(values(chart, version)))
    library, since, below = LIBRARIES.get(chart, (None, None, None))
    if library and (CHARTS / library / version).is_dir() and version >= (since or version):
        names |= {f"{below}.{p}" for p in paths(values(library, version))}
    for key in OPEN[chart]:
        names |= {key.replace("ROLE", role) for role in ("decode", "prefill")}
    return names


def unknown(chart, version, values):
    """The leaves that a version neither has nor leaves open as an empty mapping or list."""
    def is_known(path):
        return any(path == n or path.startswith((n + ".", n + "[")) for n in known(chart, version))

    return sorted({p for p in paths(values) if not is_known(p)})


def test_the_check_of_keys_finds_one():
    chart, version = next(v for v in VERSIONS if v[0] == "llm-d-modelservice")
    assert unknown(chart, version, {"decode": {"replicas": 1, "replicaz": 1}}) == ["decode.replicaz"]


def number(version):
    return [int(part) for part in version.removeprefix("v").split(".")]


def releases(out):
    for release in json.loads((out / "bundle.json").read_text())["releases"]:
        chart = release["chart"].rsplit("/", 1)[-1]
        yield chart, release["version"], load((out / "helm" / release["name"] / "values.yaml").read_text())


def charts_of(out, chart, version):
    found = [values for c, v, values in releases(out) if (c, v) == (chart, version)]
    assert found, f"no release of {chart} {version}"
    return found


@pytest.mark.parametrize(("chart", "version"), VERSIONS)
@pytest.mark.parametrize("scenario", shipped())
def test_values_are_what_the_version_takes(scenario, chart, version, tmp_path):
    args = ["--set", f"{SETTINGS[chart]}.version={version}"]
    if chart == "llm-d-router-gateway":
        args += ["--set", f"{SETTINGS[chart]}.name=oci://ghcr.io/llm-d/charts/{chart}"]
    out = tmp_path / "out"
    result = render("-c", scenario, *filled(scenario), "-t", "modelservice", *args, "-o", out)
    if result.returncode == 2:
        # What a version cannot express is an error that says from which version on it can.
        what = rf"needs version v[0-9.]+ of `{chart}`, and the scenario names {version}\n"
        errors = [line for line in result.stderr.decode().splitlines(keepends=True) if line.startswith("error")]
        assert errors and all(re.search(what, line) for line in errors), result.stderr.decode()
        assert version != max((v for c, v in VERSIONS if c == chart), key=number), "the newest version can do all of it"
        return
    assert result.returncode == 0, result.stderr.decode()
    schema = CHARTS / chart / version / "values.schema.json"
    for values in charts_of(out, chart, version):
        if schema.is_file():
            jsonschema.validate(values, json.loads(schema.read_text()))
        assert unknown(chart, version, values) == []
