#!/usr/bin/env bash
# Builds the Worker into worker/build/ (index.js and index_bg.wasm), and what it serves beside itself, the widget and
# the demo page, into worker/build/assets/. Does nothing when nothing changed.
# `make` and wrangler ([build] in wrangler.toml) both come here, so that what is tested is what is deployed.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/wasm-toolchain.sh
. "$root/scripts/wasm-toolchain.sh"

output=$root/worker/build

main() {
  cd "$root"
  once worker Cargo.toml Cargo.lock package-lock.json core worker/Cargo.toml worker/src scripts/build-worker.sh \
    scripts/wasm-toolchain.sh
  once widget package-lock.json worker/widget scripts/build-worker.sh scripts/build-widget.mjs
}

# once <what> <source>...: builds it unless it was built from the same sources.
# Contents, not times: a fresh clone or another branch with the same sources needs no build.
once() {
  local what=$1 stamp=$output/.$1-built-from sources
  shift
  sources=$(find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 cksum | hash_stdin)
  [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$sources" ] && return
  "$root/scripts/setup.sh" run
  say "building the $what"
  "build_$what"
  printf '%s\n' "$sources" >"$stamp"
}

# Without these names worker-build would download its own copies of the three tools.
# Its own target folder: a native build with another compiler would wait for the lock, or rebuild what this one built.
build_worker() {
  use_wasm_toolchain
  WASM_BINDGEN_BIN=$tools/bin/wasm-bindgen ESBUILD_BIN=$root/node_modules/.bin/esbuild \
    WASM_OPT_BIN=$root/node_modules/.bin/wasm-opt CARGO_TARGET_DIR=$root/target/worker \
    PATH=$root/node_modules/.bin:$PATH \
    "$tools/bin/worker-build" --release "$root/worker"
  strip_names
}

build_widget() { "$root/node_modules/.bin/node" scripts/build-widget.mjs "$output/assets"; }

# The names of functions are a tenth of what goes to Cloudflare, and serve only the stack of a panic, whose message
# has file and line anyway. The features are those that worker-build itself allows.
strip_names() {
  local wasm=$output/index_bg.wasm
  "$root/node_modules/.bin/wasm-opt" --strip-debug --enable-mutable-globals --enable-sign-ext \
    --enable-nontrapping-float-to-int --enable-bulk-memory --enable-multivalue --enable-reference-types \
    --enable-exception-handling "$wasm" -o "$wasm"
}

main "$@"
