# shellcheck shell=bash
# ./dev fuzz: looks for inputs that break a target.

SECONDS_DEFAULT=60

dev_fuzz() {
  local all='' keep='' each=$SECONDS_DEFAULT targets=()
  (($# > 0)) || { fuzz_targets && return; }
  while (($# > 0)); do
    case $1 in
      --all) all=1 ;;
      --keep) keep=1 ;;
      --seconds)
        [[ ${2:-} =~ ^[1-9][0-9]{0,4}$ ]] || wrong "--seconds takes 1 to 99999, not '${2:-}'"
        each=$2
        shift
        ;;
      -*) wrong "./dev fuzz does not know '$1'" ;;
      *)
        is_line "$1" "$(fuzz_targets)" ||
          wrong "no fuzz target is called '$1' (./dev fuzz lists them)"
        targets+=("$1")
        ;;
    esac
    shift
  done
  [[ -z $all ]] || ((${#targets[@]} == 0)) || wrong "--all and '${targets[*]}' exclude each other"
  [[ -n $all ]] || ((${#targets[@]} == 1)) || wrong './dev fuzz takes one target, or --all'
  # shellcheck disable=SC2207 # names of binaries have no spaces
  [[ -z $all ]] || targets=($(fuzz_targets))
  fuzz_needs
  fuzz_build
  fuzz_each "$each" "$keep" "${targets[@]}"
}

# The harness tests that these are exactly its targets.
fuzz_targets() { sed -n '/^\[\[bin\]\]/,$ s/^name = "\(.*\)"/\1/p' fuzz/Cargo.toml; }

fuzz_needs() {
  need_system
  need_rust
  have rustup || die 'fuzzing needs rustup, for its nightly toolchain; see https://rustup.rs'
  if ! cargo +nightly --version >/dev/null 2>&1; then
    say 'Installing the nightly toolchain …'
    rustup toolchain install nightly --profile minimal ||
      die 'nightly could not be installed; run: rustup toolchain install nightly'
  fi
  if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    say 'Installing cargo-fuzz …'
    cargo install cargo-fuzz --locked ||
      die 'cargo-fuzz could not be installed; run: cargo install cargo-fuzz --locked'
  fi
}

cargo_fuzz() {
  local verb=$1
  shift
  cargo +nightly fuzz "$verb" --target-dir "$CARGO_TARGET_DIR/fuzz" "$@"
}

fuzz_build() {
  open_log fuzz-build
  say 'Building the targets …'
  run cargo_fuzz build || {
    show_log
    die 'the targets do not build'
  }
}

fuzz_each() {
  local each=$1 keep=$2 target broken=() table=''
  shift 2
  for target in "$@"; do
    open_log "fuzz-$target"
    say "$target: $each s …"
    local verdict=ok
    mkdir -p "fuzz/corpus-local/$target"
    run cargo_fuzz run "$target" "fuzz/corpus-local/$target" "fuzz/corpus/$target" -- \
      "-max_total_time=$each" -print_final_stats=1 || {
      verdict=BROKEN
      broken+=("$target")
      show_log
    }
    [[ -z $keep || $verdict != ok ]] || fuzz_keep "$target"
    table+=$(fuzz_row "$target" "$verdict" "$((SECONDS - STARTED))")$'\n'
  done
  say ''
  printf '%-24s %8s %12s %9s %6s  %s\n' target seconds runs coverage new verdict
  printf '%s' "$table"
  ((${#broken[@]} == 0)) && return
  say ''
  say "broken: ${broken[*]}; the inputs are in fuzz/artifacts, one at a time:"
  say '  cargo +nightly fuzz run TARGET fuzz/artifacts/TARGET/FILE'
  return 1
}

# Adds to the checked-in corpus the smallest set of new inputs that reaches something new. What is
# there stays as it is, under its own names.
fuzz_keep() {
  local before after
  before=$(fuzz_kept "$1")
  if ! run cargo_fuzz cmin "$1" "fuzz/corpus-local/$1" ||
    ! run cargo_fuzz run "$1" "fuzz/corpus/$1" "fuzz/corpus-local/$1" -- -merge=1; then
    show_log
    die "the corpus of $1 could not be merged"
  fi
  after=$(fuzz_kept "$1")
  say "$1: kept $((after - before)) new, now $after in fuzz/corpus/$1"
}

fuzz_kept() { find "fuzz/corpus/$1" -type f | wc -l; }

# libFuzzer's last words: `cov: 123` on every line of progress, and `stat::name: number`.
fuzz_row() {
  local runs coverage new
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$LOG" | head -n 1)
  coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$LOG" | tail -n 1)
  new=$(sed -n 's/^stat::new_units_added: *//p' "$LOG" | head -n 1)
  printf '%-24s %8s %12s %9s %6s  %s\n' "$1" "$3" "${runs:--}" "${coverage:--}" "${new:--}" "$2"
}
