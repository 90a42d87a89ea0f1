#!/usr/bin/env bash
# Asks each stack of a bundle for a completion. Rendered by llmdbench; --help tells how to use it.
# shellcheck disable=SC2034,SC2100,SC2317,SC2329
set -euo pipefail

# ---------------------------------------------------------------- what this bundle holds

bundle_id=sha256:9773c1906de37df74e6fa59cd050b3f82f2e2a7dadbe2dcd51b25ec7a199312b
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
  '4|namespaced|always|batch/v1|Job|llmdbench|llmdbench-download-llama-3-1-70b-instruct-376674eb-7999a0|llmdbench|llama-3-1-70b-instruct-376674eb|manifests/1-namespace/04-003-job-llmdbench-download-llama-3-1-70b-instruct-376674eb-7999a0.yaml'
  '4|namespaced|always|v1|ConfigMap|llmdbench|llmdbench-bundle|llmdbench|llmdbench|manifests/1-namespace/04-004-configmap-llmdbench-bundle.yaml'
  '5|namespaced|always|v1|ServiceAccount|llmdbench|llmdbench-inference-perf-runner|llmdbench|llmdbench|manifests/1-namespace/05-001-serviceaccount-llmdbench-inference-perf-runner.yaml'
  '5|namespaced|always|rbac.authorization.k8s.io/v1|Role|llmdbench|llmdbench-inference-perf-job-creator|llmdbench|llmdbench|manifests/1-namespace/05-002-role-llmdbench-inference-perf-job-creator.yaml'
  '5|namespaced|always|rbac.authorization.k8s.io/v1|RoleBinding|llmdbench|llmdbench-inference-perf-job-creator|llmdbench|llmdbench|manifests/1-namespace/05-003-rolebinding-llmdbench-inference-perf-job-creator.yaml'
  '5|namespaced|deep|v1|PersistentVolumeClaim|llmdbench|workload-pvc|llmdbench|workload-pvc|manifests/1-namespace/05-004-persistentvolumeclaim-workload-pvc.yaml'
  '5|namespaced|always|apps/v1|Deployment|llmdbench|llmdbench-data-access|llmdbench|llmdbench|manifests/1-namespace/05-005-deployment-llmdbench-data-access.yaml'
  '5|namespaced|always|v1|Service|llmdbench|llmdbench-data-access|llmdbench|llmdbench|manifests/1-namespace/05-006-service-llmdbench-data-access.yaml'
  '6|namespaced|always|apps/v1|Deployment|llmdbench|llmdbench-llama-3-1-70b-instruct-376674eb|llmdbench|llama-3-1-70b-instruct-376674eb|manifests/1-namespace/06-001-deployment-llmdbench-llama-3-1-70b-instruct-376674eb.yaml'
  '6|namespaced|always|v1|Service|llmdbench|llmdbench-llama-3-1-70b-instruct-376674eb|llmdbench|llama-3-1-70b-instruct-376674eb|manifests/1-namespace/06-002-service-llmdbench-llama-3-1-70b-instruct-376674eb.yaml'
  '11|run|always|v1|ConfigMap|llmdbench|llmdbench-run-standalone-llama-3-1-70b-inst-7f102fc3|llmdbench|llama-3-1-70b-instruct-376674eb|run/manifests/11-001-configmap-llmdbench-run-standalone-llama-3-1-70b-inst-7f102fc3.yaml'
  '11|run|always|batch/v1|Job|llmdbench|llmdbench-run-standalone-llama-3-1-70b-inst-7f102fc3|llmdbench|llama-3-1-70b-instruct-376674eb|run/manifests/11-002-job-llmdbench-run-standalone-llama-3-1-70b-inst-7f102fc3.yaml'
)

