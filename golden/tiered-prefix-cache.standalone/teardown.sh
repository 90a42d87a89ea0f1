#!/usr/bin/env bash
# Removes what a bundle put on a cluster. Rendered by llmdbench; --help tells how to use it.
# shellcheck disable=SC2034,SC2100,SC2317,SC2329
set -euo pipefail

# What is removed, in order: HALF|WHEN|APIVERSION|KIND|NAMESPACE|NAME|PART-OF|INSTANCE|REASON. A Helm release has the
# API version `helm` and the kind `Release`.
bundle_id=sha256:234c964045b52462f89246d23da81551b8d95598f248013c322c578079a76a2c
release=llmdbench
timeout_wait=900
# Whether volumes, token and namespaces go too, without --deep.
always_deep=''
plan=(
  'namespaced|always|batch/v1|Job|llmdbench|llmdbench-run-standalone-qwen3-32b-45363f1d|llmdbench|qwen3-32b-45363f1d|'
  'namespaced|always|v1|ConfigMap|llmdbench|llmdbench-run-standalone-qwen3-32b-45363f1d|llmdbench|qwen3-32b-45363f1d|'
  'namespaced|always|v1|Service|llmdbench|llmdbench-qwen3-32b-45363f1d|llmdbench|qwen3-32b-45363f1d|'
  'namespaced|always|apps/v1|Deployment|llmdbench|llmdbench-qwen3-32b-45363f1d|llmdbench|qwen3-32b-45363f1d|'
  'namespaced|always|v1|Service|llmdbench|llmdbench-data-access|llmdbench|llmdbench|'
  'namespaced|always|apps/v1|Deployment|llmdbench|llmdbench-data-access|llmdbench|llmdbench|'
  'namespaced|always|rbac.authorization.k8s.io/v1|RoleBinding|llmdbench|llmdbench-inference-perf-job-creator|llmdbench|llmdbench|'
  'namespaced|always|rbac.authorization.k8s.io/v1|Role|llmdbench|llmdbench-inference-perf-job-creator|llmdbench|llmdbench|'
  'namespaced|always|v1|ServiceAccount|llmdbench|llmdbench-inference-perf-runner|llmdbench|llmdbench|'
  'namespaced|always|v1|ConfigMap|llmdbench|llmdbench-bundle|llmdbench|llmdbench|'
  'namespaced|always|batch/v1|Job|llmdbench|llmdbench-download-qwen3-32b-45363f1d-29fbce|llmdbench|qwen3-32b-45363f1d|'
  'namespaced|always|v1|ConfigMap|llmdbench|llmdbench-preprocess|llmdbench|llmdbench|'
  'namespaced|deep|v1|PersistentVolumeClaim|llmdbench|workload-pvc|llmdbench|workload-pvc|it holds data'
  'namespaced|deep|v1|PersistentVolumeClaim|llmdbench|model-pvc|llmdbench|model-pvc|it holds data'
  'namespaced|deep|v1|Secret|llmdbench|llm-d-hf-token|llmdbench|llm-d-hf-token|it holds a token'
  'admin|deep|v1|Namespace||llmdbench|llmdbench|llmdbench|it may hold what this bundle did not make'
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

# ---------------------------------------------------------------- teardown

flags=(dry-run deep admin namespaced)
values=(context timeout)
step_names=()

usage() {
  cat << TEXT
usage: $self [--context NAME] [--deep] [--admin | --namespaced] [--timeout SECONDS] [--dry-run]

Removes what bundle $release put on a cluster: by exact kind, namespace and name, and only what carries the labels of the
bundle. What stays is listed, with the reason. Run again, it goes on where it was cut off.

  --context NAME      the context of kubectl; without it the current one, read once
  -d, --deep          remove volumes with models and results, the token and namespaces of the bundle too
  --admin             only what an administrator applied
  --namespaced        only the rest, which takes rights in the namespaces alone
  --timeout SECONDS   for each wait, instead of the scenario's setting
  -n, --dry-run       print what would be done; nothing is asked and nothing is touched

KUBECTL and HELM name other programs. Exit codes: 0 done, 1 failed, 2 wrong usage or preflight found something.
TEXT
}

# Whether an entry of the plan is to be removed: half, when.
chosen() {
  wants_half "$1" || return 1
  [[ $2 == always || ($2 == deep && -n ${given[deep]-}) ]]
}

show_plan() {
  local row half when api kind ns name part instance why
  for row in "${plan[@]}"; do
    IFS='|' read -r half when api kind ns name part instance why <<< "$row"
    if chosen "$half" "$when"; then
      say "  would remove $kind ${ns:+$ns/}$name${part:+, if it is of $part}"
    elif wants_half "$half"; then
      say "  would keep $kind ${ns:+$ns/}$name: $why"
    fi
  done
}

# Kinds that others make for an object of ours, and that go with it.
dependent_kinds=(pods replicasets.apps deployments.apps statefulsets.apps controllerrevisions.apps services serviceaccounts configmaps
  endpoints endpointslices.discovery.k8s.io)

# UIDs of what was removed, whose dependents go too; Services that were removed; namespaces to look in.
declare -A removed_uids=() removed_services=() places=()
# Objects that were removed and may not be gone yet.
leaving=()
removed=0
kept=()

# ---------------------------------------------------------------- before anything is removed

preflight() {
  local row half when api kind ns name part instance _why owner keys=() rights=() has_release='' spaces=()
  check_server
  for row in "${plan[@]}"; do
    IFS='|' read -r half when api kind ns name part instance _why <<< "$row"
    wants_half "$half" || continue
    [[ -z $ns ]] || places[$ns]=
    if [[ $api == helm ]]; then
      rights+=("list||secrets||$ns|")
    elif serves "$api" "$kind"; then
      keys+=("$api|$kind|$ns|$name")
      rights+=("get|$(group_of "$api")|$resource||$ns|$name")
    fi
  done
  check_rights "${rights[@]}"
  stop_at_problems
  lookup "${keys[@]}"
  rights=()
  for row in "${plan[@]}"; do
    IFS='|' read -r half when api kind ns name part instance _why <<< "$row"
    chosen "$half" "$when" || continue
    if [[ $api == helm ]]; then
      look_at_release "$ns" "$name"
      [[ $release_owner == ours ]] || continue
      has_release=yes
      rights+=("delete||secrets||$ns|" "update||secrets||$ns|")
    else
      whose "$api|$kind|$ns|$name" "$part" "$instance"
      [[ $owner == ours ]] || continue
      serves "$api" "$kind"
      rights+=("delete|$(group_of "$api")|$resource||$ns|$name")
    fi
    [[ -z $ns || " ${spaces[*]} " == *" $ns "* ]] || spaces+=("$ns")
  done
  local space dependent
  for space in "${spaces[@]}"; do
    for dependent in "${dependent_kinds[@]}"; do
      if [[ $dependent == *.* ]]; then rights+=("list|${dependent#*.}|${dependent%%.*}||$space|"); else rights+=("list||$dependent||$space|"); fi
    done
    rights+=("delete||pods||$space|" "delete|apps|replicasets||$space|" "list||events||$space|")
  done
  check_rights "${rights[@]}"
  stop_at_problems
  if [[ -n $has_release ]]; then
    command -v "$HELM" > /dev/null || wrong "\`$HELM\` is not here, and releases are to be uninstalled" "install helm, or set HELM"
  fi
}

# ---------------------------------------------------------------- removing

# Removes entry $1: namespace, name of a release.
remove_release() {
  local ns=$1 name=$2 line manifest input said
  look_at_release "$ns" "$name"
  case $release_owner in
    absent) return 0 ;;
    foreign)
      kept+=("Helm release $ns/$name: it is not of this bundle")
      return 0
      ;;
  esac
  # What it made, so that what hangs on it can be found afterwards.
  manifest=$("${helm[@]}" get manifest "$name" --namespace "$ns" 2> /dev/null) || manifest=
  if [[ -n ${manifest//[[:space:]]/} ]]; then
    input=$manifest
    if known_kinds "$manifest"; then
      ask get --filename - --namespace "$ns" --ignore-not-found --output "go-template=$identity"
      while IFS= read -r line; do
        [[ -z $line ]] || note_removed "${line%% *}" "${line#* }"
      done <<< "$answer"
    fi
  fi
  say "  uninstalling Helm release $ns/$name"
  if ! said=$("${helm[@]}" uninstall "$name" --namespace "$ns" --timeout "$(seconds "$timeout_wait")s" 2>&1); then
    look_at_release "$ns" "$name"
    [[ $release_owner == absent ]] || die "helm cannot uninstall release $ns/$name: $(last_line "$said")" "run this script again when the cause is gone"
  fi
  removed=$((removed + 1))
}

# Whether the server has every kind of a manifest; without that it cannot be asked for its objects.
known_kinds() {
  local api kind
  while IFS='|' read -r api kind; do
    [[ -z $kind ]] || serves "$api" "$kind" || return 1
  done <<< "$(kinds_of "$1")"
}

# Remembers that object $1, found as $2, is being removed.
note_removed() {
  local _api kind ns name
  IFS='|' read -r _api kind ns name <<< "$1"
  removed_uids[${2%%|*}]=$1
  found[$1]=$2
  leaving+=("$1")
  [[ -z $ns ]] || places[$ns]=yes
  [[ $kind != Service ]] || removed_services[$ns/$name]=yes
}

# Pods that are not being removed by us and use the claim or Secret $3 of namespace $2: their names, in `users`.
used_by_others() {
  local kind=$1 ns=$2 name=$3 line pod what owner
  # shellcheck disable=SC2016
  local claims='{{range .items}}{{$p := .metadata}}{{$phase := .status.phase}}{{range .spec.volumes}}{{with .persistentVolumeClaim}}{{$p.name}}|{{.claimName}}|{{$phase}}{{"\n"}}{{end}}{{end}}{{end}}'
  # shellcheck disable=SC2016
  local secrets='{{range .items}}{{$p := .metadata}}{{$phase := .status.phase}}{{range .spec.containers}}{{range .env}}{{with .valueFrom}}{{with .secretKeyRef}}{{$p.name}}|{{.name}}|{{$phase}}{{"\n"}}{{end}}{{end}}{{end}}{{end}}{{range .spec.volumes}}{{with .secret}}{{$p.name}}|{{.secretName}}|{{$phase}}{{"\n"}}{{end}}{{end}}{{end}}'
  users=
  if [[ $kind == Secret ]]; then what=$secrets; else what=$claims; fi
  ask get pods --namespace "$ns" --output "go-template=$what"
  while IFS='|' read -r pod line owner; do
    [[ $line == "$name" && $owner != Succeeded && $owner != Failed ]] || continue
    [[ " $users" == *" $pod "* ]] || users+="$pod "
  done <<< "$answer"
}

# What is left in namespace $1 beside what every namespace has, a line each, in `left`.
left_in() {
  local ns=$1 kinds said line
  kinds=$("${kubectl[@]}" --request-timeout=60s api-resources --verbs=list --namespaced --output name 2> /dev/null) || true
  [[ -n $kinds ]] || die "the API server does not tell which kinds it has" "namespace $ns is kept"
  kinds=$(grep -v -x -e 'events' -e 'events.events.k8s.io' -e 'endpointslices.discovery.k8s.io' -e 'endpoints' -e '.*\.metrics\.k8s\.io' <<< "$kinds" | tr '\n' ',')
  ask get "${kinds%,}" --namespace "$ns" --ignore-not-found --output 'go-template={{range .items}}{{.kind}} {{.metadata.name}}{{"\n"}}{{end}}'
  left=
  while IFS= read -r line; do
    case $line in
      '' | 'ConfigMap kube-root-ca.crt' | 'ConfigMap openshift-service-ca.crt' | 'ServiceAccount default') ;;
      'ServiceAccount builder' | 'ServiceAccount deployer' | 'Secret default-dockercfg-'* | 'Secret builder-'* | 'Secret deployer-'*) ;;
      *) left+="$line, " ;;
    esac
  done <<< "$answer"
  left=${left%, }
}

