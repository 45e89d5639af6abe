# shellcheck shell=bash
# What has to be on the machine. What can be installed without asking is installed.

# The oldest Rust that builds us, and the one whose lints we obey: `1.95`.
rust_wanted() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -n 1; }

# `1.95.0`, or nothing.
rust_found() { (rustc --version 2>/dev/null || true) | cut -d ' ' -f 2 | cut -d - -f 1; }

# Is version $1 at least version $2?
at_least() { [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]; }

need_rust() {
  # Rustup's own place, for a shell that was not opened anew since.
  if ! have cargo && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
    export PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
  fi
  local found wanted
  have cargo || die "Rust is missing; see https://rustup.rs, or run:
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
  found=$(rust_found) wanted=$(rust_wanted)
  at_least "${found:-0}" "$wanted" ||
    die "Rust ${found:-?} found, $wanted or newer needed; run: rustup update stable"
}

# The linker, and the C parts of secp256k1 and ring, need a C compiler. Bitcoin Core's kernel, in the
# devnet, needs C++, cmake and Boost's headers. Nothing else is needed.
need_system() {
  have cc && have c++ && have make && have cmake && have_boost && return
  have cc && have cmake && [[ $(uname) != Linux ]] && return
  have apt-get || die "a C++ compiler, cmake or Boost is missing; install them
  (on macOS: xcode-select --install; brew install cmake boost)"
  install_packages build-essential cmake libboost-dev
}

# A PostgreSQL server, which tests and benches start for themselves.
need_database() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
  have apt-get || die 'PostgreSQL is missing; its programs are looked for in /usr/lib/postgresql'
  install_packages postgresql
}

# Boost's headers, which are all that is used of it.
have_boost() {
  local folder
  for folder in ${BOOST_ROOT:+"$BOOST_ROOT/include"} /usr/include /usr/local/include \
    /opt/homebrew/include; do
    [[ -e $folder/boost/version.hpp ]] && return
  done
  return 1
}

# Installs Debian packages, or says how.
install_packages() {
  local as=()
  if ((EUID != 0)); then
    sudo -n true 2>/dev/null || die "missing packages; run: sudo apt-get install -y $*"
    as=(sudo -n)
  fi
  say "Installing $* …"
  local apt=("${as[@]+"${as[@]}"}" env DEBIAN_FRONTEND=noninteractive
    apt-get -q -o DPkg::Lock::Timeout=300)
  open_log apt
  run "${apt[@]}" update || say '(the list of packages could not be renewed)'
  run "${apt[@]}" install -y "$@" || {
    show_log
    die "the packages could not be installed; run: apt-get install -y $*"
  }
}

# A part of the toolchain that a minimal installation leaves out.
need_component() {
  cargo "$2" --version >/dev/null 2>&1 && return
  have rustup || die "cargo $2 is missing; install the component $1 of your Rust"
  say "Installing $1 …"
  rustup component add "$1"
}

have_nextest() { cargo nextest --version >/dev/null 2>&1; }
