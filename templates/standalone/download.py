"""Downloads one model into a volume; does nothing when it is there.

A marker is written last, after the size of every file was compared with what the hub lists, so that the marker means
a whole model: a download that was interrupted goes on at the next start, and one that a lost connection left short is
not taken for complete.
"""
import os
import pathlib
import sys

model = os.environ["MODEL"]
target = pathlib.Path(os.environ["MODEL_DIR"])
marker = target / ".llmdbench-complete"

if marker.exists():
    print(f"{model} is in {target} (revision {marker.read_text().strip()})")
    sys.exit(0)

from huggingface_hub import HfApi, snapshot_download

token = os.environ.get("HF_TOKEN") or None
info = HfApi(token=token).model_info(model, files_metadata=True)
print(f"downloading {model} (revision {info.sha}) to {target}", flush=True)
snapshot_download(model, revision=info.sha, local_dir=target, token=token)

for file in info.siblings:
    path = target / file.rfilename
    if not path.is_file() or (file.size is not None and path.stat().st_size != file.size):
        sys.exit(f"{path} is missing or has another size than the hub lists")

marker.write_text(f"{info.sha}\n")
print(f"{model} is complete")
