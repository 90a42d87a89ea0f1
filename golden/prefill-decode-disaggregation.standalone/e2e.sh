#!/usr/bin/env bash
# Stands a bundle up, tests it, runs its load and removes it. Rendered by llmdbench; --help tells how to use it.
# shellcheck disable=SC2034,SC2100,SC2317,SC2329
set -euo pipefail

# ---------------------------------------------------------------- what this bundle holds

bundle_id=sha256:3864fa6be49ef719d3f0aac5a8a8ec7c4d112e9fb95a5e962715a073be4a9048
release=llmdbench
namespace=llmdbench
harness_namespace=llmdbench

# Seconds: until servers are ready, until other objects are, until a model is in the volume.
timeout_ready=3600
timeout_wait=900
timeout_download=2400

# STEP|HALF|WHEN REMOVED|APIVERSION|KIND|NAMESPACE|NAME|PART-OF|INSTANCE|FILE
objects=(
  '4|admin|deep|v1|Namespace||llmdbench|llmdbench|llmdbench|manifests/0-admin/04-001-namespace-llmdbench.yaml'
  '4|namespaced|deep|v1|PersistentVolumeClaim|llmdbench|model-pvc|llmdbench|model-pvc|manifests/1-namespace/04-001-persistentvolumeclaim-model-pvc.yaml'
  '4|namespaced|always|v1|ConfigMap|llmdbench|llmdbench-preprocess|llmdbench|llmdbench|manifests/1-namespace/04-002-configmap-llmdbench-preprocess.yaml'
  '4|namespaced|always|batch/v1|Job|llmdbench|llmdbench-download-qwen3-32b-45363f1d-29fbce|llmdbench|qwen3-32b-45363f1d|manifests/1-namespace/04-003-job-llmdbench-download-qwen3-32b-45363f1d-29fbce.yaml'
  '4|namespaced|always|v1|ConfigMap|llmdbench|llmdbench-bundle|llmdbench|llmdbench|manifests/1-namespace/04-004-configmap-llmdbench-bundle.yaml'
  '5|namespaced|always|v1|ServiceAccount|llmdbench|llmdbench-vllm-benchmark-runner|llmdbench|llmdbench|manifests/1-namespace/05-001-serviceaccount-llmdbench-vllm-benchmark-runner.yaml'
  '5|namespaced|always|rbac.authorization.k8s.io/v1|Role|llmdbench|llmdbench-vllm-benchmark-job-creator|llmdbench|llmdbench|manifests/1-namespace/05-002-role-llmdbench-vllm-benchmark-job-creator.yaml'
  '5|namespaced|always|rbac.authorization.k8s.io/v1|RoleBinding|llmdbench|llmdbench-vllm-benchmark-job-creator|llmdbench|llmdbench|manifests/1-namespace/05-003-rolebinding-llmdbench-vllm-benchmark-job-creator.yaml'
  '5|namespaced|deep|v1|PersistentVolumeClaim|llmdbench|workload-pvc|llmdbench|workload-pvc|manifests/1-namespace/05-004-persistentvolumeclaim-workload-pvc.yaml'
  '5|namespaced|always|apps/v1|Deployment|llmdbench|llmdbench-data-access|llmdbench|llmdbench|manifests/1-namespace/05-005-deployment-llmdbench-data-access.yaml'
  '5|namespaced|always|v1|Service|llmdbench|llmdbench-data-access|llmdbench|llmdbench|manifests/1-namespace/05-006-service-llmdbench-data-access.yaml'
  '6|namespaced|always|apps/v1|Deployment|llmdbench|llmdbench-qwen3-32b-45363f1d|llmdbench|qwen3-32b-45363f1d|manifests/1-namespace/06-001-deployment-llmdbench-qwen3-32b-45363f1d.yaml'
  '6|namespaced|always|v1|Service|llmdbench|llmdbench-qwen3-32b-45363f1d|llmdbench|qwen3-32b-45363f1d|manifests/1-namespace/06-002-service-llmdbench-qwen3-32b-45363f1d.yaml'
  '11|run|always|v1|ConfigMap|llmdbench|llmdbench-run-standalone-qwen3-32b-45363f1d|llmdbench|qwen3-32b-45363f1d|run/manifests/11-001-configmap-llmdbench-run-standalone-qwen3-32b-45363f1d.yaml'
  '11|run|always|batch/v1|Job|llmdbench|llmdbench-run-standalone-qwen3-32b-45363f1d|llmdbench|qwen3-32b-45363f1d|run/manifests/11-002-job-llmdbench-run-standalone-qwen3-32b-45363f1d.yaml'
)

