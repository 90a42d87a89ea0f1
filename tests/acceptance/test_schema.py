"""Every object is one that a Kubernetes API server of 1.31 to 1.37 takes."""

import functools
import itertools
import json
import warnings

import pytest

from tool import files_of, filled, kustomize, load, load_all, render, shipped

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="install tests/acceptance/requirements.txt")

VERSIONS = [f"1.{minor}" for minor in range(31, 38)]
MODELS = "meta-llama/Llama-3.1-8B-Instruct,Qwen/Qwen3-0.6B,mistralai/Mixtral-8x7B-v0.1,facebook/opt-125m:my-alias,gpt2"
VARIANTS = {
    "as it is": [],
    "openshift": ["--set", "platform=openshift"],
    "route": ["--set", "standalone.httpRoute.enabled=true", "--set", "cluster.url=https://api.c.example.com:6443"],
    "network": ["--set", "network.resource=rdma/ib", "--set", "network.count=2"],
    "several models": ["-m", MODELS],
    "parts of its own": [
        "--set", "standalone.launcher.enabled=true", "--set", "pod.priorityClassName=high", "--set", "pod.pullSecret=registry", "--set", "pod.peerLabels=a=b",
        "--set", "resources.ephemeralStorage=9Gi", "--set", "storage.extra.claimName=compiled", "--set", "pod.extraAnnotations={a.example/b: c}",
        "--set", "pod.extra.volumes=[{name: compiled, persistentVolumeClaim: {claimName: compiled}}, {name: preprocesses, configMap: {name: llm-d-benchmark-preprocesses, defaultMode: 0755}}]",
        "--set", "pod.extra.volumeMounts=[{name: compiled, mountPath: /compiled}, {name: preprocesses, mountPath: /setup/preprocess}]",
        "--set", "pod.extra.container={securityContext: {runAsUser: 0, fsGroup: 107}, ports: [{name: metrics, containerPort: 8200}]}",
        "--set", "pod.extra.pod={hostIPC: true, nodeSelector: {a.example/b: 'true'}}",
        "--set", "pod.extra.initContainers=[{name: first, image: 'example.com/init:v1'}]",
    ],
    "all": [
        "-m", MODELS, "--set", "platform=openshift", "--set", "standalone.httpRoute.enabled=true", "--set", "standalone.httpRoute.hostname=*.example.com",
        "--set", "network.resource=rdma/ib", "--set", "harness.namespace=load", "--set", "serviceAccount=server", "--set", "pod.nodeLabels=gpu.example/kind:a1",
    ],
}


# Kinds that are not of Kubernetes itself. kubernetes-validate has no schema of them, and a schema of a CRD is no part of
# this project; so what an API server cannot do without is checked here by hand.
def http_route(o):
    assert o["apiVersion"] == "gateway.networking.k8s.io/v1"
    spec = o["spec"]
    assert spec.keys() <= {"parentRefs", "hostnames", "rules"}
    assert spec["parentRefs"] and all(p["name"] and p["namespace"] and p.keys() <= {"group", "kind", "name", "namespace"} for p in spec["parentRefs"])
    for host in spec.get("hostnames", []):
        assert host and host == host.lower() and len(host) <= 253 and all(0 < len(label) <= 63 for label in host.split("."))
    assert 1 <= len(spec["rules"]) <= 16
    for rule in spec["rules"]:
        assert rule.keys() <= {"backendRefs", "matches", "timeouts", "filters"}
        assert rule["backendRefs"]
        for backend in rule["backendRefs"]:
            assert backend["name"] and isinstance(backend["port"], int) and 1 <= backend["port"] <= 65535


def route(o):
    assert o["apiVersion"] == "route.openshift.io/v1"
    spec = o["spec"]
    assert spec.keys() <= {"to", "port", "host", "path", "tls", "wildcardPolicy", "alternateBackends"}
    assert spec["to"]["kind"] == "Service" and spec["to"]["name"]
    assert isinstance(spec["port"]["targetPort"], (int, str)) and spec["port"]["targetPort"]


CUSTOM = {"HTTPRoute": http_route, "Route": route}


def identity(o):
    return o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]


