"""Layers: which one wins, and where each value is said to come from."""

import json

import pytest

from tool import MODEL, clean_env, load_all, refusal, render, run

COMMENTED = "# a comment\nexport LLMDBENCH_DEPLOY_MODEL_LIST=a/b\n  export LLMDBENCH_VLLM_COMMON_REPLICAS=3\n"


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
    (tmp_path / "s.sh").write_text(COMMENTED)
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


# Lowest first.
LAYERS = ["own defaults", "environment", "scenario", "set", "flag"]


def prepare(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)


START = f"models: [{MODEL}]\n"
SHELL = f"export LLMDBENCH_DEPLOY_METHODS=standalone\nexport LLMDBENCH_DEPLOY_MODEL_LIST={MODEL}\n"


def layered(tmp_path, layers):
    """Arguments and environment in which exactly these layers set the namespace, each to its own name."""
    prepare(tmp_path, {"own.yaml": "replicas: 9\n" + ("namespace: own-defaults\n" if "own defaults" in layers else ""),
                       "s.yaml": START + ("namespace: scenario\n" if "scenario" in layers else ""),
                       "s.sh": SHELL + ("export LLMDBENCH_VLLM_COMMON_NAMESPACE=scenario\n" if "scenario" in layers else "")})
    args = ["--defaults", "own.yaml"]
    args += ["--set", "namespace=set"] if "set" in layers else []
    args += ["-p", "flag"] if "flag" in layers else []
    env = clean_env(**({"LLMDBENCH_VLLM_COMMON_NAMESPACE": "environment"} if "environment" in layers else {}))
    return args, env


@pytest.mark.parametrize("language", ["yaml", "sh"])
@pytest.mark.parametrize("chosen", range(1, 32))
def test_the_highest_layer_wins(language, chosen, tmp_path):
    layers = [name for bit, name in enumerate(LAYERS) if chosen >> bit & 1]
    args, env = layered(tmp_path, layers)
    result = render("-c", f"s.{language}", *args, "-o", "out", cwd=tmp_path, env=env)
    assert result.returncode == 0, result.stderr
    highest = max(layers, key=LAYERS.index)
    said = json.loads((tmp_path / "out" / "bundle.json").read_bytes())["settings"]["namespace"]
    assert said["value"] == highest.replace(" ", "-")
    shell_line = SHELL.count("\n") + 1
    place = {
        "own defaults": ("default", "own.yaml", 2, 12), "environment": ("environment", "environment", 1, 33),
        "scenario": ("scenario", f"s.{language}", *((2, 12) if language == "yaml" else (shell_line, 40))), "set": ("set", "--set", 1, 11), "flag": ("flag", "--namespace", 1, 13),
    }[highest]
    origin = said["origin"]
    assert tuple(origin.get(k) for k in ("layer", "source", "line", "column")) == place
    variable = "LLMDBENCH_VLLM_COMMON_NAMESPACE" if highest == "environment" or (highest, language) == ("scenario", "sh") else None
    assert origin.get("variable") == variable
    # A layer that is not the highest for one setting still is for another.
    assert json.loads((tmp_path / "out" / "bundle.json").read_bytes())["settings"]["replicas"]["value"] == 9


def test_no_env_leaves_the_environment_out(tmp_path):
    env = clean_env(LLMDBENCH_VLLM_COMMON_NAMESPACE="environment", LLMDBENCH_NO_SUCH_NAME="x")
    assert refusal(render("-c", "minimal", env=env)) is None
    result = render("-c", "minimal", "--no-env", env=env)
    assert result.returncode == 0 and b"namespace: environment" not in result.stdout
    assert result.stdout == render("-c", "minimal", env=clean_env()).stdout


def test_a_name_and_a_path_are_one_setting(tmp_path):
    by_path = render("-c", "minimal", "--set", "vllm.maxModelLen=123", "--set", "replicas=2").stdout
    by_name = render("-c", "minimal", "--set", "LLMDBENCH_VLLM_COMMON_MAX_MODEL_LEN=123", "--set", "LLMDBENCH_VLLM_COMMON_REPLICAS=2").stdout
    assert by_path == by_name and b'"123"' in by_path
    later = render("-c", "minimal", "--set", "replicas=3", "--set", "LLMDBENCH_VLLM_COMMON_REPLICAS=2").stdout
    assert b"\n  replicas: 2\n" in later


