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
