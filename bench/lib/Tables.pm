# The tables on the terminal: a row per configuration, a column per peer.
package Tables;
use strict;
use warnings;
use Exporter 'import';
use Plan;
use Targets;
our @EXPORT_OK = qw(tables ratios);

# Above this spread a number is marked.
my $NOISY = 10;

sub number {
    my ($v) = @_;
    return '' unless defined $v;
    return sprintf '%.0f', $v if abs $v >= 1000;
    return sprintf '%.4g', $v if abs $v >= 1;
    return sprintf '%.3g', $v;
}

sub cell {
    my ($e, $how) = @_;
    return '' unless $e;
    return number(Results::median(@{ $e->{$how} })) if $how;
    my $spread = Results::spread($e);
    return number(Results::median(@{ $e->{samples} }))
        . (defined $spread && $spread > $NOISY ? '~' : '');
}

# The configurations of a workload in which `metric` was measured, in order, without repetition.
sub configurations {
    my ($r, $bench, $metric) = @_;
    my (%seen, @found);
    for my $e (grep { $_->{metric} eq $metric } $r->entries($bench)) {
        push @found, $e->{params} unless $seen{ Plan::key($bench, $e->{params}) }++;
    }
    return @found;
}

# Names a configuration by the parameters that differ among all of them.
sub labels {
    my (@configurations) = @_;
    my %values;
    for my $c (@configurations) {
        $values{$_}{ $c->{$_} } = 1 for keys %$c;
    }
    return map { my $c = $_; join(' ', map {"$_=$c->{$_}"} grep { varies($_, \%values) } sort keys %$c) }
        @configurations;
}

sub varies {
    my ($key, $values) = @_;
    return keys %{ $values->{$key} } > 1 || $key eq 'threads';
}

