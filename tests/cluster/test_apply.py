"""Every shipped scenario by both methods on a real control plane: accepted whole, applied again without a change, running as it says."""

import json

import pytest
from control import API, CHARTS, arguments, kubectl, needs_charts, on_cluster, settled, shipped, until
from tool import load_all, render

APPLY = ["apply", "--server-side", "--validate=strict", "-f", "-"]


def stream_of(args, method):
    charts = ["--charts", "inflate", "--charts-dir", CHARTS] if method == "modelservice" else []
    result = render(*args, *charts, stdin=b"")
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def changes(text):
    """Lines of `kubectl apply` that are not about something left as it was."""
    return [line for line in text.decode().splitlines() if not line.endswith((" unchanged", " serverside-applied"))]


@pytest.fixture(scope="module", autouse=True)
def monitoring():
    kubectl("create", "namespace", "openshift-monitoring", check=False)


def cases():
    """Every scenario by both methods on the platform that its name means; the smallest and the one with most also on the other."""
    for name in shipped():
        own = "openshift" if name.startswith("ocp_") else "kubernetes"
        both = name in ("minimal", "precise-prefix-cache-aware")
        for method, marks in (("standalone", ()), ("modelservice", needs_charts)):
            for platform in ("kubernetes", "openshift") if both else (own,):
                yield pytest.param(name, method, platform, id=f"{name}-{method}-{platform}", marks=marks)


def meant(settings, role):
    """The labels and devices that a server of a role asks a node for, by the settings of the bundle."""
    section = settings.get(f"{role}.nodeLabels", {}).get("value") or settings["pod.nodeLabels"]["value"] or {}
    return {k: v for k, v in section.items() if v}


@pytest.mark.parametrize("name, method, platform", list(cases()))
def test_a_scenario_is_accepted_and_runs(name, method, platform, tmp_path):
    namespace = f"apply-{shipped().index(name)}-{method}-{platform}"
    args = arguments(name, method, namespace, platform)
    out = tmp_path / "out"
    assert render(*args, "-o", out).returncode == 0
    stream = stream_of(args, method)
    objects = load_all(stream.decode())
    assert len(objects) > 8 and len({json.dumps([o["kind"], o["metadata"]]) for o in objects}) == len(objects)
    try:
        kubectl(*APPLY, stdin=stream)
        settled(namespace)

        before = on_cluster(objects)
        kubectl(*APPLY, stdin=stream)
        assert on_cluster(objects) == before, "the second apply changed something"
        diff = kubectl("diff", "--server-side", "-f", "-", stdin=stream, check=False)
        assert diff.returncode == 0, diff.stdout.decode() + diff.stderr.decode()
        assert on_cluster(objects) == before

        # The client's own apply, and kustomize, agree.
        assert {(o["kind"], o["metadata"]["name"]) for o in load_all(kubectl("kustomize", out).stdout.decode())} <= {k for k in before}
        kubectl("apply", "-k", out)
        assert changes(kubectl("apply", "-k", out).stdout) == []
        diff = kubectl("diff", "-k", out, check=False)
        assert diff.returncode == 0, diff.stdout.decode() + diff.stderr.decode()

        settled(namespace)
        settings = json.loads((out / "bundle.json").read_text())["settings"]
        servers = [p for p in API.list("Pod", namespace) if is_server(p)]
        expected = sum(o["spec"]["replicas"] for o in objects if o["kind"] == "Deployment" and is_server(o["spec"]["template"]))
        assert len(servers) == expected > 0
        nodes = {n["metadata"]["name"]: n for n in API.list("Node")}
        for pod in servers:
            node = nodes[pod["spec"]["nodeName"]]
            role = pod["metadata"]["labels"].get("llm-d.ai/role", "standalone")
            labels = meant(settings, role)
            assert labels.items() <= node["metadata"]["labels"].items(), (labels, node["metadata"]["name"])
            assert labels or settings["pod.nodeLabels"]["value"] is None
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false", check=False)


