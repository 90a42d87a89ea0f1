"""The whole life of a stack by the scripts of its bundle alone, on a real control plane.

Nothing here looks at what a script says it did: what is there is read from the API, before and after.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from base64 import b64encode
from pathlib import Path

import pytest
import yaml
from control import API, CHARTS, STATE, arguments, content, kubectl, needs_charts, ready, settled, until
from tool import clean_env, render

CLUSTER = Path(__file__).resolve().parent / "cluster"
# What comes and goes by itself.
RESTLESS = ("Event", "Lease", "ComponentStatus")
# In two parts, so that nothing takes this file for one that holds a token.
TOKEN = "hf_" + "PlantedTokenThatMustNotBeSeen01234"
# Seconds that a script may take in all.
LIMIT = 300
BOTH = [pytest.param("standalone", id="standalone"), pytest.param("modelservice", id="llm-d", marks=needs_charts)]


class Bundle:
    """A rendered bundle and its scripts."""

    def __init__(self, out, method="standalone", name="minimal", **sets):
        self.out, self.method = out, method
        self.namespace = sets.pop("namespace")
        result = render(*arguments(name, method, self.namespace, **sets), "-o", out)
        assert result.returncode == 0, result.stderr.decode()
        self.record = json.loads((out / "bundle.json").read_text())
        self.release = self.record["settings"]["release"]["value"]

    def environment(self, **more):
        env = {k: v for k, v in clean_env().items() if k not in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "CHARTS_DIR")}
        charts = {"CHARTS_DIR": str(CHARTS)} if self.method == "modelservice" else {}
        return {**env, "HELMFILE": "/nonexistent/helmfile", **charts, **more}

    def start(self, script, *args, **env):
        """A script as a process group of its own, its output as one text."""
        return subprocess.Popen(
            [self.out / script, *map(str, args)], env=self.environment(**env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True, cwd=self.out.parent,
        )

    def run(self, script, *args, code=0, **env):
        process = self.start(script, *args, **env)
        try:
            said, _ = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"{script} does not end: {process.communicate()[0]}") from None
        assert process.returncode == code, f"{script} ends with {process.returncode}, not {code}:\n{said}"
        return said

    def kept(self, deep=False):
        """What the keep list names, as the API would: (kind, namespace, name)."""
        words = ("never",) if deep else ("deep", "never")
        return {(e["kind"], e.get("namespace"), e["name"]) for e in self.record["delete"] if "release" not in e and e["remove"] in words}


def kill(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def killed_at(process, pattern, skip=0):
    """Kills a script, and all that it started, at a line of its output; whether it came to that line, and what it said."""
    said = []
    for line in process.stdout:
        said.append(line)
        if re.search(pattern, line):
            if not skip:
                kill(process)
                return True, "".join(said)
            skip -= 1
    process.wait()
    return False, "".join(said)


def inventory():
    """Everything on the cluster: (kind, namespace, name) to the object."""
    return {(kind, namespace, name): o for (_, kind, namespace, name), o in API.everything(RESTLESS).items()}


def quiet():
    """Waits until no namespace and no volume is on its way out."""
    def calm():
        spaces = [n for n in API.list("Namespace") if n["metadata"].get("deletionTimestamp")]
        volumes = [v for v in API.list("PersistentVolume") if v["status"].get("phase") == "Released" or v["metadata"].get("deletionTimestamp")]
        return not spaces and not volumes

    until("namespaces and volumes that are being removed", calm)


def names_of_volumes(objects):
    """Volumes have the uid of their claim in the name; they count as the claim's."""
    return {k for k in objects if k[0] != "PersistentVolume"}


def additions(before, kept=frozenset()):
    """What is there beyond `before` and what may stay, after what has an owner had time to follow it; and what is missing."""
    made = {ns for kind, _, ns in kept if kind == "Namespace"}
    own = {(kind, ns, name) for ns in made for kind, name in (("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt"))}
    state = {}

    def equal():
        now = names_of_volumes(inventory())
        state["more"] = now - names_of_volumes(before) - set(kept) - own
        state["less"] = names_of_volumes(before) - now
        return not state["more"] and not state["less"]

    end = time.monotonic() + 60
    while not equal() and time.monotonic() < end:
        time.sleep(0.5)
    return state["more"], state["less"]


