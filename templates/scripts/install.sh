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
