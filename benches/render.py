#!/usr/bin/env python3
"""Time and memory of the whole program, beside what `kubectl kustomize` takes on the directory that it emits.

    cargo build --release && python3 benches/render.py [SCENARIO]

Prints a table; judges nothing. Runs of the three take turns, so that what else the machine does hits all of them alike.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = os.environ.get("LLMDBENCH_BIN", str(ROOT / "target" / "release" / "llmdbench"))
SCENARIO = sys.argv[1] if len(sys.argv) > 1 else "ocp_H100_standalone_llama-70b"
RUNS = 30


def measure(argv):
    """Wall time in milliseconds and peak resident memory in MiB of one process, from its start to its end."""
    start = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, argv))}: exit {process.returncode}\n{errors.decode()}")
    return took * 1000, usage.ru_maxrss / 1024


def main():
    if not Path(BIN).is_file():
        sys.exit(f"no {BIN}: run `cargo build --release`")
    render = [BIN, "render", "-q", "--no-env", "-c", SCENARIO, "-t", "standalone"]
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept"
        measure([*render, "-o", kept])
        new = (Path(folder) / f"new-{i}" for i in range(RUNS))
        commands = {
            "render, to standard output": lambda: render,
            "render -o, a new directory": lambda: [*render, "-o", next(new)],
            "render -o, nothing changed": lambda: [*render, "-o", kept],
            "kubectl kustomize": lambda: ["kubectl", "kustomize", kept],
        }
        measured = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                measured[name].append(measure(command()))
    middle = {name: statistics.median(t for t, _ in runs) for name, runs in measured.items()}
    reference = middle["kubectl kustomize"]
    print(f"{SCENARIO}, {RUNS} runs each, {Path(BIN).stat().st_size / 2**20:.1f} MiB of program")
    print(f"{'':28}{'median':>10}{'fastest':>10}{'slowest':>10}{'peak RSS':>12}{'kustomize is':>15}")
    for name, runs in measured.items():
        times = [t for t, _ in runs]
        peak = max(m for _, m in runs)
        ratio = "" if name == "kubectl kustomize" else f"{reference / middle[name]:.1f} x"
        print(f"{name:28}{middle[name]:>7.1f} ms{min(times):>7.1f} ms{max(times):>7.1f} ms{peak:>8.1f} MiB{ratio:>15}")


if __name__ == "__main__":
    main()
