# shellcheck shell=bash
# ./dev doctor: what is missing on this machine, and the cure.

DISK_GB_MIN=10

dev_doctor() {
  (($# == 0)) || wrong "./dev doctor takes nothing, not '$*'"
  ILL=0
  export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
  required
  optional
  ((ILL == 0)) || die "$ILL required missing"
  say 'nothing required is missing'
}

required() {
  local found free
  found=$(rust_found)
  if at_least "${found:-0}" "$(rust_wanted)"; then
    fine "Rust $found"
  else
    missing "Rust $(rust_wanted) or newer (found ${found:-none})" \
      'rustup update stable; without rustup see https://rustup.rs'
  fi
  if have cc; then
    fine "C compiler $(cc -dumpversion)"
  else
    missing 'C compiler' './dev demo installs it as root; or: sudo apt-get install build-essential'
  fi
  tool c++ 'C++ compiler' build-essential
  tool cmake "cmake, for Bitcoin Core's kernel" cmake
  if have_boost; then
    fine "Boost's headers"
  else
    missing "Boost's headers, for Bitcoin Core's kernel" \
      './dev demo installs them as root; or: sudo apt-get install libboost-dev'
  fi
  free=$(disk_gb)
  if ((free >= DISK_GB_MIN)); then
    fine "$free GB free for what is built"
  else
    missing "$DISK_GB_MIN GB free for what is built (found $free)" \
      'cargo clean, or set CARGO_TARGET_DIR to a larger disk'
  fi
}

# tool COMMAND WHAT PACKAGE
tool() {
  if have "$1"; then
    fine "$2"
  else
    missing "$2" "./dev demo installs it as root; or: sudo apt-get install $3"
  fi
}

# Free space where the target folder is or will be.
disk_gb() {
  local folder=$CARGO_TARGET_DIR
  while [[ ! -d $folder ]]; do folder=$(dirname "$folder"); done
  df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1048576) }'
}

optional() {
  probe git 'without it tidy walks the folders' 'sudo apt-get install git' git --version
  probe rustfmt './dev test installs it' 'rustup component add rustfmt' cargo fmt --version
  probe clippy './dev test installs it' 'rustup component add clippy' cargo clippy --version
  probe cargo-nextest 'tests run faster with it' 'cargo install cargo-nextest --locked' \
    cargo nextest --version
  probe nightly './dev fuzz installs it' 'rustup toolchain install nightly' cargo +nightly --version
  probe cargo-fuzz './dev fuzz installs it' 'cargo install cargo-fuzz --locked' cargo fuzz --version
  probe 'wasm32 target' 'for the browser' 'rustup target add wasm32-unknown-unknown' has_wasm
  probe clang 'for C code in the browser' 'sudo apt-get install clang' clang --version
  probe shellcheck 'for changes to ./dev' 'sudo apt-get install shellcheck' shellcheck --version
}

has_wasm() { [[ -d $(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown ]]; }

# probe NAME WHAT-FOR CURE COMMAND…
probe() {
  local name=$1 use=$2 cure=$3
  shift 3
  if "$@" >/dev/null 2>&1; then
    fine "$name"
  else
    printf 'absent   %s (optional: %s): %s\n' "$name" "$use" "$cure"
  fi
}

fine() { printf 'ok       %s\n' "$1"; }

missing() {
  ILL=$((ILL + 1))
  printf 'MISSING  %s: %s\n' "$1" "$2"
}
