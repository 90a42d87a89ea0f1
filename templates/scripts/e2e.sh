# ---------------------------------------------------------------- e2e

flags=(dry-run keep deep)
values=(context timeout)
step_names=()

usage() {
  cat << TEXT
usage: $self [--context NAME] [--timeout SECONDS] [--keep] [--deep] [--dry-run]

Stands the bundle up, tests it, runs its load and removes it; what failed is removed too.

  --context NAME      the context of kubectl; without it the current one, read once
  --timeout SECONDS   for each wait, instead of the scenario's settings
  --keep              do not remove anything at the end
  --deep              remove volumes, token and namespaces too
  -n, --dry-run       print what would be done; nothing is asked and nothing is touched

Exit codes: 0 all of it was done, 1 something failed, 2 wrong usage or preflight found something.
TEXT
}

parse_options "$@"
choose_context
words=(--context "$context")
[[ -z ${given[timeout]-} ]] || words+=(--timeout "${given[timeout]}")
! dry_run || words+=(--dry-run)

result=0
failed=
attempt() {
  local name=$1
  shift
  [[ -z $failed ]] || return 0
  "$bundle_dir/$name" "${words[@]}" "$@" || {
    result=$? failed=$name
    say "e2e: $name failed with exit code $result"
  }
}

attempt standup.sh --step 0-9
attempt smoketest.sh
[[ ! -e $bundle_dir/run.sh ]] || attempt run.sh

if [[ -n ${given[keep]-} ]]; then
  say "e2e: everything is kept; $bundle_dir/teardown.sh removes it"
else
  [[ -z ${given[deep]-} ]] || words+=(--deep)
  if ! "$bundle_dir/teardown.sh" "${words[@]}"; then
    say "e2e: teardown.sh failed too"
    ((result)) || result=1
    failed=${failed:-teardown.sh}
  fi
fi
if [[ -n $failed ]]; then say "e2e: $failed failed, after $SECONDS s"; else say "e2e: done in $SECONDS s"; fi
exit "$result"