# NAMESPACE|NAME|SIZE|ACCESS MODE|STORAGE CLASS
claims=(
  'llmdbench|model-pvc|1Ti|ReadWriteMany|'
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
  'standalone|llmdbench|llmdbench-llama-3-1-70b-instruct-376674eb||' meta-llama/Llama-3.1-70B-Instruct '{"model":"meta-llama/Llama-3.1-70B-Instruct","prompt":"San Francisco is a","max_tokens":8}'
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

# ---------------------------------------------------------------- smoketest

flags=(dry-run)
values=(context timeout stack)
step_names=()

usage() {
  cat << TEXT
usage: $self [--context NAME] [--stack NAME] [--timeout SECONDS] [--dry-run]

Asks each stack of this bundle for its models and for a completion, through its Service (with the llm-d method, the
gateway's), which is forwarded to this machine for as long as it takes.

  --context NAME      the context of kubectl; without it the current one, read once
  --stack NAME        only the stacks behind this Service or Gateway
  --timeout SECONDS   how long a stack may take to answer, $timeout_wait without it
  -n, --dry-run       print what would be done; nothing is asked and nothing is touched

KUBECTL names another program. Exit codes: 0 every stack answered, 1 one did not, 2 wrong usage or preflight found something.
TEXT
}

forwarder=
forwarded=
stop_forwarding() {
  [[ -z $forwarder ]] || kill "$forwarder" 2> /dev/null || true
  [[ -z $forwarder ]] || wait "$forwarder" 2> /dev/null || true
  [[ -z $forwarded ]] || rm -f -- "$forwarded"
  forwarder='' forwarded=''
}
trap stop_forwarding EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Forwards a free port of this machine to port 80 of Service $2 in namespace $1; the port is in `port`.
forward() {
  local began=$SECONDS line
  stop_forwarding
  port=
  forwarded=$(mktemp)
  "${kubectl[@]}" port-forward --namespace "$1" --address 127.0.0.1 "service/$2" :80 > "$forwarded" 2>&1 &
  forwarder=$!
  while [[ -z $port ]]; do
    line=$(< "$forwarded")
    if [[ $line =~ 127\.0\.0\.1:([0-9]+) ]]; then
      port=${BASH_REMATCH[1]}
    elif ! kill -0 "$forwarder" 2> /dev/null || ((SECONDS - began >= 20)); then
      reason="no connection to service $1/$2: $(last_line "$line")"
      return 1
    else
      sleep 0.1
    fi
  done
}

# Asks $1 of the forwarded stack; $2, where given, is what is posted. The answer is in `reply`, in one line without blanks.
ask_stack() {
  local words=(--silent --show-error --fail-with-body --max-time 120 "$base$1") said
  [[ -z ${2-} ]] || words+=(--header 'Content-Type: application/json' --data-binary @-)
  if said=$(printf '%s' "${2-}" | curl "${words[@]}" 2>&1); then
    reply=${said//[[:space:]]/}
    return 0
  fi
  reason="$1: $(last_line "$said")"
  reason=${reason:0:400}
  return 1
}

# The Service that the controller of Gateway $2 in namespace $1 made for it, in `service`; where there is none, the
# Gateway's address, in `base`.
find_gateway() {
  local found_services
  poll get services --namespace "$1" --selector "gateway.networking.k8s.io/gateway-name=$2" \
    --output 'go-template={{range .items}}{{.metadata.name}} {{end}}' || { reason="no answer from the API server"; return 1; }
  found_services=${answer% }
  case $found_services in
    *' '*)
      reason="Gateway $1/$2 has several Services: $found_services"
      return 1
      ;;
    ?*) service=$found_services ;;
    *)
      [[ -z $service ]] || return 0
      poll get gateway.gateway.networking.k8s.io "$2" --namespace "$1" --ignore-not-found \
        --output 'go-template={{with .status}}{{range .addresses}}{{.value}} {{end}}{{end}}' || { reason="no answer from the API server"; return 1; }
      base=${answer%% *}
      [[ -n $base ]] || { reason="Gateway $1/$2 has no Service and no address yet"; return 1; }
      [[ $base != *:* ]] || base="[$base]"
      base=http://$base
      ;;
  esac
}

stack_check() {
  base=
  [[ -z $gateway ]] || find_gateway "$ns" "$gateway" || return 0
  if [[ -z $base ]]; then
    forward "$ns" "$service" || return 0
    base=http://127.0.0.1:$port
  fi
  ask_stack "$path/v1/models" || return 0
  if [[ $reply != *"\"id\":\"$model\""* ]]; then
    reason="it does not serve $model; it lists: ${reply:0:300}"
    return 0
  fi
  ask_stack "$path/v1/completions" "$body" || return 0
  if [[ $reply != *'"choices":['?'"'* && $reply != *'"choices":[{'* ]]; then
    reason="it answers without a completion: ${reply:0:300}"
    return 0
  fi
  verdict="done"
}

check_services() {
  local i ns service path gateway _method
  for ((i = 0; i < ${#stacks[@]}; i += 3)); do
    IFS='|' read -r _method ns service path gateway <<< "${stacks[i]}"
    if [[ -n $gateway ]]; then
      check_rights "list||services||$ns|" "get|gateway.networking.k8s.io|gateways||$ns|$gateway"
    fi
    check_rights "get||services||$ns|$service" "get||pods||$ns|" "list||pods||$ns|" "create||pods|portforward|$ns|"
  done
  stop_at_problems
}

parse_options "$@"
choose_context
say "bundle $release, $bundle_id"
((${#stacks[@]})) || wrong "this bundle has no stack"
if ! dry_run; then
  command -v curl > /dev/null || wrong "curl is needed"
  check_services
fi
answered=0
for ((i = 0; i < ${#stacks[@]}; i += 3)); do
  IFS='|' read -r method ns service path gateway <<< "${stacks[i]}"
  model=${stacks[i + 1]} body=${stacks[i + 2]}
  target=${gateway:-$service}
  [[ -z ${given[stack]-} || ${given[stack]} == "$target" ]] || continue
  answered=$((answered + 1))
  if dry_run; then
    say "  would ask ${gateway:+gateway }$ns/$target at $path/v1 for a completion of $model"
    continue
  fi
  await "${gateway:+gateway }$ns/$target, a completion of $model" "$(seconds "$timeout_wait")" stack_check \
    "$KUBECTL --context $context get pods,services --namespace $ns; $KUBECTL --context $context port-forward --namespace $ns service/${service:-NAME} 8080:80"
  stop_forwarding
done
((answered)) || wrong "no stack is called \`${given[stack]-}\`"
if dry_run; then say "smoketest: shown, not done"; else say "smoketest: $answered stacks answered, after $SECONDS s"; fi
