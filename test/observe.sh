#!/usr/bin/env bash
# What the library writes for other programs is what these read: statistics for Prometheus, events for
# Perfetto, profiles for pprof.
. test/tap.bash

# pprof finds functions by the names that the profile has.
compile_outside observe observe -fno-optimize-sibling-calls "$BUILD/libgcheap.a" $(urcu)
observe() { "$scratch/observe" "$@"; }

# ---- Statistics ----------------------------------------------------------------------------

# Reads the text as Prometheus does, and says what is wrong with it. A family is announced once and its
# samples lie together; buckets rise, and the last one is the count.
cat >"$scratch/prometheus.pl" <<'PERL'
use strict;
use warnings;
my (%type, %help, %seen, %done, $family, %last, %inf);
my $name = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/;
my $value = qr/[+-]Inf|NaN|[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/;
while (my $line = <STDIN>) {
    chomp $line;
    if ($line =~ /^# HELP ($name) \S/) {
        die "$line: announced twice\n" if $help{$1}++;
    } elsif ($line =~ /^# TYPE ($name) (counter|gauge|histogram)$/) {
        die "$line: a second type\n" if $type{$1};
        die "$line: no help before it\n" unless $help{$1};
        $done{$family} = 1 if defined $family;
        $type{$family = $1} = $2;
    } elsif ($line =~ /^($name)(?:\{($name)="((?:[^"\\]|\\.)*)"\})? ($value)$/) {
        my ($sample, $label, $text, $number) = ($1, $2, $3, $4);
        my $of = $sample;
        $of =~ s/_(?:bucket|sum|count)$// if $type{$family} eq 'histogram';
        die "$line: not of $family\n" unless $of eq $family;
        die "$line: a counter ends in _total\n" if $type{$family} eq 'counter' && $sample !~ /_total$/;
        die "$line: twice\n" if $seen{$sample . ($text // '')}++;
        if ($sample =~ /_bucket$/) {
            die "$line: no bound\n" unless defined $label && $label eq 'le';
            my $bound = $text eq '+Inf' ? 9e99 : $text + 0;
            my ($before, $count) = @{$last{$family} // [-1, 0]};
            die "$line: not above the last\n" unless $bound > $before && $number >= $count;
            $last{$family} = [$bound, $number];
        }
        die "$line: not the last bucket\n" if $sample =~ /_count$/ && $type{$family} eq 'histogram' && $number != $last{$family}[1];
    } else {
        die "$line: no such line\n";
    }
}
die "only " . keys(%type) . " families\n" unless keys %type >= 30;
PERL
prometheus() { perl "$scratch/prometheus.pl"; }
statistics() { observe stats >"$scratch/stats" && prometheus <"$scratch/stats"; }
faults_found() { # each of these texts is refused
    local script
    for script in '2d' 's/_bucket{le="+Inf"} .*/_bucket{le="+Inf"} 0/' 's/ [0-9]*$/ 1,5/' '$p'; do
        sed "$script" "$scratch/stats" >"$scratch/wrong" && ! cmp -s "$scratch/stats" "$scratch/wrong" || return 1
        ! prometheus <"$scratch/wrong" || { echo "not found: $script" && return 1; }
    done
}
class_counts() { # LABEL LEAST: as many objects of the class, and no more freed than allocated
    awk -v label="{$1}" -v least="$2" '
        $1 == "gcheap_allocated_objects_total" label { allocated = $2 }
        $1 == "gcheap_freed_objects_total" label { freed = $2; seen = 1 }
        END { exit !(seen && allocated >= least && freed <= allocated) }' "$scratch/stats" ||
        { grep _objects_total "$scratch/stats" && return 1; }
}
# 80 trees of 2^15 - 1 nodes of 16 bytes.
objects_by_class() { class_counts 'size="16"' 2621360; }
promtool_reads() { promtool check metrics <"$scratch/stats"; }

check 'statistics: the format of Prometheus' statistics
check 'statistics: a wrong text is refused' faults_found
check 'statistics: objects by size class' objects_by_class
if command -v promtool >/dev/null; then
    check 'statistics: promtool' promtool_reads
fi

# ---- Events --------------------------------------------------------------------------------

# What a viewer of traces relies on. Of one track, pieces are beside or inside each other.
cat >"$scratch/events.pl" <<'PERL'
use strict;
use warnings;
use JSON::PP;
local $/;
my $trace = JSON::PP->new->utf8->decode(<STDIN>);
my (%tracks, %names, %seen, %causes, @sizes);
for my $e (@{$trace->{traceEvents}}) {
    my $track = "$e->{pid} $e->{tid}";
    if ($e->{ph} eq 'M') {
        $names{$e->{name} eq 'process_name' ? $e->{pid} : $track} = $e->{args}{name};
    } elsif ($e->{ph} eq 'C') {
        die "no size\n" unless $e->{args}{size} =~ /^\d+$/ && $e->{ts} > 0;
        push @sizes, $e->{args};
    } elsif ($e->{ph} eq 'X') {
        die "$e->{name}: no time\n" unless $e->{ts} > 0 && $e->{dur} >= 0;
        push @{$tracks{$track}}, $e;
        $seen{$e->{name}}++;
        $causes{$e->{args}{cause}}++ if $e->{name} eq 'cycle';
    } else {
        die "an event of kind $e->{ph}\n";
    }
}
for my $track (sort keys %tracks) {
    die "track $track has no name\n" unless $names{$track} || $track =~ /^1 /;
    my @open;
    my @pieces = map { [int($_->{ts} * 1000 + .5), int(($_->{ts} + $_->{dur}) * 1000 + .5), $_] } @{$tracks{$track}};
    for my $piece (sort { $a->[0] <=> $b->[0] || $b->[1] <=> $a->[1] } @pieces) {
        pop @open while @open && $open[-1][1] <= $piece->[0];
        die "$track: $piece->[2]{name} ends behind $open[-1][2]{name}, in which it began\n"
            if @open && $piece->[1] > $open[-1][1];
        die "$piece->[2]{name} of no cycle\n" if $track =~ /^2 / && $piece->[2]{name} ne 'cycle' && !@open;
        push @open, $piece;
    }
}
$seen{$_} or die "no $_\n" for qw(cycle begin arm settle roots mark resolve drain flush cut disarm flip handshake);
die "no stall but handshakes\n" unless grep { $seen{$_} } qw(assist sweep drive proc claim held held_back lock);
die "causes: @{[%causes]}\n" unless $causes{collect} && $causes{goal};
die "no goal\n" unless grep { $_->{goal} } @sizes;
die "process names\n" unless $names{1} eq 'threads' && $names{2} eq 'heaps' && $names{'2 1'} eq 'heap 1';
die "thread names\n" unless grep { $_ eq 'main' } values %names;
die "$seen{cycle} cycles, but $seen{flip} flips\n" if abs($seen{cycle} - $seen{flip}) > 1;
PERL
viewer() { perl "$scratch/events.pl"; }
events() { observe events >"$scratch/events" && viewer <"$scratch/events"; }
event_faults_found() {
    local script
    for script in 's/"name":"flip"/"name":"flop"/' 's/\("name":"roots".*"dur":\)[0-9]*/\19999999999/' '$d' 's/"cause":"goal"/"cause":"x"/'; do
        sed "$script" "$scratch/events" >"$scratch/wrong" && ! cmp -s "$scratch/events" "$scratch/wrong" || return 1
        ! viewer <"$scratch/wrong" || { echo "not found: $script" && return 1; }
    done
}

check 'events: pieces nest, cycles have causes' events
check 'events: a wrong trace is refused' event_faults_found

# The probes of the system have the names of the events.
probes() {
    readelf -n "$BUILD/libgcheap.so" | awk '$1 == "Provider:" && $2 == "gcheap" { getline; print $2 }' |
        sort -u >"$scratch/probes"
    diff - "$scratch/probes" <<TEXT
assist
claim
cycle_begin
cycle_end
drive
handshake
held
held_back
lock
proc
step
sweep
TEXT
}
if [[ -z $SAN ]] && echo '#include <sys/sdt.h>' | $CC -E - >/dev/null 2>&1; then
    check 'events: probes' probes
else
    report ok 'events: probes # SKIP no sys/sdt.h'
fi

# ---- Profiles ------------------------------------------------------------------------------

profile() { observe profile "$@" >"$scratch/profile"; }
to_pprof() { "$BUILD/gcheap-pprof" "$@" -o "$scratch/profile.pb.gz" "$scratch/profile"; }
# The profile as a program that knows nothing of gcheap reads it: pprof, or else protoc.
pprof() { PPROF_TMPDIR=$scratch "$pprof" -symbolize=none "$@" "$scratch/profile.pb.gz"; }
decoded() { gzip -dc "$scratch/profile.pb.gz" | protoc --proto_path=src/api/tools --decode=pprof.Profile profile.proto; }

# value INDEX UNIT FUNCTION: its flat value, as pprof reckons it, and which must be within 20 % of EXPECTED.
flat() { pprof -top -sample_index="$1" -unit="$2" 2>/dev/null | awk -v f="$3" '$0 ~ f { print $1 + 0; exit }'; }
near() { # WHAT VALUE EXPECTED
    awk -v value="$2" -v expected="$3" 'BEGIN { exit !(value > expected * .8 && value < expected * 1.2) }' ||
        { echo "$1: $2, expected about $3"; return 1; }
}
# 80 trees of 32767 nodes of 16 bytes died; 16 MB of the 32 MB of buffers stay.
estimated() {
    profile && to_pprof --frames=native || return 1
    near 'trees, bytes' "$(flat alloc_space B build_tree)" 41942000 &&
        near 'trees, objects' "$(flat alloc_objects count build_tree)" 2621000 &&
        near 'buffers, bytes' "$(flat alloc_space B keep_buffers)" 33554432 &&
        near 'buffers in use' "$(flat inuse_space B keep_buffers)" 16777216 &&
        near 'buffers, objects in use' "$(flat inuse_objects count keep_buffers)" 16384 &&
        [[ -z $(flat inuse_space B build_tree) ]]
}
told() {
    to_pprof --frames=told && near 'told' "$(flat alloc_space B 'inner "function"')" 33554432 &&
        pprof -peek=outer_function 2>/dev/null | grep -q outer_function &&
        pprof -list='inner' 2>&1 | grep -q 'a program' && ! pprof -top 2>/dev/null | grep keep_buffers
}
both() { # the embedder's function is the innermost one
    to_pprof && near 'told' "$(flat alloc_space B 'inner "function"')" 33554432 && [[ $(flat alloc_space B keep_buffers) == 0 ]] &&
        pprof -top -cum 2>/dev/null | grep -q keep_buffers
}
well_formed() { # every number names something
    decoded >"$scratch/decoded" && perl -0ne '
        my ($text, %n, $strings) = ($_);
        for my $kind (qw(sample mapping location function)) { $n{$kind} = () = $text =~ /^$kind \{/mg; }
        $strings = () = /^string_table:/mg;
        die "strings\n" unless /^string_table: ""/m && !grep { $_ >= $strings } /(?:name|type|unit|filename): (\d+)/g;
        die "locations\n" if grep { $_ < 1 || $_ > $n{location} } /location_id: (\d+)/g;
        die "functions\n" if grep { $_ < 1 || $_ > $n{function} } /function_id: (\d+)/g;
        die "mappings\n" if grep { $_ > $n{mapping} } /mapping_id: (\d+)/g;
        die "nothing\n" unless $n{sample} > 10 && $n{mapping} && $n{location};' "$scratch/decoded"
}
refused() { # STATUS ERROR TEXT
    local status=$1 error=$2
    printf "$3" >"$scratch/input"
    fails "$status" "gcheap-pprof: $scratch/input:$error" "$BUILD/gcheap-pprof" -o "$scratch/none" "$scratch/input"
}
bad_input() {
    echo 'gcheap profile 1' >"$scratch/full"
    refused 1 '1: this is no profile of gc_profile_write(), version 1' 'heap\n' &&
        refused 1 '2: unknown line: "sites 1 2"' 'gcheap profile 1\nsites 1 2\n' &&
        refused 1 '2: the number of allocated objects is missing, or no number' 'gcheap profile 1\nsite 1 2\n' &&
        refused 1 '2: a size or mean of 0, or more objects in use than allocated' 'gcheap profile 1\nsite 8 9 1 2\n' &&
        refused 1 '2: a frame before any site' 'gcheap profile 1\ntold 1 "f" "g"\n' &&
        refused 1 '3: the file has no end' 'gcheap profile 1\nsite 8 9 1 1\ntold 1 "f" "g\n' &&
        fails 1 "gcheap-pprof: $scratch/nowhere: No such file or directory" "$BUILD/gcheap-pprof" "$scratch/nowhere" &&
        fails 2 'usage: gcheap-pprof [--frames=all|told|native] [-o OUTPUT] [INPUT]' "$BUILD/gcheap-pprof" --frames=some &&
        fails 1 'gcheap-pprof: /dev/full: cannot write it all: No space left on device' \
            "$BUILD/gcheap-pprof" -o /dev/full "$scratch/full"
}
# The languages tell the functions of their programs.
cat >"$scratch/fill.osr" <<'PROGRAM'
fn fill_list(n) {
    let list = []
    for i in 0..n { list.push([i, i]) }
    return list
}
print(fill_list(300000).len())
PROGRAM
cat >"$scratch/fill.scm" <<'PROGRAM'
(define (fill-list n list)
  (if (= n 0) list (fill-list (- n 1) (cons (make-vector 8 n) list))))
(display (length (fill-list 300000 '())))
PROGRAM
language() { # FUNCTION LINE PROGRAM COMMAND
    "$BUILD/$4" --gc-profile "$scratch/profile" --gc-events "$scratch/events" "$scratch/$3" >"$scratch/out" 2>&1 || {
        cat "$scratch/out" && return 1; }
    grep -A 1 '^site ' "$scratch/profile" | grep -q "^told $2 \"$1\" \".*$3\"$" || {
        grep told "$scratch/profile" | sort | uniq -c && return 1; }
    to_pprof --frames=told && decoded | grep -qF "string_table: \"$1\"" && grep -q '"name":"cycle"' "$scratch/events"
}
language_statistics() { # 300000 lists, but for those in spans that are still in use
    "$BUILD/osier" --gc-metrics="$scratch/stats" "$scratch/fill.osr" && prometheus <"$scratch/stats" &&
        class_counts 'size="24"' 290000
}
piped() { "$BUILD/gcheap-pprof" <"$scratch/profile" | gzip -t; }

# The path of the program: go may have to make it first.
if command -v go >/dev/null && pprof=$(GOTOOLCHAIN=local GOFLAGS='' go tool -n pprof 2>/dev/null) && [[ -x $pprof ]]; then
    check 'profile: estimates are near the truth' estimated
    check 'profile: only functions that the embedder told' told
    check 'profile: both kinds of functions' both
else
    report ok 'profile: pprof # SKIP no go'
    profile && to_pprof
fi
check 'profile: well formed' well_formed
check 'profile: functions of Osier' language fill_list 3 fill.osr osier
check 'statistics: of a program in Osier' language_statistics
check 'profile: functions of Lisp' language fill-list 2 fill.scm lisp
check 'gcheap-pprof: bad input' bad_input
check 'gcheap-pprof: from a pipe to a pipe' piped

done_testing