def test_each_setting_says_where_it_came_from(tmp_path):
    prepare(tmp_path, {
        "s.yaml": "models: [a/b]\nvllm:\n    maxModelLen: 12 # x\n    env:\n      - {name: A, value: b}\naccelerator: {count: 4}\nstandalone:\n  image: docker.io/x/y:v1\n",
        "own.yaml": "harness:\n  claimName: mine\n",
    })
    args = ["--set", "LLMDBENCH_VLLM_COMMON_REPLICAS=3", "--set", "resources.cpu=2", "--set", 'standalone.args=["--port", "8000"]']
    args += ["-l", "nop", "-m", "a/b,c/d", "-b", "k:v", "-a", "gpu:a1", "--defaults", "own.yaml"]
    env = clean_env(LLMDBENCH_VLLM_COMMON_CPU_MEM="5Gi")
    assert render("-c", "s.yaml", *args, "-o", "out", cwd=tmp_path, env=env).returncode == 0
    settings = json.loads((tmp_path / "out" / "bundle.json").read_bytes())["settings"]

    def origin(path):
        o = dict(settings[path]["origin"])
        return o

    assert origin("vllm.maxModelLen") == {"layer": "scenario", "source": "s.yaml", "line": 3, "column": 18}
    assert origin("accelerator.count") == {"layer": "scenario", "source": "s.yaml", "line": 6, "column": 22}
    assert origin("vllm.env") | {"column": 0} == {"layer": "scenario", "source": "s.yaml", "line": 5, "column": 0}
    for part in ("registry", "repository", "name", "tag"):
        assert origin(f"standalone.image.{part}") == {"layer": "scenario", "source": "s.yaml", "line": 8, "column": 10}
    assert origin("harness.claimName") == {"layer": "default", "source": "own.yaml", "line": 2, "column": 14}
    assert origin("replicas") == {"layer": "set", "source": "--set", "line": 1, "column": 32, "variable": "LLMDBENCH_VLLM_COMMON_REPLICAS"}
    assert origin("resources.cpu") == {"layer": "set", "source": "--set", "line": 1, "column": 15}
    assert origin("standalone.args") == {"layer": "set", "source": "--set", "line": 1, "column": 17}
    assert origin("models") == {"layer": "flag", "source": "--models", "line": 1, "column": 10}
    assert origin("harness.name") == {"layer": "flag", "source": "--harness", "line": 1, "column": 11}
    assert origin("resources.memory") == {"layer": "environment", "source": "environment", "line": 1, "column": 31, "variable": "LLMDBENCH_VLLM_COMMON_CPU_MEM"}
    assert origin("parallelism.tensor") == {"layer": "derived", "from": "accelerator.count"}
    assert origin("harness.serviceAccount") == {"layer": "derived", "from": "harness.name"}
    assert origin("storage.accessMode")["layer"] == "default" and origin("storage.accessMode")["line"] > 1
    assert origin("standalone.ephemeralStorage")["layer"] == "default"
    # Every setting has an origin, and each place is a place of its source.
    for path, setting in settings.items():
        o = setting["origin"]
        assert o["layer"] in ("default", "environment", "scenario", "set", "flag", "derived", "none"), path
        if o["layer"] == "none":
            assert setting["value"] is None, path


def test_what_is_derived_follows_the_highest_layer(tmp_path):
    """The runner's account comes from the harness that is chosen last, not from the one of a lower layer."""
    out = tmp_path / "out"
    env = clean_env(LLMDBENCH_HARNESS_NAME="fmperf")
    assert render("-c", "minimal", "-l", "guidellm", "-o", out, env=env).returncode == 0
    settings = json.loads((out / "bundle.json").read_bytes())["settings"]
    assert settings["harness.serviceAccount"]["value"] == "try-it-guidellm-runner"