@pytest.fixture
def space(request, tmp_path):
    """A name for a namespace of the test's own, which is removed with all that is in it; and a quiet cluster."""
    quiet()
    name = "life-" + re.sub("[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:40].strip("-")
    yield name
    kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")
    for kind in ("clusterrole", "clusterrolebinding"):
        kubectl("delete", kind, "-l", f"llmdbench.test/space={name}", "--ignore-not-found")


@contextlib.contextmanager
def load_generator():
    """Stands for the container of a run: writes a result for each pod into the volume that it would see."""
    stop, made, failed = threading.Event(), {}, []

    def value(pod, env):
        container = pod["spec"]["containers"][0]
        found = {}
        for entry in container["env"]:
            field = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
            text = entry.get("value", "")
            if annotation := re.fullmatch(r"metadata\.annotations\['(.*)'\]", field):
                text = pod["metadata"]["annotations"][annotation[1]]
            elif field == "metadata.name":
                text = pod["metadata"]["name"]
            found[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda m: found.get(m[1], m[0]), text)
        return found[env]

    def watch():
        while not stop.wait(0.1):
            try:
                for pod in API.list("Pod", labels="app.kubernetes.io/component=load-generator"):
                    if pod["metadata"]["uid"] not in made and pod["status"].get("phase") == "Running":
                        folder = value(pod, "LLMDBENCH_RUN_EXPERIMENT_RESULTS_DIR")
                        target = STATE / "pod-root" / folder.lstrip("/")
                        target.mkdir(parents=True, exist_ok=True)
                        made[pod["metadata"]["uid"]] = text = f"result of {pod['metadata']['uid']}\n"
                        (target / f"result-{pod['metadata']['name']}.txt").write_text(text)
            except Exception as error:
                failed.append(error)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        thread.join()
        shutil.rmtree(STATE / "pod-root" / "requests", ignore_errors=True)
        (STATE / "pod-root" / "requests").mkdir(exist_ok=True)
    assert not failed, failed


def requests_since(size):
    return [json.loads(line) for line in (STATE / "requests").read_text()[size:].splitlines()]


def serve(*models):
    (STATE / "models").write_text("\n".join(models))


@pytest.fixture(autouse=True)
def models():
    serve("facebook/opt-125m")
    yield
    (STATE / "models").unlink(missing_ok=True)


# --- the whole cycle


@pytest.mark.parametrize("method", BOTH)
def test_e2e_does_all_and_leaves_what_the_keep_list_names(method, space, tmp_path):
    bundle = Bundle(tmp_path / "out", method, namespace=space)
    before, asked = inventory(), (STATE / "requests").stat().st_size
    files = {p for p in tmp_path.rglob("*") if p.is_file()}
    with load_generator() as made:
        said = bundle.run("e2e.sh")
    completions = [r for r in requests_since(asked) if r["path"].endswith("/v1/completions")]
    assert completions and all(r["model"] == "facebook/opt-125m" for r in completions), said
    results = [p for p in tmp_path.rglob("result-*.txt") if p not in files]
    assert made and sorted(p.read_text() for p in results) == sorted(made.values()), said
    assert any(bundle.record["id"] in p.read_text() for folder in {p.parent for p in results} for p in [*folder.glob("*"), *folder.parent.glob("*")] if p.is_file())
    more, less = additions(before, bundle.kept())
    assert (more, less) == (set(), set()), said
    assert ("Namespace", None, space) in inventory()
    said = bundle.run("teardown.sh", "--deep")
    more, less = additions(before, bundle.kept(deep=True))
    assert (more, less) == (set(), set()), said
    quiet()
    # A second one has nothing to do.
    again = inventory()
    bundle.run("teardown.sh", "--deep")
    assert names_of_volumes(inventory()) == names_of_volumes(again)


@pytest.mark.parametrize("method", BOTH)
def test_standing_up_again_changes_nothing(method, space, tmp_path):
    bundle = Bundle(tmp_path / "out", method, namespace=space)
    bundle.run("standup.sh")
    settled(space)
    mine = lambda: {k: content(o) for k, o in inventory().items() if k[1] == space and k[0] not in ("Secret",)}  # noqa: E731
    before = mine()
    bundle.run("standup.sh")
    settled(space)
    after = mine()
    assert after.keys() == before.keys()
    assert {k for k in before if before[k] != after[k]} == set()
    bundle.run("teardown.sh", "--deep")
    assert until("the namespace", lambda: API.get(f"/api/v1/namespaces/{space}") is None)


# --- what does not fit


@pytest.mark.parametrize(
    "method, sets, reason",
    [
        pytest.param("standalone", {"accelerator.count": 16}, "Insufficient nvidia.com/gpu", id="16-gpus-standalone"),
        pytest.param("standalone", {"pod.nodeLabels": "{nvidia.com/gpu.product: NVIDIA-OF-NOBODY}"}, "node affinity", id="product-standalone"),
        pytest.param("modelservice", {"decode.accelerators": 16}, "Insufficient nvidia.com/gpu", id="16-gpus-llm-d", marks=needs_charts),
    ],
)
def test_what_no_node_can_take_stops_at_its_timeout_with_the_reason(method, sets, reason, space, tmp_path):
    bundle = Bundle(tmp_path / "out", method, namespace=space, **sets)
    before = inventory()
    began = time.monotonic()
    said = bundle.run("standup.sh", "--timeout", 15, code=1)
    assert time.monotonic() - began >= 15, "it did not wait"
    assert reason in said[said.rindex("error:") :], said
    said = bundle.run("teardown.sh", "--deep")
    assert additions(before) == (set(), set()), said


# --- what is not ours

LABELS = {
    "someone": {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/part-of": "try-it"},
    "sibling": {"app.kubernetes.io/managed-by": "llmdbench", "app.kubernetes.io/part-of": "try-it-2", "app.kubernetes.io/instance": "try-it-2"},
    "original": {"app": "vllm-standalone-opt-125m", "llm-d.ai/inferenceServing": "true", "llm-d.ai/model": "opt-125m", "usage": "model-cache"},
    "nobody": {},
}


def foreign_objects(namespace):
    """Objects of others that look like ours."""
    pod = {"containers": [{"name": "vllm", "image": "example.test/any"}]}
    labelled = {"metadata": {"labels": {"app": "theirs"}}, "spec": pod}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "theirs"}}, "template": labelled}}
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    role = {"apiGroup": "rbac.authorization.k8s.io"}
    subjects = [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}]
    bodies = {
        "ConfigMap": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}},
        "Secret": {"apiVersion": "v1", "kind": "Secret", "stringData": {"HF_TOKEN": "theirs"}},
        "Service": {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}], "selector": {"app": "theirs"}}},
        "ServiceAccount": {"apiVersion": "v1", "kind": "ServiceAccount"},
        "PersistentVolumeClaim": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}},
        "Role": {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": rules},
        "RoleBinding": {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "roleRef": {**role, "kind": "ClusterRole", "name": "view"}, "subjects": subjects},
        "Deployment": deployment,
        "Pod": {"apiVersion": "v1", "kind": "Pod", "spec": pod},
        "HTTPRoute": {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "spec": {"parentRefs": [{"name": "infra-try-it-inference-gateway"}]}},
        "InferencePool": {
            "apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
            "spec": {"targetPorts": [{"number": 8000}], "selector": {"matchLabels": {"app": "theirs"}}, "endpointPickerRef": {"name": "epp", "port": {"number": 9002}}},
        },
        "ClusterRole": {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": rules},
        "ClusterRoleBinding": {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "roleRef": {**role, "kind": "ClusterRole", "name": "view"}, "subjects": subjects},
    }
    base = "try-it-opt-125m-8139fc6d"
    wanted = {
        "ConfigMap": [f"{base}-2", "try-it-bundle-old", "inference-perf-profiles", "llm-d-benchmark-preprocesses", "try-it-preprocess2", f"{base}-gaie-epp-old"],
        "Secret": ["other-team-llmdbench-prod", "llm-d-hf-token-2", "hf-token", "sh.helm.release.v1.infra-try-it-2.v1"],
        "Service": [f"vllm-standalone-{base}", f"{base}-copy", "infra-try-it-inference-gateway-istio-2", "other-team-llmdbench-prod"],
        "ServiceAccount": ["inference-perf-runner", "try-it-inference-perf-runner-2", f"{base}-gaie-epp-2"],
        "PersistentVolumeClaim": ["model-pvc-2", "workload-pvc-old"],
        "Role": ["inference-perf-job-creator", "try-it", f"{base}-gaie-epp-x"],
        "RoleBinding": ["inference-perf-job-creator", "try-it", f"{base}-gaie-epp-x"],
        "Deployment": [f"vllm-standalone-{base}", f"{base}x", f"{base}-decode-2", "try-it-data-access-2", "x-epp"],
        "Pod": ["access-to-harness-data-workload-pvc", "download-model", "testinference-pod-1", "standalone", f"{base}-0"],
        "HTTPRoute": [f"{base}-2", "llm-route", "try-it"],
        "InferencePool": [f"{base}-gaie-2", "try-it-gaie"],
        "ClusterRole": ["other-try-it", "try-it-modelservice-admin", f"{base}-gaie-epp-of-others", "try-it-modelservice-manager"],
        "ClusterRoleBinding": ["other-try-it", "try-it-modelservice-admin", f"{base}-gaie-epp-of-others"],
    }
    kinds = {k for _, k in API.resources()}
    objects, all_labels = [], list(LABELS.values())
    for kind, names in wanted.items():
        for i, name in enumerate(names if kind in kinds else ()):
            labels = dict(all_labels[(i + len(objects)) % len(all_labels)])
            metadata = {"name": name, "labels": labels}
            if kind.startswith("Cluster"):
                labels["llmdbench.test/space"] = namespace
            else:
                metadata["namespace"] = namespace
            objects.append({**bodies[kind], "metadata": metadata})
    return objects


@pytest.mark.parametrize("method", BOTH)
def test_what_belongs_to_others_is_not_touched(method, space, tmp_path):
    theirs = foreign_objects(space)
    assert len(theirs) >= 45
    bundle = Bundle(tmp_path / "out", method, namespace=space)
    kubectl("create", "namespace", space)
    kubectl("label", "namespace", space, "team=others", "pod-security.kubernetes.io/enforce=privileged")
    kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(theirs).encode())
    settled(space)
    time.sleep(1)
    before = inventory()
    state = lambda: {k: {**o, "metadata": {**o["metadata"], "managedFields": None}} for k, o in inventory().items() if k in before and (k[1] == space or k[2] == space or k[0].startswith("Cluster"))}  # noqa: E731
    untouched = state()
    with load_generator():
        said = bundle.run("e2e.sh")
        assert differing(untouched, state()) == [], said
        said = bundle.run("e2e.sh", "--deep")
    assert differing(untouched, state()) == [], said
    assert additions(before) == (set(), set()), said


