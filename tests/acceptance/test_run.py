"""What generates load: profiles, the objects of a run, and `run.sh`."""

import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tool import ROOT, clean_env, filled, json_text, kustomize, load, parallel, refusal, render, run, shipped

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="install tests/acceptance/requirements.txt")

PROFILES = sorted((p.parent.name, p.stem) for p in (ROOT / "scenarios" / "profiles").glob("*/*.yaml"))
# fmperf starts a job of its own, whose image has no version that the tool could know.
FMPERF = ["--set", "images.evaluation.tag=v1.0.0"]
METHODS = ["standalone", "modelservice"]
# Where each load generator looks for the server and for the names of the model.
PLACES = {
    "inference-perf": ("server.base_url", "server.model_name", "tokenizer.pretrained_model_name_or_path"),
    "guidellm": ("target", None, None),
    "vllm-benchmark": ("base-url", "served-model-name", "model"),
    "inferencemax": ("base-url", None, "model"),
    "fmperf": (None, "model_name", None),
    "nop": (None, "model_name", None),
}


def bundle(directory, *args):
    result = render("-o", directory, *args)
    assert result.returncode == 0, result.stderr.decode()
    return Path(directory)


def objects_of_run(directory):
    found = [load(p.read_text()) for p in sorted((directory / "run" / "manifests").glob("*.yaml"))]
    return {kind: [o for o in found if o["kind"] == kind] for kind in ("ConfigMap", "Job")}


def profile_of(config_map):
    ((name, text),) = config_map["data"].items()
    return name, load(text)


def container(job):
    return job["spec"]["template"]["spec"]["containers"][0]


def environment(job):
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container(job)["env"]}


def at(tree, path):
    for key in path.split("."):
        tree = tree[key]
    return tree


