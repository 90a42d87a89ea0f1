#!/usr/bin/env bash
# Puts the stack of a bundle on a cluster. Rendered by llmdbench; --help tells how to use it.
# shellcheck disable=SC2034,SC2100,SC2317,SC2329
set -euo pipefail

# ---------------------------------------------------------------- what this bundle holds

bundle_id=sha256:120a6ee9e3bc685d1988bd4a1e54504c94a52988985d8280e65ea248c6462fa1
release=try-it
namespace=my-models
harness_namespace=my-models

# Seconds: until servers are ready, until other objects are, until a model is in the volume.
timeout_ready=3600
timeout_wait=900
timeout_download=2400

# STEP|HALF|WHEN REMOVED|APIVERSION|KIND|NAMESPACE|NAME|PART-OF|INSTANCE|FILE
objects=(
  '4|admin|deep|v1|Namespace||my-models|llmdbench|my-models|manifests/0-admin/04-001-namespace-my-models.yaml'
  '4|namespaced|deep|v1|PersistentVolumeClaim|my-models|model-pvc|llmdbench|model-pvc|manifests/1-namespace/04-001-persistentvolumeclaim-model-pvc.yaml'
  '4|namespaced|always|v1|ConfigMap|my-models|try-it-preprocess|try-it|try-it|manifests/1-namespace/04-002-configmap-try-it-preprocess.yaml'
  '4|namespaced|always|batch/v1|Job|my-models|try-it-download-opt-125m-8139fc6d-6450d4|try-it|opt-125m-8139fc6d|manifests/1-namespace/04-003-job-try-it-download-opt-125m-8139fc6d-6450d4.yaml'
  '4|namespaced|always|v1|ConfigMap|my-models|try-it-bundle|try-it|try-it|manifests/1-namespace/04-004-configmap-try-it-bundle.yaml'
  '5|namespaced|always|v1|ServiceAccount|my-models|try-it-inference-perf-runner|try-it|try-it|manifests/1-namespace/05-001-serviceaccount-try-it-inference-perf-runner.yaml'
  '5|namespaced|always|rbac.authorization.k8s.io/v1|Role|my-models|try-it-inference-perf-job-creator|try-it|try-it|manifests/1-namespace/05-002-role-try-it-inference-perf-job-creator.yaml'
  '5|namespaced|always|rbac.authorization.k8s.io/v1|RoleBinding|my-models|try-it-inference-perf-job-creator|try-it|try-it|manifests/1-namespace/05-003-rolebinding-try-it-inference-perf-job-creator.yaml'
  '5|namespaced|deep|v1|PersistentVolumeClaim|my-models|workload-pvc|llmdbench|workload-pvc|manifests/1-namespace/05-004-persistentvolumeclaim-workload-pvc.yaml'
  '5|namespaced|always|apps/v1|Deployment|my-models|try-it-data-access|try-it|try-it|manifests/1-namespace/05-005-deployment-try-it-data-access.yaml'
  '5|namespaced|always|v1|Service|my-models|try-it-data-access|try-it|try-it|manifests/1-namespace/05-006-service-try-it-data-access.yaml'
  '6|namespaced|always|apps/v1|Deployment|my-models|try-it-opt-125m-8139fc6d|try-it|opt-125m-8139fc6d|manifests/1-namespace/06-001-deployment-try-it-opt-125m-8139fc6d.yaml'
  '6|namespaced|always|v1|Service|my-models|try-it-opt-125m-8139fc6d|try-it|opt-125m-8139fc6d|manifests/1-namespace/06-002-service-try-it-opt-125m-8139fc6d.yaml'
  '11|run|always|v1|ConfigMap|my-models|try-it-run-standalone-opt-125m-8139fc6d|try-it|opt-125m-8139fc6d|run/manifests/11-001-configmap-try-it-run-standalone-opt-125m-8139fc6d.yaml'
  '11|run|always|batch/v1|Job|my-models|try-it-run-standalone-opt-125m-8139fc6d|try-it|opt-125m-8139fc6d|run/manifests/11-002-job-try-it-run-standalone-opt-125m-8139fc6d.yaml'
)

# NAMESPACE|NAME|SIZE|ACCESS MODE|STORAGE CLASS
claims=(
  'my-models|model-pvc|300Gi|ReadWriteMany|'
  'my-models|workload-pvc|20Gi|ReadWriteMany|'
)

# STEP|NAMESPACE|SECRET|KEY|INSTANCE: where the token for gated models goes.
tokens=(
  '4|my-models|llm-d-hf-token|HF_TOKEN|llm-d-hf-token'
)

# STEP|NAMESPACE|NAME|CHART|VERSION|REPOSITORY|CHART'S OWN NAME
releases=(
)
releases_as=helm

