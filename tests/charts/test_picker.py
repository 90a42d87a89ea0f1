"""What stands before the model servers, by every version of its chart: each setting arrives, or the version is refused by
the name of the first that has it."""

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "acceptance"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from test_charts import CHARTS, named, number, pytestmark, versions  # noqa: E402, F401
from tool import clean_env, load_all, run  # noqa: E402

SCENARIO = """
edition: "2025-08"
methods: [modelservice]
models: [org/first, 'org/second:tiny']
namespace: ns-of-test
release: rel
prefill: {replicas: 0}
images:
  modelServer: example.com/org/server:v9
  routingSidecar: example.com/org/sidecar:v8
  endpointPicker: example.com/org/picker:v7
  tokenizer: example.com/org/tokenizer:v6
modelservice: {uriProtocol: hf}
gateway: {className: istio}
charts:
  inferencePool: {name: 'oci://example.com/charts/POOL', version: VERSION}
"""

PLUGINS = "{mine.yaml: {apiVersion: llm-d.ai/v1alpha1, kind: EndpointPickerConfig, plugins: [{type: queue-scorer, name: of-mine}]}}"

# A feature of the pool's chart: its first version, its settings, words of the error where it lacks.
FEATURES = {
    "flags": ((1, 0, 0), {"endpointPicker.flags": "{refresh-metrics-interval: 7ms}"}, "a flag of the endpoint picker"),
    "verbosity": ((0, 5, 1), {"endpointPicker.verbosity": "7"}, "the verbosity"),
    "ports": ((0, 5, 1), {"endpointPicker.containerPorts": "[{name: more, containerPort: 7777}]", "endpointPicker.servicePorts": "[{name: more, port: 7777}]"}, "a further port"),
    "volumes": ((1, 3, 0), {"endpointPicker.volumes": "[{name: more, emptyDir: {}}]", "endpointPicker.volumeMounts": "[{name: more, mountPath: /more}]"}, "a volume of the endpoint picker"),
    "sidecar": ((1, 3, 0), {"endpointPicker.sidecar.enabled": "true", "endpointPicker.sidecar.name": "tok", "endpointPicker.sidecar.env": "[{name: LEVEL, value: '5'}]"}, "a sidecar of the endpoint picker"),
    "monitoring": ((1, 0, 1), {"endpointPicker.monitoring.prometheus": "true", "endpointPicker.monitoring.interval": "77s"}, "a ServiceMonitor"),
    "open metrics": ((1, 1, 0), {"endpointPicker.monitoring.auth": "false"}, "metrics without a token"),
}
POOLS = [(c, v) for c in ("inferencepool", "llm-d-router-gateway") for v in versions(c)]


def compile_with(tmp_path, settings, chart="inferencepool", version="v1.5.0"):
    (tmp_path / "s.yaml").write_text(SCENARIO.replace("POOL", chart).replace("VERSION", version))
    sets = [word for path, value in settings.items() for word in ("--set", f"{path}={value}")]
    return run("render", "-q", "-c", "./s.yaml", "--no-env", *sets, "--charts", "inflate", "--charts-dir", CHARTS, cwd=tmp_path, env=clean_env())


def rendered(tmp_path, settings, chart="inferencepool", version="v1.5.0"):
    result = compile_with(tmp_path, settings, chart, version)
    assert result.returncode == 0, result.stderr.decode()
    return load_all(result.stdout.decode())


def has(feature, chart, version):
    if chart != "inferencepool":
        return feature != "sidecar"
    return number(version) >= FEATURES[feature][0]


