"""Helm values of the user: merged last, checked against the chart's version, never ignored."""

from tool import load, render

SCENARIO = """
methods: [modelservice]
models: [facebook/opt-125m]
namespace: ns
modelservice:
  valuesFile: values.yaml
  additionalSets: ['decode.nodeSelector.a\\.b/c=d', 'decode.replicas=3']
"""


def bundle(tmp_path, values, scenario=SCENARIO):
    (tmp_path / "values.yaml").write_text(values)
    (tmp_path / "s.yaml").write_text(scenario)
    return render("-c", "./s.yaml", "-o", "out", cwd=tmp_path)


def test_values_are_merged_last_and_the_rest_stays(tmp_path):
    result = bundle(tmp_path, "decode: {replicas: 2, tolerations: [{key: gpu}]}\nprefill: {volumes: null}\n")
    assert result.returncode == 0, result.stderr.decode()
    [file] = (tmp_path / "out/helm").glob("*-ms/values.yaml")
    values = load(file.read_text())
    decode, prefill = values["decode"], values["prefill"]
    assert (decode["replicas"], decode["tolerations"], decode["nodeSelector"]) == (3, [{"key": "gpu"}], {"a.b/c": "d"})
    assert decode["containers"][0]["args"] and "volumes" in decode and "volumes" not in prefill


def refused(tmp_path, values, *parts, scenario=SCENARIO):
    result = bundle(tmp_path, values, scenario)
    message = result.stderr.decode()
    assert result.returncode == 2 and not (tmp_path / "out").exists()
    assert all(p in message for p in parts), message


def test_a_key_that_the_version_does_not_read_is_refused_where_it_stands(tmp_path):
    refused(tmp_path, "decode:\n  toleration: []\n", "values.yaml:2:3", "did you mean `decode.tolerations`?")
    old = SCENARIO + 'charts: {modelservice: {version: "v0.4.5"}}\n'
    refused(tmp_path, "decode: {priorityClassName: high}\n", "v0.4.8", "v0.4.5", scenario=old)


def test_what_the_bundle_depends_on_is_refused(tmp_path):
    refused(tmp_path, "fullnameOverride: mine\n", "`fullnameOverride`", "values.yaml:1:1")
    refused(tmp_path, "{}\n", "decode.replicas.x", "s.yaml:7", scenario=SCENARIO.replace("replicas=3", "replicas.x=3"))


def test_an_image_has_a_version(tmp_path):
    refused(tmp_path, "requester: {enable: true, image: 'example.com/a:latest'}\n", "latest", "values.yaml:1")
