#!/usr/bin/env bash
# From a fresh Debian 12 to a model that talks: installs packages, builds gcompile and grun, compiles the bundled tiny model for
# this machine under a budget, prints the plan and answers a question. Safe to run again; the second run takes seconds.
#   ./quickstart.sh [QUESTION]          BUDGET=8MB ./quickstart.sh "What is the capital of France?"
set -euo pipefail
cd "$(dirname "$0")"
. .ci/packages.sh

question=${1:-What is 7 + 5?}
budget=${BUDGET:-10MB}
model=tests/data/gemma4-tiny
programs=build/release/bin
artifact=build/release/gemma4-tiny-host.gpk

install_packages "${build_packages[@]}"
say "building gcompile and grun (Release, $programs)"
configure_release
cmake --build build/release --target gcompile grun >&2

say "compiling $model for this machine within $budget"
"$programs/gcompile" --model "$model" --target host --budget "$budget" --context 2048 -o "$artifact"

say "asking it: $question"
"$programs/grun" "$artifact" --chat -p "$question" -n 64
echo
