#!/usr/bin/env python3
"""Prints, in one run, what one render costs as a whole process, beside `kubectl kustomize` on the directory it writes.

    cargo build --release && benches/render.py [SCENARIO]

Medians of 30 runs each, taken in turn; peak memory as the kernel accounts it. Quote ratios: single times vary with the
machine.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(__file__).resolve().parents[1] / "target" / "release" / "llmdbench"
RUNS = 30


def once(command):
    """Wall time in milliseconds and peak resident memory in MiB of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return elapsed * 1000, usage.ru_maxrss / 1024


def main():
    scenario = sys.argv[1] if len(sys.argv) > 1 else "ocp_H100_standalone_llama-70b"
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "bundle"
        render = [str(BIN), "render", "-q", "--no-env", "-c", scenario, "-t", "standalone"]
        once([*render, "-o", str(out)])
        commands = {
            # What a process that does nothing is charged with here: its parent's memory before it starts.
            "nothing (`true`)": ["true"],
            "render to a stream": render,
            "render to an unchanged directory": [*render, "-o", str(out)],
            "kubectl kustomize of that directory": ["kubectl", "kustomize", str(out)],
        }
        results = {name: [] for name in commands}
        for number in range(RUNS):
            for name, command in commands.items():
                results[name].append(once(command))
            fresh = [*render, "-o", str(Path(scratch) / f"new-{number}")]
            results.setdefault("render to a new directory", []).append(once(fresh))
    medians = {name: [statistics.median(x) for x in zip(*runs)] for name, runs in results.items()}
    base = medians["render to a stream"][0]
    print(f"{scenario}, {RUNS} runs each: median time, peak memory, time as a multiple of a render to a stream")
    for name, (elapsed, peak) in medians.items():
        print(f"  {name:36} {elapsed:8.1f} ms {peak:8.1f} MiB {elapsed / base:8.1f}x")


if __name__ == "__main__":
    main()
