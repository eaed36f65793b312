#!/usr/bin/env bash
# Installs what the tests need, builds everything (Release, build/release) and runs all tests; ctest has the last word.
#   ./test.sh           what continuous integration runs (minutes)
#   ./test.sh --full    also full-size models with synthetic weights (long; needs about 6 GB of disk)
# Extra arguments after "--" go to ctest: ./test.sh -- -R e2e
set -euo pipefail
cd "$(dirname "$0")"
. .ci/packages.sh

without=(-LE '^full$')
while [ $# -gt 0 ]; do
  case "$1" in
  --full) without=() ;;
  --)
    shift
    break
    ;;
  -h | --help)
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  *) fail "unknown argument '$1'; known are --full and -- CTEST-ARGUMENTS" ;;
  esac
  shift
done

install_packages "${build_packages[@]}" "${test_packages[@]}"
say "building (Release, build/release)"
configure_release
cmake --build build/release >&2

say "testing"
exec ctest --test-dir build/release --output-on-failure -j "$(nproc)" ${without[@]+"${without[@]}"} "$@"
