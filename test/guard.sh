#!/usr/bin/env bash
# test/guard ends what hangs and what loops, with all that it started, and nothing that waits for a
# processor, however long.
. test/tap.bash
export GUARD_LOOK=0.1

# guarded STATUS LIMIT COMMAND…: the guard ends with that status.
guarded() {
    local expected=$1 limit=$2 status=0
    shift 2
    test/guard "$limit" "$scratch/cpu" "$@" || status=$?
    [[ $status == "$expected" ]] || { echo "status $status" && return 1; }
}
passes_on() {
    guarded 0 100 true && guarded 7 100 sh -c 'exit 7' && guarded 134 100 sh -c 'kill -ABRT $$' &&
        guarded 127 100 no-such-command && [[ $(test/guard 100 "$scratch/cpu" echo said) == said ]]
}
tells_cpu() {
    guarded 0 100 sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done' && grep -v '^0\.00$' "$scratch/cpu"
}
# A process of another session is the command's, too. The last process to hold the pipe is gone.
ends_all() {
    [[ $(guarded 124 0.5 setsid --wait sh -c 'sleep 1000 & wait' && echo ended) == ended ]]
}

# What the guard sees of this process is what it writes: that it is in a state, and has had no CPU time.
cat >"$scratch/seems" <<'CODE'
#!/bin/sh
# STATE SECONDS
mkdir -p "$GUARD_PROC/$$/task/$$"
echo "$$ (a name) of it) $1 1 $$ $$ 0 -1 0 0 0 0 0 0 0 0 0 20" >"$GUARD_PROC/$$/stat"
cp "$GUARD_PROC/$$/stat" "$GUARD_PROC/$$/task/$$"
exec sleep "$2"
CODE
chmod +x "$scratch/seems"
seems() { # STATUS STATE SECONDS
    rm -rf "$scratch/proc" && mkdir "$scratch/proc" &&
        GUARD_PROC=$scratch/proc guarded "$1" 0.5 "$scratch/seems" "$2" "$3"
}

check 'status and output are those of the command' passes_on
check 'the CPU time is told' tells_cpu
check 'what sleeps for ever is ended' guarded 124 0.5 sleep 1000
check 'what computes for ever is ended' guarded 124 0.5 sh -c 'while :; do :; done'
check 'with all that it started' ends_all
check 'a wait for a processor does not count' seems 0 R 2
check 'nor does one for a disk' seems 0 D 2
check 'sleep counts' seems 124 S 1000
done_testing
