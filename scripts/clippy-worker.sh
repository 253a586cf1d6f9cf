#!/usr/bin/env bash
# Lints the Worker as it is compiled for wasm; on the host, parts of it and of its crates are other code.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/wasm-toolchain.sh
. "$root/scripts/wasm-toolchain.sh"

clippy=(cargo clippy)
if ! default_rustc_has_wasm; then
  use_wasm_toolchain
  # rustup's clippy cannot read a standard library that another compiler built.
  clippy=(/usr/bin/cargo-clippy clippy)
  export SYSROOT=$wasm_sysroot
fi
cd "$root"
# The release profile shares the compiled macros of the build.
CARGO_TARGET_DIR=target/worker "${clippy[@]}" --release --package docent-worker --target $wasm_target -- -D warnings
