"""Layers: which one wins, and where each value is said to come from."""

import json

import pytest

from tool import clean_env, load_all, render, run

SHELL = "# a comment\nexport LLMDBENCH_DEPLOY_MODEL_LIST=a/b\n  export LLMDBENCH_VLLM_COMMON_REPLICAS=3\n"


def namespace(result):
    assert result.returncode == 0, result.stderr.decode()
    return next(o["metadata"]["name"] for o in load_all(result.stdout.decode()) if o["kind"] == "Namespace")


def test_environment_below_scenario_below_set_below_flag(tmp_path):
    (tmp_path / "s.sh").write_text("export LLMDBENCH_VLLM_COMMON_NAMESPACE=scenario\n")
    (tmp_path / "empty.sh").write_text("export LLMDBENCH_VLLM_COMMON_REPLICAS=1\n")
    (tmp_path / "own.yaml").write_text("namespace: own\n")
    env = clean_env(LLMDBENCH_VLLM_COMMON_NAMESPACE="environment")
    base = ["-t", "standalone"]
    both = [*base, "--set", "namespace=set"]
    own = ["--defaults", "./own.yaml"]

    def name(*arguments, env=env):
        return namespace(render(*arguments, env=env, cwd=tmp_path))

    assert name("-c", "./empty.sh", *base, env=clean_env()) == "llmdbench"
    assert name("-c", "./empty.sh", *base, *own, env=clean_env()) == "own"
    assert name("-c", "./empty.sh", *base, *own) == "environment"
    assert name("-c", "./empty.sh", *base, *own, "--no-env") == "own"
    assert name("-c", "./s.sh", *base, *own) == "scenario"
    assert name("-c", "./s.sh", *both) == "set"
    assert name("-c", "./s.sh", *both, "-p", "flag") == "flag"
    assert name("-c", "./s.sh", *both, "--set", "LLMDBENCH_VLLM_COMMON_NAMESPACE=last") == "last"


def test_an_empty_variable_of_the_environment_is_not_set():
    env = clean_env(LLMDBENCH_VLLM_COMMON_NAMESPACE="")
    assert namespace(render("-c", "cicd", "-t", "standalone", env=env)) == "llmdbenchcicd"


def test_origins_name_the_layer_the_place_and_the_variable(tmp_path):
    (tmp_path / "s.sh").write_text(SHELL)
    env = clean_env(LLMDBENCH_VLLM_COMMON_CPU_NR="9")
    arguments = ["-c", "./s.sh", "-t", "standalone", "--set", "vllm.port=81", "--set", "LLMDBENCH_VLLM_COMMON_CPU_MEM=9Gi", "-o", "out"]
    assert run("render", *arguments, env=env, cwd=tmp_path).returncode == 0
    bundle = json.loads((tmp_path / "out" / "bundle.json").read_text())
    origin = {path: s["origin"] for path, s in bundle["settings"].items()}
    assert origin["models"] == {"layer": "scenario", "source": "./s.sh", "line": 2, "column": 36, "variable": "LLMDBENCH_DEPLOY_MODEL_LIST"}
    assert origin["replicas"] == {"layer": "scenario", "source": "./s.sh", "line": 3, "column": 41, "variable": "LLMDBENCH_VLLM_COMMON_REPLICAS"}
    assert origin["resources.cpu"] == {"layer": "environment", "source": "environment", "line": 1, "column": 30, "variable": "LLMDBENCH_VLLM_COMMON_CPU_NR"}
    assert origin["vllm.port"] == {"layer": "set", "source": "--set", "line": 1, "column": 11}
    assert origin["resources.memory"]["variable"] == "LLMDBENCH_VLLM_COMMON_CPU_MEM"
    assert origin["methods"] == {"layer": "flag", "source": "--methods", "line": 1, "column": 11}
    assert origin["namespace"]["layer"] == "default" and origin["namespace"]["source"] == "scenarios/defaults/2025-08.yaml"
    assert origin["decode.replicas"] == {"layer": "derived", "from": "replicas"}
    assert {i["name"] for i in bundle["inputs"]} == {"./s.sh", "scenarios/defaults/2025-08.yaml"}


@pytest.mark.parametrize(
    "text, edition, why",
    [
        ("export LLMDBENCH_VLLM_COMMON_REPLICAS=1\n", "2025-08", "no other edition"),
        ("export LLMDBENCH_VLLM_COMMON_SHM=1Gi\n", "2025-08", "LLMDBENCH_VLLM_COMMON_SHM"),
        ("export LLMDBENCH_VLLM_COMMON_SHM_MEM=1Gi\n", "2026-03", "LLMDBENCH_VLLM_COMMON_SHM_MEM"),
    ],
)
def test_the_edition_of_a_shell_scenario_is_told_by_its_names(text, edition, why, tmp_path):
    (tmp_path / "s.sh").write_text(text)
    result = run("render", "-c", "./s.sh", "-t", "standalone", "-o", "out", "--no-env", cwd=tmp_path)
    assert result.returncode == 0, result.stderr.decode()
    assert any(f"edition `{edition}`" in line and why in line for line in result.stderr.decode().splitlines())
    bundle = json.loads((tmp_path / "out" / "bundle.json").read_text())
    assert bundle["settings"]["edition"]["value"] == edition


def test_the_chosen_edition_is_the_recorded_one(tmp_path):
    (tmp_path / "s.yaml").write_text("edition: '2026-03'\nmodels: [a/b]\n")
    arguments = ["-c", "./s.yaml", "-t", "standalone", "--defaults", "2025-08", "-o", "out", "--no-env"]
    assert render(*arguments, cwd=tmp_path).returncode == 0
    bundle = json.loads((tmp_path / "out" / "bundle.json").read_text())
    assert bundle["settings"]["edition"]["value"] == "2025-08"
    assert [i["name"] for i in bundle["inputs"]] == ["./s.yaml", "scenarios/defaults/2025-08.yaml"]


def test_tensor_parallelism_and_accelerators_derive_from_each_other(tmp_path):
    def pod(*sets):
        result = render("-c", "minimal", "--no-env", *[a for s in sets for a in ("--set", s)], cwd=tmp_path)
        assert result.returncode == 0, result.stderr.decode()
        server = [o for o in load_all(result.stdout.decode()) if o["kind"] == "Deployment"][-1]["spec"]["template"]["spec"]["containers"][0]
        return server["resources"]["limits"].get("nvidia.com/gpu"), server["args"][server["args"].index("--tensor-parallel-size") + 1]

    assert pod() == ("1", "1")
    assert pod("accelerator.count=4") == ("4", "4")
    assert pod("parallelism.tensor=2") == ("2", "2")
    assert pod("parallelism.tensor=2", "parallelism.dataLocal=4") == ("8", "2")
    assert pod("accelerator.count=8", "parallelism.dataLocal=4") == ("8", "2")
    assert pod("accelerator.count=0") == (None, "1")
