# TAP from shell scripts; source it. A script ends with `done_testing`.
set -uo pipefail
export LC_ALL=C
BUILD=${BUILD:-build} CC=${CC:-gcc} CXX=${CXX:-g++} SAN=${SAN-} SANFLAGS=${SANFLAGS-}
only=${1-}
count=0
failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# check NAME COMMAND…: passes if the command does; otherwise shows what it said. With an argument
# to the script, only checks whose name contains it are made.
check() {
    local name=$1
    shift
    [[ $name == *"$only"* ]] || return 0
    count=$((count + 1))
    if "$@" >"$scratch/said" 2>&1; then
        echo "ok $count - $name"
    else
        failed=$((failed + 1))
        echo "not ok $count - $name"
        head -n 400 "$scratch/said" | sed 's/^/# /'
    fi
}

done_testing() {
    echo "1..$count"
    exit $((failed > 0))
}
