# What gcheap promises against its peers, and whether it keeps it.
package Targets;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(targets);

# target(text, ours, theirs, '<=' or '>=', limit): ours / theirs against the limit.
sub target {
    my ($text, $ours, $theirs, $relation, $limit) = @_;
    my $ratio = defined $ours && $theirs ? $ours / $theirs : undef;
    my $met = !defined $ratio ? undef : $relation eq '<=' ? $ratio <= $limit : $ratio >= $limit;
    return { text => $text, ratio => $ratio, relation => $relation, limit => $limit, met => $met };
}

# bound(text, value, limit): a value of our own against the most it may be.
sub bound {
    my ($text, $value, $limit) = @_;
    return target($text, $value, 1, '<=', $limit);
}

# The first less the second.
sub difference {
    my ($value, $other) = @_;
    return defined $value && defined $other ? $value - $other : undef;
}

sub least {
    my @known = sort { $a <=> $b } grep {defined} @_;
    return $known[0];
}

sub alloc_time {
    my ($r, $peer, $size, $pointers, $zero) = @_;
    return $r->value('alloc', $peer, 'time', size => $size, pointers => $pointers, zero => $zero);
}

# Like with like: zeroed memory against calloc, and bytes that are not zeroed against malloc and
# the faster of Go's two ways.
sub alloc_targets {
    my ($r, $size, $pointers) = @_;
    my $limit = $size <= 64 ? 1 : 1.5;
    my @targets;
    for my $zero ($pointers ? 1 : (1, 0)) {
        my $what = "$size B " . ($pointers ? 'with pointers'
                                 : 'without pointers, ' . ($zero ? 'zeroed' : 'not zeroed'));
        my %t = map { $_ => alloc_time($r, $_, $size, $pointers, $zero) } qw(gcheap mimalloc go);
        my $go = least($t{go}, $zero ? () : alloc_time($r, 'go', $size, $pointers, 1));
        push @targets,
            target("$what / mimalloc " . ($zero ? 'calloc' : 'malloc') . '+free',
                   $t{gcheap}, $t{mimalloc}, '<=', $limit),
            target("$what: Go / gcheap", $go, $t{gcheap}, '>=', 3);
    }
    return @targets;
}

# Objects of 1 to 16 words whose size is random.
our @SHAPES = qw(arrays closures strings mixture);

sub shape_target {
    my ($r, $bench, $parameters, $limit) = @_;
    my %t = map { $_ => $r->value($bench, $_, 'time', %$parameters) } qw(gcheap mimalloc boehm go);
    my $what = join ' ', $bench, map {"$_=$parameters->{$_}"} sort keys %$parameters;
    return (
        target("$what / mimalloc calloc+free", $t{gcheap}, $t{mimalloc}, '<=', $limit),
        target("$what: better of Boehm and Go / gcheap", least($t{boehm}, $t{go}), $t{gcheap},
               '>=', 4),
    );
}

