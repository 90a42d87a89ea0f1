"""What a scenario says of model servers, in what each chart version makes of the values: pods of Deployments and of
LeaderWorkerSets carry it, and a strict schema takes them.

As in test_charts.py, CHARTS_DIR names a folder with charts, and HELM another program than `helm`.
"""

import kubernetes_validate
import pytest

from test_charts import CHARTS, number, versions
from tool import clean_env, load_all, run

pytestmark = pytest.mark.skipif(not CHARTS.is_dir(), reason="CHARTS_DIR names no folder with charts")

SCENARIO = """
edition: "2026-03"
methods: [modelservice]
models: [org/model]
release: rel
namespace: ns
images: {modelServer: "example.com/server:v1"}
modelservice:
  multinode: MULTINODE
  mountModelVolume: true
  extra: {volumes: [{name: of-method, emptyDir: {}}]}
accelerator: {resource: amd}
parallelism: {tensor: 2, dataLocal: 4, workers: 2}
resources: {ephemeralStorage: 9Gi}
pod:
  extraAnnotations: {a.example/net: fast}
  peerLabels: a=b
  pullSecret: registry
  extra:
    volumes: [{name: of-all, emptyDir: {medium: Memory, sizeLimit: "${resources.sharedMemory}"}}]
    volumeMounts: [{name: of-all, mountPath: /dev/shm}, {name: of-method, mountPath: /method}]
    container:
      securityContext: {runAsUser: 0, fsGroup: 107}
      lifecycle: {preStop: {exec: {command: ["{{ x }}"]}}}
      ports: [{name: metrics, containerPort: "${vllm.metricsPort}"}]
    pod: {hostIPC: true, tolerations: [{key: a.example/gpu, operator: Exists}]}
    initContainers: INIT
probes: {startupInitialDelay: 240, startupFailureThreshold: 99, startupPath: /v1/models, readinessPath: /ready}
vllm:
  env: [{name: A, value: "{{ all }}"}, {name: B, value: all}]
  maxNumSeqs: 77
decode:
  modelCommand: custom
  image: example.com/decode:v2
  env: [{name: B, value: decode}, {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]
  preprocess: source /setup/env.sh
  args: "vllm serve org/model --port $VLLM_METRICS_PORT --tensor-parallel-size $TP_SIZE"
  extra: {volumes: [{name: of-decode, emptyDir: {}}]}
prefill: {replicas: 2, parallelism: {tensor: 1, dataLocal: 1, workers: 1}}
"""

INIT = "[{name: first, image: 'example.com/init:v3', command: [prepare], volumeMounts: [{name: of-all, mountPath: /x}]}]"
# From here on the chart knows ranks of pods; in between it writes an init container of a group as invalid YAML.
SPREAD, BROKEN, MENDED = (0, 3, 6), (0, 3, 11), (0, 4, 9)
NEW = [v for v in versions("llm-d-modelservice") if number(v) >= SPREAD]


def inflate(tmp_path, version, multinode, *more):
    broken = multinode and BROKEN <= number(version) < MENDED
    text = SCENARIO.replace("MULTINODE", str(multinode).lower()).replace("INIT", "[]" if broken else INIT)
    (tmp_path / "s.yaml").write_text(text)
    arguments = ["-c", "./s.yaml", "--no-env", "--set", f"charts.modelservice.version={version}", *more]
    result = run("render", "-q", *arguments, "--charts", "inflate", "--charts-dir", CHARTS, cwd=tmp_path, env=clean_env())
    assert result.returncode == 0, result.stderr.decode()
    return load_all(result.stdout.decode()), not broken


def pods(objects, kind):
    found = {}
    for o in objects:
        if o["kind"] == kind and o["metadata"]["name"].endswith(("-decode", "-prefill")):
            spec = o["spec"]
            template = spec["template"] if kind == "Deployment" else spec["leaderWorkerTemplate"]["workerTemplate"]
            found[o["metadata"]["name"].rsplit("-", 1)[1]] = (o, template)
    return found


def strict(template):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "x"}, "spec": template["spec"]}
    kubernetes_validate.validate(pod, "1.34", strict=True)


