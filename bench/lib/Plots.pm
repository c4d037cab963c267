# SVG plots by gnuplot.
package Plots;
use strict;
use warnings;
use Exporter 'import';
use Plan;
use Results;
our @EXPORT_OK = qw(plots);

my %COLOUR = (
    gcheap   => '#d62728', 'gcheap-stw' => '#ff9896', go       => '#1f77b4', boehm    => '#9467bd',
    'gcheap-400' => '#8c564b', 'gcheap-small' => '#e377c2',
    glibc    => '#7f7f7f', mimalloc     => '#2ca02c', jemalloc => '#bcbd22', tcmalloc => '#ff7f0e',
);

# Runs gnuplot over a script; the plot is $dir/$name.svg.
sub draw {
    my ($dir, $name, $script) = @_;
    open my $gnuplot, '|-', 'gnuplot' or die "gnuplot: $!\n";
    print $gnuplot <<"END" . $script;
set terminal svg size 900,480 dynamic enhanced font 'sans-serif,13' background '#ffffff'
set output '$dir/$name.svg'
set encoding utf8
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
set key outside right
END
    close $gnuplot or die "gnuplot failed on $name\n";
}

# Peers that have a value in any of the rows: rows are [label, {peer => value}].
sub peers_of {
    my (@rows) = @_;
    return grep { my $p = $_; grep { defined $_->[1]{$p} } @rows } @Plan::PEERS;
}

sub datablock {
    my ($peers, @rows) = @_;
    my $text = "\$data << EOD\n";
    for my $row (@rows) {
        my @values = map { defined $_ ? sprintf '%.6g', $_ : 'NaN' } @{ $row->[1] }{@$peers};
        my $label = $row->[0] =~ /^[\d.]+$/ ? $row->[0] : "\"$row->[0]\"";
        $text .= join(' ', $label, @values) . "\n";
    }
    return $text . "EOD\n";
}

sub series {
    my ($peers, $style) = @_;
    my $column = 1;
    return 'plot ' . join(', ', map {
        $column++;
        sprintf "\$data using %s title '%s' %s lc rgb '%s'",
            sprintf($style->{using}, $column), $_, $style->{with}, $COLOUR{$_};
    } @$peers) . "\n";
}

sub bars {
    my ($dir, $name, $title, $unit, $settings, @rows) = @_;
    my @peers = peers_of(@rows) or return;
    draw($dir, $name, <<"END" . datablock(\@peers, @rows)
set title '$title'
set ylabel '$unit'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 border -1
set boxwidth 0.9
$settings
END
        . series(\@peers, { using => '%d:xtic(1)', with => '' }));
}

sub lines {
    my ($dir, $name, $title, $axes, $scale, @rows) = @_;
    my @peers = peers_of(@rows) or return;
    draw($dir, $name, "set title '$title'\n$axes\n" . datablock(\@peers, @rows)
        . series(\@peers, { using => "1:(\$%d * $scale)", with => 'with linespoints lw 2 pt 7 ps 0.6' }));
}

sub values_of {
    my ($r, $bench, $metric, %params) = @_;
    return { map { $_ => $r->value($bench, $_, $metric, %params) } @Plan::PEERS };
}

# The different values of a parameter, ascending.
sub range {
    my ($r, $bench, $key) = @_;
    my %seen = map { $_->{params}{$key} => 1 }
        grep { defined $_->{params}{$key} } $r->entries($bench);
    return sort { $a <=> $b } keys %seen;
}

sub plot_alloc {
    my ($r, $dir) = @_;
    for ([1, 'pointers', 'with pointers'], [0, 'bytes', 'without pointers']) {
        my ($pointers, $name, $words) = @$_;
        bars($dir, "alloc-$name", "Allocation of objects $words (zeroed), the last 1024 kept",
             'ns per object', 'set logscale y; set yrange [1:]',
             map { ["$_ B", values_of($r, 'alloc', 'time', size => $_, pointers => $pointers,
                                      zero => 1)] } range($r, 'alloc', 'size'));
    }
}