# NAMESPACE|NAME|SIZE|ACCESS MODE|STORAGE CLASS
claims=(
  'llmdbench|model-pvc|300Gi|ReadWriteMany|'
  'llmdbench|workload-pvc|20Gi|ReadWriteMany|'
)

# STEP|NAMESPACE|SECRET|KEY|INSTANCE: where the token for gated models goes.
tokens=(
  '4|llmdbench|llm-d-hf-token|HF_TOKEN|llm-d-hf-token'
)

# STEP|NAMESPACE|NAME|CHART|VERSION|REPOSITORY|CHART'S OWN NAME
releases=(
)
releases_as=helm

# Stacks: METHOD|NAMESPACE|SERVICE|PATH|GATEWAY, and for each its model and the body of a completion.
stacks=(
  'standalone|llmdbench|llmdbench-qwen3-32b-45363f1d||' Qwen/Qwen3-32B '{"model":"Qwen/Qwen3-32B","prompt":"San Francisco is a","max_tokens":8}'
)

# ---------------------------------------------------------------- options, context, talking, changing things

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
  echo "${0##*/}: bash 4.4 or newer is needed, this is $BASH_VERSION" >&2
  exit 2
fi

KUBECTL=${KUBECTL:-kubectl}
HELM=${HELM:-helm}
HELMFILE=${HELMFILE:-helmfile}

self=${0##*/}
bundle_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]-$0}")" && pwd -P)
newline=$'\n'

# A progress line.
say() { printf '%s\n' "$*"; }

# Ends the script: something failed (1). A second argument is what to do about it.
die() {
  printf '%s: error: %s\n' "$self" "$1" >&2
  [[ -z ${2-} ]] || printf '%s: hint: %s\n' "$self" "$2" >&2
  exit 1
}

# Ends the script before it did anything: wrong usage, or preflight found something (2).
wrong() {
  printf '%s: error: %s\n' "$self" "$1" >&2
  [[ -z ${2-} ]] || printf '%s: hint: %s\n' "$self" "$2" >&2
  exit 2
}

# What was given on the command line, by the option's name; a flag is `yes`.
declare -A given=()

