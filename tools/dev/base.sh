# shellcheck shell=bash
# What every part of ./dev uses: words to the user, and commands that take long.

say() { printf '%s\n' "$*"; }

die() {
  printf 'dev: %s\n' "$*" >&2
  exit 1
}

# Wrong usage: never a guess, always the way to the help.
wrong() {
  printf 'dev: %s; ./dev help shows what there is\n' "$*" >&2
  exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

# Opens the log `$1` for the commands that `run` will run, and starts their clock.
LOG='' STARTED=0
open_log() {
  mkdir -p "$CARGO_TARGET_DIR/dev-logs"
  LOG=$CARGO_TARGET_DIR/dev-logs/$1.log
  : >"$LOG"
  STARTED=$SECONDS
}

# Runs a command that takes long; all it says goes to $LOG. A terminal sees one line move, anything
# else (CI, a pipe) sees everything.
run() {
  printf '+ %s\n' "$*" >>"$LOG"
  if [[ -t 1 ]]; then
    run_quietly "$@"
  else
    "$@" </dev/null 2>&1 | tee -a "$LOG"
  fi
}

run_quietly() {
  local status=0
  "$@" </dev/null >>"$LOG" 2>&1 &
  local pid=$!
  # A shell's background commands ignore the interrupt key, so it is passed on.
  trap 'kill "$pid" 2>/dev/null; printf "\n"; exit 130' INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    printf '\r\033[K  %4d s  %s' "$((SECONDS - STARTED))" "$(last_line)"
    sleep 0.3
  done
  printf '\r\033[K'
  wait "$pid" || status=$?
  trap - INT TERM
  return "$status"
}

last_line() {
  local width=$((${COLUMNS:-80} - 12))
  tail -n 1 "$LOG" | tr -d '\r\033' | sed 's/^ *//' | cut -c "1-$width"
}

# After a failure: what the user of a terminal has not seen yet.
show_log() {
  if [[ -t 1 ]]; then
    tail -n 50 "$LOG" | sed 's/^/    /'
    say "    … all of it: $LOG"
  fi
}

# Is `$1` one of the lines of `$2`? A name of several lines is none of them.
is_line() {
  local line
  while IFS= read -r line; do
    [[ $line != "$1" ]] || return 0
  done <<<"$2"
  return 1
}
