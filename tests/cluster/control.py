"""The control plane that `cluster up` started, for the tests: what it holds, read straight from its API; kubectl for what is tested.

It needs the variables of `cluster env`; `tests/run cluster` sets them.
"""

import base64
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "acceptance"))
from tool import BLANKS, shipped  # noqa: E402

if "TEST_CLUSTER_DIR" not in os.environ:
    raise SystemExit("no control plane: `tests/run cluster` starts one")

STATE = Path(os.environ["TEST_CLUSTER_DIR"])
# How long anything may take; the control plane needs seconds, a busy machine more.
PATIENCE = 180
# A folder with published charts, CHART/VERSION/. It is no part of the project: without it the llm-d method is not run.
CHARTS = Path(os.environ.get("CHARTS_DIR", "/nonexistent"))
needs_charts = pytest.mark.skipif(not CHARTS.is_dir(), reason="CHARTS_DIR names no folder with charts: the llm-d method was not run")


def kubectl(*args, stdin=None, check=True):
    cache_dir = f"--cache-dir={STATE}/home/kube"
    result = subprocess.run(["kubectl", cache_dir, *map(str, args)], input=stdin, capture_output=True)
    assert result.returncode == 0 or not check, result.stderr.decode() + result.stdout.decode()
    return result


class Api:
    """Reads from the API server of a kubeconfig, without the second that a kubectl takes to start."""

    def __init__(self, kubeconfig):
        config = yaml.safe_load(Path(kubeconfig).read_text())
        cluster = config["clusters"][0]["cluster"]
        self.server = cluster["server"]
        self.token = config["users"][0]["user"]["token"]
        self.tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())

    def get(self, path):
        """The object of a path; None where there is none."""
        request = urllib.request.Request(self.server + path, headers={"Authorization": f"Bearer {self.token}", "Accept": "application/json"})
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise AssertionError(f"GET {path}: {error.code} {error.read().decode()}") from error

    @cache
    def resources(self):
        """What is served, in its preferred version: (apiVersion, kind) to (path of its API, plural, whether in a namespace)."""
        groups = [("v1", "/api/v1")]
        for group in self.get("/apis")["groups"]:
            version = group["preferredVersion"]["groupVersion"]
            groups.append((version, f"/apis/{version}"))
        found = {}
        for version, path in groups:
            for resource in self.get(path)["resources"]:
                if "/" not in resource["name"] and "list" in resource["verbs"]:
                    found[version, resource["kind"]] = (path, resource["name"], resource["namespaced"])
        return found

    def list(self, kind, namespace=None, labels=""):
        """Objects of a kind, which has one group here or is of Kubernetes' own."""
        [(path, plural, _), *_] = [v for (_, k), v in self.resources().items() if k == kind]
        where = f"/namespaces/{namespace}" if namespace else ""
        return self.get(f"{path}{where}/{plural}?labelSelector={urllib.parse.quote(labels)}")["items"]

    def everything(self, skip=()):
        """All objects of all kinds: (apiVersion, kind, namespace, name) to the object."""
        def read(entry):
            (version, kind), (path, plural, _) = entry
            return [(version, kind, o) for o in self.get(f"{path}/{plural}")["items"]]

        wanted = [e for e in self.resources().items() if e[0][1] not in skip]
        with ThreadPoolExecutor(max_workers=4) as pool:
            lists = list(pool.map(read, wanted))
        return {(v, k, o["metadata"].get("namespace"), o["metadata"]["name"]): o for found in lists for v, k, o in found}


API = Api(os.environ["KUBECONFIG"])


def until(what, condition, patience=PATIENCE):
    """What the condition gives once it gives anything."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {patience} s"
        time.sleep(0.2)
    return found


def arguments(name, method, namespace, platform="kubernetes", **sets):
    """The arguments of `render` for a shipped scenario, its blanks filled in."""
    sets = {**BLANKS.get(name, {}), "namespace": namespace, "platform": platform, **{k.replace("__", "."): v for k, v in sets.items()}}
    if "storage.storageClass" in BLANKS.get(name, {}):
        sets["storage.storageClass"] = "standard"
    return ["-c", name, "-t", method, "--no-env", *[a for k, v in sets.items() for a in ("--set", f"{k}={v}")]]


def where(o):
    """The path of an object that is on the cluster."""
    version = o["apiVersion"]
    base = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    key = next((k for k in API.resources() if k[1] == o["kind"] and k[0].split("/")[0] == version.split("/")[0]), None)
    _, plural, namespaced = API.resources()[key]
    return f"{base}{'/namespaces/' + o['metadata']['namespace'] if namespaced else ''}/{plural}/{o['metadata']['name']}"


def content(o):
    """An object without what a write that changes nothing may count up: where a definition has a default in `status`, each write of `spec` is one."""
    return {**o, "metadata": {k: v for k, v in o["metadata"].items() if k not in ("resourceVersion", "managedFields")}}


def on_cluster(objects):
    """What the cluster has of the objects, whole."""
    found = {(o["kind"], o["metadata"]["name"]): API.get(where(o)) for o in objects}
    missing = [k for k, o in found.items() if o is None]
    assert not missing, f"not on the cluster: {missing}"
    return {k: content(o) for k, o in found.items()}


def ready(o):
    """Whether an object that works for somebody does: a claim is bound, a Job complete, a Deployment available."""
    status = o.get("status", {})
    kind, conditions = o["kind"], {c["type"] for c in status.get("conditions", []) if c["status"] == "True"}
    if kind == "PersistentVolumeClaim":
        return status.get("phase") == "Bound"
    if kind == "Job":
        return "Complete" in conditions
    if kind == "Gateway":
        return "Programmed" in conditions
    if kind == "LeaderWorkerSet":
        return status.get("readyReplicas", 0) == o["spec"]["replicas"]
    if kind == "Deployment":
        current = status.get("observedGeneration") == o["metadata"]["generation"]
        return current and status.get("updatedReplicas", 0) == status.get("availableReplicas", 0) == o["spec"]["replicas"]
    return True


def settled(namespace, kinds=("PersistentVolumeClaim", "Job", "Deployment", "Gateway", "LeaderWorkerSet")):
    """Waits until everything of a namespace works."""
    def waiting():
        return [f"{k} {o['metadata']['name']}" for k in kinds if any(key[1] == k for key in API.resources()) for o in API.list(k, namespace) if not ready({**o, "kind": k})]

    end = time.monotonic() + PATIENCE
    while still := waiting():
        if time.monotonic() > end:
            pods = [(p["metadata"]["name"], [c.get("message") for c in p["status"].get("conditions", []) if c["status"] == "False"]) for p in API.list("Pod", namespace)]
            raise AssertionError(f"not ready in {PATIENCE} s: {still}; pods: {pods}")
        time.sleep(0.2)


__all__ = [name for name in dir() if not name.startswith("_")]