# Reads options into `given`. A script names its own in `flags` and `values` and tells of them in `usage`.
parse_options() {
  local word name value
  while (($#)); do
    word=$1
    shift
    case $word in
      -h | --help)
        usage
        exit 0
        ;;
      -n) word=--dry-run ;;
      -s) word=--step ;;
      -d) word=--deep ;;
    esac
    name=${word%%=*} name=${name#--}
    if [[ $word == --* && " ${flags[*]} " == *" $name "* ]]; then
      [[ $word != *=* ]] || wrong "option --$name takes no value" "$self --help"
      given[$name]=yes
    elif [[ $word == --* && " ${values[*]} " == *" $name "* ]]; then
      if [[ $word == *=* ]]; then
        value=${word#*=}
      else
        (($#)) || wrong "option --$name wants a value" "$self --help"
        value=$1
        shift
      fi
      [[ -n $value ]] || wrong "option --$name wants a value" "$self --help"
      given[$name]=$value
    else
      wrong "unknown option \`$word\`" "$self --help"
    fi
  done
  if [[ -n ${given[timeout]-} && ! ${given[timeout]} =~ ^[0-9]{1,9}$ ]]; then
    wrong "option --timeout takes seconds, not \`${given[timeout]}\`"
  fi
  if [[ -n ${given[admin]-} && -n ${given[namespaced]-} ]]; then
    wrong "--admin and --namespaced are the two halves; both is what happens without either"
  fi
}

dry_run() { [[ -n ${given[dry-run]-} ]]; }

# How long to wait, in seconds: what was given, else the setting.
seconds() { printf '%s' "$((10#${given[timeout]-$1}))"; }

# Whether the half `admin` or `namespaced` of the bundle is wanted.
wants_half() {
  case $1 in
    admin) [[ -z ${given[namespaced]-} ]] ;;
    *) [[ -z ${given[admin]-} ]] ;;
  esac
}

# Chooses the context once; every later call names it. Sets `context`, `kubectl` and `helm`.
choose_context() {
  local server
  context=${given[context]-}
  if [[ -z $context ]]; then
    if ! context=$("$KUBECTL" config current-context 2> /dev/null); then
      dry_run || wrong "kubectl has no current context" "name one with --context NAME"
      context=CONTEXT
    fi
  fi
  kubectl=("$KUBECTL" --context "$context")
  helm=("$HELM" --kube-context "$context")
  if ! dry_run; then
    command -v "$KUBECTL" > /dev/null || wrong "\`$KUBECTL\` is not here" "install kubectl, or set KUBECTL"
    "$KUBECTL" config get-contexts "$context" > /dev/null 2>&1 ||
      wrong "kubectl knows no context \`$context\`" "$KUBECTL config get-contexts"
    server=$("${kubectl[@]}" config view --minify --output 'jsonpath={.clusters[0].cluster.server}' 2> /dev/null) || server='?'
    say "context $context ($server)"
  else
    say "context $context; nothing is touched"
  fi
}

# A command that changes something: run, or shown.
act() {
  if dry_run; then
    printf '  would run:'
    printf ' %q' "$@"
    printf '\n'
  else
    "$@"
  fi
}

# Asks the API server; the answer is in `answer`. What it is asked with on standard input comes in `input`.
ask() {
  local said
  until answer=$("${kubectl[@]}" --request-timeout=30s "$@" <<< "${input-}" 2> /dev/null); do
    said=$("${kubectl[@]}" --request-timeout=30s "$@" <<< "${input-}" 2>&1 > /dev/null) ||
      die "kubectl ${*:1:2} on context $context: $(last_line "$said")"
  done
}

# The same while waiting: the API server may be away for `patience` seconds before that is an error.
patience=30
unanswered_since=
poll() {
  local said
  if answer=$("${kubectl[@]}" --request-timeout=15s "$@" <<< "${input-}" 2> /dev/null); then
    unanswered_since=
    return 0
  fi
  said=$("${kubectl[@]}" --request-timeout=15s "$@" <<< "${input-}" 2>&1 > /dev/null) || true
  unanswered_since=${unanswered_since:-$SECONDS}
  ((SECONDS - unanswered_since < patience)) ||
    die "kubectl ${*:1:2} on context $context, for $patience s: $(last_line "$said")" "run this script again when it answers"
  return 1
}

last_line() {
  local text=${1%"$newline"}
  printf '%s' "${text##*"$newline"}"
}

# ---------------------------------------------------------------- steps

# The numbers and names of --step as a list of numbers in `chosen_steps`; empty: all.
chosen_steps=
choose_steps() {
  local words word name number from to known row
  [[ -n ${given[step]-} ]] || return 0
  IFS=, read -r -a words <<< "${given[step]}"
  for word in "${words[@]}"; do
    if [[ $word =~ ^0*([0-9]+)$ ]]; then
      from=${BASH_REMATCH[1]} to=$from
    elif [[ $word =~ ^0*([0-9]+)-0*([0-9]+)$ ]]; then
      from=${BASH_REMATCH[1]} to=${BASH_REMATCH[2]}
    else
      from='' to=''
      for row in "${step_names[@]}"; do
        number=${row%% *} name=${row#* }
        [[ $word != "$name" && $word != "$number"_"$name" && $word != "0${number}_$name" ]] || from=$number to=$number
      done
      [[ -n $from ]] || wrong "no step is called \`$word\`" "numbers, ranges and names: $(step_list)"
    fi
    ((${#from} < 4 && ${#to} < 4 && from <= to && to <= 10)) || wrong "\`$word\` is no range of steps" "numbers, ranges and names: $(step_list)"
    for ((known = from; known <= to; known++)); do chosen_steps+=" $known "; done
  done
  [[ -n $chosen_steps ]] || wrong "--step names no step" "numbers, ranges and names: $(step_list)"
}

step_list() {
  local row text=''
  for row in "${step_names[@]}"; do text+="${text:+, }$row"; done
  printf '%s' "$text"
}

wants_step() { [[ -z $chosen_steps || $chosen_steps == *" $1 "* ]]; }

# Runs the function $3 as step number $1 with name $2 and says how long it took. What it did stands in `did`.
step() {
  local number=$1 name=$2 began=$SECONDS label
  shift 2
  wants_step "$number" || return 0
  printf -v label 'step %02d %s' "$number" "$name"
  say "$label"
  did=
  "$@"
  if dry_run; then say "$label: shown, not done"; else say "$label: done in $((SECONDS - began)) s${did:+ ($did)}"; fi
}

# ---------------------------------------------------------------- objects

# Objects are written `APIVERSION|KIND|NAMESPACE|NAME`.
title() {
  local _api kind ns name
  IFS='|' read -r _api kind ns name <<< "$1"
  printf '%s %s%s' "$kind" "${ns:+$ns/}" "$name"
}

# The group of an API version; none for the core.
group_of() { if [[ $1 == */* ]]; then printf '%s' "${1%/*}"; fi; }

# The kinds in the text of manifests, `APIVERSION|KIND` for each object.
kinds_of() {
  local line api='' kind=''
  while IFS= read -r line; do
    case $line in
      ---*) api='' kind='' ;;
      'apiVersion: '*) api=${line#apiVersion: } api=${api//\"/} ;;
      'kind: '*) kind=${line#kind: } kind=${kind//\"/} ;;
      *) continue ;;
    esac
    [[ -z $api || -z $kind ]] || printf '%s|%s\n' "$api" "$kind"
  done <<< "$1"
}

declare -A discovery=()

# What the server says of an API version, `-` where it does not have it.
discover() {
  local api=$1 path said
  [[ -z ${discovery[$api]-} ]] || return 0
  if [[ $api == */* ]]; then path=/apis/$api; else path=/api/$api; fi
  if said=$("${kubectl[@]}" --request-timeout=30s get --raw "$path" 2>&1); then
    discovery[$api]=$said
  elif [[ $said == *NotFound* || $said == *"could not find the requested resource"* ]]; then
    discovery[$api]=-
  else
    die "the API server of context $context does not tell what it serves: $(last_line "$said")"
  fi
}

# Whether the server has the kind $2 of API version $1; `resource` is its name in paths, `namespaced` true or false.
serves() {
  local line
  discover "$1"
  while IFS= read -r line; do
    if [[ $line == *"\"kind\":\"$2\""* && $line =~ \"name\":\"([^\"/]+)\" ]]; then
      resource=${BASH_REMATCH[1]}
      if [[ $line == *'"namespaced":true'* ]]; then namespaced=true; else namespaced=false; fi
      return 0
    fi
  done <<< "${discovery[$1]//\{/"$newline"}"
  return 1
}

# What `lookup` found: nothing, or `UID|MANAGED-BY|PART-OF|INSTANCE|DELETING|RELEASE`.
declare -A found=()

# shellcheck disable=SC2016
identity='{{define "label"}}{{end}}{{define "object"}}{{.apiVersion}}|{{.kind}}|{{with .metadata.namespace}}{{.}}{{end}}|{{.metadata.name}} {{.metadata.uid}}|{{with .metadata.labels}}{{with index . "app.kubernetes.io/managed-by"}}{{.}}{{end}}|{{with index . "app.kubernetes.io/part-of"}}{{.}}{{end}}|{{with index . "app.kubernetes.io/instance"}}{{.}}{{end}}{{else}}||{{end}}|{{if .metadata.deletionTimestamp}}deleting{{end}}|{{with .metadata.annotations}}{{with index . "meta.helm.sh/release-name"}}{{.}}{{end}}{{end}}{{"\n"}}{{end}}{{if .items}}{{range .items}}{{template "object" .}}{{end}}{{else if .metadata}}{{if .metadata.uid}}{{template "object" .}}{{end}}{{end}}'

# Looks at the named objects, in one call.
lookup() {
  local object api kind ns name line input=''
  for object; do
    found[$object]=
    IFS='|' read -r api kind ns name <<< "$object"
    serves "$api" "$kind" || continue
    input+="{\"apiVersion\":\"$api\",\"kind\":\"$kind\",\"metadata\":{\"name\":\"$name\"${ns:+,\"namespace\":\"$ns\"}}}$newline---$newline"
  done
  [[ -n $input ]] || return 0
  ask get --filename - --ignore-not-found --output "go-template=$identity"
  while IFS= read -r line; do
    [[ -z $line ]] || found[${line%% *}]=${line#* }
  done <<< "$answer"
}

# Whose the object $1 is that should have part-of $2 and instance $3, by the last lookup: `absent`, `ours`, `foreign`.
# Without $2 any part-of will do.
whose() {
  local uid managed part instance _rest
  IFS='|' read -r uid managed part instance _rest <<< "${found[$1]-}"
  if [[ -z $uid ]]; then
    owner=absent
  elif [[ $managed == llmdbench && ($part == "$2" || -z $2) && ($instance == "$3" || -z $3) ]]; then
    owner=ours
  else
    owner=foreign
  fi
}

# The path of an object in the API.
path_of() {
  local api kind ns name
  IFS='|' read -r api kind ns name <<< "$1"
  serves "$api" "$kind" || return 1
  if [[ $api == */* ]]; then path=/apis/$api; else path=/api/$api; fi
  path+=${ns:+/namespaces/$ns}/$resource/$name
}

# Deletes the object $1 if it still is the one with UID $2; what it owns goes after it.
delete_object() {
  local said
  path_of "$1" || return 0
  said=$("${kubectl[@]}" --request-timeout=30s delete --raw "$path" --filename - 2>&1 <<< \
    "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"propagationPolicy\":\"Background\",\"preconditions\":{\"uid\":\"$2\"}}") && return 0
  case $said in
    *NotFound* | *"not found"*) return 0 ;;
    *Conflict* | *UID*) say "  $(title "$1") is another object by now; it stays" ;;
    *) die "cannot delete $(title "$1"): $(last_line "$said")" ;;
  esac
}

declare -A checked_rights=()

# Checks rights given as `VERB|GROUP|RESOURCE|SUBRESOURCE|NAMESPACE|NAME`, in one call; what is missing is added to
# `problems`. None is asked for twice.
check_rights() {
  local right verb group name ns sub object input='' allowed=() i=0
  local asked=()
  for right; do
    [[ -z ${checked_rights[$right]-} ]] || continue
    checked_rights[$right]=yes
    asked+=("$right")
    IFS='|' read -r verb group object sub ns name <<< "$right"
    input+="{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SelfSubjectAccessReview\",\"spec\":{\"resourceAttributes\":{\"verb\":\"$verb\",\"group\":\"$group\",\"resource\":\"$object\",\"subresource\":\"$sub\",\"namespace\":\"$ns\",\"name\":\"$name\"}}}$newline---$newline"
  done
  ((${#asked[@]})) || return 0
  # Its own check of the kind would take the right to list all definitions.
  ask create --validate=false --filename - --output 'go-template={{.status.allowed}}{{"\n"}}'
  mapfile -t allowed <<< "$answer"
  ((${#allowed[@]} == ${#asked[@]})) || die "the API server answered ${#allowed[@]} of ${#asked[@]} questions about rights"
  for right in "${asked[@]}"; do
    IFS='|' read -r verb group object sub ns name <<< "$right"
    [[ ${allowed[i++]} == true ]] ||
      problems+=("no right to $verb ${object}${sub:+/$sub}${group:+.$group}${name:+ \`$name\`}${ns:+ in namespace $ns}; ask: $KUBECTL --context $context auth can-i $verb $object${group:+.$group}${name:+/$name}${sub:+ --subresource=$sub}${ns:+ --namespace $ns}")
  done
}

# Ends the script when preflight found something: everything at once.
problems=()
stop_at_problems() {
  local problem
  ((${#problems[@]})) || return 0
  for problem in "${problems[@]}"; do printf '%s: error: %s\n' "$self" "$problem" >&2; done
  printf '%s: hint: nothing was changed\n' "$self" >&2
  exit 2
}

# Whether the API server answers, and with which version.
check_server() {
  local said
  said=$("${kubectl[@]}" --request-timeout=30s get --raw /version 2>&1) ||
    wrong "the API server of context $context does not answer: $(last_line "$said")"
  if [[ $said =~ \"gitVersion\":\ *\"([^\"]+)\" ]]; then say "  Kubernetes ${BASH_REMATCH[1]}"; fi
}

# ---------------------------------------------------------------- e2e

flags=(dry-run keep deep)
values=(context timeout)
step_names=()

usage() {
  cat << TEXT
usage: $self [--context NAME] [--timeout SECONDS] [--keep] [--deep] [--dry-run]

Stands the bundle up, tests it, runs its load and removes it; what failed is removed too.

  --context NAME      the context of kubectl; without it the current one, read once
  --timeout SECONDS   for each wait, instead of the scenario's settings
  --keep              do not remove anything at the end
  --deep              remove volumes, token and namespaces too
  -n, --dry-run       print what would be done; nothing is asked and nothing is touched

Exit codes: 0 all of it was done, 1 something failed, 2 wrong usage or preflight found something.
TEXT
}

parse_options "$@"
choose_context
words=(--context "$context")
[[ -z ${given[timeout]-} ]] || words+=(--timeout "${given[timeout]}")
! dry_run || words+=(--dry-run)

result=0
failed=
attempt() {
  local name=$1
  shift
  [[ -z $failed ]] || return 0
  "$bundle_dir/$name" "${words[@]}" "$@" || {
    result=$? failed=$name
    say "e2e: $name failed with exit code $result"
  }
}

attempt standup.sh --step 0-9
attempt smoketest.sh
[[ ! -e $bundle_dir/run.sh ]] || attempt run.sh

if [[ -n ${given[keep]-} ]]; then
  say "e2e: everything is kept; $bundle_dir/teardown.sh removes it"
else
  [[ -z ${given[deep]-} ]] || words+=(--deep)
  if ! "$bundle_dir/teardown.sh" "${words[@]}"; then
    say "e2e: teardown.sh failed too"
    ((result)) || result=1
    failed=${failed:-teardown.sh}
  fi
fi
if [[ -n $failed ]]; then say "e2e: $failed failed, after $SECONDS s"; else say "e2e: done in $SECONDS s"; fi
exit "$result"
