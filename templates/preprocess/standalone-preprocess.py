#!/usr/bin/env python3
"""Write the tensors file of load format `tensorizer`, before a standalone vLLM server starts.

Any other load format leaves nothing to do. vLLM is imported only when there is a file to write, since the
import takes long. The file is made in a hidden directory beside its final place and renamed when it is
complete, so an interrupted run leaves no half file and two pods on one volume do not disturb each other.
"""

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from importlib import metadata

MODEL = "LLMDBENCH_VLLM_STANDALONE_MODEL"
LOAD_FORMAT = "LLMDBENCH_VLLM_STANDALONE_VLLM_LOAD_FORMAT"
LOADER_OPTIONS = "LLMDBENCH_VLLM_STANDALONE_MODEL_LOADER_EXTRA_CONFIG"
TENSORIZER_URI = "LLMDBENCH_VLLM_TENSORIZER_URI"
GPUS = "LLMDBENCH_VLLM_COMMON_ACCELERATOR_NR"
PARTIAL = ".partial-"


def say(text):
    print(f"preprocess: {text}", file=sys.stderr, flush=True)


def fail(text):
    sys.exit(f"preprocess: error: {text}")


def need(name):
    return os.environ.get(name) or fail(f"environment variable `{name}` is not set")


def loader_options():
    """The user's options for the loader; some, such as an encryption key, count for writing too."""
    try:
        return dict(json.loads(os.environ.get(LOADER_OPTIONS) or "{}"))
    except (TypeError, ValueError) as error:
        return fail(f"`{LOADER_OPTIONS}` is not a JSON object: {error}")


def tensors_uri(model, options):
    """As standalone-preprocess.sh exported it, or by the same rule when that was not sourced."""
    if uri := os.environ.get(TENSORIZER_URI) or options.get("tensorizer_uri"):
        return uri
    directory = options.get("tensorizer_dir") or os.path.join(need("HF_HOME"), model, "v1")
    return os.path.join(directory, "model.tensors")


def shards(uri, gpus):
    """The files a URI stands for: one a GPU when it has a place for the rank, such as `%03d`."""
    return [uri % rank for rank in range(gpus)] if re.search(r"%0\dd", uri) else [uri]


def tensorize(model, uri, gpus, options):
    """Load the model with vLLM and have its workers write it to `uri`."""
    try:
        if tuple(int(part) for part in metadata.version("vllm").split(".")[:2]) < (0, 10):
            os.environ["VLLM_USE_V1"] = "0"  # the newer engine cannot write tensors before 0.10
    except (metadata.PackageNotFoundError, ValueError):
        pass  # a build without a plain version number is a recent one
    try:
        from vllm.engine.arg_utils import EngineArgs
        from vllm.model_executor.model_loader.tensorizer import TensorizerConfig, tensorize_vllm_model
    except ImportError as error:
        fail(f"this image cannot write tensors: {error}")

    downloaded = os.path.join(os.environ.get("HF_HOME", ""), "models", model)
    source = downloaded if os.path.isfile(os.path.join(downloaded, "config.json")) else model
    say(f"loading `{source}` on {gpus} GPU(s) to serialise it")
    # vLLM looks the served name up on the Hub, for the files to put beside the tensors.
    arguments = EngineArgs(model=source, served_model_name=model, tensor_parallel_size=gpus, enforce_eager=True)
    rest = {key: value for key, value in options.items() if key not in ("tensorizer_uri", "tensorizer_dir")}
    tensorize_vllm_model(arguments, TensorizerConfig(tensorizer_uri=uri, **rest))


def write(model, uri, gpus, options):
    directory, name = os.path.split(uri)
    os.makedirs(directory, exist_ok=True)
    for entry in os.scandir(directory):
        if entry.name.startswith(PARTIAL) and entry.stat().st_mtime < time.time() - 24 * 60 * 60:
            say(f"removing `{entry.path}`, left by an interrupted run")
            shutil.rmtree(entry.path, ignore_errors=True)

    work = tempfile.mkdtemp(prefix=PARTIAL, dir=directory)
    try:
        tensorize(model, os.path.join(work, name), gpus, options)
        tensors = shards(name, gpus)
        others = [entry.name for entry in os.scandir(work) if entry.is_file() and entry.name not in tensors]
        for file in others + tensors:  # the tensors last: they say that all is there
            os.replace(os.path.join(work, file), os.path.join(directory, file))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main():
    if need(LOAD_FORMAT) != "tensorizer":
        return
    model, options = need(MODEL), loader_options()
    gpus = int(os.environ.get(GPUS) or 1)
    uri = tensors_uri(model, options)
    if "://" in uri:
        say(f"`{uri}` is remote and taken to be complete")
    elif all(os.path.isfile(shard) for shard in shards(uri, gpus)):
        say(f"`{uri}` is there already")
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` runs
        write(model, uri, gpus, options)
        say(f"wrote `{uri}`")


if __name__ == "__main__":  # vLLM's worker processes import this file again
    main()