sub shape_targets {
    my ($r) = @_;
    my %limit = (mixture => 0.8);
    my @small = map { my $bench = $_; my %seen;
                      map { shape_target($r, $bench, { most => $_ }, $limit{$bench} // 1) }
                          grep { !$seen{$_}++ } map { $_->{params}{most} } $r->entries($bench) }
        @SHAPES;
    my ($fib) = $r->entries('fib');
    return (@small, $fib ? shape_target($r, 'fib', { n => $fib->{params}{n} }, 1) : ());
}

# Blocks of kilobytes to megabytes: against calloc where they are zeroed, else a bound in us; and
# what the heap takes for what is alive, where that is much more than the smallest heap.
sub large_targets {
    my ($r) = @_;
    return map {
        my %p = %{ $_->{params} };
        my %t = map { $_ => $r->value('large', $_, 'time', %p) } qw(gcheap mimalloc boehm);
        my $what = sprintf 'block of %s%s, %d alive%s', kib($p{from}),
            $p{to} > $p{from} ? ' to ' . kib($p{to}) : '', $p{live}, $p{zero} ? ', zeroed' : '';
        my ($peak, $live) = map { $r->value('large', 'gcheap', $_, %p) } qw(peak live);
        (($p{zero} ? target("$what / mimalloc calloc+free", $t{gcheap}, $t{mimalloc}, '<=', 1.2)
                   : bound("$what, us", $t{gcheap}, 0.5)),
         target("$what / Boehm", $t{gcheap}, $t{boehm}, '<=', 1),
         $p{zero} && ($live // 0) >= 16 ? target("$what: peak / alive", $peak, $live, '<=', 2.5) : ());
    } grep { $_->{peer} eq 'gcheap' && $_->{metric} eq 'time' } $r->entries('large');
}

sub kib {
    my ($bytes) = @_;
    return $bytes < 1 << 20 ? $bytes / 1024 . ' KiB' : $bytes / (1 << 20) . ' MiB';
}

sub tree_targets {
    my ($r, $threads, $limit) = @_;
    my %t = map { $_ => $r->value('tree', $_, 'time', threads => $threads) }
        qw(gcheap mimalloc boehm go);
    my $what = 'tree, ' . threads($threads);
    return (
        target("$what / mimalloc",       $t{gcheap}, $t{mimalloc}, '<=', $limit),
        target("$what: Boehm / gcheap", $t{boehm},  $t{gcheap},   '>=', 2),
        target("$what: Go / gcheap",    $t{go},     $t{gcheap},   '>=', 3),
    );
}

sub graph_target {
    my ($r, $nodes) = @_;
    my %t = map { $_ => $r->value('mark', $_, 'time', graph => 1, nodes => $nodes) }
        qw(gcheap go boehm);
    return target(sprintf('mark random graph of %.3g M nodes / better of Go and Boehm',
                          $nodes / 1e6), $t{gcheap}, least($t{go}, $t{boehm}), '<=', 0.33);
}

sub mark_targets {
    my ($r) = @_;
    my %t = map { $_ => $r->value('mark', $_, 'time', graph => 0) } qw(gcheap go boehm);
    my %nodes = map { $_->{params}{nodes} => 1 }
        grep { $_->{params}{graph} } $r->entries('mark');
    return (
        target('mark tree / Go',    $t{gcheap}, $t{go},    '<=', 0.5),
        target('mark tree / Boehm', $t{gcheap}, $t{boehm}, '<=', 0.65),
        map { graph_target($r, $_) } sort { $a <=> $b } keys %nodes,
    );
}

# Against the better of Go and Boehm's collector; the random ones by more.
sub graphs_targets {
    my ($r) = @_;
    my @targets;
    for my $e (grep { $_->{peer} eq 'gcheap' && $_->{metric} eq 'time' } $r->entries('graphs')) {
        my %p = %{ $e->{params} };
        my %t = map { $_ => $r->value('graphs', $_, 'time', %p) } qw(gcheap go boehm);
        my $limit = $p{shape} =~ /^(random|table|shuffled)$/ ? 0.33 : 0.5;
        push @targets,
            target("mark $p{shape}, " . ($p{cpus} == 1 ? '1 CPU' : "$p{cpus} CPUs")
                   . ' / better of Go and Boehm', $t{gcheap}, least($t{go}, $t{boehm}), '<=', $limit);
    }
    return @targets;
}

# Peak memory against Go's, wherever both ran these.
sub memory_targets {
    my ($r) = @_;
    my @targets;
    for my $e (grep { $_->{peer} eq 'gcheap' && $_->{metric} eq 'time' }
               map { $r->entries($_) } qw(tree mark latency)) {
        my $go = $r->peak($e->{bench}, 'go', 'time', %{ $e->{params} });
        push @targets, target('peak memory of ' . label($e) . ' / Go',
                              Results::median(@{ $e->{rss} }), $go, '<=', 1);
    }
    for ([1, 7, 'with'], [0, 4, 'without']) {
        my ($pointers, $limit, $word) = @$_;
        my $percent = $r->value('metadata', 'gcheap', 'metadata', pointers => $pointers);
        push @targets, bound("metadata, % of a heap $word pointers", $percent, $limit);
    }
    return @targets;
}

sub label {
    my ($e) = @_;
    my %p = %{ $e->{params} };
    return "$e->{bench}, " . threads($p{threads}) if $p{threads};
    return $p{graph} ? "mark, graph of $p{nodes}" : 'mark, tree';
}

sub intern_targets {
    my ($r) = @_;
    my %names = map { $_->{params}{names} => 1 } $r->entries('intern');
    return map {
        my $names = $_;
        map {
            my ($what, $limit) = @$_;
            target("interned string, $what, beside $names / a table of one's own (mimalloc)",
                   map({ $r->value('intern', $_, $what, names => $names) } qw(gcheap mimalloc)),
                   '<=', $limit)
        } ['hit', 1.2], ['miss', 3]
    } sort { $a <=> $b } keys %names;
}

sub instruction_targets {
    my ($r) = @_;
    my %limit = (gc_new => 12, gc_new_array => 24, gc_new_flex => 28, gc_store => 4,
                 gc_before_write => 3, gc_safepoint => 3, GC_FRAME => 12);
    return map { bound("instructions of $_, each further one",
                       $r->value('instructions', 'gcheap', $_, first => 0), $limit{$_}) }
        sort keys %limit;
}

sub threads {
    my ($n) = @_;
    return $n == 1 ? '1 thread' : "$n threads";
}

# In us of thread CPU time: a run's longest ('max'), or its 'mean'. Of several runs the median.
sub handshake {
    my ($r, $statistic, $bench, %params) = @_;
    my $ns = $r->value($bench, 'gcheap', "handshake_cpu_$statistic", %params);
    return defined $ns ? $ns / 1000 : undef;
}

# Live sizes between which a handshake must not differ.
my @GROWTH = (['100 MB', 100 << 20], ['1 GB', 1 << 30], ['8 GB', 8 << 30]);

# The largest and the smallest of the sizes that were run, if there are two.
sub handshake_growth {
    my ($r, $statistic) = @_;
    my @us = sort { $a <=> $b } grep {$_}
        map { handshake($r, $statistic, 'growth', live => $_->[1]) } @GROWTH;
    return @us > 1 ? ($us[-1], $us[0]) : (undef, undef);
}

# A thread's own work in it.
my $HANDSHAKE = 'longest handshake, CPU us';

sub handshake_targets {
    my ($r) = @_;
    my @latency = map { bound("$HANDSHAKE: latency, " . threads($_),
                              handshake($r, 'max', 'latency', threads => $_), 100) } 1, 2, 8;
    my @growth = map { bound("$HANDSHAKE: growth, $_->[0]",
                             handshake($r, 'max', 'growth', live => $_->[1]), 100) } @GROWTH;
    return (@latency, @growth, target('longest handshake: growth, largest / smallest',
                                      handshake_growth($r, 'max'), '<=', 2));
}

sub own_targets {
    my ($r) = @_;
    my %micro = map { $_ => $r->value('micro', 'gcheap', $_) }
        qw(store_plain store store_marking safepoint);
    my @tree = map { my $threads = $_;
                     target('tree, ' . threads($threads) . ' / GC_STOP_WORLD',
                            map({ $r->value('tree', $_, 'time', threads => $threads) }
                                qw(gcheap gcheap-stw)), '<=', 1.15) } 1, 2;
    return (
        @tree,
        bound('gc_store less a plain store, ns', difference(@micro{qw(store store_plain)}), 0.5),
        bound('gc_store while marking less a plain store, ns',
              difference(@micro{qw(store_marking store_plain)}), 8),
        bound('gc_safepoint, ns', $micro{safepoint}, 0.5),
        bound('collection of a heap of 4 MiB, us', $r->value('tiny', 'gcheap', 'time'), 500),
        handshake_targets($r), attach_targets($r),
        bound('after a peak of 1 GB: s until resident within 20 % of the goal',
              giveback($r, 'gcheap', 'settled'), 30),
    );
}

sub attach_targets {
    my ($r) = @_;
    return map { bound('attach and detach, ns: ' . threads($_),
                       $r->value('attach', 'gcheap', 'pair', threads => $_), 2000) } 1, 2;
}

# Of the runs that wait for as long as the bound says.
sub giveback {
    my ($r, $peer, $metric) = @_;
    return $r->value('giveback', $peer, $metric, peak => 1 << 30, seconds => 30);
}

sub alloc_sizes {
    my ($r) = @_;
    my %sizes = map { $_->{params}{size} => 1 } $r->entries('alloc');
    return sort { $a <=> $b } keys %sizes;
}

sub targets {
    my ($r) = @_;
    my @alloc = map { my $size = $_; map { alloc_targets($r, $size, $_) } 1, 0 } alloc_sizes($r);
    return (
        @alloc, shape_targets($r), large_targets($r), tree_targets($r, 1, 0.9),
        tree_targets($r, 2, 1.2), mark_targets($r),
        graphs_targets($r),
        memory_targets($r),
        tail_targets($r, 1), tail_targets($r, 2), percentile_targets($r, 8),
        intern_targets($r), instruction_targets($r), own_targets($r),
    );
}

sub latency {
    my ($r, $threads, $metric, @peers) = @_;
    return map { $r->value('latency', $_, $metric, threads => $threads) } @peers;
}

# No more threads than processors: the longest operations are no longer than those of a malloc,
# more or less.
sub tail_targets {
    my ($r, $threads) = @_;
    my $what = 'latency, ' . threads($threads);
    my $beyond = difference(latency($r, $threads, 'max', qw(gcheap glibc)));
    return (
        target("$what, p99.999 / Go", latency($r, $threads, 'p99.999', qw(gcheap go)), '<=', 1),
        target("$what, p99.999 / glibc", latency($r, $threads, 'p99.999', qw(gcheap glibc)),
               '<=', 3),
        bound("$what, max less glibc's, ms", defined $beyond ? $beyond / 1e6 : undef, 1),
    );
}

sub percentile_targets {
    my ($r, $threads) = @_;
    return map {
        target('latency, ' . threads($threads) . ", $_ / Go",
               latency($r, $threads, $_, qw(gcheap go)), '<=', 1)
    } qw(p50 p99 p99.9 p99.99 p99.999 max);
}

# Values without a bound, and ratios: [text, value] …
sub information {
    my ($r) = @_;
    my %micro = map { $_ => $r->value('micro', 'gcheap', $_) } qw(store_plain store store_marking);
    my @all = (
        map({ ["$_ B with pointers / mimalloc malloc+free",
               alloc_time($r, 'gcheap', $_, 1, 1), alloc_time($r, 'mimalloc', $_, 1, 0)] }
            alloc_sizes($r)),
        map({ ['latency, ' . threads($_) . ', p99.99 / Go', latency($r, $_, 'p99.99', qw(gcheap go))] } 1, 2),
        ['gc_store / plain store', @micro{qw(store store_plain)}],
        ['gc_store while marking / plain store', @micro{qw(store_marking store_plain)}],
        ['after a peak of 1 GB: resident / goal', giveback($r, 'gcheap', 'residence'), 1],
        ['after a peak of 1 GB: Go, resident / goal', giveback($r, 'go', 'residence'), 1],
        ['after a peak of 1 GB: Go, s until within 20 %', giveback($r, 'go', 'settled'), 1],
        ['collection of a heap of 4 MiB, p99, us', $r->value('tiny', 'gcheap', 'p99'), 1],
        map({ ["mean handshake, CPU us: growth, $_->[0]",
               handshake($r, 'mean', 'growth', live => $_->[1]), 1] } @GROWTH),
        ['mean handshake: growth, largest / smallest', handshake_growth($r, 'mean')],
    );
    return map { [$_->[0], $_->[1] / $_->[2]] } grep { $_->[1] && $_->[2] } @all;
}

1;
