"""The same input gives the same bytes, whoever renders it, wherever and whenever."""

import os
import shutil

import pytest

from tool import ROOT, clean_env, files_of, render

# By a name of a shipped scenario, so that no path of this machine is part of the input.
NAMES = ["minimal", "ocp_H100_standalone_llama-70b", "precise-prefix-cache-aware"]
LOCALES = ["C", "C.UTF-8", "en_US.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8", "ja_JP.SJIS"]
ZONES = ["UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati", ""]


def surroundings(number, tmp_path):
    """One of 20 different places to render in: environment, mask of new files, directory."""
    home = tmp_path / f"home-{number}"
    cwd = home / ("a b" if number % 3 else "ä") / str(number)
    cwd.mkdir(parents=True)
    env = {
        "PATH": os.environ["PATH"], "HOME": str(home), "USER": f"user{number}", "LOGNAME": f"user{number}", "HOSTNAME": f"host{number}",
        "TZ": ZONES[number % len(ZONES)], "LANG": LOCALES[number % len(LOCALES)], "LC_ALL": LOCALES[(number * 5) % len(LOCALES)],
        "PYTHONHASHSEED": str(number), "RUST_BACKTRACE": str(number % 2), "COLUMNS": str(40 + number), "TERM": "xterm-256color",
        "SOURCE_DATE_EPOCH": str(number * 10**8), "TMPDIR": str(home), "XDG_CONFIG_HOME": str(home), "KUBECONFIG": f"/nowhere/{number}",
        "CLICOLOR_FORCE": str(number % 2), f"NOISE_{number}": "x" * number * 100,
    }
    if number == 19:
        env = {}
    return {"env": env, "cwd": cwd, "umask": [0o022, 0o002, 0o077, 0o027][number % 4]}


@pytest.mark.parametrize("name", NAMES)
def test_twenty_renders_of_a_shipped_scenario(name, tmp_path):
    streams, directories = set(), []
    for number in range(20):
        where = surroundings(number, tmp_path)
        stream = render("-c", name, "-t", "standalone", **where)
        assert stream.returncode == 0, stream.stderr
        streams.add(stream.stdout)
        assert render("-c", name, "-t", "standalone", "-o", "out", **where).returncode == 0
        directories.append(files_of(where["cwd"] / "out"))
    assert len(streams) == 1
    assert all(d == directories[0] for d in directories), {
        f for d in directories for f in d.keys() | directories[0].keys() if d.get(f) != directories[0].get(f)
    }
    assert "bundle.json" in directories[0] and len(directories[0]) > 10


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_is_the_same_by_path_and_by_name(name, tmp_path):
    """Only the record of the inputs says how the scenario was named."""
    path = ROOT / "scenarios" / f"{name}.yaml"
    own = tmp_path / "own" / "scenarios"
    own.mkdir(parents=True)
    shutil.copy(path, own)
    ways = [(name, tmp_path), (f"{name}.yaml", tmp_path), (path, tmp_path), (name, own.parent), (os.path.relpath(path, tmp_path), tmp_path)]
    streams, directories = set(), []
    for number, (scenario, cwd) in enumerate(ways):
        streams.add(render("-c", scenario, "-t", "standalone", cwd=cwd).stdout)
        out = tmp_path / f"out-{number}"
        assert render("-c", scenario, "-t", "standalone", "-o", out, cwd=cwd).returncode == 0
        files = files_of(out)
        files.pop("bundle.json")
        directories.append(files)
    assert len(streams) == 1 and b"kind: Deployment" in streams.pop()
    assert all(d == directories[0] for d in directories)
    assert (tmp_path / "out-0" / "bundle.json").read_bytes() == (tmp_path / "out-3" / "bundle.json").read_bytes()


def test_the_order_of_the_environment_does_not_matter(tmp_path):
    variables = {f"LLMDBENCH_{k}": v for k, v in {
        "VLLM_COMMON_REPLICAS": "3", "VLLM_COMMON_NAMESPACE": "from-env", "HARNESS_NAME": "nop", "VLLM_COMMON_CPU_NR": "7",
    }.items()}
    outputs = set()
    for names in (sorted(variables), sorted(variables, reverse=True)):
        result = render("-c", "ocp_H100_standalone_llama-70b", "-t", "standalone", env=clean_env(**{n: variables[n] for n in names}))
        assert result.returncode == 0, result.stderr
        outputs.add(result.stdout)
    assert len(outputs) == 1 and b"from-env" in outputs.pop()


def test_a_second_render_touches_nothing(tmp_path):
    out = tmp_path / "out"
    before = None
    for _ in range(2):
        assert render("-c", "minimal", "-o", out).returncode == 0
        now = {p: (p.stat().st_mtime_ns, p.stat().st_mode, p.read_bytes()) for p in out.rglob("*") if p.is_file()}
        assert before in (None, now)
        before = now