@functools.cache
def objects(name, variant):
    result = render("-c", name, "-t", "standalone", *filled(name), *VARIANTS[variant])
    assert result.returncode == 0, result.stderr.decode()
    return load_all(result.stdout)


def invalid(o, version):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            kubernetes_validate.validate(o, version, strict=True)
    except kubernetes_validate.ValidationError as e:
        return f"{version}: {identity(o)}: {e.message[:300]} at {list(e.path)}"
    return None


def test_the_validator_is_strict():
    """Else the tests below would see nothing."""
    good = next(o for o in objects("minimal", "as it is") if o["kind"] == "Deployment")
    for version in VERSIONS:
        assert invalid(good, version) is None
        bad = json.loads(json.dumps(good))
        bad["spec"]["template"]["spec"]["containers"][0]["commnad"] = ["x"]
        assert invalid(bad, version)
        bad = json.loads(json.dumps(good))
        bad["spec"]["replicas"] = "1"
        assert invalid(bad, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(version):
    wrong, seen, done = [], set(), set()
    for name, variant in itertools.product(shipped(), VARIANTS):
        for o in objects(name, variant):
            seen.add(o["kind"])
            text = json.dumps(o, sort_keys=True)
            if text in done:
                continue
            done.add(text)
            if o["kind"] in CUSTOM:
                CUSTOM[o["kind"]](o)
            elif message := invalid(o, version):
                wrong.append(f"{name}, {variant}, {message}")
    assert not wrong, "\n".join(wrong)
    assert {"Deployment", "Service", "Job", "PersistentVolumeClaim", "Role", "RoleBinding", "HTTPRoute", "Route", "Namespace"} <= seen


def referents(objects_):
    """Names that must be there or distinct."""
    return {identity(o): o for o in objects_}


@pytest.mark.parametrize("name", shipped())
def test_kustomize_gives_the_objects_of_the_stream_in_its_order(name, tmp_path):
    for variant in VARIANTS:
        stream = objects(name, variant)
        out = tmp_path / variant.replace(" ", "-")
        assert render("-c", name, "-t", "standalone", *filled(name), *VARIANTS[variant], "-o", out).returncode == 0
        assert kustomize(out) == stream, variant
        files = sorted(p for p in files_of(out) if p.startswith("manifests/"))
        assert [load((out / p).read_bytes()) for p in files] == stream
        assert len(referents(stream)) == len(stream)


def test_names_are_within_the_limits():
    long = "x" * 63
    result = render("-c", "minimal", "-p", long, "-r", "r" * 40, "-m", MODELS + "," + "y" * 96 + "/" + "z" * 96)
    assert result.returncode == 0, result.stderr.decode()
    for o in load_all(result.stdout):
        limit = 63 if o["kind"] in ("Service", "Deployment", "Job", "Namespace", "Pod") else 253
        assert 0 < len(o["metadata"]["name"]) <= limit, identity(o)
        for value in o["metadata"].get("labels", {}).values():
            assert len(value) <= 63, identity(o)


def test_the_namespace_comes_first_and_every_reference_is_there():
    for name in shipped():
        stream = objects(name, "all")
        position = {identity(o)[::2]: i for i, o in enumerate(stream) if o["kind"] == "Namespace"}
        for i, o in enumerate(stream):
            namespace = o["metadata"].get("namespace")
            if namespace and namespace not in ("default", "openshift-monitoring"):
                assert position[("Namespace", namespace)] < i, identity(o)
        services = {(o["metadata"]["namespace"], o["metadata"]["name"]): o for o in stream if o["kind"] == "Service"}
        for o in stream:
            if o["kind"] == "HTTPRoute":
                for backend in o["spec"]["rules"][0]["backendRefs"]:
                    service = services[(o["metadata"]["namespace"], backend["name"])]
                    assert backend["port"] in [p["port"] for p in service["spec"]["ports"]]
            if o["kind"] == "Route":
                ports = services[(o["metadata"]["namespace"], o["spec"]["to"]["name"])]["spec"]["ports"]
                assert o["spec"]["port"]["targetPort"] in [x for p in ports for x in (p["name"], p["targetPort"])]
