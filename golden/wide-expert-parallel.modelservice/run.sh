#!/usr/bin/env bash
# Sends load to the stacks of a bundle and brings the results here. Rendered by llmdbench; --help tells how to use it.
# shellcheck disable=SC2034,SC2100,SC2317,SC2329
set -euo pipefail

# ---------------------------------------------------------------- what this bundle sends to its stacks

bundle_id=sha256:06a3d5cf6c909368d46d16cd9c61ce758fd845f3154d9328aed3c82c20c8eb02
release=llmdbench
namespace=llmdbench
harness_namespace=llmdbench
harness=vllm-benchmark
workload=random_concurrent.yaml
account=llmdbench-vllm-benchmark-runner
claim=workload-pvc
data_access=llmdbench-data-access
results_dir=/requests
run_prefix=''
output=local
parallelism=1
scrapes=''

# Seconds: how long a run may take (0: it is started and not waited for), until other objects are there.
timeout_run=3600
timeout_wait=900

# STACK|INSTANCE|JOB AND CONFIGMAP|ENDPOINT|LABELS OF ITS SERVERS|FILE OF THE CONFIGMAP|FILE OF THE JOB|NAME OF WHAT FMPERF STARTS|SERVED MODEL
targets=(
  'llm-d-deepseek-r1-0528-0b98eff8|deepseek-r1-0528-0b98eff8|llmdbench-run-llm-d-deepseek-r1-0528-0b98eff8|http://infra-llmdbench-inference-gateway-istio.llmdbench.svc.cluster.local:80/deepseek-ai/deepseek-r1-0528|llm-d.ai/model=llmdbench-deepseek-r1-052-4c5b945d|run/manifests/11-001-configmap-llmdbench-run-llm-d-deepseek-r1-0528-0b98eff8.yaml|run/manifests/11-002-job-llmdbench-run-llm-d-deepseek-r1-0528-0b98eff8.yaml|a40069|deepseek-ai/DeepSeek-R1-0528'
)

# The workload profile of stack $1, sent to the endpoint $2 and the model $3.
profile_of() {
  case $1 in
    llm-d-deepseek-r1-0528-0b98eff8)
      printf '%s' 'executable: benchmark_serving.py
model: ' "$3" '
served-model-name: ' "$3" '
base-url: ' "$2" '
dataset-name: random
random-input-len: 10000
random-output-len: 1000
max-concurrency: 1
num-prompts: 32
percentile-metrics: "ttft,tpot,itl,e2el"
metric-percentiles: "90,95,99"
ignore-eos: none
'
      ;;
  esac
}

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

# ---------------------------------------------------------------- run

flags=(dry-run new skip debug)
values=(context timeout results stack endpoint model)
step_names=()

usage() {
  local target
  cat << TEXT
usage: $self [--context NAME] [--stack NAME] [--results DIR] [--timeout SECONDS] [--endpoint URL [--model NAME]]
              [--new | --skip | --debug] [--dry-run]

Sends the load of $harness, profile $workload, to each stack of this bundle, one after the other, and copies the results
to DIR/RUN on this machine. Run again, it goes on with a run that is not finished or not copied yet; else it starts a new one.

  --context NAME      the context of kubectl; without it the current one, read once
  --stack NAME        only this stack
  --results DIR       where results go on this machine, ./results without it
  --timeout SECONDS   how long the run of a stack may take, $timeout_run without it; 0 starts it and does not wait
  --endpoint URL      send requests to this server, which exists already
  --model NAME        and ask it for this model
  --new               start a new run, and give up one that is there
  --skip              generate no load, only copy what the last run left
  --debug             start the load generator's pod and let it do nothing, to look around in it
  -n, --dry-run       print what would be done; nothing is asked and nothing is touched

Stacks: $(for target in "${targets[@]}"; do printf '%s ' "${target%%|*}"; done)
Load generator, profile and its parameters are chosen when the bundle is rendered, by -l, -w and --overrides.
KUBECTL, GCLOUD and AWS name other programs. Exit codes: 0 done, 1 failed, 2 wrong usage or preflight found something.
TEXT
}

run_key=llmdbench.io/run
bundle_key=llmdbench.io/bundle
collected_key=llmdbench.io/collected
endpoint_key=llmdbench.io/endpoint
model_key=llmdbench.io/model

