#!/usr/bin/env python3
"""Writes a shell file with what only the pod knows: its RDMA devices and its rank in a group of pods.

The server's script sources the file: `python3 set_llmdbench_environment.py; source $HOME/llmdbench_env.sh`.
"""

import argparse
import os
import shlex
from pathlib import Path

DEVICES = Path("/sys/class/infiniband")


def active_ports():
    """The RDMA ports that are up and belong to a network interface of the pod: device, port."""
    for device in sorted(DEVICES.glob("*")):
        if not any((device / "device" / "net").glob("*")):
            continue
        for port in sorted((device / "ports").glob("*")):
            # The file holds a number and a word, as in `4: ACTIVE`.
            if (port / "state").read_text().split(":")[-1].strip() == "ACTIVE":
                yield device.name, port.name


def variables():
    """The variables to export."""
    ports = list(active_ports())
    if ports:
        yield "UCX_NET_DEVICES", ",".join(f"{device}:{port}" for device, port in ports)
        # The sign says that names are whole and not beginnings.
        yield "NCCL_IB_HCA", "=" + ",".join(dict.fromkeys(device for device, _ in ports))
    worker = int(os.environ.get("LWS_WORKER_INDEX") or 0)
    ranks = int(os.environ.get("DP_SIZE_LOCAL") or 1)
    yield "START_RANK", str(worker * ranks)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-e", "--env-file", type=Path, default=Path.home() / "llmdbench_env.sh", help="the file to write")
    parser.add_argument("-i", "--init", action="store_true", help="print what is written too, for the log of an init container")
    arguments = parser.parse_args()
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables())
    arguments.env_file.write_text(text)
    if arguments.init:
        print(text, end="")


if __name__ == "__main__":
    main()
