# Sourced by the other scripts: where things are, how to speak, how to install a system package.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Everything that set-up builds lives here: nothing global, `make clean` removes it.
# shellcheck disable=SC2034 # used where this is sourced
tools=$root/.docent/tools

say() { printf 'docent: %s\n' "$*"; }

die() {
  printf 'docent: %s\n' "$*" >&2
  exit 1
}

# The version that Cargo.lock fixes for a crate.
locked_version() {
  awk -v name="\"$1\"" '$1 == "name" && $3 == name { getline; gsub(/"/, "", $3); print $3; exit }' "$root/Cargo.lock"
}

# One hash over standard input.
hash_stdin() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1
}

# Never asks for a password: set-up also runs where nobody can answer.
can_be_root() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# install_packages <what for> <package>...
install_packages() {
  local what=$1
  shift
  command -v apt-get >/dev/null ||
    die "$what is missing and there is no apt-get here: install it by hand (Debian calls it: $*), then start again"
  can_be_root ||
    die "$what needs root to be installed: run 'sudo apt-get install --no-install-recommends $*', then start again"
  say "installing $what from the distribution: $*"
  if [ -z "${package_lists_are_fresh:-}" ]; then
    as_root apt-get -qq update || die "apt-get update failed: check the package sources of this machine"
    package_lists_are_fresh=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes \
    apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" >/dev/null ||
    die "apt-get could not install $*: see its message above"
}
