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