# Stacks: METHOD|NAMESPACE|SERVICE|PATH|GATEWAY, and for each its model and the body of a completion.
stacks=(
  'standalone|my-models|try-it-opt-125m-8139fc6d||' facebook/opt-125m '{"model":"facebook/opt-125m","prompt":"San Francisco is a","max_tokens":8}'
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

# ---------------------------------------------------------------- waits, with the reason

# What keeps pods from running, a line each: S not scheduled, W waiting, T ended badly, L ended badly before,
# R runs and is not ready, F failed.
# shellcheck disable=SC2016
container_state='{{$c := .name}}{{$n := .restartCount}}{{$ready := .ready}}{{with .state}}{{with .waiting}}W|{{$p}}/{{$c}}|{{.reason}}|{{$n}}|{{with .message}}{{printf "%q" .}}{{end}}{{"\n"}}{{end}}{{with .terminated}}{{if .exitCode}}T|{{$p}}/{{$c}}|{{.reason}}|{{.exitCode}}|{{with .message}}{{printf "%q" .}}{{end}}{{"\n"}}{{end}}{{end}}{{with .running}}{{if not $ready}}R|{{$p}}/{{$c}}||{{$n}}|{{"\n"}}{{end}}{{end}}{{end}}{{with .lastState}}{{with .terminated}}{{if .exitCode}}L|{{$p}}/{{$c}}|{{.reason}}|{{.exitCode}}|{{with .message}}{{printf "%q" .}}{{end}}{{"\n"}}{{end}}{{end}}{{end}}'
# shellcheck disable=SC2016
pod_state='{{range .items}}{{$p := .metadata.name}}{{with .status}}{{if eq .phase "Failed"}}F|{{$p}}|{{.reason}}|0|{{with .message}}{{printf "%q" .}}{{end}}{{"\n"}}{{end}}{{range .conditions}}{{if and (eq .type "PodScheduled") (eq .status "False")}}S|{{$p}}|{{.reason}}|0|{{with .message}}{{printf "%q" .}}{{end}}{{"\n"}}{{end}}{{end}}{{range .initContainerStatuses}}'$container_state'{{end}}{{range .containerStatuses}}'$container_state'{{end}}{{end}}P|{{$p}}|||{{"\n"}}{{end}}'

# How often a container may crash before it is hopeless.
crashes=4

# Why the pods of selector $2 in namespace $1 do not run: sets `reason`, and `verdict` where waiting is of no use.
why_pods() {
  local ns=$1 line mark who word count message best='' rank pods=0 last=9 crash=''
  poll get pods --namespace "$ns" --selector "$2" --output "go-template=$pod_state" || { reason="no answer from the API server"; return 0; }
  while IFS='|' read -r mark who word count message; do
    message=${message#\"} message=${message%\"} message=${message//\\\"/\"} message=${message//\\n/ }
    word=${word//<no value>/}
    case $mark in
      S) rank=1 line="pod $who: ${word:-not scheduled}: $message" ;;
      W)
        rank=2 line="container $who: $word${message:+: $message}"
        case $word in
          ContainerCreating | PodInitializing) rank=7 ;;
          CrashLoopBackOff) ((count < crashes)) || verdict=hopeless ;;
          InvalidImageName | ErrImageNeverPull | CreateContainerConfigError) verdict=hopeless ;;
          ImagePullBackOff | ErrImagePull)
            case $message in
              *"not found"* | *"manifest unknown"* | *denied* | *unauthorized* | *forbidden*) verdict=hopeless ;;
            esac
            ;;
        esac
        ;;
      T) rank=3 line="container $who ended: $word, exit code $count${message:+: $message}" ;;
      F) rank=4 line="pod $who failed: $word${message:+: $message}" ;;
      R) rank=5 line="container $who runs and is not ready yet" ;;
      L)
        crash="; before, $who ended with exit code $count ($word)${message:+: $message}"
        continue
        ;;
      P)
        pods=$((pods + 1))
        continue
        ;;
      *) continue ;;
    esac
    if ((rank < last)); then last=$rank best=$line; fi
  done <<< "$answer"
  if [[ -z $best ]]; then
    if ((pods)); then best="$pods pods exist"; else best="no pod exists yet"; fi
  fi
  if ((last == 7 || pods == 0)); then last_warning "$ns"; fi
  reason=${best:0:600}${crash:0:300}
}

# Adds the last warning of namespace $1 about `subject` (a name) to `best`.
last_warning() {
  local text
  [[ -n ${subject-} ]] || return 0
  poll get events --namespace "$1" --field-selector type=Warning --sort-by .metadata.creationTimestamp \
    --output 'go-template={{range .items}}{{.involvedObject.name}}|{{.reason}}: {{with .message}}{{printf "%q" .}}{{end}}{{"\n"}}{{end}}' || return 0
  text=$(grep -E "^$subject(-[a-z0-9]+)*[|]" <<< "$answer" | tail -n 1) || return 0
  text=${text#*|} text=${text//\"/}
  best+="; last warning: ${text//\\n/ }"
}

# Waits for `$1`, at most $2 seconds, until the function $3 sets `verdict` to `done`; $4 is a command to look with.
# The function sets `reason`, and `verdict` to `hopeless` where it will never be.
await() {
  local what=$1 timeout=$2 check=$3 look=$4 began=$SECONDS shown='' told=-1 verdict reason
  if dry_run; then
    say "  would wait at most $timeout s for $what"
    return 0
  fi
  while :; do
    verdict=waiting reason=
    "$check"
    case $verdict in
      done)
        say "  $what: ready after $((SECONDS - began)) s"
        return 0
        ;;
      hopeless) die "$what will not get ready: $reason" "look: $look" ;;
    esac
    ((SECONDS - began < timeout)) || die "$what: not ready within $timeout s: $reason" "look: $look"
    if [[ $reason != "$shown" ]] || ((SECONDS - told >= 30)); then
      say "  waiting for $what, $((SECONDS - began)) of $timeout s: $reason"
      shown=$reason told=$SECONDS
    fi
    sleep 2
  done
}

