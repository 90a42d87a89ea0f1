"""Editions: which names each has, what a name of the other one does, and files that were written between two."""

import json

import pytest

from tool import load_all, refusal, run

MODELS = "export LLMDBENCH_DEPLOY_MODEL_LIST=a/b\n"


def rendered(tmp_path, text, *arguments):
    (tmp_path / "s.sh").write_text(MODELS + text)
    result = run("render", "-c", "./s.sh", "-t", "standalone", "-o", "out", "--no-env", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr.decode()
    bundle = json.loads((tmp_path / "out" / "bundle.json").read_text())
    return {path: s["value"] for path, s in bundle["settings"].items()}, result.stderr.decode()


# Name of 2025-08, name of 2026-03, setting, two values.
RENAMED = [
    ("VLLM_COMMON_SHM", "VLLM_COMMON_SHM_MEM", "resources.sharedMemory", "3Gi"),
    ("VLLM_COMMON_INITIAL_DELAY_PROBE", "VLLM_COMMON_STARTUP_PROBE_INITIAL_DELAY", "probes.startupInitialDelay", 77),
    ("VLLM_STANDALONE_VLLM_LOAD_FORMAT", "VLLM_COMMON_VLLM_LOAD_FORMAT", "vllm.loadFormat", "tensorizer"),
    ("VLLM_STANDALONE_VLLM_LOGGING_LEVEL", "VLLM_COMMON_VLLM_LOGGING_LEVEL", "vllm.loggingLevel", "DEBUG"),
    ("VLLM_STANDALONE_MODEL_LOADER_EXTRA_CONFIG", "VLLM_COMMON_MODEL_LOADER_EXTRA_CONFIG", "vllm.modelLoaderExtraConfig", '{"a":1}'),
]


@pytest.mark.parametrize("old, later, setting, value", RENAMED)
def test_a_renamed_name_works_in_its_own_edition_and_is_an_error_in_the_other(old, later, setting, value, tmp_path):
    def same(got):
        return (json.loads(got) == json.loads(value)) if setting.endswith("Config") else got == value

    for name, own, other, replaced in ((old, "2025-08", "2026-03", later), (later, "2026-03", "2025-08", old)):
        line = f"export LLMDBENCH_{name}='{value}'\n"
        settings, _ = rendered(tmp_path, line, "--defaults", own)
        assert same(settings[setting]), settings[setting]
        result = run("render", "-c", "./s.sh", "-t", "standalone", "--defaults", other, "--no-env", cwd=tmp_path)
        assert refusal(result) is None, refusal(result)
        message = result.stderr.decode()
        assert f"`LLMDBENCH_{name}` belongs to edition `{own}`" in message, message
        assert f"LLMDBENCH_{replaced}" in message and "s.sh:2:8" in message, message


def test_a_file_between_two_editions_means_what_its_names_meant(tmp_path):
    text = "export LLMDBENCH_VLLM_COMMON_INITIAL_DELAY_PROBE=7\nexport LLMDBENCH_VLLM_COMMON_SHM_MEM=3Gi\n"
    settings, notes = rendered(tmp_path, text)
    assert settings["edition"] == "2025-08"
    assert settings["probes.startupInitialDelay"] == 7 and settings["resources.sharedMemory"] == "3Gi"
    assert "LLMDBENCH_VLLM_COMMON_SHM_MEM" in notes and "2026-03" in notes


def test_names_without_effect_do_not_choose_the_edition(tmp_path):
    text = "export LLMDBENCH_FMPERF_BATCH_SIZE=7\nexport LLMDBENCH_VLLM_COMMON_SHM_MEM=3Gi\n"
    settings, notes = rendered(tmp_path, text)
    assert settings["edition"] == "2026-03"
    assert "LLMDBENCH_FMPERF_BATCH_SIZE" in notes


def test_a_default_that_others_are_added_to_can_be_copied(tmp_path):
    text = "export LLMDBENCH_VLLM_COMMON_ENVVARS_TO_YAML=$LLMDBENCH_VLLM_COMMON_ENVVARS_TO_YAML\n"
    settings, _ = rendered(tmp_path, text)
    assert settings["vllm.env"] == []


def test_two_names_of_one_setting_are_reported(tmp_path):
    text = "export LLMDBENCH_VLLM_COMMON_PVC_ACCESSMODE=ReadWriteOnce\nexport LLMDBENCH_VLLM_COMMON_PVC_ACCESS_MODE=ReadWriteMany\n"
    settings, notes = rendered(tmp_path, text)
    assert settings["storage.accessMode"] == "ReadWriteMany"
    assert "another name sets before" in notes


def test_the_benchmark_image_can_be_referred_to(tmp_path):
    text = "export LLMDBENCH_IMAGE_TAG=v0.3.0\nexport LLMDBENCH_VLLM_STANDALONE_ARGS='[echo____REPLACE_ENV_LLMDBENCH_IMAGE]'\n"
    (tmp_path / "s.sh").write_text(MODELS + text)
    result = run("render", "-c", "./s.sh", "-t", "standalone", "--no-env", cwd=tmp_path)
    assert result.returncode == 0, result.stderr.decode()
    server = next(o for o in load_all(result.stdout.decode()) if o["kind"] == "Deployment" and "vllm" in json.dumps(o))
    assert "ghcr.io/llm-d/llm-d-benchmark:v0.3.0" in json.dumps(server["spec"]["template"]["spec"]["containers"][0])
