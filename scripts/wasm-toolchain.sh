# Sourced by the other scripts: a Rust compiler with a standard library for wasm32-unknown-unknown.
#
# The short way is rustup's target. Where rustup cannot download, Debian's packages hold a compiler
# and the sources of its standard library (not built for wasm), and the sysroot below is made of them:
# the library built here once, everything else linked. Native builds, lints and formatting
# stay on the rustup toolchain in both cases.
# shellcheck shell=bash disable=SC2154 # root and tools come from common.sh

wasm_target=wasm32-unknown-unknown
wasm_sysroot=$tools/wasm-sysroot

# Makes the wasm target available and says how.
ensure_wasm_toolchain() {
  default_rustc_has_wasm && return
  sysroot_is_current && return
  say "adding the Rust target $wasm_target"
  local complaint
  # The limit is for networks that swallow packets instead of refusing them.
  complaint=$(limited 300 rustup -q target add $wasm_target 2>&1) && default_rustc_has_wasm && return
  say "rustup could not add it (${complaint%%$'\n'*}): using the distribution's compiler for the Worker"
  if [ "$(distribution_compiler | wc -l)" != 2 ]; then
    install_packages "a Rust compiler with the sources of its standard library" rustc-web rust-web-src
  fi
  # An upgrade of the packages replaces the compiler, so the old library is of no use.
  sysroot_is_current || build_wasm_sysroot
}

# Exports what cargo and worker-build need to compile for wasm. Call it after `ensure_wasm_toolchain`.
use_wasm_toolchain() {
  default_rustc_has_wasm && return
  local linker
  linker=$(rustc --print sysroot)/lib/rustlib/$(host_of rustc)/bin/rust-lld
  [ -x "$linker" ] || die "the linker $linker is missing: install Rust through rustup (https://rustup.rs)"
  export RUSTC=$wasm_sysroot/bin/rustc PATH=$wasm_sysroot/bin:$PATH
  export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker
}

default_rustc_has_wasm() {
  [ -d "$(rustc --print target-libdir --target $wasm_target)" ]
}

host_of() { "$1" -vV | sed -n 's/^host: //p'; }

limited() {
  if command -v timeout >/dev/null; then timeout "$@"; else shift && "$@"; fi
}

# The packages the sysroot is made from: a library only fits the compiler that built it.
distribution_compiler() {
  dpkg-query --show --showformat '${db:Status-Status} ${Package} ${Version}\n' rustc-web rust-web-src 2>/dev/null |
    grep '^installed' || true
}

sysroot_is_current() {
  [ -e "$wasm_sysroot/made-from" ] && [ "$(cat "$wasm_sysroot/made-from")" = "$(distribution_compiler)" ]
}

# Builds aside and moves last: an interrupted build leaves nothing that looks finished.
build_wasm_sysroot() {
  say "building the standard library for $wasm_target (about a minute, once)"
  local new=$wasm_sysroot.new build=$wasm_sysroot.build host
  host=$(host_of /usr/bin/rustc)
  rm -rf "$new" "$build"
  mkdir -p "$new/bin" "$new/lib/rustlib/$wasm_target/lib" "$build/src"
  ln -s "/usr/lib/rustlib/$host" "/usr/lib/rustlib/src" "$new/lib/rustlib/"
  # shellcheck disable=SC2016 # expanded when the wrapper runs, so the checkout can be moved
  printf '#!/bin/sh\nexec /usr/bin/rustc --sysroot "${0%%/bin/rustc}" "$@"\n' >"$new/bin/rustc"
  chmod +x "$new/bin/rustc"
  compile_std "$new/bin/rustc" "$build"
  cp "$build/target/$wasm_target/release/deps/"*.rlib "$new/lib/rustlib/$wasm_target/lib/"
  distribution_compiler >"$new/made-from"
  rm -rf "$wasm_sysroot" "$build" "$root/target/worker"
  mv "$new" "$wasm_sysroot"
}

# Cargo builds a standard library for a crate only, here an empty one.
# RUSTC_BOOTSTRAP: `build-std` is unstable. Embedded bitcode: link-time optimisation of the Worker needs it.
compile_std() {
  local compiler=$1 build=$2
  printf '[package]\nname = "empty"\nedition = "2024"\n[workspace]\n' >"$build/Cargo.toml"
  : >"$build/src/lib.rs"
  (
    cd "$build" && unset CARGO_ENCODED_RUSTFLAGS
    RUSTC=$compiler RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR=target \
      cargo build --quiet --release --target $wasm_target -Z build-std=std,panic_abort
  ) || die "building the standard library for $wasm_target failed: see the compiler's message above"
  rm "$build/target/$wasm_target/release/deps/libempty-"*.rlib
}