# rows: [label, {peer => text}] …
sub grid {
    my ($title, @rows) = @_;
    my @peers = grep { my $p = $_; grep { ($_->[1]{$p} // '') ne '' } @rows } @Plan::PEERS;
    return '' unless @peers;
    my $width = (sort { $b <=> $a } map { length $_->[0] } @rows)[0];
    my $text = "\n$title\n" . sprintf("%-${width}s", '') . join('', map { sprintf '%12s', $_ } @peers);
    for my $row (@rows) {
        next unless grep { $_ ne '' } values %{ $row->[1] };
        my ($label, $cells) = @$row;
        $text .= sprintf("\n%-${width}s", $label)
            . join('', map { sprintf '%12s', $cells->{$_} // '' } @peers);
    }
    return "$text\n";
}

sub cells {
    my ($r, $bench, $metric, $params, $how) = @_;
    return { map { $_ => cell($r->find($bench, $_, $metric, %$params), $how) } @Plan::PEERS };
}

# One metric of one workload.
sub of_metric {
    my ($r, $title, $bench, $metric, $how) = @_;
    my @found = configurations($r, $bench, $metric);
    my @labels = labels(@found);
    return grid($title, map { [$labels[$_] || $bench, cells($r, $bench, $metric, $found[$_], $how // '')] }
                0 .. $#found);
}

# Several metrics of one workload, a table for each configuration.
sub of_metrics {
    my ($r, $title, $bench, @metrics) = @_;
    my @found = configurations($r, $bench, $metrics[0]);
    my @labels = labels(@found);
    return join '', map {
        my $c = $found[$_];
        grid($title . ($labels[$_] ? " ($labels[$_])" : ''),
             map { [$_, cells($r, $bench, $_, $c, '')] } @metrics)
    } 0 .. $#found;
}

# One metric of several workloads, each at its first configuration.
sub of_programs {
    my ($r, $title, $metric, $how, @benches) = @_;
    my @rows;
    for my $bench (@benches) {
        my @found = configurations($r, $bench, $metric);
        my @labels = labels(@found);
        push @rows, map { [join(' ', grep {$_} $bench, @found > 1 ? $labels[$_] : ''),
                           cells($r, $bench, $metric, $found[$_], $how)] } 0 .. $#found;
    }
    return @rows ? grid($title, @rows) : '';
}

# Of bench/stalls.c.
my @CAUSES = qw(handshake assist sweep drive proc claim held held_back lock fault preempted waited
    stolen other);
my @PROGRAMS = qw(gcbench holes hashmap editor broker fragment);

sub tables {
    my ($r) = @_;
    return join '',
        of_metric($r, 'Allocation, ns per object (zero=1: zeroed, calloc; zero=0: not, malloc)', 'alloc', 'time'),
        of_metric($r, 'Allocation, CPU seconds of the process', 'alloc', 'time', 'cpu'),
        of_programs($r, 'Objects of variable size, ns an object; a vector; a call with its activation '
                    . 'record', 'time', '', @Targets::SHAPES, 'vector', 'fib'),
        of_metric($r, 'Binary trees, seconds', 'tree', 'time'),
        of_metric($r, 'Binary trees, CPU seconds', 'tree', 'cpu'),
        of_metric($r, 'Full collection, ns per live object', 'mark', 'time'),
        of_metric($r, 'Full collection, CPU ns per live object', 'mark', 'cpu'),
        of_metric($r, 'Full collection of one shape, ns per item', 'graphs', 'time'),
        of_metric($r, 'Full collection of one shape, CPU ns per item', 'graphs', 'cpu'),
        of_metrics($r, 'Latency of replacing a message, ns; whole run, s', 'latency',
                   qw(p50 p99 p99.9 p99.99 p99.999 max time cpu)),
        of_metrics($r, 'Operations of more than 0.5 ms: how many, for each cause', 'latency',
                   max => map({"stalls_$_"} @CAUSES)),
        of_metrics($r, 'Operations of more than 0.5 ms: the longest, ns, for each cause', 'latency',
                   max => map({"longest_$_"} @CAUSES)),
        of_programs($r, 'Stall: longest visit to the collector (Boehm, Go: world stopped), ns',
                    'stall_max', '', qw(latency growth tree)),
        of_programs($r, 'Stall: longest visit to the collector, CPU ns', 'stall_cpu_max', '',
                    qw(latency growth tree)),
        of_programs($r, 'A mutator\'s longest handshake, CPU ns', 'handshake_cpu_max', '',
                    qw(latency growth tree)),
        of_programs($r, 'A mutator\'s handshakes, mean, CPU ns', 'handshake_cpu_mean', '',
                    qw(latency growth tree)),
        of_programs($r, 'A mutator\'s longest handshake, wall ns', 'handshake_wall_max', '',
                    qw(latency growth tree)),
        of_metric($r, 'Growth: full collection, ns per live object', 'growth', 'mark'),
        of_metric($r, 'Growth: allocation beside live data, memory touched for the first time, ns per '
                  . 'object', 'growth', 'alloc_first'),
        of_metric($r, 'Growth: allocation beside live data, ns per object', 'growth', 'alloc'),
        of_metric($r, 'Growth: the same, CPU ns per object', 'growth', 'alloc_cpu'),
        of_metrics($r, 'Strings by content, ns: found; made and dropped; CPU time of the latter',
                   'intern', qw(hit miss miss_cpu)),
        of_metric($r, 'Large blocks, us a block (zero=1: zeroed, calloc; zero=0: not, malloc)',
                  'large', 'time'),
        of_metric($r, 'Large blocks: MiB that became resident', 'large', 'peak'),
        of_metric($r, 'Large blocks: MiB alive', 'large', 'live'),
        of_metrics($r, 'Collection of a heap of 4 MiB, us', 'tiny', 'time', 'p99'),
        of_metrics($r, 'Inline paths, ns', 'micro',
                   qw(store_plain store store_tagged window store_marking store_tagged_marking window_marking
                      safepoint)),
        of_metrics($r, 'Inline paths, instructions', 'instructions',
                   qw(gc_new gc_new_bytes gc_new_array gc_new_flex gc_store gc_store_tagged gc_store_weak
                      gc_load_weak gc_before_write gc_safepoint GC_FRAME store_plain)),
        of_metrics($r, 'A slot in a cycle, CPU ns: its key lives; it dies, and the slot is cleared', 'weak',
                   qw(strong weak pair map weak_cleared pair_cleared map_cleared)),
        of_metrics($r, 'A thread that attaches and detaches, ns; around one allocation', 'attach',
                   qw(pair task)),
        of_metrics($r, 'Memory back after a peak: seconds until within 20 % of the goal; resident / '
                   . 'goal; MiB', 'giveback', qw(settled residence goal resident pages tables)),
        of_metric($r, 'Tables of the heap, % of the heap', 'metadata', 'metadata'),
        of_programs($r, 'Programs, seconds', 'time', '', @PROGRAMS, 'language'),
        of_programs($r, 'Programs, CPU seconds', 'time', 'cpu', @PROGRAMS, 'language'),
        of_metrics($r, 'Fragmentation: resident, % of live', 'fragment',
                   qw(resident_mean resident_worst resident_released)),
        of_programs($r, 'Peak resident memory, MiB', 'time', 'rss', 'tree', 'mark', 'latency',
                    @PROGRAMS, 'language'),
        of_metric($r, 'Peak resident memory of allocation, MiB', 'alloc', 'time', 'rss'),
        of_metric($r, 'Peak resident memory of growth, MiB', 'growth', 'build', 'rss'),
        "\n~ marks a number whose samples spread more than $NOISY % to either side.\n";
}

sub verdict {
    my ($t) = @_;
    return !defined $t->{met} ? 'not measured' : $t->{met} ? 'met' : 'NOT MET';
}

sub ratios {
    my ($r) = @_;
    my @targets = Targets::targets($r);
    my $width = (sort { $b <=> $a } map { length $_->{text} } @targets)[0] // 0;
    my $text = "\nTargets\n";
    for my $t (@targets) {
        $text .= sprintf "%-${width}s %8s   %s %-5s %s\n", $t->{text}, number($t->{ratio}),
            $t->{relation}, $t->{limit}, verdict($t);
    }
    my $met = grep { $_->{met} } @targets;
    $text .= sprintf "%d of %d met, %d not measured\n", $met, scalar @targets,
        scalar grep { !defined $_->{met} } @targets;
    my @others = map { sprintf "%-${width}s %8s\n", $_->[0], number($_->[1]) }
        Targets::information($r);
    return @others ? join '', "$text\nWithout a target\n", @others : $text;
}

1;
