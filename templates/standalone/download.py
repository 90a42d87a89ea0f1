"""Downloads one model into a volume; does nothing when it is there.

A marker is written last, after the size of every file was compared with what the hub lists, so that the marker means
a whole model: a download that was interrupted goes on at the next start, and one that a lost connection left short is
not taken for complete. Where the hub cannot be reached, a model whose own index finds all its weights counts as whole:
somebody has put it there.
"""
import json
import os
import pathlib
import sys

model = os.environ["MODEL"]
target = pathlib.Path(os.environ["MODEL_DIR"])
marker = target / ".llmdbench-complete"


def is_whole_by_itself():
    """Whether the configuration is there and every weight file that an index names, or the one file of a small model."""
    if not (target / "config.json").is_file():
        return False
    indexes = list(target.glob("*.index.json"))
    named = {file for index in indexes for file in json.loads(index.read_text())["weight_map"].values()}
    if indexes:
        return all((target / file).is_file() for file in named)
    return any((target / file).is_file() for file in ("model.safetensors", "pytorch_model.bin"))


def main():
    if marker.exists():
        print(f"{model} is in {target} (revision {marker.read_text().strip()})")
        return
    from huggingface_hub import HfApi, snapshot_download

    token = os.environ.get("HF_TOKEN") or None
    try:
        info = HfApi(token=token).model_info(model, files_metadata=True)
    except Exception as error:
        if not is_whole_by_itself():
            raise
        print(f"the hub does not answer ({error}); {target} holds a whole model and is taken as it is")
        marker.write_text("unknown\n")
        return
    print(f"downloading {model} (revision {info.sha}) to {target}", flush=True)
    snapshot_download(model, revision=info.sha, local_dir=target, token=token)
    for file in info.siblings:
        path = target / file.rfilename
        if not path.is_file() or (file.size is not None and path.stat().st_size != file.size):
            sys.exit(f"{path} is missing or has another size than the hub lists")
    marker.write_text(f"{info.sha}\n")
    print(f"{model} is complete")


main()
