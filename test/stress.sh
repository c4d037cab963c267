#!/bin/sh
# Rounds of the shadow graph in random configurations, for STRESS_SECONDS. The name of a round that
# failed is the command that repeats it; GCHEAP_SEED repeats them all.
cd "$(dirname "$0")/.." || exit 1
exec "${BUILD:-build}/test/shadow" stress seconds="${STRESS_SECONDS:-60}"
