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
