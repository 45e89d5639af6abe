# shellcheck shell=bash
# shellcheck disable=SC2034 # KIND, PASSED, FAILED, NOTE and SKIPPED are read by test.sh
# The stages of ./dev test. They run as conditions, where `set -e` is off: each command that must
# not fail says so with `|| return`.

# Manifests of the workspaces beside the root.
beside() { ls interop/*/Cargo.toml fuzz/Cargo.toml 2>/dev/null || true; }

stage_lock() {
  local host manifest
  host=$(rustc -vV | sed -n 's/^host: //p')
  for manifest in Cargo.toml $(beside); do
    locked "$manifest" "$host" || {
      NOTE="$manifest and its lockfile disagree; build once and commit the lockfile"
      return 1
    }
  done
}

locked() {
  cargo metadata --locked --format-version 1 --filter-platform "$2" --manifest-path "$1" \
    2>&1 >/dev/null </dev/null | tee -a "$LOG"
}

stage_fmt() {
  need_component rustfmt fmt
  local status=0 manifest
  run cargo fmt --all --check -- --color never || status=1
  for manifest in $(beside); do
    run cargo fmt --manifest-path "$manifest" --check -- --color never || status=1
  done
  ((status == 0)) || NOTE='run: cargo fmt --all (and in the workspace named above)'
  return "$status"
}

# A newer compiler knows newer lints; they are shown, and obeyed when the house moves to it.
stage_clippy() {
  need_component clippy clippy
  local deny=() status=0 manifest
  case $(rust_found) in
    "$(rust_wanted)".*) deny=(-D warnings) ;;
    *) NOTE="Rust $(rust_found): warnings are shown only, they fail on $(rust_wanted)" ;;
  esac
  run cargo clippy --workspace --all-targets -- "${deny[@]+"${deny[@]}"}" || status=1
  for manifest in $(beside); do
    run cargo clippy --manifest-path "$manifest" --no-deps --all-targets -- \
      "${deny[@]+"${deny[@]}"}" || status=1
  done
  return "$status"
}

stage_unit() {
  KIND=tests
  tests --workspace
}

stage_tidy() {
  KIND='tidy tests'
  tests --package leyden-tidy
}

stage_doc() {
  KIND='doc tests'
  local status=0 ignored
  run cargo test --doc --workspace --no-fail-fast || status=1
  count
  ignored=$(tally ignored)
  if ((ignored > 0)); then
    NOTE="$ignored ignored, at most 0: mark the block as text or no_run"
    status=1
  fi
  return "$status"
}

# Bugs planted behind a feature, each of which a test has to notice.
stage_planted() {
  KIND=planted
  local package status=0 before=0
  for package in $(planted_packages); do
    tests --package "$package" --features planted planted || status=1
    if ((PASSED + FAILED == before && status == 0)); then
      NOTE="$package has a feature 'planted' and ran 0 tests named so, at least 1 expected"
      status=1
    fi
    before=$((PASSED + FAILED))
    if cargo check --quiet --release --package "$package" --no-default-features \
      --features planted >>"$LOG" 2>&1; then
      NOTE="$package compiles its planted bugs in a release build"
      status=1
    fi
  done
  return "$status"
}

# In the metadata each package begins with name and version; a dependency has no version.
planted_packages() {
  cargo metadata --no-deps --format-version 1 |
    sed 's/{"name":"\([^"]*\)","version":/\n\1 {/g' |
    sed -n 's/^\([^ ]*\) .*"features":{[^}]*"planted":.*/\1/p'
}

stage_interop() {
  KIND='interop cases'
  local manifest status=0 before=0
  for manifest in interop/*/Cargo.toml; do
    [[ -e $manifest ]] || continue
    tests --manifest-path "$manifest" --workspace || status=1
    if ((PASSED + FAILED == before && status == 0)); then
      NOTE="$manifest ran 0 tests, at least 1 expected"
      status=1
    fi
    before=$((PASSED + FAILED))
  done
  return "$status"
}

# The replay itself is a test of unit; here its inputs are counted.
stage_corpus() {
  KIND='corpus files'
  run cargo test --workspace --test corpus_replay -- --nocapture || {
    FAILED=$(tally failed)
    return 1
  }
  PASSED=$(sed -n 's/.*corpus files: \([0-9]*\).*/\1/p' "$LOG" | tail -n 1)
  PASSED=${PASSED:-0}
}