def check_role(name, template, with_init):
    spec, metadata = template["spec"], template["metadata"]
    server = next(c for c in spec["containers"] if c["name"] == "vllm")
    env = {e["name"]: e for e in server["env"]}
    assert len(env) == len(server["env"]), "a variable twice"
    gpus = {"decode": "8", "prefill": "1"}[name]
    for side in ("limits", "requests"):
        assert server["resources"][side]["amd.com/gpu"] == gpus
        assert server["resources"][side]["ephemeral-storage"] == "9Gi"
    assert server["image"] == {"decode": "example.com/decode:v2", "prefill": "example.com/server:v1"}[name]
    assert env["A"]["value"] == "{{ all }}"
    assert env["B"]["value"] == {"decode": "decode", "prefill": "all"}[name]
    assert env["VLLM_MAX_NUM_SEQ"]["value"] == "77"
    assert env["VLLM_TENSOR_PARALLELISM"]["value"] == env["TP_SIZE"]["value"] == {"decode": "2", "prefill": "1"}[name]
    assert env["DP_SIZE_LOCAL"]["value"] == {"decode": "4", "prefill": "1"}[name]
    assert env["LLMDBENCH_POD_LABELS"]["value"] == "a=b"
    assert metadata["annotations"]["a.example/net"] == "fast"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["hostIPC"] is True and spec["tolerations"] == [{"key": "a.example/gpu", "operator": "Exists"}]
    assert spec["securityContext"] == {"fsGroup": 107} and server["securityContext"] == {"runAsUser": 0}
    assert server["lifecycle"]["preStop"]["exec"]["command"] == ["{{ x }}"]
    assert server["ports"] == [{"name": "metrics", "containerPort": 8200}]
    assert server["startupProbe"]["httpGet"]["path"] == "/v1/models"
    assert server["startupProbe"]["initialDelaySeconds"] == 240 and server["startupProbe"]["failureThreshold"] == 99
    assert server["readinessProbe"]["httpGet"]["path"] == "/ready"
    volumes = {v["name"]: v for v in spec["volumes"]}
    assert len(volumes) == len(spec["volumes"]), "a volume twice"
    assert volumes["of-all"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Gi"}
    assert ("of-decode" in volumes) == (name == "decode") and "of-method" in volumes and "shm" not in volumes
    mounts = {m["mountPath"]: m["name"] for m in server["volumeMounts"]}
    assert len(mounts) == len(server["volumeMounts"]), "a path twice"
    assert mounts["/dev/shm"] == "of-all" and mounts["/method"] == "of-method" and "/model-cache" in mounts
    init = [c["name"] for c in spec.get("initContainers", [])]
    assert ("first" in init) == with_init
    assert ("routing-proxy" in init) == (name == "decode")
    if name == "decode":
        assert server["command"] == ["/bin/bash", "-c"]
        assert "source /setup/env.sh" in server["args"][0] and "--tensor-parallel-size $TP_SIZE" in server["args"][0]


@pytest.mark.parametrize("version", NEW)
def test_pods_of_deployments_carry_what_the_scenario_says(version, tmp_path):
    objects, with_init = inflate(tmp_path, version, False)
    found = pods(objects, "Deployment")
    assert found.keys() == {"decode", "prefill"}
    for name, (_, template) in found.items():
        check_role(name, template, with_init)
        strict(template)


@pytest.mark.parametrize("version", NEW)
def test_pods_of_groups_carry_what_the_scenario_says(version, tmp_path):
    objects, with_init = inflate(tmp_path, version, True)
    found = pods(objects, "LeaderWorkerSet")
    assert found.keys() == {"decode", "prefill"}
    for name, (group, template) in found.items():
        assert group["spec"]["leaderWorkerTemplate"]["size"] == {"decode": 2, "prefill": 1}[name]
        check_role(name, template, with_init)


@pytest.mark.parametrize("version", [v for v in NEW if number(v) >= (0, 4, 1)])
def test_pods_claim_accelerators_by_templates_that_exist(version, tmp_path):
    objects, _ = inflate(tmp_path, version, False, "--set", "accelerator.dynamicResourceAllocation=true")
    templates = {o["metadata"]["name"]: o for o in objects if o["kind"] == "ResourceClaimTemplate"}
    for name, (_, template) in pods(objects, "Deployment").items():
        (claim,) = template["spec"]["resourceClaims"]
        request = templates[claim["resourceClaimTemplateName"]]["spec"]["spec"]["devices"]["requests"][0]
        assert request["exactly"]["count"] == {"decode": 8, "prefill": 1}[name]
        assert request["exactly"]["deviceClassName"] == "gpu.amd.com"
        server = next(c for c in template["spec"]["containers"] if c["name"] == "vllm")
        assert server["resources"]["claims"] == [{"name": claim["name"]}]
        assert "amd.com/gpu" not in server["resources"]["limits"]
        strict(template)


@pytest.mark.parametrize("version", [v for v in NEW if number(v) >= (0, 4, 1)])
def test_a_priority_class_reaches_the_pod_by_its_key_or_as_a_field(version, tmp_path):
    objects, _ = inflate(tmp_path, version, False, "--set", "pod.priorityClassName=high")
    for _, template in pods(objects, "Deployment").values():
        assert template["spec"]["priorityClassName"] == "high"