def differing(before, after):
    return [(k, before[k]["metadata"], after.get(k, {}).get("metadata")) for k in before if before[k] != after.get(k)]


def test_a_secret_and_claims_of_others_are_used_and_stay(space, tmp_path):
    bundle = Bundle(tmp_path / "out", namespace=space)
    settings = {k: v["value"] for k, v in bundle.record["settings"].items()}
    kubectl("create", "namespace", space)
    kubectl("create", "secret", "generic", "llm-d-hf-token", "-n", space, "--from-literal=HF_TOKEN=theirs")
    claims = [{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": settings[f"{of}.claimName"], "namespace": space},
               "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Ti"}}}} for of in ("storage.model", "harness")]
    kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(claims).encode())
    settled(space, ("PersistentVolumeClaim",))
    mine = [("Secret", space, "llm-d-hf-token"), *(("PersistentVolumeClaim", space, c["metadata"]["name"]) for c in claims)]
    state = lambda: {k: content(o) for k, o in inventory().items() if k in mine}  # noqa: E731
    before = state()
    assert len(before) == 3
    said = bundle.run("standup.sh", HF_TOKEN=TOKEN)
    for _, _, name in mine:
        assert re.search(rf"{name}.*(used as it is|not of this bundle)", said), said
    assert state() == before
    said = bundle.run("teardown.sh", "--deep")
    assert state() == before, said
    assert API.get(f"/api/v1/namespaces/{space}") and not API.get(f"/api/v1/namespaces/{space}")["metadata"].get("deletionTimestamp")