# What the built tests say of themselves against the list.
stage_skipped() {
  local list=docs/skipped-tests.txt manifest ignored='' listed extra gone
  for manifest in Cargo.toml interop/*/Cargo.toml; do
    [[ -e $manifest ]] || continue
    ignored+=$(ignored_tests "$manifest")$'\n' || {
      NOTE="the tests of $manifest could not be built or listed"
      [[ -t 1 ]] || cat "$LOG"
      return 1
    }
  done
  ignored=$(sed '/^$/d' <<<"$ignored" | sort -u)
  listed=$(sed -n '/^#/d; s/ — .*//p' "$list" | sort -u)
  extra=$(comm -23 <(printf '%s\n' "$ignored") <(printf '%s\n' "$listed"))
  gone=$(comm -13 <(printf '%s\n' "$ignored") <(printf '%s\n' "$listed"))
  [[ -z $extra ]] || say "ignored, but not in $list:"$'\n'"$extra"
  [[ -z $gone ]] || say "in $list, but not ignored (any more):"$'\n'"$gone"
  SKIPPED=0
  [[ -n $THOROUGH || -z $ignored ]] || SKIPPED=$(wc -l <<<"$ignored")
  NOTE="$(sed '/^$/d' <<<"$ignored" | wc -l) ignored, $(sed '/^$/d' <<<"$listed" | wc -l) listed"
  [[ -z $extra$gone ]]
}

# The ignored tests of a workspace as `package::test`.
ignored_tests() {
  local id binary package tests
  built_tests "$1" >"$LOG.built" || return 1
  while IFS=$'\t' read -r id binary; do
    # …/crates/wire#leyden-wire@0.1.0, or …/leyden-wire#0.1.0
    case $id in
      *'#'*@*) package=${id##*#} package=${package%@*} ;;
      *) package=${id%#*} package=${package##*/} ;;
    esac
    tests=$("$binary" --list --ignored --format terse 2>>"$LOG") || return 1
    sed -n "s/: test\$//; t out; d; : out; s/^/$package::/p" <<<"$tests"
  done <"$LOG.built"
}

# Package id and path of every built test binary. The JSON is cargo's own, one object to a line.
built_tests() {
  local id='"package_id":"\([^"]*\)"' path='"executable":"\([^"]*\)"'
  cargo test --no-run --workspace --tests --message-format json --manifest-path "$1" \
    2>>"$LOG" </dev/null |
    sed -n "/\"overflow_checks\":[a-z]*,\"test\":true}/s/.*$id.*$path.*/\\1\\t\\2/p"
}

# Runs tests with cargo nextest, or without it with cargo test, and counts them.
tests() {
  local status=0
  if have_nextest; then
    run cargo nextest run --no-fail-fast --color never --config-file .config/nextest.toml \
      ${THOROUGH:+--run-ignored all --profile long} "$@" || status=1
  else
    run cargo test --no-fail-fast --tests "$@" -- ${THOROUGH:+--include-ignored} || status=1
  fi
  count
  return "$status"
}

count() {
  PASSED=$(tally passed)
  FAILED=$(tally failed)
}

# How many tests in the log passed, failed or were ignored: `$1`. Reads nextest's line
# `Summary […] 3 tests run: 2 passed, 1 failed`, or when there is none libtest's
# `test result: ok. 2 passed; 1 failed; …`: under nextest those are only what failed tests said.
tally() {
  awk -v want="$1" '
    function number(label) {
      return match($0, "[0-9]+ " label) ? substr($0, RSTART, RLENGTH) + 0 : 0
    }
    /^ *Summary \[.*run: / {
      nextest = 1
      sum += number(want)
      if (want == "failed") sum += number("timed out") + number("exec failed")
    }
    /^test result: / { libtest += number(want) }
    END { print nextest ? sum + 0 : libtest + 0 }
  ' "$LOG"
}
