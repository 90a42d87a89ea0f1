#!/usr/bin/env python3
"""Time and memory of the whole program, beside what `kubectl kustomize` takes on the directory that it emits.

    cargo build --release && python3 benches/render.py [SCENARIO]

Prints a table; judges nothing. Runs of the three take turns, so that what else the machine does hits all of them alike.
"""

import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = os.environ.get("TOOL_BIN", str(ROOT / "target" / "release" / "llmdbench"))
SCENARIO = sys.argv[1] if len(sys.argv) > 1 else "ocp_H100_standalone_llama-70b"
RUNS = 30


def run(argv):
    """Runs a program to its end; the wall time in milliseconds."""
    start = time.perf_counter()
    result = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    took = time.perf_counter() - start
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, argv))}: exit {result.returncode}\n{result.stderr.decode()}")
    return took * 1000


def peak_memory(argv):
    """Peak resident memory in MiB. Measured by GNU time, which is smaller than any of these programs: Linux counts the
    memory of the process that started another one, and this interpreter's is larger than that of a render."""
    if not shutil.which("time"):
        return None
    result = subprocess.run(["time", "-f", "%M", *argv], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
    return int(result.stderr.split()[-1]) / 1024


def main():
    if not Path(BIN).is_file():
        sys.exit(f"no {BIN}: run `cargo build --release`")
    render = [BIN, "render", "-q", "--no-env", "-c", SCENARIO, "-t", "standalone"]
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept"
        run([*render, "-o", kept])
        new = (Path(folder) / f"new-{i}" for i in itertools.count())
        commands = {
            "render, to standard output": lambda: render,
            "render -o, a new directory": lambda: [*render, "-o", next(new)],
            "render -o, nothing changed": lambda: [*render, "-o", kept],
            "kubectl kustomize": lambda: ["kubectl", "kustomize", kept],
        }
        measured = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                measured[name].append(run(command()))
        memory = {name: peak_memory(command()) for name, command in commands.items()}
    middle = {name: statistics.median(runs) for name, runs in measured.items()}
    reference = middle["kubectl kustomize"]
    print(f"{SCENARIO}, {RUNS} runs each, {Path(BIN).stat().st_size / 2**20:.1f} MiB of program")
    print(f"{'':28}{'median':>10}{'fastest':>10}{'slowest':>10}{'peak RSS':>12}{'kustomize is':>15}")
    for name, times in measured.items():
        peak = f"{memory[name]:.1f} MiB" if memory[name] else "no GNU time"
        ratio = "" if name == "kubectl kustomize" else f"{reference / middle[name]:.1f} x"
        print(f"{name:28}{middle[name]:>7.1f} ms{min(times):>7.1f} ms{max(times):>7.1f} ms{peak:>12}{ratio:>15}")


if __name__ == "__main__":
    main()
