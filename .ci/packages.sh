# Sourced by quickstart.sh and test.sh: installs Debian packages that are missing, and only then needs root and the network.
# shellcheck shell=bash disable=SC2034
build_packages=(clang-22 lld-22 llvm-22-dev libmlir-22-dev mlir-22-tools ninja-build cmake ccache libboost-graph-dev libtbb-dev
  libprotobuf-dev protobuf-compiler libgtest-dev libgmock-dev)
test_packages=(llvm-22-tools libclang-rt-22-dev clang-format-22 qemu-user gcc-aarch64-linux-gnu g++-aarch64-linux-gnu binutils python3)

say() { printf '\n== %s\n' "$*" >&2; }
fail() {
  printf '%s: error: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

install_packages() { # PACKAGE…
  local missing=() package policy root=()
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "these packages are missing and there is no apt-get: ${missing[*]}"
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "these packages are missing, and installing them needs root or sudo: ${missing[*]}"
    root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${root[@]}" apt-get update -qq >&2 || fail "apt-get update failed; check the machine's package sources"
  for package in "${missing[@]}"; do
    policy=$(apt-cache policy "$package") # not piped into grep -q: that kills apt-cache, which pipefail then reports as missing
    if ! grep -q 'Candidate: [^(]' <<<"$policy"; then
      fail "the package sources of this machine have no '$package'; gcompile needs LLVM and MLIR 22, so add a source that has them (apt-cache policy libmlir-22-dev must name a candidate)"
    fi
  done
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 || fail "installing packages failed"
}

configure_release() { # configures build/release; output only when it fails
  local log
  [ "$(printf '%s\n' 3.25 "$(cmake --version | sed -n '1s/.* //p')" | sort -V | head -1)" = 3.25 ] || fail "cmake 3.25 or newer is needed, found $(cmake --version | head -1)"
  log=$(cmake --preset release 2>&1) || {
    printf '%s\n' "$log" >&2
    fail "configuring failed"
  }
}