@pytest.mark.parametrize("chart, version", POOLS)
def test_settings_of_the_picker_arrive(chart, version, tmp_path):
    able = [f for f in FEATURES if has(f, chart, version)]
    settings = {"endpointPicker.preset": "mine", "endpointPicker.customPlugins": PLUGINS}
    for feature in able:
        settings |= FEATURES[feature][1]
    objects = rendered(tmp_path, settings, chart, version)
    pools, deployments, services = (named(objects, k) for k in ("InferencePool", "Deployment", "Service"))
    assert len(pools) == 2
    for name in pools:
        pod = deployments[f"{name}-epp"]["spec"]["template"]["spec"]
        epp = next(c for c in pod["containers"] if c["name"] == "epp")
        arguments = " ".join(epp["args"]).replace("=", " ")
        [config] = [o for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"] == f"{name}-epp"]
        assert yaml.safe_load(config["data"]["plugins.yaml"])["plugins"][0]["name"] == "of-mine"
        assert "/plugins.yaml" in arguments
        if "flags" in able:
            assert "--refresh-metrics-interval 7ms" in arguments, arguments
        if "verbosity" in able:
            assert "--v 7" in arguments and arguments.count("--v ") == 1, arguments
        if "ports" in able:
            assert 7777 in [p["containerPort"] for p in epp["ports"]]
            assert 7777 in [p["port"] for p in services[f"{name}-epp"]["spec"]["ports"]]
        if "volumes" in able:
            assert {"name": "more", "emptyDir": {}} in pod["volumes"]
            assert {"name": "more", "mountPath": "/more"} in epp["volumeMounts"]
        if "sidecar" in able:
            sidecar = next(c for c in pod["containers"] if c["name"] == "tok")
            assert sidecar["image"] == "example.com/org/tokenizer:v6" and {"name": "LEVEL", "value": "5"} in sidecar["env"]
            mounted = {m["name"] for m in sidecar["volumeMounts"]}
            assert mounted <= {v["name"] for v in pod["volumes"]}
            assert "tokenizer-uds" in {m["name"] for m in epp["volumeMounts"]}
        names = [v["name"] for v in pod["volumes"]]
        assert len(set(names)) == len(names)
        if "open metrics" in able:
            assert "--metrics-endpoint-auth false" in arguments or number(version) < (1, 3, 0)
        if chart != "inferencepool" or number(version) >= (0, 5, 1):
            assert "HF_TOKEN" in {e["name"] for e in epp["env"]}
    monitors = [o for o in objects if o["kind"] == "ServiceMonitor"]
    assert len(monitors) == (2 if "monitoring" in able else 0)
    assert {m["spec"]["endpoints"][0]["interval"] for m in monitors} <= {"77s"}
    identities = [(o["kind"], o["metadata"]["name"]) for o in objects]
    assert len(set(identities)) == len(identities), "two releases make one object"


@pytest.mark.parametrize("chart, version", POOLS)
def test_what_a_version_lacks_is_refused_by_name(chart, version, tmp_path):
    lacking = [f for f in FEATURES if not has(f, chart, version)]
    settings = {}
    for feature in lacking:
        settings |= FEATURES[feature][1]
    if not lacking:
        return rendered(tmp_path, {}, chart, version) and None
    result = compile_with(tmp_path, settings, chart, version)
    assert result.returncode == 2 and not result.stdout
    for feature in lacking:
        assert FEATURES[feature][2].encode() in result.stderr or chart != "inferencepool", (feature, result.stderr.decode())
        first = ".".join(map(str, FEATURES[feature][0]))
        assert f"v{first}".encode() in result.stderr or chart != "inferencepool"


@pytest.mark.parametrize("chart, version", POOLS)
@pytest.mark.parametrize("gateway", ["istio", "data-science-gateway-class"])
@pytest.mark.parametrize("more", ["", ", outlierDetection: {consecutive5xxErrors: 7}"])
def test_traffic_to_the_picker_has_one_rule_with_all_of_it(chart, version, gateway, more, tmp_path):
    rule = "{destinationRule: {host: '${model.label}-gaie-epp', trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}%s}}}" % more
    objects = rendered(tmp_path, {"pool.providerConfig": rule, "gateway.className": gateway}, chart, version)
    rules = [o for o in objects if o["kind"] == "DestinationRule"]
    assert len(rules) == 2
    hosts = {f"{name}.ns-of-test.svc.cluster.local" for name in named(objects, "Service")}
    for found in rules:
        assert found["spec"]["host"] in hosts, "the rule is for a Service that exists"
        policy = found["spec"]["trafficPolicy"]
        assert policy["connectionPool"] == {"tcp": {"maxConnections": 7}}
        assert policy["tls"]["mode"] == "SIMPLE"
        assert ("outlierDetection" in policy) == bool(more)


@pytest.mark.parametrize("chart, version", POOLS)
@pytest.mark.parametrize("api", ["inference.networking.k8s.io/v1", "inference.networking.x-k8s.io/v1alpha2"])
def test_the_api_of_the_pool_is_that_of_the_route(chart, version, api, tmp_path):
    result = compile_with(tmp_path, {"pool.api": api}, chart, version)
    old = api.endswith("v1alpha2")
    able = chart == "inferencepool" and number(version) < (1, 5, 0) if old else chart != "inferencepool" or number(version) >= (1, 0, 0)
    assert result.returncode == (0 if able else 2), result.stderr.decode()
    if not able:
        return
    objects = load_all(result.stdout.decode())
    for route in named(objects, "HTTPRoute").values():
        backend = route["spec"]["rules"][0]["backendRefs"][0]
        pool = named(objects, "InferencePool")[backend["name"]]
        assert pool["apiVersion"] == api and backend["group"] == api.split("/")[0]
        assert pool["spec"].get("targetPortNumber", pool["spec"].get("targetPorts", [{}])[0].get("number")) == 8000


@pytest.mark.parametrize("chart, version", POOLS)
@pytest.mark.parametrize("gateway", ["gke", "gke-l7-regional-external-managed", "agentgateway", "kgateway"])
def test_policies_of_gke_are_for_pools_that_exist(chart, version, gateway, tmp_path):
    objects = rendered(tmp_path, {"gateway.className": gateway}, chart, version)
    gke = gateway.startswith("gke")
    if gke:
        [made] = named(objects, "Gateway").values()
        assert made["spec"]["gatewayClassName"] == "gke-l7-regional-external-managed"
    policies = [o for o in objects if o["kind"] in ("HealthCheckPolicy", "GCPBackendPolicy")]
    assert len(policies) == (4 if gke else 0)
    assert {p["spec"]["targetRef"]["name"] for p in policies} <= set(named(objects, "InferencePool"))
    assert not named(objects, "DestinationRule")


@pytest.mark.parametrize("version", versions("llm-d-infra"))
@pytest.mark.parametrize("gateway", ["istio", "kgateway"])
def test_the_gateway_has_its_service_and_resources(version, gateway, tmp_path):
    settings = {
        "charts.infra.version": version, "gateway.className": gateway, "gateway.serviceType": "LoadBalancer",
        "gateway.cpuRequest": "7", "gateway.cpuLimit": "70", "gateway.memoryRequest": "7Gi", "gateway.memoryLimit": "70Gi",
    }
    result = compile_with(tmp_path, settings)
    if number(version) < (1, 0, 8):
        assert result.returncode == 2 and b"v1.0.8" in result.stderr
        return
    assert result.returncode == 0, result.stderr.decode()
    text = result.stdout.decode()
    objects = load_all(text)
    gateways = yaml.safe_dump([o for o in objects if o["kind"] in ("Gateway", "GatewayParameters", "AgentgatewayParameters")] + [o for o in objects if o["kind"] == "ConfigMap" and "gateway" in o["metadata"]["name"]])
    assert "LoadBalancer" in gateways, gateways
    for amount in ("70Gi", "7Gi", "70"):
        assert amount in gateways, gateways


@pytest.mark.parametrize("version", [v for v in versions("llm-d-modelservice") if v not in ("v0.2.8", "v0.2.9")])
def test_the_routing_sidecar_and_monitors_by_version(version, tmp_path):
    settings = {"charts.modelservice.version": version, "pod.annotations": "{}", "routingSidecar.connector": "lmcache", "routingSidecar.logLevel": "2"}
    objects = rendered(tmp_path, settings)
    decode = next(d for n, d in named(objects, "Deployment").items() if n.endswith("-decode"))
    sidecar = decode["spec"]["template"]["spec"]["initContainers"][0]
    arguments = " ".join(sidecar["args"])
    assert "--connector=lmcache" in arguments and ("-v=2" in arguments or "--zap-log-level=2" in arguments), arguments

    settings["monitoring.podMonitor"] = "true"
    result = compile_with(tmp_path, settings)
    if number(version) < (0, 2, 1):
        assert result.returncode == 2 and b"v0.2.1" in result.stderr
    else:
        assert result.returncode == 0, result.stderr.decode()
        objects = load_all(result.stdout.decode())
        monitors = named(objects, "PodMonitor")
        assert len(monitors) == 2
        for monitor in monitors.values():
            selector = monitor["spec"]["selector"]["matchLabels"].items()
            pods = [d["spec"]["template"] for d in named(objects, "Deployment").values() if selector <= d["spec"]["template"]["metadata"]["labels"].items()]
            assert len(pods) == 1, "a monitor reads the pods of one server"
            ports = {p["name"]: p["containerPort"] for c in pods[0]["spec"]["containers"] for p in c.get("ports", [])}
            assert ports[monitor["spec"]["podMetricsEndpoints"][0]["port"]] == 8200

    off = {"charts.modelservice.version": version, "pod.annotations": "{}", "routingSidecar.enabled": "false"}
    result = compile_with(tmp_path, off)
    if number(version) < (0, 2, 8):
        assert result.returncode == 2 and b"v0.2.8" in result.stderr
        return
    assert result.returncode == 0, result.stderr.decode()
    objects = load_all(result.stdout.decode())
    decode = next(d for n, d in named(objects, "Deployment").items() if n.endswith("-decode"))
    pod = decode["spec"]["template"]["spec"]
    assert not [c for c in pod.get("initContainers", []) if c["name"] == "routing-proxy"]
    assert "--port 8000" in " ".join(pod["containers"][0]["args"])
    assert pod["containers"][0]["readinessProbe"]["httpGet"]["port"] == 8000