@pytest.mark.parametrize("name,method", list(itertools.product(shipped(), METHODS)))
def test_every_scenario_has_a_run_for_each_stack(tmp_path, name, method):
    out = bundle(tmp_path / "out", "-c", name, "-t", method, *filled(name))
    record = json.loads((out / "bundle.json").read_text())
    models = record["settings"]["models"]["value"]
    found = objects_of_run(out)
    assert len(found["Job"]) == len(found["ConfigMap"]) == len(models)
    assert kustomize(out / "run") == [o for pair in zip(found["ConfigMap"], found["Job"]) for o in pair]
    for config_map, job in zip(found["ConfigMap"], found["Job"]):
        env = environment(job)
        file, profile = profile_of(config_map)
        assert env["LLMDBENCH_RUN_EXPERIMENT_HARNESS_WORKLOAD_NAME"] == file
        place = PLACES[env["LLMDBENCH_HARNESS_NAME"]][0]
        if place:
            assert at(profile, place) == env["LLMDBENCH_HARNESS_STACK_ENDPOINT_URL"]
        mounts = {m["mountPath"]: m["name"] for m in container(job)["volumeMounts"]}
        assert mounts[f"/workspace/profiles/{env['LLMDBENCH_HARNESS_NAME']}"] == "profiles"
        volumes = {v["name"]: v for v in job["spec"]["template"]["spec"]["volumes"]}
        assert volumes["profiles"]["configMap"]["name"] == config_map["metadata"]["name"]
        assert volumes["results"]["persistentVolumeClaim"]["claimName"] == record["settings"]["harness.claimName"]["value"]
        for secret in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            assert env[secret]["secretKeyRef"]["name"] == record["settings"]["huggingFace.secretName"]["value"]
        for version in ("1.31", "1.37"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                kubernetes_validate.validate(job, version, strict=True)
                kubernetes_validate.validate(config_map, version, strict=True)
    listed = {(o["kind"], o["name"]) for o in record["delete"] if "kind" in o}
    assert {(o["kind"], o["metadata"]["name"]) for kind in found.values() for o in kind} <= listed


def test_load_is_no_part_of_what_is_applied_with_the_stacks(tmp_path):
    out = bundle(tmp_path / "out", "-c", "minimal")
    stream = render("-c", "minimal").stdout.decode()
    assert "load-generator" not in stream
    assert all("load-generator" not in json.dumps(o) for o in kustomize(out))


@pytest.mark.parametrize("harness,profile", PROFILES)
def test_every_profile_carries_server_and_model(tmp_path, harness, profile):
    for method in METHODS:
        out = bundle(
            tmp_path / method, "-c", "minimal", "-t", method, "-m", "org/Model-1:as-served", "-l", harness, "-w", profile, *FMPERF,
            "--set", "images.modelServer.tag=v1.0.0",
        )
        (job,), (config_map,) = objects_of_run(out)["Job"], objects_of_run(out)["ConfigMap"]
        name, tree = profile_of(config_map)
        assert name == f"{profile}.yaml"
        url, served, weights = PLACES[harness]
        endpoint = environment(job)["LLMDBENCH_HARNESS_STACK_ENDPOINT_URL"]
        assert endpoint.startswith("http://") and ".my-models.svc.cluster.local:80" in endpoint
        assert url is None or at(tree, url) == endpoint
        assert served is None or at(tree, served) == "as-served"
        assert weights is None or at(tree, weights) == "org/Model-1"
        assert "${" not in config_map["data"][name] and "REPLACE_ENV" not in config_map["data"][name]
        program = environment(job)["LLMDBENCH_RUN_EXPERIMENT_HARNESS"]
        assert program.startswith(f"{harness}-llm-d-benchmark.")


def test_names_agree_with_the_stacks_own_objects(tmp_path):
    out = bundle(tmp_path / "out", "-c", "minimal")
    service = next(o for o in kustomize(out) if o["kind"] == "Service" and o["spec"]["ports"][0]["port"] == 80)
    (job,) = objects_of_run(out)["Job"]
    expected = f"http://{service['metadata']['name']}.{service['metadata']['namespace']}.svc.cluster.local:80"
    assert environment(job)["LLMDBENCH_HARNESS_STACK_ENDPOINT_URL"] == expected


def parameters(tmp_path, *args):
    return profile_of(objects_of_run(bundle(tmp_path / "out", "-c", "minimal", *args))["ConfigMap"][0])[1]


def test_parameters_replace_those_of_the_profile(tmp_path):
    tree = parameters(tmp_path, "--overrides", "load.stages.*.duration=5,input_distribution.max=77,streaming=false")
    assert [s["duration"] for s in tree["load"]["stages"]] == [5]
    assert tree["data"]["input_distribution"]["max"] == 77 and tree["data"]["output_distribution"]["max"] == 100
    assert tree["api"]["streaming"] is False


@pytest.mark.parametrize("args,words", [
    (["--overrides", "maxx=1"], ["parameter of the workload profile `maxx`", "did you mean `max`?"]),
    (["--overrides", "max=1"], ["could be any of", "`data.input_distribution.max`"]),
    (["--overrides", "load.stages.0.rate=fast"], ["takes a number, not `fast`"]),
    (["-w", "sanity_randm"], ["unknown workload profile `sanity_randm`", "did you mean `sanity_random`?", "shared_prefix_synthetic"]),
    (["-l", "guidellm", "-w", "chatbot_synthetic"], ["unknown workload profile `chatbot_synthetic`", "sanity_concurrent"]),
    (["-w", "./gone.yaml"], ["cannot read `./gone.yaml`"]),
    (["-l", "fmperf"], ["lmcache-benchmark", "images.evaluation.tag"]),
    (["--endpoint", "nowhere"], ["harness.endpoint", "not `nowhere`"]),
    (["--set", "harness.output=ftp://x"], ["harness.output", "s3://"]),
    (["--set", "harness.variables=[LLMDBENCH_HARNES_]"], ["did you mean"]),
])
def test_what_is_wrong_is_refused(tmp_path, args, words):
    result = run("render", "-c", "minimal", "-o", tmp_path / "out", *args, cwd=tmp_path)
    assert refusal(result, tmp_path / "out") is None
    assert all(w in result.stderr.decode() for w in words), result.stderr.decode()


def test_a_profile_of_ones_own(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "target: REPLACE_ENV_LLMDBENCH_HARNESS_STACK_ENDPOINT_URL\n"
        "model: REPLACE_ENV_LLMDBENCH_DEPLOY_CURRENT_MODEL\n"
        "len: ${vllm.maxModelLen}\n"
        "text: \"it's ${model.servedName} # and more\"\n"
    )
    out = tmp_path / "out"
    result = render("-c", "minimal", "-l", "guidellm", "-w", "./mine.yaml", "-o", out, cwd=tmp_path)
    assert result.returncode == 0, result.stderr.decode()
    record = json.loads((out / "bundle.json").read_text())
    name, tree = profile_of(objects_of_run(out)["ConfigMap"][0])
    assert name == "mine.yaml" and tree["model"] == "facebook/opt-125m"
    assert tree["len"] == record["settings"]["vllm.maxModelLen"]["value"]
    assert tree["text"] == "it's facebook/opt-125m # and more"
    assert "./mine.yaml" in [i["name"] for i in record["inputs"]]
    (tmp_path / "mine.yaml").write_text("target: x\nother: 1\n")
    second = render("-c", "minimal", "-l", "guidellm", "-w", "./mine.yaml", "-o", tmp_path / "second", cwd=tmp_path)
    assert second.returncode == 0
    assert json.loads((tmp_path / "second" / "bundle.json").read_text())["id"] != record["id"]


def test_a_folder_of_profiles_goes_before_the_shipped_ones(tmp_path):
    own = tmp_path / "profiles" / "guidellm"
    own.mkdir(parents=True)
    (own / "sanity_concurrent.yaml.in").write_text("target: REPLACE_ENV_LLMDBENCH_HARNESS_STACK_ENDPOINT_URL\nrate: 9\n")
    tree = parameters(tmp_path, "-l", "guidellm", "--set", f"harness.profilesDir={tmp_path / 'profiles'}")
    assert tree["rate"] == 9 and tree["target"].startswith("http://")
    (own / "sanity_concurrent.yaml.in").write_text("rate: 9\n")
    result = run("render", "-c", "minimal", "-l", "guidellm", "--set", f"harness.profilesDir={tmp_path / 'profiles'}")
    assert result.returncode == 2 and b"has no `target`" in result.stderr


def test_hostile_text_in_a_profile_arrives_as_it_is(tmp_path):
    hostile = ["on", "1e3", "a: b # c", "it's \"$(x)\" `y` & ^ \\", "{{ x }}", "tab\there", "ünï", "%s", "- x", "line\nline"]
    (tmp_path / "p.yaml").write_text("target: x\n" + "".join(f"k{i}: {json_text(t)}\n" for i, t in enumerate(hostile)))
    out = bundle(tmp_path / "out", "-c", "minimal", "-l", "guidellm", "-w", tmp_path / "p.yaml")
    tree = profile_of(objects_of_run(out)["ConfigMap"][0])[1]
    assert [tree[f"k{i}"] for i in range(len(hostile))] == hostile
    # run.sh carries the profile too, for another endpoint.
    shell = subprocess.run(
        ["bash", "-c", "eval \"$(sed -n '/^profile_of() {/,/^}/p' \"$1\")\"; profile_of \"$2\" http://e m", "-", out / "run.sh", "standalone-opt-125m-8139fc6d"],
        capture_output=True, check=True,
    )
    assert [load(shell.stdout)[f"k{i}"] for i in range(len(hostile))] == hostile


def test_an_endpoint_takes_the_place_of_the_stacks(tmp_path):
    out = bundle(tmp_path / "out", "-c", "minimal", "-t", "standalone,modelservice", "--set", "images.modelServer.tag=v1.0.0", "--endpoint", "http://there.example.com:8000/base/")
    (job,) = objects_of_run(out)["Job"]
    assert environment(job)["LLMDBENCH_HARNESS_STACK_ENDPOINT_URL"] == "http://there.example.com:8000/base"
    assert profile_of(objects_of_run(out)["ConfigMap"][0])[1]["server"]["base_url"] == "http://there.example.com:8000/base"


def test_settings_of_the_load_generator_reach_its_pod(tmp_path):
    out = bundle(
        tmp_path / "out", "-c", "minimal", "--set", "harness.parallelism=3", "--set", "harness.podLabel=mine", "--set", "harness.tokenizerThreads=7",
        "--set", "harness.datasetUrl=https://example.com/d/recorded.json", "--set", "harness.variables=[LLMDBENCH_VLLM_COMMON_MAX_]",
        "--set", "harness.scrapeMetrics=true", "--set", "harness.namespace=load", "--set", "harness.workspaceDir=/ws",
    )
    (job,) = objects_of_run(out)["Job"]
    env = environment(job)
    assert job["metadata"]["namespace"] == "load"
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 3 and job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["template"]["metadata"]["labels"]["app"] == "mine"
    assert env["RAYON_NUM_THREADS"] == "7" and env["LLMDBENCH_HARNESS_LOAD_PARALLELISM"] == "3"
    assert env["LLMDBENCH_RUN_DATASET_URL"].endswith("recorded.json") and env["LLMDBENCH_RUN_DATASET_FILE"] == "recorded.json"
    assert env["LLMDBENCH_RUN_DATASET_DIR"] == "/ws" and env["LLMDBENCH_RUN_WORKSPACE_DIR"] == "/ws"
    assert env["LLMDBENCH_VLLM_COMMON_MAX_MODEL_LEN"].isdigit()
    assert env["LLMDBENCH_RUN_EXPERIMENT_RESULTS_DIR"].endswith("_$(JOB_COMPLETION_INDEX)")
    names = list(env)
    assert names.index("JOB_COMPLETION_INDEX") < names.index("LLMDBENCH_RUN_EXPERIMENT_RESULTS_DIR")
    assert names.index("LLMDBENCH_RUN_EXPERIMENT_ID") < names.index("LLMDBENCH_RUN_EXPERIMENT_RESULTS_DIR")
    # It looks at pods of another namespace, so it has a token and rights there.
    assert job["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
    binding = next(o for o in kustomize(out) if o["kind"] == "RoleBinding" and o["metadata"]["namespace"] == "my-models" and o["metadata"]["name"].endswith("server-reader"))
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": job["spec"]["template"]["spec"]["serviceAccountName"], "namespace": "load"}]


def test_a_load_generator_that_asks_nothing_has_no_token(tmp_path):
    (job,) = objects_of_run(bundle(tmp_path / "out", "-c", "minimal"))["Job"]
    assert job["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_nop_is_told_where_the_launcher_of_servers_answers(tmp_path):
    out = bundle(tmp_path / "out", "-c", "minimal", "-l", "nop", "--set", "standalone.launcher.enabled=true")
    (job,) = objects_of_run(out)["Job"]
    env = environment(job)
    ports = {p["name"]: p["port"] for o in kustomize(out) if o["kind"] == "Service" for p in o["spec"]["ports"]}
    host = env["LLMDBENCH_HARNESS_STACK_ENDPOINT_URL"].removesuffix(":80")
    assert env["LLMDBENCH_HARNESS_STACK_ENDPOINT_LAUNCHER_URL"] == f"{host}:{ports['http-launcher']}"
    assert env["LLMDBENCH_HARNESS_STACK_ENDPOINT_LAUNCHER_VLLM_URL"] == f"{host}:{ports['http-started']}"
    assert env["LLMDBENCH_STANDALONE_ENABLED"] == env["LLMDBENCH_STANDALONE_LAUNCHER_ENABLED"] == "true"
    assert job["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_jobs_that_fmperf_starts_have_names_that_are_valid_and_known_to_the_script(tmp_path):
    out = bundle(tmp_path / "out", "-c", "minimal", "-l", "fmperf", *FMPERF, "--set", "harness.parallelism=2", "--set", "harness.runPrefix=nightly-10")
    (job,) = objects_of_run(out)["Job"]
    run = "nightly-10-20261124-171334-29bc"
    name = environment(job)["LLMDBENCH_FMPERF_JOB_ID"].replace("$(LLMDBENCH_RUN_EXPERIMENT_ID)", run).replace("$(JOB_COMPLETION_INDEX)", "12")
    assert len(f"lmbenchmark-evaluate-{name}") <= 63
    target = next(line for line in (out / "run.sh").read_text().splitlines() if line.startswith("  'standalone-opt-125m"))
    assert f"lmbenchmark-evaluate-{target.split('|')[7]}-{run}-12" == f"lmbenchmark-evaluate-{name}"


def test_variables_of_the_original_are_known(tmp_path):
    (tmp_path / "s.sh").write_text(
        "export LLMDBENCH_DEPLOY_METHODS=standalone\nexport LLMDBENCH_DEPLOY_MODEL_LIST=facebook/opt-125m\n"
        "export LLMDBENCH_HARNESS_NAME=vllm-benchmark\nexport LLMDBENCH_HARNESS_EXPERIMENT_PROFILE=random_concurrent.yaml\n"
        "export LLMDBENCH_HARNESS_EXPERIMENT_PROFILE_OVERRIDES=max-concurrency=4,num-prompts=8\n"
        "export LLMDBENCH_HARNESS_LOAD_PARALLELISM=2\nexport LLMDBENCH_HARNESS_OUTPUT=gs://bucket/x\nexport LLMDBENCH_HARNESS_WAIT_TIMEOUT=12\n"
        "export LLMDBENCH_VLLM_COMMON_METRICS_SCRAPE_ENABLED=true\n"
    )
    out = bundle(tmp_path / "out", "-c", tmp_path / "s.sh")
    tree = profile_of(objects_of_run(out)["ConfigMap"][0])[1]
    assert tree["max-concurrency"] == 4 and tree["num-prompts"] == 8 and tree["random-input-len"] == 10000
    script = (out / "run.sh").read_text()
    assert "\ntimeout_run=12\n" in script and "\noutput=gs://bucket/x\n" in script and "\nscrapes=yes\n" in script
    assert objects_of_run(out)["Job"][0]["spec"]["parallelism"] == 2


class Fake:
    """A kubectl that writes down how it was called, and fails."""

    def __init__(self, directory):
        self.calls = Path(directory) / "calls"
        self.path = Path(directory) / "kubectl"
        self.path.write_text(f"#!/bin/sh\necho \"$@\" >> {self.calls}\n[ \"$1 $2\" = 'config current-context' ] && echo here && exit 0\nexit 1\n")
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def run(self, script, *args, cwd=None):
        return subprocess.run([script, *args], env=clean_env(KUBECTL=str(self.path)), cwd=cwd, capture_output=True, text=True)

    def called(self):
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    out = bundle(tmp_path_factory.mktemp("run") / "out", "-c", "minimal", "-m", "facebook/opt-125m,gpt2", "--set", "harness.output=s3://bucket/x")
    assert os.access(out / "run.sh", os.X_OK)
    return out / "run.sh"


def test_a_dry_run_touches_nothing(script, tmp_path):
    fake = Fake(tmp_path)
    result = fake.run(script, "--dry-run", "--endpoint", "http://e:1", "--stack", "standalone-gpt2-238f51b7", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert fake.called() == ["config current-context"]
    assert "would run: " in result.stdout and "http://e:1" in result.stdout and "s3://bucket/x" in result.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["calls", "kubectl"]


@pytest.mark.parametrize("args,words", [
    (["-l", "fmperf"], "chosen when the bundle is rendered"),
    (["--workload=x"], "chosen when the bundle is rendered"),
    (["--overrides", "a=1"], "chosen when the bundle is rendered"),
    (["--model", "x"], "give --endpoint too"),
    (["--endpoint", "http://e", "--model", "x"], "choose one with --stack"),
    (["--endpoint", "http://e", "--model", "true", "--stack", "standalone-gpt2-238f51b7"], "not `true`"),
    (["--endpoint", "http://e/$(x)"], "takes a URL"),
    (["--stack", "gpt2"], "no stack is called `gpt2`"),
    (["--new", "--skip"], "do not go together"),
    (["--timeout", "soon"], "takes seconds"),
    (["--bogus"], "unknown option `--bogus`"),
])
def test_wrong_usage_is_refused_before_anything_is_asked(script, tmp_path, args, words):
    fake = Fake(tmp_path)
    result = fake.run(script, *args, cwd=tmp_path)
    assert result.returncode == 2 and words in result.stderr, result.stderr
    assert fake.called() == []


def test_an_api_server_that_does_not_answer_is_a_clear_error(script, tmp_path):
    fake = Fake(tmp_path)
    result = fake.run(script, "--context", "there", cwd=tmp_path)
    assert result.returncode == 2 and "error: " in result.stderr and "there" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["calls", "kubectl"]
    # Every call but the questions about contexts names the one that was given.
    assert all(c.startswith(("--context there ", "config ")) for c in fake.called())


def test_the_script_is_clean(script):
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert shellcheck, "install tests/acceptance/requirements.txt"
    result = subprocess.run([shellcheck, script], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[:3000]
