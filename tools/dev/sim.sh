# shellcheck shell=bash
# ./dev sim: worlds in which everything fails. Built optimised, with every assertion of ours.

dev_sim() {
  need_system
  need_rust
  cargo build --quiet --profile sim --package leyden-sim
  exec "$CARGO_TARGET_DIR/sim/leyden-sim" "$@"
}