def refused(bundle, *words, before, **env):
    """Standup stops in preflight with all the words, and nothing has changed."""
    said = bundle.run("standup.sh", code=2, **env)
    errors = "\n".join(line for line in said.splitlines() if "error:" in line)
    assert all(w in errors for w in words), said
    assert {k: content(o) for k, o in inventory().items()} == before, said


def test_a_claim_that_is_too_small_stops_preflight(space, tmp_path):
    bundle = Bundle(tmp_path / "out", namespace=space)
    settings = {k: v["value"] for k, v in bundle.record["settings"].items()}
    kubectl("create", "namespace", space)
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": settings["storage.model.claimName"], "namespace": space},
             "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "3Gi"}}}}
    kubectl("create", "-f", "-", stdin=yaml.safe_dump(claim).encode())
    settled(space, ("PersistentVolumeClaim",))
    before = {k: content(o) for k, o in inventory().items()}
    refused(bundle, claim["metadata"]["name"], "3Gi", str(settings["storage.model.size"]), before=before)


@pytest.mark.parametrize("labels", [{}, LABELS["sibling"], {**LABELS["sibling"], "app.kubernetes.io/part-of": "try-it", "app.kubernetes.io/managed-by": "Helm"}], ids=["unlabelled", "other-bundle", "other-manager"])
def test_another_object_of_a_name_that_we_want_stops_preflight(labels, space, tmp_path):
    bundle = Bundle(tmp_path / "out", namespace=space)
    kubectl("create", "namespace", space)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "try-it-data-access", "namespace": space, "labels": labels}, "spec": {"ports": [{"port": 80}]}}
    kubectl("create", "-f", "-", stdin=yaml.safe_dump(service).encode())
    until("the namespace's own objects", lambda: API.get(f"/api/v1/namespaces/{space}/configmaps/kube-root-ca.crt") and API.get(f"/api/v1/namespaces/{space}/serviceaccounts/default"))
    before = {k: content(o) for k, o in inventory().items()}
    refused(bundle, "Service", "try-it-data-access", before=before)
    said = bundle.run("teardown.sh", "--deep")
    assert {k: content(o) for k, o in inventory().items()} == before, said


