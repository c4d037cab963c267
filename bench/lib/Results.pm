# Samples, by configuration, peer and metric.
package Results;
use strict;
use warnings;
use JSON::PP;
use Plan;

sub new {
    my ($class) = @_;
    return bless { entries => {}, order => [], failures => [] }, $class;
}

# Takes one line that a workload printed when it ran for `peer`.
sub add {
    my ($self, $line, $peer) = @_;
    my $r = eval { decode_json($line) } or return;
    $r->{peer} = $peer;
    my $config = Plan::key($r->{bench}, $r->{params});
    my $id = join "\t", $config, $r->{peer}, $r->{metric};
    my $entry = $self->{entries}{$id} //= $self->first($id, $r);
    push @{ $entry->{samples} }, $r->{value};
    push @{ $entry->{rss} }, $r->{rss_mib} if defined $r->{rss_mib};
    push @{ $entry->{cpu} }, $r->{cpu_s}   if defined $r->{cpu_s};
}

sub first {
    my ($self, $id, $r) = @_;
    push @{ $self->{order} }, $id;
    return { map({ $_ => $r->{$_} } qw(bench params peer metric unit)),
             samples => [], rss => [], cpu => [] };
}

sub fail {
    my ($self, $what) = @_;
    push @{ $self->{failures} }, $what;
}

sub entries {
    my ($self, $bench) = @_;
    return grep { !defined $bench || $_->{bench} eq $bench }
        map { $self->{entries}{$_} } @{ $self->{order} };
}

# Counters that are no cost, costs that are part of another, and maxima, which few samples say
# little about.
my %NOT_COMPARED = map { $_ => 1 } qw(check cycles held_max max stall_max stall_cpu_max
    handshake_wall_max handshake_cpu_max handshake_cpu_mean gc_cpu p99.999);

sub is_compared {
    my ($e) = @_;
    return 0 if $NOT_COMPARED{ $e->{metric} };
    return $e->{metric} ne 'metadata' || $e->{bench} eq 'metadata';
}

sub median {
    my @v = sort { $a <=> $b } @_;
    return undef unless @v;
    return ($v[$#v / 2] + $v[@v / 2]) / 2;
}

# The entry of a peer; `params` names those that matter, and the first that agrees is taken.
sub find {
    my ($self, $bench, $peer, $metric, %params) = @_;
    for my $e ($self->entries($bench)) {
        next if $e->{peer} ne $peer || $e->{metric} ne $metric;
        return $e unless grep { ($e->{params}{$_} // '') ne $params{$_} } keys %params;
    }
    return undef;
}

sub value {
    my $e = find(@_) or return undef;
    return median(@{ $e->{samples} });
}

# Peak resident memory, MiB.
sub peak {
    my $e = find(@_) or return undef;
    return median(@{ $e->{rss} });
}

# Half the range of the samples, in percent of their median; undef for a single one.
sub spread {
    my ($e) = @_;
    my @v = sort { $a <=> $b } @{ $e->{samples} };
    my $m = median(@v);
    return @v > 1 && $m ? 50 * ($v[-1] - $v[0]) / $m : undef;
}

# Configurations on whose outcome the peers disagree.
sub disagreements {
    my ($self) = @_;
    my %seen;
    for my $e (grep { $_->{metric} eq 'check' } $self->entries) {
        my %params = %{ $e->{params} };
        delete $params{zero};
        push @{ $seen{ Plan::key($e->{bench}, \%params) }{$_} }, $e->{peer} for @{ $e->{samples} };
    }
    return grep { keys %{ $seen{$_} } > 1 } sort keys %seen;
}

sub write {
    my ($self, $file, $about) = @_;
    my @entries = grep { $_->{metric} ne 'check' } $self->entries;
    my $json = JSON::PP->new->canonical->indent->indent_length(1)->space_after;
    open my $out, '>', $file or die "$file: $!\n";
    print $out $json->encode({ %$about, results => [map { compact($_) } @entries],
                               failures => $self->{failures} });
    close $out or die "$file: $!\n";
}

sub compact {
    my ($e) = @_;
    my %out = %$e{qw(bench params peer metric unit)};
    $out{samples} = [map { 0 + $_ } @{ $e->{samples} }];
    $out{rss_mib} = 0 + (median(@{ $e->{rss} }) // 0);
    $out{cpu_s}   = 0 + (median(@{ $e->{cpu} }) // 0);
    return \%out;
}

# Reads what write() wrote: (results, what stood beside them).
sub read {
    my ($class, $file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    my $about = decode_json(<$in>);
    my $self = $class->new;
    for my $r (@{ delete $about->{results} }) {
        my $id = join "\t", Plan::key($r->{bench}, $r->{params}), $r->{peer}, $r->{metric};
        push @{ $self->{order} }, $id;
        $self->{entries}{$id} = { %$r, rss => [$r->{rss_mib}], cpu => [$r->{cpu_s}] };
    }
    $self->{failures} = $about->{failures} // [];
    return ($self, $about);
}

1;
