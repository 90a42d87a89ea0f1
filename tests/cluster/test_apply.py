"""Every shipped scenario on a real control plane: accepted whole, applied again without a change, running as it says.

`tests/run cluster` starts the control plane and calls this; it needs the variables of `cluster env`.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "acceptance"))
from tool import BLANKS, load_all, render, shipped  # noqa: E402

if "TEST_CLUSTER_DIR" not in os.environ:
    raise SystemExit("no control plane: `tests/run cluster` starts one")

# How long anything may take; the control plane needs seconds, a busy machine more.
PATIENCE = 180


def kubectl(*args, stdin=None, check=True):
    result = subprocess.run(["kubectl", *map(str, args)], input=stdin, capture_output=True)
    assert result.returncode == 0 or not check, result.stderr.decode() + result.stdout.decode()
    return result


def get(kind, namespace, *args):
    return json.loads(kubectl("get", kind, "-n", namespace, "-o", "json", *args).stdout)["items"]


def until(what, condition):
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {PATIENCE} s"
        time.sleep(0.5)
    return found


def arguments(name, number, platform):
    sets = dict(BLANKS.get(name, {}))
    sets["namespace"] = f"apply-{number}-{platform}"
    sets["platform"] = platform
    if "storage.storageClass" in sets:
        sets["storage.storageClass"] = "standard"
    return ["-c", name, "-t", "standalone", "--no-env", *[a for k, v in sets.items() for a in ("--set", f"{k}={v}")]], sets["namespace"]


def changes(text):
    """Lines of `kubectl apply` that are not about something left as it was."""
    return [line for line in text.decode().splitlines() if not line.endswith((" unchanged", " serverside-applied"))]


@pytest.fixture(scope="module", autouse=True)
def monitoring():
    kubectl("create", "namespace", "openshift-monitoring", check=False)


@pytest.mark.parametrize("platform", ["kubernetes", "openshift"])
@pytest.mark.parametrize("number, name", list(enumerate(shipped())))
def test_a_scenario_is_accepted_and_runs(number, name, platform, tmp_path):
    if platform == "openshift" and kubectl("get", "crd", "routes.route.openshift.io", check=False).returncode:
        pytest.skip("the control plane serves no Route: set TEST_CLUSTER_CRDS")
    args, namespace = arguments(name, number, platform)
    stream = render(*args).stdout
    objects = load_all(stream.decode())
    assert len(objects) > 8
    apply = ["apply", "--server-side", "--validate=strict", "-f", "-"]
    kubectl(*apply, stdin=stream)
    versions = lambda: {  # noqa: E731
        (o["kind"], o["metadata"]["name"]): o["metadata"].get("generation", o["metadata"]["resourceVersion"])
        for kind in ("deployment", "service", "configmap", "job", "role", "rolebinding", "persistentvolumeclaim")
        for o in get(kind, namespace)
    }
    before = versions()
    kubectl(*apply, stdin=stream)
    after = versions()
    # Claims and Jobs get a status meanwhile; what was asked for stays.
    assert {k: v for k, v in before.items() if k[0] not in ("Job", "PersistentVolumeClaim", "Deployment")}.items() <= after.items()
    diff = kubectl("diff", "--server-side", "-f", "-", stdin=stream, check=False)
    assert diff.returncode == 0, diff.stdout.decode()

    # The client's own apply, and kustomize, agree.
    out = tmp_path / "out"
    assert render(*args, "-o", out).returncode == 0
    assert len(load_all(kubectl("kustomize", out).stdout.decode())) == len(objects)
    kubectl("apply", "-k", out)
    assert changes(kubectl("apply", "-k", out).stdout) == []

    until("jobs complete", lambda: all(j["status"].get("succeeded") for j in get("job", namespace)))
    until("claims bind", lambda: all(c["status"]["phase"] == "Bound" for c in get("pvc", namespace)))
    wanted = {o["metadata"]["name"]: o["spec"]["replicas"] for o in objects if o["kind"] == "Deployment"}
    until("deployments", lambda: {d["metadata"]["name"]: d["status"].get("availableReplicas") for d in get("deployment", namespace)} == wanted)

    # Pods are on nodes with the label that the scenario means.
    server = next(o for o in objects if o["kind"] == "Deployment" and o["metadata"]["labels"]["app.kubernetes.io/component"] == "model-server")
    affinity = server["spec"]["template"]["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [{"matchExpressions": []}])
    labels = [(e["key"], e["values"][0]) for e in terms[0]["matchExpressions"]]
    for pod in get("pod", namespace, "-l", "app.kubernetes.io/component=model-server"):
        node = json.loads(kubectl("get", "node", pod["spec"]["nodeName"], "-o", "json").stdout)
        assert all(node["metadata"]["labels"].get(k) == v for k, v in labels), (labels, pod["spec"]["nodeName"])
    kubectl("delete", "namespace", namespace, "--wait=false")


def test_two_releases_of_one_model_share_a_namespace():
    """Neither takes the pods, the service or the volume of the other; both can be applied again."""
    streams = [render("-c", "minimal", "--no-env", "-p", "two-releases", "-r", name).stdout for name in ("one", "two")]
    for stream in streams * 2:
        kubectl("apply", "--validate=strict", "-f", "-", stdin=stream)
    for stream in streams:
        assert changes(kubectl("apply", "-f", "-", stdin=stream).stdout) == []
    until("deployments", lambda: [d["status"].get("availableReplicas") for d in get("deployment", "two-releases")] == [1, 1, 1, 1])
    for service in get("service", "two-releases"):
        selector = ",".join(f"{k}={v}" for k, v in service["spec"]["selector"].items())
        assert len(get("pod", "two-releases", "-l", selector)) == 1
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
    server = ["-l", "app.kubernetes.io/component=model-server"]

    def reason():
        pods = get("pod", "too-large", *server)
        conditions = [c for p in pods for c in p["status"].get("conditions", []) if c["type"] == "PodScheduled" and c["status"] == "False"]
        return [c["message"] for c in conditions]

    assert "Insufficient nvidia.com/gpu" in until("the scheduler's reason", reason)[0]
    kubectl("delete", "namespace", "too-large", "--wait=false")