@needs_charts
def test_a_helm_release_of_others_stops_preflight(space, tmp_path):
    bundle = Bundle(tmp_path / "out", "modelservice", namespace=space)
    name = next(e["release"] for e in bundle.record["delete"] if "release" in e)
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: theirs\nversion: 1.0.0\n")
    (chart / "templates" / "map.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\n")
    kubectl("create", "namespace", space)
    helm = os.environ.get("HELM", "helm")
    subprocess.run([helm, "install", name, chart, "-n", space], check=True, capture_output=True)
    until("the namespace's own objects", lambda: API.get(f"/api/v1/namespaces/{space}/configmaps/kube-root-ca.crt") and API.get(f"/api/v1/namespaces/{space}/serviceaccounts/default"))
    before = {k: content(o) for k, o in inventory().items()}
    refused(bundle, name, before=before)
    said = bundle.run("teardown.sh", "--deep")
    assert {k: content(o) for k, o in inventory().items()} == before, said


@pytest.mark.parametrize("method", BOTH)
def test_removing_one_of_two_bundles_leaves_the_other_whole(method, space, tmp_path):
    one, two = (Bundle(tmp_path / name, method, namespace=space, release=name) for name in ("one", "two"))
    empty = inventory()
    two.run("standup.sh")
    settled(space)
    only_two = {k: content(o) for k, o in inventory().items() if k not in empty}
    one.run("standup.sh")
    said = one.run("teardown.sh")
    more, less = additions({**empty, **only_two}, one.kept())
    assert (more, less) == (set(), set()), said
    settled(space)
    now = inventory()
    assert [k for k in only_two if content(now[k]) != only_two[k]] == []
    two.run("smoketest.sh")
    # What both use goes with the last of them at the earliest.
    said = one.run("teardown.sh", "--deep")
    settled(space)
    running = {k for k, o in inventory().items() if k in only_two and k[0] in ("Pod", "Deployment", "Service")}
    assert running == {k for k in only_two if k[0] in ("Pod", "Deployment", "Service")}, said
    said = two.run("teardown.sh", "--deep")
    assert additions(empty) == (set(), set()), said


# --- cut off


def described(space):
    """What is in a namespace, without what is another at each standup."""
    def spec(o):
        return {k: v for k, v in o.items() if k not in ("status", "metadata")}

    skip = ("Job", "PersistentVolumeClaim", "Service")
    found = {k[::2]: spec(o) for k, o in inventory().items() if k[1] == space}
    return {k: (None if k[0] in skip else v) for k, v in found.items() if k[0] not in ("Pod", "ReplicaSet", "EndpointSlice", "Endpoints", "Secret")}


@pytest.mark.parametrize("method", BOTH)
def test_scripts_that_are_killed_after_each_step_end_the_same_when_run_again(method, space, tmp_path):
    bundle = Bundle(tmp_path / "out", method, namespace=space)
    before = inventory()
    said = bundle.run("standup.sh")
    settled(space)
    wanted, steps = described(space), len(re.findall(r"^step .*: done", said, re.M))
    bundle.run("teardown.sh", "--deep")
    assert additions(before) == (set(), set())
    quiet()
    for step in range(steps - 1):
        reached, said = killed_at(bundle.start("standup.sh"), r"^step .*: done", skip=step)
        assert reached, said
    reached, said = killed_at(bundle.start("standup.sh"), r"^step ", skip=steps - 1)
    assert reached, said
    said = bundle.run("standup.sh")
    settled(space)
    assert described(space) == wanted, said
    for line in range(1, 12):
        reached, said = killed_at(bundle.start("teardown.sh", "--deep"), r"", skip=line)
        if not reached:
            break
    bundle.run("teardown.sh", "--deep")
    assert additions(before) == (set(), set())


