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