# Conditions and counts that Jobs and Deployments tell of themselves.
# shellcheck disable=SC2016
job_state='{{with .status}}{{range .conditions}}{{if eq .status "True"}}{{.type}}|{{with .reason}}{{.}}{{end}}: {{with .message}}{{.}}{{end}}{{"\n"}}{{end}}{{end}}{{end}}'
# shellcheck disable=SC2016
deployment_state='{{.metadata.generation}}|{{with .status.observedGeneration}}{{.}}{{end}}|{{.spec.replicas}}|{{with .status.replicas}}{{.}}{{end}}|{{with .status.updatedReplicas}}{{.}}{{end}}|{{with .status.availableReplicas}}{{.}}{{end}}|{{range $k, $v := .spec.selector.matchLabels}}{{$k}}={{$v}},{{end}}|{{range .status.conditions}}{{if and (eq .type "ReplicaFailure") (eq .status "True")}}{{.message}}{{end}}{{end}}'

# The last `|` of a line ends what `read` splits, so messages come last.
job_check() {
  local line
  poll get job "$subject" --namespace "$space" --ignore-not-found --output "go-template=$job_state" || { reason="no answer from the API server"; return 0; }
  while IFS= read -r line; do
    case $line in
      Complete\|* | SuccessCriteriaMet\|*)
        verdict="done"
        return 0
        ;;
      Failed\|*)
        why_pods "$space" "job-name=$subject"
        verdict=hopeless reason="the Job failed, ${line#*|}; $reason"
        return 0
        ;;
    esac
  done <<< "$answer"
  why_pods "$space" "job-name=$subject"
}

deployment_check() {
  local generation observed wanted all updated available selector failure
  poll get deployment "$subject" --namespace "$space" --ignore-not-found --output "go-template=$deployment_state" || { reason="no answer from the API server"; return 0; }
  if [[ -z $answer ]]; then
    reason="there is no Deployment $space/$subject"
    return 0
  fi
  IFS='|' read -r generation observed wanted all updated available selector failure <<< "$answer"
  if ((${observed:-0} >= generation && ${updated:-0} == wanted && ${available:-0} == wanted && ${all:-0} == wanted)); then
    verdict="done"
    return 0
  fi
  if [[ -n $failure ]]; then reason=$failure; return 0; fi
  why_pods "$space" "${selector%,}"
}

# Waits for a Job or Deployment: kind, namespace, name, seconds.
await_workload() {
  local space=$2 subject=$3
  case $1 in
    Job) await "job $2/$3" "$4" job_check "$KUBECTL --context $context describe job $3 --namespace $2; $KUBECTL --context $context logs job/$3 --namespace $2 --all-containers" ;;
    Deployment) await "deployment $2/$3" "$4" deployment_check "$KUBECTL --context $context describe pods --namespace $2 --selector ${5-app.kubernetes.io/managed-by=llmdbench}; $KUBECTL --context $context logs deployment/$3 --namespace $2 --all-containers" ;;
  esac
}

# Waits until the object $1 is gone, at most $2 seconds.
await_gone() {
  local object=$1 began=$SECONDS told=-1 before
  before=${found[$object]%%|*}
  while :; do
    lookup "$object"
    # Another object of the name may be there already.
    [[ -n $before && ${found[$object]%%|*} == "$before" ]] || return 0
    ((SECONDS - began < $2)) || die "$(title "$object") is still being removed after $2 s" \
      "look: $KUBECTL --context $context get $(kubectl_name "$object") --output yaml; its finalizers say what holds it"
    if ((told < 0 || SECONDS - told >= 30)); then
      say "  waiting until $(title "$object") is gone, $((SECONDS - began)) of $2 s"
      told=$SECONDS
    fi
    sleep 1
  done
}

