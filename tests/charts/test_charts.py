"""The values of every chart version, given to that version: accepted, rendered, and carrying what the scenario sets.

CHARTS_DIR names a folder with charts, CHART/VERSION/; HELM names another program than `helm`. Neither is part of the
project: without the folder these tests say so and do not run.
"""

import os
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "acceptance"))
from tool import clean_env, load_all, run  # noqa: E402

CHARTS = Path(os.environ.get("CHARTS_DIR", "/nonexistent"))
pytestmark = pytest.mark.skipif(not CHARTS.is_dir(), reason="CHARTS_DIR names no folder with charts")

# The versions that the contracts cover.
FIRST = {"llm-d-infra": (1, 0, 6), "inferencepool": (0, 5, 0), "llm-d-router-gateway": (0, 9, 0), "llm-d-modelservice": (0, 2, 0)}
# Versions whose schema refuses what every stack has; the tool refuses them by name.
REFUSED = {("llm-d-modelservice", "v0.2.8"), ("llm-d-modelservice", "v0.2.9")}
CUSTOM_KINDS = {
    "HTTPRoute", "Gateway", "GatewayParameters", "AgentgatewayParameters", "InferencePool", "InferenceModel", "InferenceObjective", "Telemetry",
    "DestinationRule", "ServiceMonitor", "PodMonitor", "Route",
}


def number(version):
    return tuple(int(p) for p in version.removeprefix("v").split("."))


def versions(chart):
    found = [p.name for p in (CHARTS / chart).glob("*") if p.name != "0.2.0"] if CHARTS.is_dir() else []
    return sorted((v for v in found if number(v) >= FIRST[chart]), key=number)


ALL = [(chart, version) for chart in FIRST for version in versions(chart)]

SCENARIO = """
edition: "2025-08"
methods: [modelservice]
models: [meta-llama/Llama-3.1-8B-Instruct, 'facebook/opt-125m:tiny']
namespace: ns-of-test
release: rel
pod:
  nodeLabels: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}
  annotations: ANNOTATIONS
  schedulerName: other-scheduler
accelerator: {resource: example.com/gpu}
network: {resource: rdma/ib, count: 2}
decode: {replicas: 3, accelerators: 4, cpu: "7", memory: 11Gi, sharedMemory: 5Gi, port: 8201}
prefill: {replicas: 2, accelerators: 2, cpu: "5", memory: 9Gi, sharedMemory: 6Gi}
vllm:
  maxModelLen: 12345
  env:
    - {name: BRACES, value: "a {{ .Values }} b"}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: HASH, value: "x # y: 'z' \\"q\\""}
images:
  modelServer: example.com/org/server:v9
  routingSidecar: example.com/org/sidecar:v8
  endpointPicker: example.com/org/picker:v7
modelservice: {uriProtocol: PROTOCOL, inferenceModel: true}
gateway: {className: CLASS}
"""


def sets(chart, version):
    charts = {"llm-d-infra": "infra", "inferencepool": "inferencePool", "llm-d-router-gateway": "inferencePool", "llm-d-modelservice": "modelservice"}
    arguments = ["--set", f"charts.{charts[chart]}.version={version}"]
    if chart == "llm-d-router-gateway":
        arguments += ["--set", "charts.inferencePool.name=oci://ghcr.io/llm-d/charts/llm-d-router-gateway"]
    return arguments


def inflate(tmp_path, chart, version, protocol="pvc", gateway="istio"):
    annotations = "{}" if chart == "llm-d-modelservice" and number(version) < (0, 2, 6) else "{a.example/b: 'true'}"
    text = SCENARIO.replace("PROTOCOL", protocol).replace("CLASS", gateway).replace("ANNOTATIONS", annotations)
    (tmp_path / "s.yaml").write_text(text)
    arguments = ["-c", "./s.yaml", "--no-env", *sets(chart, version), "--charts", "inflate", "--charts-dir", CHARTS]
    return run("render", "-q", *arguments, cwd=tmp_path, env=clean_env()), annotations != "{}"


def named(objects, kind):
    return {o["metadata"]["name"]: o for o in objects if o["kind"] == kind}


def check_server(deployment, stack, role, annotated, chart_version):
    expected = {
        "decode": {"replicas": 3, "gpus": "4", "cpu": "7", "memory": "11Gi", "shm": "5Gi", "port": 8201},
        "prefill": {"replicas": 2, "gpus": "2", "cpu": "5", "memory": "9Gi", "shm": "6Gi", "port": 8000},
    }[role]
    pod = deployment["spec"]["template"]
    server = next(c for c in pod["spec"]["containers"] if c["name"] == "vllm")
    assert deployment["spec"]["replicas"] == expected["replicas"]
    assert server["image"] == "example.com/org/server:v9"
    for side in ("limits", "requests"):
        have = server["resources"][side]
        wanted = {"cpu": expected["cpu"], "memory": expected["memory"], "example.com/gpu": expected["gpus"], "rdma/ib": "2"}
        assert {k: str(v) for k, v in have.items()} == wanted
    env = {e["name"]: e for e in server["env"]}
    assert len(env) == len(server["env"]), "a variable twice"
    assert env["BRACES"]["value"] == "a {{ .Values }} b"
    assert env["HASH"]["value"] == "x # y: 'z' \"q\""
    assert env["NODE"]["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName"
    assert env["HF_TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == "llm-d-hf-token"
    words = [*server.get("command", []), *server["args"]]
    text = " ".join(words)
    assert words[:2] == ["vllm", "serve"] and stack["source"] in words[2], words
    for option in (f"--port {expected['port']}", "--max-model-len 12345", f"--tensor-parallel-size {expected['gpus']}", f"--served-model-name {stack['served']}"):
        assert option in text, (option, text)
        assert text.count(option.split()[0] + " ") == 1, (option, text)
    for name in ("startupProbe", "readinessProbe"):
        assert server[name]["httpGet"]["port"] == expected["port"]
    assert server["livenessProbe"]["tcpSocket"]["port"] == expected["port"]
    assert server["startupProbe"]["failureThreshold"] == 60
    shm = next(v for v in pod["spec"]["volumes"] if v["name"] == "shm")
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": expected["shm"]}
    assert pod["spec"]["schedulerName"] == "other-scheduler"
    term = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0]
    assert term["matchExpressions"] == [{"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-H100-80GB-HBM3"]}]
    if annotated:
        assert pod["metadata"]["annotations"]["a.example/b"] == "true"
    return pod["metadata"]["labels"]


