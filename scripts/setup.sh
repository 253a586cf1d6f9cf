#!/usr/bin/env bash
# Installs what docent needs, and only what is missing. A second run finds nothing to do.
#
#   setup.sh run    to build and start the bot (the default)
#   setup.sh lint   to lint
#   setup.sh test   to do all of it, drive a browser and run the programs that others evaluate with
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/wasm-toolchain.sh
. "$root/scripts/wasm-toolchain.sh"

main() {
  case ${1:-run} in
    run) steps="compiler wasm_toolchain node_tools worker_tools" ;;
    lint) steps="compiler wasm_toolchain linters" ;;
    test) steps="compiler wasm_toolchain linters node_tools worker_tools promptfoo python_peers browser" ;;
    *) die "unknown purpose '$1': use run, lint or test" ;;
  esac
  mkdir -p "$tools"
  one_at_a_time
  for step in $steps; do "ensure_$step"; done
}

# Two set-ups at once would build the same things into the same place; the second waits.
one_at_a_time() {
  command -v flock >/dev/null || return 0
  exec 9>"$tools/lock"
  flock 9
}

ensure_compiler() {
  command -v cargo >/dev/null || die "cargo is missing: install Rust through rustup (https://rustup.rs), then start again"
  command -v cc >/dev/null || install_packages "a C compiler, which links Rust programs" gcc libc6-dev
}

ensure_linters() {
  if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    say "adding clippy and rustfmt"
    rustup -q component add clippy rustfmt
  fi
  # The distribution's compiler needs its own clippy (see scripts/clippy-worker.sh).
  default_rustc_has_wasm || [ -x /usr/bin/clippy-driver ] ||
    install_packages "clippy for that compiler" rust-web-clippy
}

# The stamp lies inside node_modules, so that it goes with it.
ensure_node_tools() {
  command -v npm >/dev/null || die "npm is missing: install Node.js 20 or newer (https://nodejs.org), then start again"
  local stamp=$root/node_modules/.docent-installed wanted
  wanted=$(cat "$root/package.json" "$root/package-lock.json" | hash_stdin)
  [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return
  say "installing the Node tools (workerd, wrangler and others) into node_modules"
  (cd "$root" && npm ci --no-audit --no-fund --loglevel=error)
  printf '%s\n' "$wanted" >"$stamp"
}

# 290 MB, and 1.9 GB with what it can also speak to. Of that, only libsql's library for this machine is needed.
ensure_promptfoo() {
  local peers=$root/tests/eval/peers wanted
  local stamp=$peers/node_modules/.docent-installed
  wanted=$(cat "$peers/package.json" "$peers/package-lock.json" | hash_stdin)
  [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return
  say "installing promptfoo into tests/eval/peers/node_modules (about a minute, once)"
  (
    cd "$peers"
    # Not `npm ci`: it insists on optional packages for other machines, which the lock cannot name.
    npm install --no-save --no-audit --no-fund --ignore-scripts --omit=optional --loglevel=error
    npm install --no-save --no-audit --no-fund --ignore-scripts --omit=optional --loglevel=error "$(libsql_library)"
  )
  printf '%s\n' "$wanted" >"$stamp"
}

# Name and version of the library for this machine, from the package that loads it.
libsql_library() {
  local platform
  case $(uname -s)-$(uname -m) in
    Darwin-arm64) platform=darwin-arm64 ;;
    Darwin-*) platform=darwin-x64 ;;
    *-aarch64) platform=linux-arm64-gnu ;;
    *) platform=linux-x64-gnu ;;
  esac
  printf '@libsql/%s@%s' "$platform" "$(sed -n "s/.*\"@libsql\/$platform\": *\"\([^\"]*\)\".*/\1/p" node_modules/libsql/package.json)"
}

# worker-build comes in step with the worker crate, and wasm-bindgen's tool must be exactly its library's version.
ensure_worker_tools() {
  local wanted
  wanted="worker-build@$(locked_version worker) wasm-bindgen-cli@$(locked_version wasm-bindgen)"
  [ -e "$tools/installed" ] && [ "$(cat "$tools/installed")" = "$wanted" ] && return
  pkg-config --exists openssl 2>/dev/null ||
    [ "$(uname)" != Linux ] || install_packages "OpenSSL's headers for worker-build" pkg-config libssl-dev
  say "building $wanted (about three minutes, once)"
  # Small tools that run for seconds: compile time counts, their speed does not. Dependencies are shared.
  # shellcheck disable=SC2086 # two words on purpose
  CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_TARGET_DIR=$tools/build \
    cargo install --quiet --root "$tools" $wanted
  rm -rf "$tools/build"
  printf '%s\n' "$wanted" >"$tools/installed"
}

ensure_browser() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v $name >/dev/null && return
  done
  install_packages "a browser for the tests of the widget" chromium
}

# Programs that read the files of docent-eval, in tests. The stamp lies inside, so that it goes with it.
ensure_python_peers() {
  local folder=$tools/python wanted="ir-measures==0.4.3"
  [ -e "$folder/installed" ] && [ "$(cat "$folder/installed")" = "$wanted" ] && return
  command -v python3 >/dev/null && python3 -c 'import ensurepip' 2>/dev/null ||
    install_packages "Python, for programs that read docent-eval's files" python3 python3-venv
  say "installing $wanted into $folder"
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check "$wanted"
  printf '%s\n' "$wanted" >"$folder/installed"
}

main "$@"
