#!/usr/bin/env bash
# The conformance suite of examples/osier, plain and with a collection at every allocation and at
# every seventh. OSIER names another binary.
cd "$(dirname "$0")/.." || exit 1
. test/tap.bash
OSIER=$(realpath "${OSIER:-$BUILD/osier}")
cd examples/osier || exit 1

# suite NAME SWITCHES: all cases, as one TAP; a run that breaks off has failed once more.
suite() {
    local name=$1 ended=no line
    export GCHEAP_DEBUG=$2
    while IFS= read -r line; do
        case $line in
        "ok "*) report ok "$name: ${line#ok * - }" ;;
        "not ok "*) report "not ok" "$name: ${line#not ok * - }" ;;
        1..*) ended=yes ;;
        *) echo "# ${line#\# }" ;;
        esac
    done < <("$OSIER" conformance/run.osr conformance/*.cases 2>&1)
    [[ $ended == yes ]] || report "not ok" "$name: the suite came to its end"
}

suite "plain" ""
suite "nth=7" "nth=7"
suite "nth=1" "nth=1"
done_testing
