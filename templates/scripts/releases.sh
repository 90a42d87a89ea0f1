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
