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
