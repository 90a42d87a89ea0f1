# shellcheck shell=bash
# Prepares the environment of a standalone vLLM pod. To be sourced by the pod's shell, before the server:
#   source standalone-preprocess.sh ; standalone-preprocess.py ; vllm serve ...
#
# It sets variables and installs the Python package of the load format when the image lacks it; model files are
# the work of standalone-preprocess.py. The status is not zero when something is missing, so a shell with
# `set -e` stops here; any other goes on to the server.

_llmdbench_say() { printf 'preprocess: %s\n' "$*" >&2; }

# Makes Python module $1 importable; $2 is the pinned requirement that provides it.
_llmdbench_need() {
    python3 -c "import $1" > /dev/null 2>&1 && _llmdbench_say "Python module \`$1\` is there already" && return 0
    _llmdbench_say "Python module \`$1\` cannot be imported, installing \`$2\`"
    # The container is thrown away with the pod, so its system Python may be changed.
    if python3 -m pip --version > /dev/null 2>&1; then
        PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore \
            python3 -m pip install --quiet --no-cache-dir "$2" >&2 || :
    elif command -v uv > /dev/null 2>&1; then
        UV_BREAK_SYSTEM_PACKAGES=1 \
            uv pip install --quiet --no-cache --python "$(command -v python3)" "$2" >&2 || :
    else
        _llmdbench_say "error: the image has neither \`pip\` nor \`uv\`"
    fi
    if ! python3 -c "import $1" >&2; then
        _llmdbench_say "error: \`$2\` could not be installed; use an image that contains it, or another load format"
        return 1
    fi
}

# Prints two lines: where the tensors file belongs, and the user's loader options with that place added if the
# user named none. $1 is the default place.
_llmdbench_tensorizer_options() {
    python3 -c '
import json, os, sys
name = "LLMDBENCH_VLLM_STANDALONE_MODEL_LOADER_EXTRA_CONFIG"
try:
    options = dict(json.loads(os.environ[name]))
except (TypeError, ValueError) as error:
    sys.exit(f"preprocess: error: {name} is not a JSON object: {error}")
if not options.get("tensorizer_dir"):
    options["tensorizer_uri"] = options.get("tensorizer_uri") or sys.argv[1]
print(options.get("tensorizer_uri") or os.path.join(options["tensorizer_dir"], "model.tensors"))
print(json.dumps(options))
' "$1"
}

_llmdbench_status=0
_llmdbench_uri=""
_llmdbench_format="${LLMDBENCH_VLLM_STANDALONE_VLLM_LOAD_FORMAT:-}"
export LLMDBENCH_VLLM_STANDALONE_MODEL_LOADER_EXTRA_CONFIG="${LLMDBENCH_VLLM_STANDALONE_MODEL_LOADER_EXTRA_CONFIG:-"{}"}"

case "$_llmdbench_format" in
    "")
        _llmdbench_say "error: \`LLMDBENCH_VLLM_STANDALONE_VLLM_LOAD_FORMAT\` is not set"
        _llmdbench_status=1
        ;;
    tensorizer)
        if [ -z "${HF_HOME:-}" ] || [ -z "${LLMDBENCH_VLLM_STANDALONE_MODEL:-}" ]; then
            _llmdbench_say "error: load format \`tensorizer\` needs \`HF_HOME\` and \`LLMDBENCH_VLLM_STANDALONE_MODEL\`"
            _llmdbench_status=1
        else
            _llmdbench_uri="${HF_HOME%/}/${LLMDBENCH_VLLM_STANDALONE_MODEL}/v1/model.tensors"
            if _llmdbench_options="$(_llmdbench_tensorizer_options "$_llmdbench_uri")"; then
                _llmdbench_uri="${_llmdbench_options%%$'\n'*}"
                export LLMDBENCH_VLLM_STANDALONE_MODEL_LOADER_EXTRA_CONFIG="${_llmdbench_options#*$'\n'}"
                _llmdbench_say "the model is read from \`$_llmdbench_uri\`"
            else
                _llmdbench_status=1
            fi
        fi
        # The version every vLLM from 0.10.0 on asks for.
        _llmdbench_need tensorizer tensorizer==2.10.1 || _llmdbench_status=1
        ;;
    runai_streamer) # in the vLLM images since 0.6.6
        _llmdbench_need runai_model_streamer runai-model-streamer==0.15.7 || _llmdbench_status=1
        ;;
    fastsafetensors) # in the vLLM images since 0.20.0
        _llmdbench_need fastsafetensors fastsafetensors==0.3.3 || _llmdbench_status=1
        ;;
    *) _llmdbench_say "load format \`$_llmdbench_format\` needs no preparation" ;;
esac
export LLMDBENCH_VLLM_TENSORIZER_URI="$_llmdbench_uri"

# At level DEBUG the log serves to measure, and vLLM's own format stops at the second.
case "${VLLM_LOGGING_LEVEL:-}" in
    [Dd][Ee][Bb][Uu][Gg])
        _llmdbench_log="${TMPDIR:-/tmp}/vllm-logging-milliseconds.json"
        # vLLM refuses to start with a log configuration while its logging is switched off.
        if [ "${VLLM_CONFIGURE_LOGGING:-1}" = 0 ] ||
            [ "${VLLM_LOGGING_CONFIG_PATH:-$_llmdbench_log}" != "$_llmdbench_log" ]; then
            _llmdbench_say "the pod has its own log configuration, vLLM's timestamps are left as they are"
        elif cat > "$_llmdbench_log" << 'JSON'
{
  "version": 1,
  "disable_existing_loggers": false,
  "formatters": {"vllm": {
    "class": "vllm.logging_utils.NewLineFormatter",
    "format": "%(levelname)s %(asctime)s.%(msecs)03d [%(filename)s:%(lineno)d] %(message)s",
    "datefmt": "%m-%d %H:%M:%S"
  }},
  "handlers": {"vllm": {
    "class": "logging.StreamHandler", "formatter": "vllm", "level": "DEBUG", "stream": "ext://sys.stdout"
  }},
  "loggers": {"vllm": {"handlers": ["vllm"], "level": "DEBUG", "propagate": false}}
}
JSON
        then
            export VLLM_LOGGING_CONFIG_PATH="$_llmdbench_log"
            _llmdbench_say "vLLM logs with milliseconds, as \`$_llmdbench_log\` says"
        else
            _llmdbench_say "warning: \`$_llmdbench_log\` cannot be written, vLLM's timestamps are left as they are"
        fi
        ;;
esac

unset -f _llmdbench_say _llmdbench_need _llmdbench_tensorizer_options
return "$_llmdbench_status"