def test_standup_that_is_killed_while_it_waits_can_be_run_again(space, tmp_path):
    """The pod of the server does not get an image, so that there is a wait; then it does."""
    bundle = Bundle(tmp_path / "out", namespace=space, **{"pod.annotations": "{llmdbench.test/outcome: hang}"})
    before = inventory()
    reached, said = killed_at(bundle.start("standup.sh", "--timeout", 60), r"waiting for deployment .*opt-125m.*ImagePullBackOff")
    assert reached, said
    for pod in API.list("Pod", space):
        kubectl("annotate", "pod", pod["metadata"]["name"], "-n", space, "--overwrite", "llmdbench.test/outcome=run")
    said = bundle.run("standup.sh", "--timeout", 60)
    settled(space)
    bundle.run("teardown.sh", "--deep")
    assert additions(before) == (set(), set())


@needs_charts
def test_standup_that_is_killed_while_a_release_is_pending_can_be_run_again(space, tmp_path):
    bundle = Bundle(tmp_path / "out", "modelservice", namespace=space)
    before = inventory()
    for _ in range(2):
        process = bundle.start("standup.sh")
        threading.Thread(target=process.stdout.read, daemon=True).start()

        def pending():
            secrets = API.list("Secret", space, "owner=helm")
            return [s for s in secrets if s["metadata"]["labels"]["status"].startswith("pending-")]

        until("a release that is pending", lambda: pending() or process.poll() is not None, LIMIT)
        assert process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert pending(), "the release was done before the kill"
    said = bundle.run("standup.sh")
    settled(space)
    statuses = {}
    for s in API.list("Secret", space, "owner=helm"):
        labels = s["metadata"]["labels"]
        statuses.setdefault(labels["name"], []).append(labels["status"])
    assert len(statuses) == 3 and all("deployed" in s and not any(x.startswith("pending") for x in s) for s in statuses.values()), (statuses, said)
    said = bundle.run("teardown.sh", "--deep")
    assert additions(before) == (set(), set()), said


@needs_charts
def test_teardown_removes_a_release_that_is_pending(space, tmp_path):
    bundle = Bundle(tmp_path / "out", "modelservice", namespace=space)
    before = inventory()
    process = bundle.start("standup.sh")
    threading.Thread(target=process.stdout.read, daemon=True).start()
    until("a release that is pending", lambda: [s for s in API.list("Secret", space, "owner=helm") if s["metadata"]["labels"]["status"] == "pending-install"], LIMIT)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    said = bundle.run("teardown.sh", "--deep")
    assert additions(before) == (set(), set()), said


# --- rights, contexts, a server that is gone


def kubeconfig(path, **contexts):
    """A kubeconfig of contexts: each a change to the administrator's cluster or user. The first is the current one."""
    base = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    cluster, user = base["clusters"][0]["cluster"], base["users"][0]["user"]
    made = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": [], "current-context": next(iter(contexts))}
    for name, change in contexts.items():
        made["clusters"].append({"name": name, "cluster": {**cluster, **change.get("cluster", {})}})
        made["users"].append({"name": name, "user": {**user, **change.get("user", {})}})
        made["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    path.write_text(yaml.safe_dump(made))
    return str(path)


@pytest.mark.parametrize("missing", ["deployments.apps", "jobs.batch", "services", "rolebindings.rbac.authorization.k8s.io", "namespaces"])
def test_a_right_that_is_missing_is_named_in_preflight(missing, space, tmp_path):
    bundle = Bundle(tmp_path / "out", namespace=space)
    before = {k: content(o) for k, o in inventory().items()}
    resource, _, group = missing.partition(".")
    rules = []
    for (version, _), (_, plural, _) in API.resources().items():
        of = version.rpartition("/")[0]
        verbs = ["get", "list", "watch"] if (plural, of) == (resource, group) else ["*"]
        rules.append({"apiGroups": [of], "resources": [plural, f"{plural}/*"], "verbs": verbs})
    rules.append({"apiGroups": ["authorization.k8s.io"], "resources": ["*"], "verbs": ["create"]})
    name = f"nearly-all-{space}"
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name, "labels": {"llmdbench.test/space": space}}, "rules": rules}
    binding = {"apiVersion": role["apiVersion"], "kind": "ClusterRoleBinding", "metadata": role["metadata"],
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]}
    kubectl("create", "-f", "-", stdin=yaml.safe_dump_all([role, binding]).encode())
    before.update({k: content(o) for k, o in inventory().items() if k[2] == name})
    config = kubeconfig(tmp_path / "kubeconfig", restricted={"user": {"as": name}})
    refused(bundle, resource, before=before, KUBECONFIG=config)