sub plot_variable {
    my ($r, $dir) = @_;
    my @rows = map { [$_, values_of($r, $_, 'time')] } qw(arrays closures strings mixture fib);
    push @rows, ['interned: found', values_of($r, 'intern', 'hit', names => 5000)],
        ['made, dropped', values_of($r, 'intern', 'miss', names => 5000)];
    bars($dir, 'variable', 'Small objects of variable size, and strings by content', 'ns each',
         'set logscale y; set yrange [1:]', @rows);
}

sub plot_mark {
    my ($r, $dir) = @_;
    my @rows = (['tree', values_of($r, 'mark', 'time', graph => 0)]);
    push @rows, map { [sprintf('graph, %.3g M', $_ / 1e6),
                       values_of($r, 'mark', 'time', graph => 1, nodes => $_)] }
        range($r, 'mark', 'nodes');
    bars($dir, 'mark', 'Full collection', 'ns per live object', 'set yrange [0:]', @rows);
}

# The horizontal axis of latency plots is the number of nines.
my @NINES = (['p99', 2], ['p99.9', 3], ['p99.99', 4], ['p99.999', 5], ['max', 6]);

sub plot_latency {
    my ($r, $dir) = @_;
    my $axes = "set logscale y; set format y '%.0s %cs'; set xrange [1.8:6.2]\n"
        . "set xtics ('99 %%' 2, '99.9 %%' 3, '99.99 %%' 4, '99.999 %%' 5, 'maximum' 6)";
    for my $threads (range($r, 'latency', 'threads')) {
        lines($dir, "latency-$threads",
              "Time to replace a message, $threads thread" . ($threads > 1 ? 's' : ''), $axes, 1e-9,
              map { [$_->[1], values_of($r, 'latency', $_->[0], threads => $threads)] } @NINES);
    }
}

sub plot_growth {
    my ($r, $dir) = @_;
    my $axes = "set logscale x; set logscale y; set ylabel 'ns per object'\n"
        . "set xlabel 'live MiB'";
    for (['mark', 'Full collection against live size'], ['alloc', 'Allocation against live size']) {
        my ($metric, $title) = @$_;
        lines($dir, "growth-$metric", $title, $axes, 1,
              map { [$_ / 1048576, values_of($r, 'growth', $metric, live => $_)] }
              range($r, 'growth', 'live'));
    }
}

sub plot_threads {
    my ($r, $dir) = @_;
    lines($dir, 'threads', 'Binary trees, the same work shared by more threads',
          "set logscale x 2; set ylabel 'seconds'; set xlabel 'threads'; set yrange [0:]", 1,
          map { [$_, values_of($r, 'tree', 'time', threads => $_)] } range($r, 'tree', 'threads'));
}

sub plot_programs {
    my ($r, $dir) = @_;
    my @benches = qw(gcbench hashmap editor broker fragment);
    bars($dir, 'programs', 'Programs', 'seconds', 'set yrange [0:]',
         map { [$_, values_of($r, $_, 'time')] } @benches);
    bars($dir, 'memory', 'Programs, peak resident memory', 'MiB', 'set logscale y; set yrange [1:]',
         map { my $b = $_; [$b, { map { $_ => $r->peak($b, $_, 'time') } @Plan::PEERS }] } @benches);
    bars($dir, 'fragment', 'Fragmentation torture: resident memory', '% of live bytes',
         'set yrange [0:]',
         map { [$_->[1], values_of($r, 'fragment', $_->[0])] }
         ['resident_mean', 'mean'], ['resident_worst', 'worst phase'],
         ['resident_released', 'after release']);
}

sub plots {
    my ($r, $dir) = @_;
    $_->($r, $dir)
        for \&plot_alloc, \&plot_variable, \&plot_mark, \&plot_latency, \&plot_growth, \&plot_threads, \&plot_programs;
}

1;
