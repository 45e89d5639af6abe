# shellcheck shell=bash
# ./dev test: everything that must hold, in stages. The stages are in stages.sh.

# shellcheck source=tools/dev/stages.sh
source tools/dev/stages.sh

STAGES=(lock fmt clippy unit doc planted interop corpus skipped)
THOROUGH=
TOTAL_PASSED=0 TOTAL_FAILED=0 SKIPPED=
FAILED_STAGES=() KINDS=()

dev_test() {
  local selected=()
  while (($# > 0)); do
    case $1 in
      --long) THOROUGH=1 ;;
      --only)
        is_stage "${2:-}" || wrong "--only takes a stage (${STAGES[*]} tidy), not '${2:-}'"
        selected+=("$2")
        shift
        ;;
      *) wrong "./dev test does not know '$1'" ;;
    esac
    shift
  done
  ((${#selected[@]} > 0)) || selected=("${STAGES[@]}")
  need_system
  need_database
  need_rust
  local stage
  for stage in "${selected[@]}"; do
    one_stage "$stage"
  done
  conclude
}

is_stage() {
  local stage
  for stage in "${STAGES[@]}" tidy; do
    [[ $stage == "$1" ]] && return
  done
  return 1
}

# A stage counts in PASSED and FAILED, and names in KIND what it counts. One that counts and has
# nothing to count has failed: a test that is not found is not a test that passes.
one_stage() {
  local stage=$1 verdict=ok
  PASSED=0 FAILED=0 KIND='' NOTE=''
  open_log "$stage"
  [[ -t 1 ]] || say "== $stage"
  "stage_$stage" || verdict=FAILED
  if [[ $verdict == ok && -n $KIND ]] && ((PASSED == 0)); then
    verdict=FAILED NOTE="ran none, at least 1 expected"
  fi
  [[ -z $KIND ]] || KINDS+=("$PASSED $KIND")
  local counted=${KIND:+$PASSED $KIND}
  printf '%-6s  %-8s %5d s  %s\n' "$verdict" "$stage" "$((SECONDS - STARTED))" \
    "$counted${NOTE:+${counted:+, }$NOTE}"
  # What is counted twice (corpus inputs, the tidy tests of unit) is no further test.
  [[ $KIND == 'corpus files' ]] || TOTAL_PASSED=$((TOTAL_PASSED + PASSED))
  if [[ $verdict == FAILED ]]; then
    # A stage that fails without a failing test (a lint, a compiler error) counts as one.
    TOTAL_FAILED=$((TOTAL_FAILED + (FAILED > 0 ? FAILED : 1)))
    FAILED_STAGES+=("$stage")
    show_log
  fi
}

conclude() {
  local stage kinds=''
  say ''
  for stage in "${FAILED_STAGES[@]+"${FAILED_STAGES[@]}"}"; do
    say "$stage failed; only this stage: ./dev test${THOROUGH:+ --long} --only $stage"
  done
  [[ -z $SKIPPED ]] || KINDS+=("$SKIPPED skipped")
  ((${#KINDS[@]} == 0)) || kinds=$(printf ', %s' "${KINDS[@]}")
  [[ -z $kinds ]] || say "summary: ${kinds#, }, in $SECONDS s"
  local skipped=''
  ((${SKIPPED:-0} == 0)) || skipped=", $SKIPPED skipped"
  say "$TOTAL_PASSED passed, $TOTAL_FAILED failed$skipped"
  ((TOTAL_FAILED == 0)) || exit 1
}