@pytest.mark.parametrize("protocol", ["pvc", "hf"])
@pytest.mark.parametrize("chart, version", ALL)
def test_a_version_renders_what_the_scenario_sets(chart, version, protocol, tmp_path):
    result, annotated = inflate(tmp_path, chart, version, protocol)
    if (chart, version) in REFUSED:
        assert result.returncode == 2 and b"v0.2.10" in result.stderr
        return
    assert result.returncode == 0, result.stderr.decode()
    objects = load_all(result.stdout.decode())

    identities = [(o["apiVersion"], o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(set(identities)) == len(identities)
    for o in objects:
        if o["kind"] not in CUSTOM_KINDS:
            kubernetes_validate.validate(o, "1.36", strict=True)

    deployments = named(objects, "Deployment")
    pools = named(objects, "InferencePool")
    routes = named(objects, "HTTPRoute")
    services = named(objects, "Service")
    gateways = named(objects, "Gateway")
    assert len(pools) == len(routes) == 2 and len(gateways) == 1, (list(pools), list(routes), list(gateways))
    for served, model in (("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"), ("tiny", "facebook/opt-125m")):
        route = next(r for r in routes.values() if r["spec"]["rules"][0]["matches"][0]["path"]["value"] == f"/{served.lower()}/")
        base = route["metadata"]["name"]
        stack = {"served": served, "source": f"/model-cache/models/{model}" if protocol == "pvc" else model}
        labels = [check_server(deployments[f"{base}-{role}"], stack, role, annotated, version) for role in ("decode", "prefill")]
        by_path, by_header = route["spec"]["rules"]
        [match] = by_header["matches"]
        assert [(h["name"], h["value"]) for h in match["headers"]] == [("X-Gateway-Model-Name", served)], "without its path, one model of two has its name"
        assert by_header["backendRefs"] == by_path["backendRefs"]
        assert route["spec"]["parentRefs"][0]["name"] in gateways
        backend = route["spec"]["rules"][0]["backendRefs"][0]
        pool = pools[backend["name"]]
        assert pool["apiVersion"].split("/")[0] == backend["group"]
        selector = pool["spec"]["selector"].get("matchLabels", pool["spec"]["selector"])
        for pods in labels:
            assert selector.items() <= pods.items(), (selector, pods)
        others = [d["spec"]["template"]["metadata"]["labels"] for n, d in deployments.items() if not n.startswith(base)]
        assert not any(selector.items() <= o.items() for o in others), "a pool selects pods of another stack"
        ports = pool["spec"].get("targetPorts", [{"number": pool["spec"].get("targetPortNumber")}])
        assert ports == [{"number": 8000}]
        picker = pool["spec"].get("endpointPickerRef", pool["spec"].get("extensionRef"))["name"]
        assert picker in services and picker in deployments
        container = next(c for c in deployments[picker]["spec"]["template"]["spec"]["containers"] if c["name"] == "epp")
        assert container["image"] == "example.com/org/picker:v7"
        config = next(o for o in objects if o["kind"] == "ConfigMap" and "plugins.yaml" in o.get("data", {}) and o["metadata"]["name"] == picker)
        assert yaml.safe_load(config["data"]["plugins.yaml"])["kind"] == "EndpointPickerConfig"
        sidecar = deployments[f"{base}-decode"]["spec"]["template"]["spec"]["initContainers"][0]
        assert sidecar["image"] == "example.com/org/sidecar:v8" and "--vllm-port=8201" in sidecar["args"]


@pytest.mark.parametrize("gateway", ["istio", "kgateway", "agentgateway", "gke-l7-regional-external-managed", "data-science-gateway-class"])
@pytest.mark.parametrize("version", versions("llm-d-infra"))
def test_every_gateway_class_of_every_version(version, gateway, tmp_path):
    result, _ = inflate(tmp_path, "llm-d-infra", version, gateway=gateway)
    assert result.returncode == 0, result.stderr.decode()
    objects = load_all(result.stdout.decode())
    [made] = named(objects, "Gateway").values()
    renamed = {"kgateway": "agentgateway"} if number(version) >= (1, 4, 0) else {}
    assert made["spec"]["gatewayClassName"] == renamed.get(gateway, gateway)
    assert [sorted(x) for x in made["spec"]["listeners"]] in ([["allowedRoutes", "name", "port", "protocol"]], [["name", "port", "protocol"]])


@pytest.mark.parametrize("version", ["v0.1.0", "v9.0.0"])
def test_a_version_without_a_contract_is_refused(version, tmp_path):
    result, _ = inflate(tmp_path, "llm-d-modelservice", version)
    assert result.returncode == 2 and b"v0.2.0 to v0.4.12" in result.stderr