def is_server(pod):
    labels = pod["metadata"]["labels"]
    return labels.get("app.kubernetes.io/component") == "model-server" or "llm-d.ai/role" in labels


@pytest.mark.parametrize("controller", ["flux", "argocd"])
def test_releases_as_objects_of_a_controller_are_accepted(controller):
    """No such controller runs here, and any field of its kinds is accepted: names, places and order are what is seen."""
    namespace = f"apply-{controller}"
    result = render(*arguments("cicd", "modelservice", namespace), "--charts", controller)
    assert result.returncode == 0, result.stderr.decode()
    objects = load_all(result.stdout.decode())
    kubectl("create", "namespace", "argocd", check=False)
    kubectl(*APPLY, stdin=result.stdout)
    settled(namespace)
    before = on_cluster(objects)
    kubectl(*APPLY, stdin=result.stdout)
    assert on_cluster(objects) == before
    kubectl("delete", "--wait=false", "-f", "-", stdin=result.stdout)


def test_two_releases_of_one_model_share_a_namespace():
    """Neither takes the pods, the service or the volume of the other; both can be applied again."""
    streams = [render("-c", "minimal", "--no-env", "-p", "two-releases", "-r", name).stdout for name in ("one", "two")]
    for stream in streams * 2:
        kubectl("apply", "--validate=strict", "-f", "-", stdin=stream)
    for stream in streams:
        assert changes(kubectl("apply", "-f", "-", stdin=stream).stdout) == []
    settled("two-releases")
    assert len(API.list("Deployment", "two-releases")) == 4
    for service in API.list("Service", "two-releases"):
        selector = ",".join(f"{k}={v}" for k, v in service["spec"]["selector"].items())
        assert len(API.list("Pod", "two-releases", selector)) == 1
    kubectl("delete", "namespace", "two-releases", "--wait=false")


@pytest.mark.parametrize("change", ["huggingFace.secretName=other", "storage.model.mountPath=/m", "harness.name=guidellm", "vllm.port=9000", "replicas=2", "storage.model.downloadImage.tag=v0.25.0", "serviceAccount=server"])
def test_a_changed_value_can_be_applied(change):
    namespace = "change-" + "".join(c for c in change.lower() if c.isalnum())
    base = ["-c", "minimal", "--no-env", "-p", namespace]
    kubectl("apply", "-f", "-", stdin=render(*base).stdout)
    kubectl("apply", "-f", "-", stdin=render(*base, "--set", change).stdout)
    kubectl("delete", "namespace", namespace, "--wait=false")


def test_a_server_that_no_node_can_take_says_why():
    stream = render("-c", "minimal", "--no-env", "-p", "too-large", "--set", "accelerator.count=16").stdout
    kubectl("apply", "-f", "-", stdin=stream)

    def reason():
        pods = API.list("Pod", "too-large", "app.kubernetes.io/component=model-server")
        return [c["message"] for p in pods for c in p["status"].get("conditions", []) if c["type"] == "PodScheduled" and c["status"] == "False"]

    assert "Insufficient nvidia.com/gpu" in until("the scheduler's reason", reason)[0]
    kubectl("delete", "namespace", "too-large", "--wait=false")


@needs_charts
def test_a_server_over_two_nodes_gets_both():
    """One model that takes 8 GPUs of each of two nodes: the leader and its worker are on different ones."""
    namespace = "over-two-nodes"
    args = arguments("minimal", "modelservice", namespace, **{"modelservice.multinode": "true", "decode.parallelism.workers": 2, "decode.accelerators": 8, "prefill.replicas": 0})
    stream = stream_of(args, "modelservice")
    assert [o["metadata"]["name"] for o in load_all(stream.decode()) if o["kind"] == "LeaderWorkerSet"] == ["try-it-opt-125m-8139fc6d-decode"]
    kubectl(*APPLY, stdin=stream)
    settled(namespace)
    servers = API.list("Pod", namespace, "llm-d.ai/role=decode")
    assert len(servers) == 2 and len({p["spec"]["nodeName"] for p in servers}) == 2
    kubectl("delete", "namespace", namespace, "--wait=false")
