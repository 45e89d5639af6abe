# shellcheck shell=bash
# ./dev bench: measures, and collects one line per figure.

# name | workspace | package
BENCHES='noise|.|leyden-noise
handshake|.|leyden-noise
idle|.|leyden-node
handover|.|leyden-node
relay|.|leyden-node
chain|.|leyden-chain
devnet|.|leyden-devnet
rescan|.|leyden-node
codec|interop/ldk|
channel|interop/ldk|
rest|interop/ldk|'

dev_bench() {
  (($# == 0)) || [[ -n $1 ]] || wrong './dev bench takes a name, or nothing'
  (($# <= 1)) || wrong "./dev bench takes one name, not '$*'"
  local wanted=${1:-} name folder package names status=0
  names=$(cut -d '|' -f 1 <<<"$BENCHES")
  [[ -z $wanted ]] || is_line "$wanted" "$names" ||
    wrong "no bench is called '$wanted' (there are: ${names//$'\n'/ })"
  need_system
  need_database
  need_rust
  open_log bench
  while IFS='|' read -r name folder package; do
    [[ -z $wanted || $wanted == "$name" ]] || continue
    say "== $name"
    one_bench "$name" "$folder" "$package" || status=1
  done <<<"$BENCHES"
  say ''
  grep '^bench ' "$LOG" || true
  say "$(verdicts met) met, $(verdicts missed) missed, $(verdicts report) report"
  return "$status"
}

# Cargo's own words go to the terminal, the bench's to the log as well.
one_bench() {
  local name=$1 folder=$2 package=$3 before after
  before=$(figures)
  cargo bench --manifest-path "$folder/Cargo.toml" ${package:+--package "$package"} \
    --bench "$name" </dev/null | tee -a "$LOG" || {
    say "$name failed; only this one: ./dev bench $name"
    return 1
  }
  after=$(figures)
  if ((after == before)); then
    say "$name printed 0 figures, at least 1 expected"
    return 1
  fi
}

figures() { grep -c '^bench ' "$LOG" || true; }

# How many figures carry the verdict `$1`: `bench NAME VALUE UNIT target >=T met …`, or `report`
# in the place of `target`.
verdicts() {
  awk -v want="$1" '
    $1 == "bench" && ($5 == want || ($5 == "target" && $7 == want)) { n++ }
    END { print n + 0 }
  ' "$LOG"
}
