#!/bin/sh
# Rounds of the shadow graph in random configurations: STRESS_ROUNDS, and as many as STRESS_SECONDS
# take. The name of a round that failed is the command that repeats it; GCHEAP_SEED repeats them all.
cd "$(dirname "$0")/.." || exit 1
# An emulator may have arguments.
# shellcheck disable=SC2086
exec ${RUNNER-} "${BUILD:-build}/test/shadow" stress rounds="${STRESS_ROUNDS:-6}" seconds="${STRESS_SECONDS:-0}"