# A JSON string.
json() {
  local text=$1
  text=${text//\\/\\\\} text=${text//\"/\\\"} text=${text//"$newline"/\\n} text=${text//$'\t'/\\t}
  printf '"%s"' "$text"
}

# What is chosen when the bundle is rendered.
refuse_rendered() {
  local word
  for word; do
    case $word in
      -l | -l* | --harness | --harness=* | -w | -w* | --workload | --workload=* | -o | --overrides | --overrides=* | -e | --experiments | --experiments=*)
        [[ $word != --* && ${#word} -gt 2 && $word != *=* ]] ||
          wrong "\`${word%%=*}\` is chosen when the bundle is rendered" "llmdbench render … ${word%%=*} … and run the $self of that bundle"
        ;;
    esac
  done
}

check_options() {
  local lower
  if [[ -n ${given[endpoint]-} && ! ${given[endpoint]} =~ ^https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?$ ]]; then
    wrong "--endpoint takes a URL as http://HOST:PORT/PATH, not \`${given[endpoint]}\`"
  fi
  if [[ -n ${given[model]-} ]]; then
    [[ -n ${given[endpoint]-} ]] || wrong "--model names the model of another server; give --endpoint too"
    lower=${given[model],,}
    if [[ ! $lower =~ ^[a-z0-9][a-z0-9._/-]*$ || ! $lower =~ [a-z] || $lower =~ ^(true|false|null|yes|no|on|off|y|n|[0-9._]+e[0-9]+|0x[0-9a-f]+)$ ]]; then
      wrong "--model takes the name of a model, not \`${given[model]}\`"
    fi
  fi
  local modes="${given[new]:+--new }${given[skip]:+--skip }${given[debug]:+--debug }"
  [[ $modes != *' '*' ' ]] || wrong "${modes% } do not go together"
  given[endpoint]=${given[endpoint]-}
  given[endpoint]=${given[endpoint]%/}
  results=${given[results]:-results}
}

# The stacks that are wanted, in `wanted`.
choose_targets() {
  local target known=
  wanted=()
  for target in "${targets[@]}"; do
    known+=" ${target%%|*}"
    [[ -n ${given[stack]-} && ${target%%|*} != "${given[stack]}" ]] || wanted+=("$target")
  done
  ((${#targets[@]})) || wrong "this bundle has no stack that load can be sent to" "render it with --endpoint URL"
  ((${#wanted[@]})) || wrong "no stack is called \`${given[stack]}\`" "there are:$known"
  if [[ -n ${given[endpoint]} && -n ${given[model]-} && ${#wanted[@]} -gt 1 ]]; then
    wrong "one server and one model, and ${#wanted[@]} stacks" "choose one with --stack"
  fi
}

# Reads the row $1 of a stack.
read_target() {
  IFS='|' read -r stack instance job endpoint servers profile_file job_file evaluation model <<< "$1"
  endpoint=${given[endpoint]:-$endpoint}
  model=${given[model]:-$model}
  folder=${harness}_${run-}_$stack
}

# ---------------------------------------------------------------- what is there

check_programs() {
  command -v tar > /dev/null || problems+=("\`tar\` is not here")
  case $output in
    gs://*) command -v "${GCLOUD:-gcloud}" > /dev/null || problems+=("\`${GCLOUD:-gcloud}\` is not here, and results go to $output") ;;
    s3://*) command -v "${AWS:-aws}" > /dev/null || problems+=("\`${AWS:-aws}\` is not here, and results go to $output") ;;
  esac
}

check_bucket() {
  local bucket=${output#*://} said
  bucket=${output%%://*}://${bucket%%/*}
  case $output in
    gs://*) said=$("${GCLOUD:-gcloud}" storage ls "$bucket" 2>&1 > /dev/null) || problems+=("no bucket $bucket that you can read: $(last_line "$said")") ;;
    s3://*) said=$("${AWS:-aws}" s3 ls "$bucket" 2>&1 > /dev/null) || problems+=("no bucket $bucket that you can read: $(last_line "$said")") ;;
  esac
}

check_access() {
  local ns=$harness_namespace
  local rights=("list||pods||$ns|" "get||pods|log|$ns|" "create||pods|exec|$ns|" "get|apps|deployments||$ns|$data_access" "list||events||$ns|"
    "get|batch|jobs||$ns|" "create|batch|jobs||$ns|" "patch|batch|jobs||$ns|" "delete|batch|jobs||$ns|"
    "get||configmaps||$ns|" "create||configmaps||$ns|" "patch||configmaps||$ns|"
    "get||persistentvolumeclaims||$ns|$claim" "get||serviceaccounts||$ns|$account")
  [[ -z $scrapes ]] || rights+=("list||pods||$namespace|" "get||pods|log|$namespace|")
  check_rights "${rights[@]}"
}

# What a run stands on, and what may be in its way.
check_objects() {
  local target object stands=("v1|PersistentVolumeClaim|$harness_namespace|$claim" "apps/v1|Deployment|$harness_namespace|$data_access")
  local own=()
  [[ $account == default ]] || stands+=("v1|ServiceAccount|$harness_namespace|$account")
  for target in "${wanted[@]}"; do
    read_target "$target"
    own+=("v1|ConfigMap|$harness_namespace|$job" "batch/v1|Job|$harness_namespace|$job")
  done
  lookup "${stands[@]}" "${own[@]}"
  for object in "${stands[@]}"; do
    [[ -n ${found[$object]-} ]] || problems+=("there is no $(title "$object"); standup.sh --step 4,5 makes it")
  done
  for target in "${wanted[@]}"; do
    read_target "$target"
    for object in "v1|ConfigMap|$harness_namespace|$job" "batch/v1|Job|$harness_namespace|$job"; do
      whose "$object" "$release" "$instance"
      [[ $owner != foreign ]] || problems+=("$(title "$object") exists and is not of this bundle")
    done
  done
}

# Asks each server for its models, from inside the cluster.
check_models() {
  local target said
  for target in "${wanted[@]}"; do
    read_target "$target"
    if ! said=$("${kubectl[@]}" exec --namespace "$harness_namespace" "deployment/$data_access" -- \
      curl --silent --show-error --fail --max-time 20 "$endpoint/v1/models" 2>&1); then
      problems+=("$stack does not answer at $endpoint/v1/models: $(last_line "$said")")
    elif [[ ${said// /} != *"\"id\":\"$model\""* ]]; then
      problems+=("$stack does not serve \`$model\` at $endpoint: ${said:0:200}")
    fi
  done
}

# What the Job of a run tells of itself: run, bundle, copied by, endpoint, model, uid.
# shellcheck disable=SC2016
job_marks='{{with .metadata.annotations}}{{with index . "llmdbench.io/run"}}{{.}}{{end}}|{{with index . "llmdbench.io/bundle"}}{{.}}{{end}}|{{with index . "llmdbench.io/collected"}}{{.}}{{end}}|{{with index . "llmdbench.io/endpoint"}}{{.}}{{end}}|{{with index . "llmdbench.io/model"}}{{.}}{{end}}{{else}}||||{{end}}|{{.metadata.uid}}'

# Reads the marks of the Job of the current stack: `its_run`, `its_bundle` and so on; all empty without a Job.
read_marks() {
  ask get job "$job" --namespace "$harness_namespace" --ignore-not-found --output "go-template=$job_marks"
  IFS='|' read -r its_run its_bundle its_copy its_endpoint its_model its_uid <<< "$answer"
}

# Chooses the run: one that is there and not copied yet, or a new one. Sets `run`.
choose_run() {
  local target
  run=
  for target in "${wanted[@]}"; do
    read_target "$target"
    read_marks
    [[ -n $its_uid && -n $its_run ]] || continue
    if [[ -z ${given[skip]-} ]]; then
      [[ -z $its_copy && -z ${given[new]-}${given[debug]-} ]] || continue
      if [[ $its_bundle != "$bundle_id" ]]; then
        wrong "run $its_run of $stack is of another version of this bundle, and its results are not copied yet" \
          "copy them with the $self of that version, or give them up with --new"
      fi
    fi
    if [[ -n ${given[endpoint]} && ${given[endpoint]} != "$its_endpoint" ]]; then
      wrong "run $its_run of $stack sends its requests to ${its_endpoint:-another server}, and its results are not copied yet" \
        "leave --endpoint out to go on with it, or give it up with --new"
    fi
    run=${run:-$its_run}
  done
  if [[ -n $run ]]; then
    say "run $run is there; this goes on with it"
  elif [[ -n ${given[skip]-} ]]; then
    wrong "there is no run whose results could be copied"
  else
    printf -v run '%s%s-%04x' "${run_prefix:+$run_prefix-}" "$(date -u +%Y%m%d-%H%M%S)" "$RANDOM"
    say "run $run"
  fi
}

# ---------------------------------------------------------------- one stack

# Puts the profile of the current stack into its ConfigMap.
put_profile() {
  local files=(--filename "$bundle_dir/$profile_file") patch
  if [[ -z ${given[endpoint]} ]]; then
    act "${kubectl[@]}" --request-timeout=60s apply --server-side --force-conflicts --field-manager=llmdbench --validate=strict "${files[@]}" > "$quiet"
    return
  fi
  patch="{\"data\":{$(json "$workload"):$(json "$(profile_of "$stack" "$endpoint" "$model")$newline")}}"
  if dry_run; then
    act "${kubectl[@]}" apply --server-side --filename "$profile_file, with $endpoint in it"
  else
    "${kubectl[@]}" patch --local "${files[@]}" --type=merge --patch "$patch" --output json |
      "${kubectl[@]}" --request-timeout=60s apply --server-side --force-conflicts --field-manager=llmdbench --filename - > /dev/null
  fi
}

# Starts the load on the current stack; a Job of an earlier run makes way.
start() {
  local patch container='' object="batch/v1|Job|$harness_namespace|$job" said
  if [[ -n ${given[endpoint]} ]]; then
    container="{\"name\":\"harness\",\"env\":[{\"name\":\"LLMDBENCH_HARNESS_STACK_ENDPOINT_URL\",\"value\":$(json "$endpoint")},{\"name\":\"LLMDBENCH_DEPLOY_CURRENT_MODEL\",\"value\":$(json "$model")}]"
  fi
  if [[ -n ${given[debug]-} ]]; then
    container="${container:-{\"name\":\"harness\"},\"args\":[\"sleep infinity\"]"
  fi
  patch="{\"metadata\":{\"annotations\":{\"$run_key\":\"$run\",\"$endpoint_key\":$(json "$endpoint"),\"$model_key\":$(json "$model")${given[debug]:+,\"$collected_key\":\"debug\"}}},\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"$run_key\":\"$run\"}}${container:+,\"spec\":{\"containers\":[$container\}]\}}}}}"
  if dry_run; then
    put_profile
    act "${kubectl[@]}" create --filename "$job_file, as run $run"
    return 0
  fi
  lookup "$object"
  if [[ -n ${found[$object]} ]]; then
    whose "$object" "$release" "$instance"
    [[ $owner == ours ]] || die "$(title "$object") is not of this bundle"
    delete_object "$object" "${found[$object]%%|*}"
    await_gone "$object" "$(seconds_to_wait)"
  fi
  put_profile
  if ! said=$("${kubectl[@]}" patch --local --filename "$bundle_dir/$job_file" --type=strategic --patch "$patch" --output json |
    "${kubectl[@]}" --request-timeout=60s create --field-manager=llmdbench --validate=strict --filename - 2>&1); then
    die "cannot start the load on $stack: $(last_line "$said")"
  fi
  read_marks
  say "  $stack: started, $harness with $workload against $endpoint"
}

seconds_to_wait() { printf '%s' "$timeout_wait"; }

# How the current run of the current stack is doing: sets `outcome` to running, complete, failed or gone, and `reason`.
look_at_run() {
  local line subject=$job
  outcome=running reason=
  if ! poll get job "$job" --namespace "$harness_namespace" --ignore-not-found --output "go-template={{.metadata.uid}}{{\"\\n\"}}$job_state"; then
    reason="no answer from the API server"
    return 0
  fi
  if [[ ${answer%%"$newline"*} != "$its_uid" ]]; then
    outcome=gone reason="the Job was removed"
    return 0
  fi
  local verdict=
  while IFS= read -r line; do
    case $line in
      Complete\|*) outcome=complete ;;
      Failed\|*) outcome=failed reason=${line#*|} ;;
    esac
  done <<< "$answer"
  [[ $outcome != complete ]] || return 0
  line=$reason
  why_pods "$harness_namespace" "batch.kubernetes.io/controller-uid=$its_uid"
  reason=${line:+$line; }$reason
  [[ $outcome != running || $verdict != hopeless ]] || outcome=failed
}

# Waits for the current stack, at most the time of a run; then `outcome` may still be running.
await_run() {
  local limit began=$SECONDS shown='' told=-1
  limit=$(seconds "$timeout_run")
  while :; do
    look_at_run
    if [[ $outcome != running ]] || ((SECONDS - began >= limit)); then return 0; fi
    if [[ $reason != "$shown" ]] || ((SECONDS - told >= 30)); then
      say "  $stack: running, $((SECONDS - began)) of $limit s: $reason$(last_words)"
      shown=$reason told=$SECONDS
    fi
    sleep 2
  done
}

# The last line that the load generator said.
last_words() {
  local text
  text=$("${kubectl[@]}" --request-timeout=15s logs --namespace "$harness_namespace" --selector "batch.kubernetes.io/controller-uid=$its_uid" --tail=1 2> /dev/null) || return 0
  text=$(last_line "$text")
  [[ -z $text ]] || printf '; it says: %s' "${text:0:160}"
}

# Copies the folder $1 of the results volume into the folder $2 of this machine.
fetch() {
  local try said
  for try in 1 2 3; do
    rm -rf -- "$2"
    mkdir -p -- "$2"
    if said=$({ "${kubectl[@]}" exec --namespace "$harness_namespace" "deployment/$data_access" -- tar -c -f - -C "$results_dir" "$1" |
      tar -x -o -f - -C "$2"; } 2>&1); then
      return 0
    fi
    ((try == 3)) || sleep 5
  done
  die "cannot copy $results_dir/$1 of $stack: $(last_line "$said")" "run this script again; what is copied already stays"
}

has_folder() {
  "${kubectl[@]}" --request-timeout=60s exec --namespace "$harness_namespace" "deployment/$data_access" -- \
    test -d "$results_dir/$1" > /dev/null 2>&1
}

# Copies what the current stack's run left, and the words of its pods, into $partial/STACK; whole or not at all.
collect() {
  local part=$partial/$stack.part index names=("$folder") name copied=0
  if [[ -d $partial/$stack ]]; then
    say "  $stack: its results are here already"
    return 0
  fi
  if ((parallelism > 1)); then
    names=()
    for ((index = 0; index < parallelism; index++)); do names+=("${folder}_$index"); done
  fi
  rm -rf -- "$part"
  mkdir -p -- "$part"
  for name in "${names[@]}"; do
    has_folder "$name" || continue
    fetch "$name" "$part/.copy"
    if ((parallelism > 1)); then
      mv -- "$part/.copy/$name" "$part/${name##*_}"
    else
      find "$part/.copy/$name" -mindepth 1 -maxdepth 1 -exec mv -- {} "$part/" \;
    fi
    rm -rf -- "$part/.copy"
    copied=$((copied + 1))
  done
  save_logs "$harness_namespace" "batch.kubernetes.io/controller-uid=$its_uid" "$part/launcher.log"
  if [[ -n $scrapes && -n $servers ]]; then save_logs "$namespace" "$servers" "$part/servers.log"; fi
  # shellcheck disable=SC2016
  ask get configmap "$job" --namespace "$harness_namespace" --ignore-not-found --output "go-template={{range \$k, \$v := .data}}{{\$v}}{{end}}"
  printf '%s\n' "$answer" > "$part/profile.yaml"
  if ((copied < ${#names[@]})) && [[ $outcome == complete ]]; then
    outcome=failed reason="it ended well and left $copied of ${#names[@]} folders of results in $results_dir"
  fi
  printf '  - stack: %s\n    model: %s\n    endpoint: %s\n    outcome: %s\n' "$stack" "$(json "$model")" "$(json "$endpoint")" "$outcome" > "$part/.stack"
  mv -- "$part" "$partial/$stack"
  say "  $stack: results copied"
}

# What the pods of selector $2 in namespace $1 said, into the file $3.
save_logs() {
  "${kubectl[@]}" --request-timeout=300s logs --namespace "$1" --selector "$2" --all-containers --prefix --tail=-1 > "$3" 2> /dev/null ||
    printf '(not to be had)\n' >> "$3"
}

# Removes the jobs that fmperf started by itself; their names hold that of this run.
remove_evaluation() {
  local index name
  [[ $harness == fmperf ]] || return 0
  for ((index = 0; index < parallelism; index++)); do
    name=lmbenchmark-evaluate-$evaluation-$run
    if ((parallelism > 1)); then name+=-$index; fi
    "${kubectl[@]}" --request-timeout=60s delete job "$name" --namespace "$harness_namespace" --ignore-not-found --wait=false > /dev/null ||
      say "  $stack: the Job $name may be left"
  done
}

# ---------------------------------------------------------------- results of the run

# Gives the folder its name when all of it is here.
finish() {
  local stack_folder
  {
    printf 'run: %s\nbundle: %s\nrelease: %s\nnamespace: %s\ncontext: %s\nharness: %s\nworkload: %s\nparallelism: %s\ncopied: %s\nstacks:\n' \
      "$(json "$run")" "$(json "$bundle_id")" "$(json "$release")" "$(json "$namespace")" "$(json "$context")" "$(json "$harness")" "$(json "$workload")" "$parallelism" "$(json "$(date -u +%Y-%m-%dT%H:%M:%SZ)")"
    for stack_folder in "$partial"/*/; do
      [[ ! -e $stack_folder.stack ]] || cat -- "$stack_folder.stack"
    done
  } > "$partial/run.yaml"
  if [[ -e $bundle_dir/bundle.json ]]; then cp -- "$bundle_dir/bundle.json" "$partial/bundle.json"; fi
  mv -- "$partial" "$results/$run"
  rm -f -- "$results/$run"/*/.stack
  say "results: $results/$run"
}

upload() {
  case $output in
    gs://*) act "${GCLOUD:-gcloud}" storage cp --recursive "$results/$run" "${output%/}/" || die "the results are in $results/$run and not in $output" "run this script again" ;;
    s3://*) act "${AWS:-aws}" s3 cp --recursive "$results/$run" "${output%/}/$run" || die "the results are in $results/$run and not in $output" "run this script again" ;;
    *) return 0 ;;
  esac
  say "results: ${output%/}/$run"
}

# Tells the Jobs of the run that their results are copied, so that the next run is a new one.
mark() {
  local target
  for target in "${wanted[@]}"; do
    read_target "$target"
    read_marks
    [[ $its_run == "$run" ]] || continue
    "${kubectl[@]}" --request-timeout=60s annotate job "$job" --namespace "$harness_namespace" --overwrite "$collected_key=$run" > /dev/null
  done
}

show_only() {
  local target
  run=RUN
  for target in "${wanted[@]}"; do
    read_target "$target"
    say "$stack ($model at $endpoint)"
    [[ -n ${given[skip]-} ]] || start
    [[ -z ${given[debug]-} ]] || continue
    say "  would wait at most $(seconds "$timeout_run") s, copy $results_dir/$folder and give the results the name $results/$run"
  done
  if [[ $output != local ]]; then say "would copy $results/$run to $output"; fi
}

# ---------------------------------------------------------------- the script

refuse_rendered "$@"
parse_options "$@"
check_options
choose_targets
choose_context
quiet=/dev/null
if dry_run; then
  quiet=/dev/stdout
  show_only
  exit 0
fi

check_server
check_programs
stop_at_problems
check_access
check_bucket
stop_at_problems
check_objects
stop_at_problems
choose_run
partial=$results/.$run.part

failure=
if [[ ! -d $results/$run ]]; then
  for target in "${wanted[@]}"; do
    read_target "$target"
    read_marks
    outcome='' reason=''
    if [[ $its_run != "$run" ]]; then
      if [[ -n ${given[skip]-} ]]; then
        say "  $stack: run $run was not started"
        continue
      fi
      if [[ -z ${models_checked-} ]]; then
        check_models
        stop_at_problems
        models_checked=yes
        read_target "$target"
      fi
      start
      if [[ -n ${given[debug]-} ]]; then
        say "  $stack: $KUBECTL --context $context exec --namespace $harness_namespace -it job/$job -- bash"
        continue
      fi
    fi
    # What it was started with counts, whatever this call says.
    endpoint=${its_endpoint:-$endpoint} model=${its_model:-$model}
    if [[ -n ${given[skip]-} ]]; then look_at_run; else await_run; fi
    case $outcome in
      running)
        if [[ -n ${given[skip]-} ]]; then
          wrong "run $run of $stack is still running: $reason" "$self waits for it"
        elif (($(seconds "$timeout_run") == 0)); then
          say "run $run of $stack is running and not waited for; run this script again, with --timeout SECONDS, to wait and copy its results"
          exit 0
        fi
        die "run $run of $stack is not done within $(seconds "$timeout_run") s: $reason" \
          "it goes on; run this script again to wait further, look: $KUBECTL --context $context logs --namespace $harness_namespace job/$job"
        ;;
      gone) die "run $run of $stack: $reason" "start a new one with --new" ;;
      complete) say "  $stack: complete" ;;
      failed) say "  $stack: failed: $reason" ;;
    esac
    collect
    remove_evaluation
    if [[ $outcome == failed ]]; then failure=${failure:-"$stack: $reason"}; fi
  done
  if [[ -n ${given[debug]-} ]]; then exit 0; fi
  finish
else
  say "results: $results/$run is here already"
fi
upload
mark
if grep -q '^    outcome: failed$' "$results/$run/run.yaml"; then
  die "run $run failed${failure:+: $failure}" "what it left is in $results/$run"
fi
say "run $run: done in $SECONDS s"