# Removes an object of the plan, or says why it stays.
remove_object() {
  local api=$1 kind=$2 ns=$3 name=$4 part=$5 instance=$6 object="$1|$2|$3|$4" owner users left
  whose "$object" "$part" "$instance"
  case $owner in
    absent) return 0 ;;
    foreign)
      kept+=("$kind ${ns:+$ns/}$name: it does not carry the labels of this bundle")
      return 0
      ;;
  esac
  case $kind in
    PersistentVolumeClaim | Secret)
      settle
      used_by_others "$kind" "$ns" "$name"
      if [[ -n $users ]]; then
        kept+=("$kind $ns/$name: other pods use it: ${users% }")
        return 0
      fi
      ;;
    Namespace)
      settle
      left_in "$name"
      if [[ -n $left ]]; then
        kept+=("Namespace $name: other objects are in it: ${left:0:400}")
        return 0
      fi
      ;;
  esac
  delete_object "$object" "${found[$object]%%|*}"
  say "  removed $kind ${ns:+$ns/}$name"
  removed=$((removed + 1))
  note_removed "$object" "${found[$object]}"
  [[ $kind != Namespace ]] || settle
}

# ---------------------------------------------------------------- waiting

# What hangs on something that was removed and is still there: lines `APIVERSION|KIND|NS|NAME UID`, in `hanging`.
# shellcheck disable=SC2016
dependents='{{range .items}}{{$o := .}}{{$uid := .metadata.uid}}{{range .metadata.ownerReferences}}{{$o.apiVersion}}|{{$o.kind}}|{{$o.metadata.namespace}}|{{$o.metadata.name}} {{$uid}} {{.uid}}{{"\n"}}{{else}}{{if eq .kind "Endpoints"}}v1|Endpoints|{{.metadata.namespace}}|{{.metadata.name}} {{$uid}} endpoints{{"\n"}}{{end}}{{end}}{{end}}'
find_dependents() {
  local ns line object uid owner kinds more=yes rows=
  kinds=$(IFS=,; printf '%s' "${dependent_kinds[*]}")
  hanging=()
  for ns in "${!places[@]}"; do
    [[ -n ${places[$ns]} ]] || continue
    poll get "$kinds" --namespace "$ns" --ignore-not-found --output "go-template=$dependents" || return 1
    rows+=$answer$newline
  done
  # An owner may stand behind what it owns.
  local -A seen=()
  while [[ -n $more ]]; do
    more=
    while IFS=' ' read -r object uid owner; do
      [[ -n $object && -z ${seen[$uid]-} ]] || continue
      if [[ $owner == endpoints ]]; then
        line=${object#*|*|}
        [[ -n ${removed_services[${line/|//}]-} ]] || continue
      elif [[ -z ${removed_uids[$owner]-} ]]; then
        continue
      fi
      seen[$uid]=yes more=yes
      removed_uids[$uid]=$object
      hanging+=("$object $uid")
    done <<< "$rows"
  done
}

# Waits until what was removed is gone with all that hangs on it. A cluster removes dependents by itself; what it leaves
# for some seconds is removed here, each by name and UID.
settle() {
  local began=$SECONDS told=-1 row object limit line what still
  ((${#leaving[@]})) || return 0
  limit=$(seconds "$timeout_wait")
  while :; do
    still=()
    before=()
    for object in "${leaving[@]}"; do before+=("${found[$object]%%|*}"); done
    lookup "${leaving[@]}"
    local i=0
    for object in "${leaving[@]}"; do
      [[ -z ${found[$object]} || ${found[$object]%%|*} != "${before[i]}" ]] || still+=("$object")
      i=$((i + 1))
    done
    leaving=("${still[@]}")
    if find_dependents; then
      if ((${#still[@]} == 0 && ${#hanging[@]} == 0)); then break; fi
      if ((SECONDS - began >= 5)); then
        for row in "${hanging[@]}"; do delete_object "${row%% *}" "${row##* }"; done
      fi
      what=
      for object in "${still[@]}" "${hanging[@]%% *}"; do what+="$(title "$object"), "; done
    else
      what="no answer from the API server, "
    fi
    ((SECONDS - began < limit)) || die "after $limit s still there: ${what%, }" "look: $KUBECTL --context $context get KIND NAME --namespace NS --output yaml; finalizers say what holds it"
    if ((SECONDS - began >= 3)) && ((told < 0 || SECONDS - told >= 30)); then
      line=${what%, }
      say "  waiting until all of it is gone, $((SECONDS - began)) of $limit s: ${line:0:300}"
      told=$SECONDS
    fi
    sleep 1
  done
  leaving=()
}

# ---------------------------------------------------------------- all of it

parse_options "$@"
[[ -z $always_deep ]] || given[deep]=yes
choose_context
say "bundle $release, $bundle_id"
if dry_run; then
  show_plan
  exit 0
fi
preflight
for row in "${plan[@]}"; do
  IFS='|' read -r half when api kind ns name part instance why <<< "$row"
  wants_half "$half" || continue
  if ! chosen "$half" "$when"; then
    [[ $api == helm || -z ${found[$api|$kind|$ns|$name]-} ]] || kept+=("$kind ${ns:+$ns/}$name: $why")
  elif [[ $api == helm ]]; then
    remove_release "$ns" "$name"
  else
    remove_object "$api" "$kind" "$ns" "$name" "$part" "$instance"
  fi
done
settle
for why in "${kept[@]}"; do say "  kept $why"; done
if ((removed)); then say "teardown: $removed removed in $SECONDS s, ${#kept[@]} kept"; else say "teardown: nothing of this bundle was left to remove, ${#kept[@]} kept"; fi