@contextlib.contextmanager
def door(to=None):
    """A port on loopback that counts who knocks, and leads on to `to` where that is given, until it is shut."""
    listener = socket.create_server(("127.0.0.1", 0))
    state = {"port": listener.getsockname()[1], "knocks": 0, "open": True, "sockets": []}

    def pump(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        for s in (a, b):
            with contextlib.suppress(OSError):
                s.close()

    def accept():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            state["knocks"] += 1
            if to is None or not state["open"]:
                client.close()
                continue
            server = socket.create_connection(to)
            state["sockets"] += [client, server]
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    def shut():
        state["open"] = False
        for s in state["sockets"]:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    state["shut"] = shut
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield state
    finally:
        shut()
        listener.close()


@pytest.mark.parametrize("method", BOTH)
def test_only_the_context_that_is_named_is_touched(method, space, tmp_path):
    bundle = Bundle(tmp_path / "out", method, namespace=space)
    before = inventory()
    with door() as other, load_generator():
        config = kubeconfig(tmp_path / "kubeconfig", first={"cluster": {"server": f"https://127.0.0.1:{other['port']}"}}, second={})
        bundle.run("e2e.sh", "--context", "second", "--deep", KUBECONFIG=config)
        assert other["knocks"] == 0
    assert additions(before) == (set(), set())


def test_a_current_context_that_changes_meanwhile_is_not_followed(space, tmp_path):
    bundle = Bundle(tmp_path / "out", namespace=space)
    before = inventory()
    with door() as other:
        path = tmp_path / "kubeconfig"
        config = kubeconfig(path, first={}, second={"cluster": {"server": f"https://127.0.0.1:{other['port']}"}})
        process = bundle.start("standup.sh", KUBECONFIG=config)
        for line in process.stdout:
            if re.match(r"step .*preflight", line):
                path.write_text(path.read_text().replace("current-context: first", "current-context: second"))
                break
        said, _ = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, said
        assert other["knocks"] == 0
    settled(space)
    bundle.run("teardown.sh", "--deep")
    assert additions(before) == (set(), set())


@pytest.mark.parametrize("script", ["standup.sh", "teardown.sh"])
def test_a_server_that_goes_away_is_said_and_the_script_can_be_run_again(script, space, tmp_path):
    bundle = Bundle(tmp_path / "out", namespace=space)
    before = inventory()
    if script == "teardown.sh":
        bundle.run("standup.sh")
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    port = int(API.server.rpartition(":")[2])
    with door(("127.0.0.1", port)) as way:
        config = kubeconfig(tmp_path / "kubeconfig", only={"cluster": {"server": f"https://127.0.0.1:{way['port']}"}})
        process = bundle.start(script, *(["--deep"] if script == "teardown.sh" else []), KUBECONFIG=config)
        said = ""
        for line in process.stdout:
            said += line
            # After the first things were done.
            if re.match(r"step 0?[45].*: done" if script == "standup.sh" else r"  ", line):
                way["shut"]()
                break
        rest, _ = process.communicate(timeout=LIMIT)
        said += rest
    assert process.returncode not in (0, None), said
    errors = [line for line in said.splitlines() if "error:" in line]
    assert errors and any("context" in e or "API server" in e for e in errors), said
    files[tmp_path / "kubeconfig"] = (tmp_path / "kubeconfig").read_bytes()
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == files
    if script == "standup.sh":
        bundle.run("standup.sh")
        settled(space)
    bundle.run("teardown.sh", "--deep")
    assert additions(before) == (set(), set())


@pytest.mark.parametrize("method", BOTH)
def test_teardown_does_without_the_controller_manager(method, space, tmp_path):
    """Nothing collects garbage then; a namespace and a claim cannot go either, so the ordinary teardown is what is seen."""
    bundle = Bundle(tmp_path / "out", method, namespace=space)
    before = inventory()
    bundle.run("standup.sh")
    settled(space)
    subprocess.run([CLUSTER, "pause", "kube-controller-manager"], check=True)
    try:
        said = bundle.run("teardown.sh")
        more, less = additions(before, bundle.kept())
    finally:
        subprocess.run([CLUSTER, "resume", "kube-controller-manager"], check=True)
    # The endpoints of a Service and what a Gateway's controller made are the controllers' own to remove.
    assert ({k for k in more if k[0] not in ("EndpointSlice", "Endpoints")}, less) == (set(), set()), said
    bundle.run("teardown.sh", "--deep")
    assert additions(before) == (set(), set())


# --- the token


@pytest.mark.parametrize("method", BOTH)
def test_the_token_is_in_its_secret_only(method, space, tmp_path):
    bundle = Bundle(tmp_path / "out", method, namespace=space)
    before = inventory()
    log = tmp_path / "arguments"
    for name in ("kubectl", "helm"):
        real = shutil.which(os.environ.get(name.upper(), name))
        (tmp_path / name).write_text(f'#!/bin/bash\nprintf "%s\\n" "$0 $*" >> {log}\nexec {real} "$@"\n')
        (tmp_path / name).chmod(0o755)
    seen, stop = [], threading.Event()

    def watch():
        while not stop.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    if TOKEN.encode() in path.read_bytes():
                        seen.append(path.read_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    env = {"HF_TOKEN": TOKEN, "KUBECTL": str(tmp_path / "kubectl"), "HELM": str(tmp_path / "helm"), "TMPDIR": str(tmp_path)}
    with load_generator():
        said = bundle.run("e2e.sh", "--keep", **env)
    stop.set()
    thread.join()
    assert log.read_text().count("\n") > 10, "the programs that record were not used"
    assert not seen
    assert TOKEN not in said
    encoded = b64encode(TOKEN.encode()).decode()
    holders = {k for k, o in inventory().items() if TOKEN in json.dumps(o) or encoded in json.dumps(o)}
    assert holders - set(before) == {("Secret", space, "llm-d-hf-token")}
    files = [p for root in (tmp_path, STATE / "log", STATE / "pod-root") for p in root.rglob("*") if p.is_file()]
    assert [p for p in files if TOKEN.encode() in p.read_bytes() or encoded.encode() in p.read_bytes()] == []
    bundle.run("teardown.sh", **env)
    assert ("Secret", space, "llm-d-hf-token") in inventory(), "an ordinary teardown keeps the token"
    bundle.run("teardown.sh", "--deep", **env)
    assert additions(before) == (set(), set())
    assert TOKEN not in log.read_text() and encoded not in log.read_text()


# --- nothing without being asked


@pytest.mark.parametrize("method", BOTH)
def test_a_dry_run_touches_nothing(method, space, tmp_path):
    bundle = Bundle(tmp_path / "out", method, namespace=space)
    before = {k: content(o) for k, o in inventory().items()}
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with door() as other:
        config = kubeconfig(tmp_path / "kubeconfig", only={"cluster": {"server": f"https://127.0.0.1:{other['port']}"}})
        files[tmp_path / "kubeconfig"] = (tmp_path / "kubeconfig").read_bytes()
        for script in ("standup.sh", "smoketest.sh", "run.sh", "teardown.sh", "e2e.sh"):
            bundle.run(script, "--dry-run", KUBECONFIG=config)
        assert other["knocks"] == 0
    assert {k: content(o) for k, o in inventory().items()} == before
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == files


def test_two_people_apply_the_two_halves(space, tmp_path):
    bundle = Bundle(tmp_path / "out", namespace=space)
    before = inventory()
    bundle.run("standup.sh", "--admin")
    made = {k for k in inventory() if k not in before}
    assert {k[0] for k in made} <= {"Namespace", "ServiceAccount", "ConfigMap", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    assert ("Namespace", None, space) in made
    name = f"half-{space}"
    kubectl("create", "rolebinding", name, "-n", space, "--clusterrole=admin", f"--user={name}")
    kubectl("create", "clusterrole", name, "--verb=get,list", "--resource=storageclasses,namespaces")
    kubectl("label", "clusterrole", name, f"llmdbench.test/space={space}")
    kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", f"--user={name}")
    kubectl("label", "clusterrolebinding", name, f"llmdbench.test/space={space}")
    config = kubeconfig(tmp_path / "kubeconfig", member={"user": {"as": name}})
    bundle.run("standup.sh", "--namespaced", KUBECONFIG=config)
    settled(space)
    deployments = [o for o in API.list("Deployment", space)]
    assert len(deployments) == 2 and all(ready({**o, "kind": "Deployment"}) for o in deployments)
    bundle.run("teardown.sh", KUBECONFIG=config)
    assert API.list("Deployment", space) == []