# An object as arguments of kubectl: `deployment.v1.apps NAME --namespace NS`.
kubectl_name() {
  local api kind ns name
  IFS='|' read -r api kind ns name <<< "$1"
  if [[ $api == */* ]]; then kind+=.${api#*/}.${api%/*}; fi
  printf '%s %s%s' "$kind" "$name" "${ns:+ --namespace $ns}"
}

# ---------------------------------------------------------------- Helm releases

# Looks at release $2 of namespace $1: the Secret of its newest revision says its status and whose it is. Sets
# `release_owner` (`absent`, `ours`, `foreign`), `release_status`, `release_secret` and `release_uid`.
# shellcheck disable=SC2016
release_rows='{{range .items}}{{with .metadata.labels}}{{.version}}|{{.status}}|{{with index . "app.kubernetes.io/managed-by"}}{{.}}{{end}}|{{with index . "app.kubernetes.io/part-of"}}{{.}}{{end}}{{end}}|{{.metadata.name}}|{{.metadata.uid}}{{"\n"}}{{end}}'
look_at_release() {
  local version status managed part secret uid newest=-1
  release_owner=absent release_status='' release_secret='' release_uid=''
  ask get secrets --namespace "$1" --selector "owner=helm,name=$2" --output "go-template=$release_rows"
  while IFS='|' read -r version status managed part secret uid; do
    [[ $version =~ ^[0-9]+$ ]] || continue
    ((version > newest)) || continue
    newest=$version release_status=$status release_secret=$secret release_uid=$uid
    if [[ $managed == llmdbench && $part == "$release" ]]; then release_owner=ours; else release_owner=foreign; fi
  done <<< "$answer"
}

# ---------------------------------------------------------------- installing releases

# The words that name a chart to helm: `chart`, from a row of `releases`.
chart_words() {
  local reference=$1 url=$2 base=$3 version=$4
  if [[ -n ${CHARTS_DIR-} ]]; then
    chart=("${CHARTS_DIR%/}/$base/$version")
  elif [[ -n $url ]]; then
    chart=("$base" --repo "$url" --version "$version")
  else
    chart=("$reference" --version "$version")
  fi
}

# The Deployments of release $2 in namespace $1 that are not ready: why, in `reason` and `verdict`.
why_release() {
  local ns=$1 rows line name selector generation observed wanted available
  # shellcheck disable=SC2016
  rows='{{range .items}}{{with .metadata.annotations}}{{if eq (print (index . "meta.helm.sh/release-name")) "'$2'"}}1{{end}}{{end}}|{{.metadata.name}}|{{.spec.replicas}}|{{with .status.availableReplicas}}{{.}}{{end}}|{{range $k, $v := .spec.selector.matchLabels}}{{$k}}={{$v}},{{end}}{{"\n"}}{{end}}'
  poll get deployments --namespace "$ns" --output "go-template=$rows" || { reason="no answer from the API server"; return 0; }
  while IFS='|' read -r line name wanted available selector; do
    [[ $line == 1 ]] || continue
    ((${available:-0} < wanted)) || continue
    subject=$name
    why_pods "$ns" "${selector%,}"
    reason="deployment $name: $reason"
    return 0
  done <<< "$answer"
  reason="its Deployments are ready or not there yet"
}

# Runs what installs release $2 of namespace $1 and says meanwhile what it waits for.
helper=
watch_release() {
  local ns=$1 name=$2 began=$SECONDS shown='' told=-1 verdict reason subject=''
  shift 2
  if dry_run; then
    act "$@"
    return 0
  fi
  "$@" > /dev/null &
  helper=$!
  while kill -0 "$helper" 2> /dev/null; do
    verdict=waiting reason=
    why_release "$ns" "$name"
    if [[ $verdict == hopeless ]]; then
      # Time for what the pods say to be the last word of what this revision made.
      kill -TERM "$helper" 2> /dev/null || true
      wait "$helper" 2> /dev/null || true
      helper=
      die "release $ns/$name will not get ready: $reason" "look: $KUBECTL --context $context get pods --namespace $ns; $HELM --kube-context $context status $name --namespace $ns"
    fi
    if ((SECONDS - began >= 4)) && { [[ $reason != "$shown" ]] || ((SECONDS - told >= 30)); }; then
      say "  waiting for release $ns/$name, $((SECONDS - began)) s: $reason"
      shown=$reason told=$SECONDS
    fi
    sleep 1
  done
  if ! wait "$helper"; then
    helper=
    verdict=waiting reason=
    why_release "$ns" "$name"
    die "release $ns/$name was not installed: $reason" "look: $KUBECTL --context $context get pods --namespace $ns; $HELM --kube-context $context status $name --namespace $ns"
  fi
  helper=
  say "  release $ns/$name: ready after $((SECONDS - began)) s"
}
trap '[[ -z $helper ]] || kill -TERM "$helper" 2> /dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A revision that a killed helm left pending is forgotten: what it made stays, and the next revision takes it over.
recover_release() {
  look_at_release "$1" "$2"
  [[ $release_owner == ours ]] || return 0
  case $release_status in
    pending-*)
      say "  release $1/$2 is $release_status, left by a run that was cut off; this revision is forgotten"
      delete_object "v1|Secret|$1|$release_secret" "$release_uid"
      ;;
    uninstalling)
      say "  release $1/$2 was being uninstalled; that is finished first"
      "${helm[@]}" uninstall "$2" --namespace "$1" --wait --timeout "$(seconds "$timeout_wait")s" > /dev/null
      ;;
  esac
}

# Installs the releases of step $1, through helmfile where it is there.
install_releases() {
  local row step ns name reference version url base chart
  for row in "${releases[@]}"; do
    IFS='|' read -r step ns name reference version url base <<< "$row"
    [[ $step == "$1" ]] || continue
    if ! dry_run; then
      recover_release "$ns" "$name"
      [[ $release_owner != foreign ]] || die "release $ns/$name exists and is not of this bundle" "give the bundle another \`release\`, or uninstall that one"
    fi
    if uses_helmfile; then
      watch_release "$ns" "$name" "$HELMFILE" --file "$bundle_dir/helm/helmfile.yaml" --helm-binary "$HELM" \
        --kube-context "$context" --selector "name=$name,namespace=$ns" --log-level warn \
        sync --skip-needs --timeout "$(seconds "$timeout_ready")"
    else
      chart_words "$reference" "$url" "$base" "$version"
      watch_release "$ns" "$name" "${helm[@]}" upgrade --install "$name" "${chart[@]}" --namespace "$ns" \
        --values "$bundle_dir/helm/$name/values.yaml" \
        --labels "app.kubernetes.io/managed-by=llmdbench,app.kubernetes.io/part-of=$release" \
        --wait --timeout "$(seconds "$timeout_ready")s"
    fi
    did="${did:+$did, }release $name"
  done
}

# Charts of a folder are for helm: the helmfile names those that are published.
uses_helmfile() { [[ -z ${CHARTS_DIR-} ]] && command -v "$HELMFILE" > /dev/null; }

# ---------------------------------------------------------------- standup

flags=(dry-run admin namespaced)
values=(context step timeout)
step_names=('0 preflight' '2 gateway' '3 monitoring' '4 model-namespace' '5 harness-namespace' '6 standalone' '8 pools' '9 model-servers' '10 smoketest')

usage() {
  cat << TEXT
usage: $self [--context NAME] [--step LIST] [--admin | --namespaced] [--timeout SECONDS] [--dry-run]

Puts the stack of this bundle on a cluster. It can be run again at any time: what is there stays or is brought up to date.

  --context NAME      the context of kubectl; without it the current one, read once
  -s, --step LIST     numbers, ranges and names of steps, as 0,3-5,smoketest
  --admin             only what an administrator applies: namespaces and grants of rights
  --namespaced        only the rest, which takes rights in the namespaces alone
  --timeout SECONDS   for each wait, instead of the scenario's settings
  -n, --dry-run       print what would be done; nothing is asked and nothing is touched

Steps: $(step_list).
A token for gated models comes from HF_TOKEN, HUGGING_FACE_HUB_TOKEN or LLMDBENCH_HF_TOKEN of the environment.
KUBECTL, HELM and HELMFILE name other programs. CHARTS_DIR=DIR takes charts from DIR/CHART/VERSION instead of where they are published.
Exit codes: 0 done, 1 failed, 2 wrong usage or preflight found something.
TEXT
}

step_name() {
  local row
  for row in "${step_names[@]}"; do [[ ${row%% *} != "$1" ]] || printf '%s' "${row#* }"; done
}

# ---------------------------------------------------------------- step 0

preflight() {
  local row
  if dry_run; then
    say "  would check: kubectl and context, $( ((${#releases[@]} == 0)) || printf 'helm and charts, ')kinds, StorageClasses, rights, conflicts"
    return 0
  fi
  local program
  for program in tr printenv awk; do
    command -v "$program" > /dev/null || wrong "\`$program\` is needed"
  done
  check_server
  local all=() rows=() keys=() rights=() absent_claims=()
  for half in admin namespaced releases; do
    if wants_half "$half"; then
      select_objects "$half"
      all+=("${rows[@]}")
    fi
  done
  check_kinds
  stop_at_problems
  check_rights "${rights[@]}"
  stop_at_problems
  lookup "${keys[@]}"
  check_conflicts
  if wants_half namespaced; then
    check_tokens
    check_claims
    check_storage_classes
    check_releases
    check_namespaces
  fi
  check_rights "${rights[@]}"
  stop_at_problems
  did="${#all[@]} objects, ${#checked_rights[@]} rights"
}

# Whether the cluster has the kinds; collects the objects and the rights to look at them.
check_kinds() {
  local row step half when api kind ns name _rest
  local -A missing=()
  for row in "${all[@]}"; do
    IFS='|' read -r step half when api kind ns name _rest <<< "$row"
    if serves "$api" "$kind"; then
      keys+=("$api|$kind|$ns|$name")
      rights+=("get|$(group_of "$api")|$resource||$ns|$name")
    elif [[ -z ${missing[$api $kind]-} ]]; then
      missing[$api $kind]=yes
      problems+=("the cluster does not have the kind $kind of $api, which step $step needs for $kind ${ns:+$ns/}$name; install its CustomResourceDefinition first")
    fi
  done
}

# Whether something else has a name that we want; collects the rights to write what is to be written.
check_conflicts() {
  local row step half when api kind ns name part instance _file owner
  rights=()
  for row in "${all[@]}"; do
    IFS='|' read -r step half when api kind ns name part instance _file <<< "$row"
    whose "$api|$kind|$ns|$name" "$part" "$instance"
    if is_kept "$kind" "$when"; then
      [[ $owner != foreign ]] || say "  $kind ${ns:+$ns/}$name is not of this bundle; it is used as it is and never removed"
      [[ $owner == absent ]] || continue
    elif [[ $owner == foreign ]]; then
      problems+=("$kind ${ns:+$ns/}$name exists and is not of this bundle (its labels say: $(said_owner "$api|$kind|$ns|$name"))")
      continue
    fi
    serves "$api" "$kind"
    rights+=("patch|$(group_of "$api")|$resource||$ns|$name")
    [[ $owner != absent ]] || rights+=("create|$(group_of "$api")|$resource||$ns|")
  done
  if wants_half namespaced; then
    rights+=("list||pods||$namespace|" "list||events||$namespace|")
    [[ $namespace == "$harness_namespace" ]] || rights+=("list||pods||$harness_namespace|" "list||events||$harness_namespace|")
  fi
}

said_owner() {
  local _uid managed part instance _rest
  IFS='|' read -r _uid managed part instance _rest <<< "${found[$1]}"
  printf 'managed-by %s, part-of %s, instance %s' "${managed:-nobody}" "${part:-nothing}" "${instance:-nothing}"
}

# Whether Secrets with a token are there, or can be made.
check_tokens() {
  local row step ns name key instance variable owner
  for row in "${tokens[@]}"; do
    IFS='|' read -r step ns name key instance <<< "$row"
    preflights "$step" || continue
    check_rights "get||secrets||$ns|$name"
    stop_at_problems
    lookup "v1|Secret|$ns|$name"
    whose "v1|Secret|$ns|$name" llmdbench "$instance"
    if [[ $owner == absent || $owner == ours ]]; then
      find_token
      [[ -z $variable ]] || rights+=("patch||secrets||$ns|$name" "create||secrets||$ns|")
      [[ -n $variable || $owner == ours ]] || say "  no token in HF_TOKEN: gated models cannot be read"
    else
      # shellcheck disable=SC2016
      ask get secret "$name" --namespace "$ns" --output 'go-template={{range $k, $v := .data}}{{$k}} {{end}}'
      [[ " $answer" == *" $key "* ]] || problems+=("Secret $ns/$name is not of this bundle and has no key \`$key\`")
      say "  Secret $ns/$name is not of this bundle; it is used as it is and never removed"
    fi
  done
}

# Bytes of a quantity.
bytes() {
  awk -v text="$1" 'BEGIN {
    split("Ki Mi Gi Ti Pi Ei k M G T P E m", unit, " ")
    for (i = 1; i <= 6; i++) { factor[unit[i]] = 1024 ^ i; factor[unit[i + 6]] = 1000 ^ i }
    factor["m"] = 0.001
    number = text; sub(/[A-DF-Za-df-z].*$/, "", number); sub(/E[i]?$/, "", number)
    suffix = substr(text, length(number) + 1)
    printf "%.0f", number * (suffix == "" ? 1 : factor[suffix])
  }'
}

# Whether claims that exist are large enough.
check_claims() {
  local row ns name size mode class has modes
  for row in "${claims[@]}"; do
    IFS='|' read -r ns name size mode class <<< "$row"
    [[ -n ${found[v1|PersistentVolumeClaim|$ns|$name]+asked} ]] || continue
    if [[ -z ${found[v1|PersistentVolumeClaim|$ns|$name]} ]]; then
      absent_claims+=("$row")
      continue
    fi
    ask get persistentvolumeclaim "$name" --namespace "$ns" --output 'go-template={{with .status.capacity}}{{.storage}}{{else}}{{.spec.resources.requests.storage}}{{end}}|{{range .spec.accessModes}}{{.}} {{end}}'
    has=${answer%%|*} modes=${answer#*|}
    if (($(bytes "$has") < $(bytes "$size"))); then
      problems+=("PersistentVolumeClaim $ns/$name exists with $has, and $size are asked for; choose another name for it, ask for less, or enlarge it")
    fi
    [[ " $modes" == *" $mode "* ]] || say "  PersistentVolumeClaim $ns/$name has the access modes ${modes% }, and $mode is asked for"
  done
}

# Whether the StorageClass of claims to come is there.
check_storage_classes() {
  local row ns name size mode class classes
  shopt -s extglob
  for row in "${absent_claims[@]}"; do
    IFS='|' read -r ns name size mode class <<< "$row"
    classes=$("${kubectl[@]}" --request-timeout=30s get storageclasses \
      --output 'go-template={{range .items}}{{.metadata.name}}|{{with .metadata.annotations}}{{with index . "storageclass.kubernetes.io/is-default-class"}}{{.}}{{end}}{{end}} {{end}}' 2> /dev/null) || {
      say "  StorageClasses cannot be seen with these rights; not checked"
      return 0
    }
    if [[ -z $class ]]; then
      [[ $classes == *'|true '* ]] || problems+=("PersistentVolumeClaim $ns/$name names no StorageClass, and the cluster has no default one; set \`storage.storageClass\`")
    elif [[ " $classes" != *" $class|"* ]]; then
      problems+=("PersistentVolumeClaim $ns/$name asks for StorageClass \`$class\`, which the cluster does not have; it has: ${classes//|*([a-z])/}")
    fi
  done
}

# Whether namespaces are there, where the other half makes them.
check_namespaces() {
  local ns said
  ! wants_half admin || return 0
  for ns in "$namespace" "$harness_namespace"; do
    if ! said=$("${kubectl[@]}" --request-timeout=30s get namespace "$ns" --output name 2>&1) && [[ $said == *NotFound* ]]; then
      problems+=("namespace $ns does not exist; it belongs to the half of the administrator: $self --admin")
    fi
  done
}

# Helm, the charts, what they make and whether something else has their names.
check_releases() {
  local row step ns name reference version url base chart shown line api kind owner="$release"
  for row in "${releases[@]}"; do
    IFS='|' read -r step ns name reference version url base <<< "$row"
    preflights "$step" || continue
    command -v "$HELM" > /dev/null || wrong "\`$HELM\` is not here, and the bundle has Helm releases" "install helm 3.14 or newer, or set HELM"
    check_helm
    check_rights "list||secrets||$ns|" "create||secrets||$ns|" "update||secrets||$ns|" "delete||secrets||$ns|"
    stop_at_problems
    look_at_release "$ns" "$name"
    [[ $release_owner != foreign ]] || problems+=("Helm release $ns/$name exists and is not of this bundle")
    chart_words "$reference" "$url" "$base" "$version"
    shown=$("$HELM" template "$name" "${chart[@]}" --namespace "$ns" --values "$bundle_dir/helm/$name/values.yaml" --no-hooks 2>&1) ||
      wrong "helm does not render chart $reference $version: $(last_line "$shown")"
    check_chart_objects "$ns" "$name" "$shown"
  done
}

# Kinds, rights and names of what a chart makes.
check_chart_objects() {
  local ns=$1 name=$2 line api kind key manager input where
  while IFS='|' read -r api kind; do
    [[ -n $kind ]] || continue
    if serves "$api" "$kind"; then
      if [[ $namespaced == true ]]; then where=$ns; else where=''; fi
      rights+=("get|$(group_of "$api")|$resource||$where|" "create|$(group_of "$api")|$resource||$where|" "patch|$(group_of "$api")|$resource||$where|")
    else
      problems+=("the cluster does not have the kind $kind of $api, which release $name needs; install its CustomResourceDefinition first")
    fi
  done <<< "$(kinds_of "$3")"
  ((${#problems[@]} == 0)) || return 0
  input=$3
  ask get --filename - --namespace "$ns" --ignore-not-found --output "go-template=$identity"
  while IFS= read -r line; do
    key=${line%% *} manager=${line##*|}
    [[ -z $line || $manager == "$name" ]] || problems+=("$(title "$key") exists and is not of release $ns/$name, which would make it")
  done <<< "$answer"
}

helm_checked=
check_helm() {
  local version
  [[ -z $helm_checked ]] || return 0
  helm_checked=yes
  version=$("$HELM" version --short 2> /dev/null) || wrong "\`$HELM version\` fails"
  if [[ ! $version =~ v([0-9]+)\.([0-9]+) ]] || ((BASH_REMATCH[1] * 1000 + BASH_REMATCH[2] < 3014)); then
    wrong "helm 3.14 or newer is needed, this is $version"
  fi
  if uses_helmfile; then
    say "  helm $version, through $("$HELMFILE" version --output short 2> /dev/null || echo helmfile)"
  else
    say "  helm $version"
  fi
}

# ---------------------------------------------------------------- the other steps

# Rows of `objects` in half $1 and step $2, in `rows`; without $2 of all wanted steps.
select_objects() {
  local row step half _rest
  rows=()
  for row in "${objects[@]}"; do
    IFS='|' read -r step half _rest <<< "$row"
    [[ $half == "$1" ]] || continue
    if [[ -n ${2-} ]]; then [[ $step == "$2" ]] || continue; else preflights "$step" || continue; fi
    rows+=("$row")
  done
}

# Preflight looks at the steps that are to run; alone, at all of them.
preflights() { [[ -z ${chosen_steps// 0 /} ]] || wants_step "$1"; }

# The claims and namespaces of others are used as they are, and a switch of the whole cluster that is there stays.
is_kept() { [[ $1 == Namespace || $1 == PersistentVolumeClaim || $2 == never ]]; }

# Applies half $1 of step $2.
apply() {
  local row step half when api kind ns name part instance file rows files=() keys=() owner
  select_objects "$1" "$2"
  ((${#rows[@]})) || return 0
  if ! dry_run; then
    for row in "${rows[@]}"; do
      IFS='|' read -r step half when api kind ns name part instance file <<< "$row"
      keys+=("$api|$kind|$ns|$name")
    done
    lookup "${keys[@]}"
  fi
  for row in "${rows[@]}"; do
    IFS='|' read -r step half when api kind ns name part instance file <<< "$row"
    if ! dry_run; then
      prepare "$api|$kind|$ns|$name" "$when" "$part" "$instance" || continue
    fi
    files+=(--filename "$bundle_dir/$file")
  done
  ((${#files[@]})) || return 0
  act "${kubectl[@]}" --request-timeout=60s apply --server-side --force-conflicts --field-manager=llmdbench --validate=strict "${files[@]}" |
    while IFS= read -r row; do say "  ${row#  }"; done ||
    die "step $2 was not applied whole" "run this script again when the cause above is gone"
  did="${did:+$did, }$((${#files[@]} / 2)) objects"
}

# Whether the object $1 is to be applied; what is in its way is removed or waited for.
prepare() {
  local object=$1 when=$2 kind owner
  kind=${object#*|} kind=${kind%%|*}
  if [[ ${found[$object]} == *'|deleting|'* ]]; then
    say "  $(title "$object") is being removed"
    await_gone "$object" "$(seconds "$timeout_wait")"
  fi
  whose "$object" "$3" "$4"
  case $owner in
    absent) return 0 ;;
    foreign)
      is_kept "$kind" "$when" || die "$(title "$object") exists and is not of this bundle" "remove or rename it, or give the bundle another \`release\`"
      say "  $(title "$object") is not of this bundle and used as it is"
      return 1
      ;;
  esac
  if is_kept "$kind" "$when"; then
    say "  $(title "$object") is there"
    return 1
  fi
  if [[ $kind == Job ]]; then retry_job "$object"; fi
}

# A Job of ours that failed is made anew: its pods have used up their tries.
retry_job() {
  local _api _kind ns name
  IFS='|' read -r _api _kind ns name <<< "$1"
  ask get job "$name" --namespace "$ns" --ignore-not-found --output "go-template=$job_state"
  [[ $answer == *"Failed|"* ]] || return 0
  say "  $(title "$1") failed before; it is made anew"
  delete_object "$1" "${found[$1]%%|*}"
  await_gone "$1" "$(seconds "$timeout_wait")"
}

# Waits for the Jobs and Deployments of step $1.
await_step() {
  local row rows step _half _when _api kind ns name part instance _file limit
  select_objects namespaced "$1"
  for row in "${rows[@]}"; do
    IFS='|' read -r step _half _when _api kind ns name part instance _file <<< "$row"
    case $kind in
      Job) limit=$timeout_download ;;
      Deployment) if ((step == 6)); then limit=$timeout_ready; else limit=$timeout_wait; fi ;;
      *) continue ;;
    esac
    await_workload "$kind" "$ns" "$name" "$(seconds "$limit")" "app.kubernetes.io/part-of=$part,app.kubernetes.io/instance=$instance"
  done
}

# Makes the Secret of step $1 from the environment, through pipes: the value is on no command line and in no variable of
# this script.
put_token() {
  local row step ns name key instance variable owner object
  for row in "${tokens[@]}"; do
    IFS='|' read -r step ns name key instance <<< "$row"
    [[ $step == "$1" ]] || continue
    object="v1|Secret|$ns|$name"
    if ! dry_run; then
      lookup "$object"
      whose "$object" llmdbench "$instance"
      if [[ $owner == foreign ]]; then
        say "  $(title "$object") is not of this bundle and used as it is"
        continue
      fi
    fi
    find_token
    if [[ -z $variable ]]; then
      if [[ ${owner-} == ours ]]; then say "  $(title "$object") is there"; else say "  no token: HF_TOKEN is not set, so gated models cannot be read"; fi
    elif dry_run; then
      say "  would make $(title "$object"), key $key, from $variable"
    else
      printenv "$variable" | tr -d '\r\n' |
        "${kubectl[@]}" create secret generic "$name" --namespace "$ns" --from-file="$key=/dev/stdin" --dry-run=client --output json |
        "${kubectl[@]}" label --local --filename - --output json \
          app.kubernetes.io/managed-by=llmdbench app.kubernetes.io/part-of=llmdbench \
          "app.kubernetes.io/instance=$instance" app.kubernetes.io/component=token |
        "${kubectl[@]}" --request-timeout=60s apply --server-side --force-conflicts --field-manager=llmdbench --filename - > /dev/null
      say "  $(title "$object"), key $key: made from $variable"
    fi
  done
}

# The name of the variable that holds a token.
find_token() {
  for variable in HF_TOKEN HUGGING_FACE_HUB_TOKEN LLMDBENCH_HF_TOKEN; do
    [[ -z ${!variable:+set} ]] || return 0
  done
  variable=
}

run_step_2() { install_releases 2; }

run_step_4() {
  put_token 4
  apply namespaced 4
  await_step 4
}

run_step_5() {
  put_token 5
  apply namespaced 5
  await_step 5
}

run_step_6() {
  apply namespaced 6
  await_step 6
}

run_step_8() {
  apply releases 8
  install_releases 8
}

run_step_9() {
  install_releases 9
  apply namespaced 9
}

run_step_10() {
  local words=(--context "$context")
  [[ -z ${given[timeout]-} ]] || words+=(--timeout "${given[timeout]}")
  act "$bundle_dir/smoketest.sh" "${words[@]}"
}

# Whether the bundle has something for half $1 of step $2.
has_step() {
  local row step half _rest
  case $2 in
    2 | 8 | 9)
      if [[ $1 == namespaced ]]; then
        for row in "${releases[@]}"; do [[ ${row%%|*} != "$2" ]] || return 0; done
      fi
      ;;
  esac
  for row in "${objects[@]}"; do
    IFS='|' read -r step half _rest <<< "$row"
    [[ $half != releases ]] || half=namespaced
    [[ $step != "$2" || $half != "$1" ]] || return 0
  done
  return 1
}

parse_options "$@"
choose_steps
choose_context
say "bundle $release in namespace $namespace, $bundle_id"
step 0 preflight preflight
for number in 3 4 5; do
  if wants_half admin && has_step admin "$number"; then step "$number" "$(step_name "$number") (admin)" apply admin "$number"; fi
done
if wants_half namespaced; then
  for number in 2 4 5 6 8 9; do
    if has_step namespaced "$number"; then step "$number" "$(step_name "$number")" "run_step_$number"; fi
  done
  step 10 smoketest run_step_10
fi
say "standup: done in $SECONDS s"
