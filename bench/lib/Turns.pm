# Two versions of gcheap that were run in turns, compared pair by pair.
package Turns;
use strict;
use warnings;
use List::Util qw(min sum0);
use Plan;
use Results;

# A pair's two processes ran one after the other, so a change on the machine seldom falls between them.
# By chance one version is ahead in so many of the pairs, or more, with less than this probability.
my $CHANCE = 0.01;

sub binomial {
    my ($n, $k) = @_;
    my $ways = 1;
    $ways *= ($n - $_ + 1) / $_ for 1 .. $k;
    return $ways;
}

# The probability that of n fair coins so few show one side, or as few the other.
sub sign_test {
    my ($ahead, $n) = @_;
    my $few = min($ahead, $n - $ahead);
    return min(1, 2 * sum0(map { binomial($n, $_) } 0 .. $few) / 2**$n);
}

# ('slower', 'faster' or 'same'; the median of the pairs' ratios, after to before; pairs that are higher; all).
sub verdict {
    my ($before, $after, $least) = @_;
    my $pairs = min(scalar @$before, scalar @$after);
    my @ratios = map { $after->[$_] / $before->[$_] } grep { $before->[$_] > 0 } 0 .. $pairs - 1;
    my @moved  = grep { $_ != 1 } @ratios;
    my $higher = grep { $_ > 1 } @moved;
    my $ratio  = Results::median(@ratios) // 1;
    my $sure = @moved && sign_test($higher, scalar @moved) < $CHANCE;
    my $word = !$sure ? 'same' : $ratio > 1 + $least ? 'slower' : $ratio < 1 - $least ? 'faster' : 'same';
    return ($word, $ratio, $higher, scalar @ratios);
}

# What a run tells only if there was some of it: samples that are not in pairs.
sub is_now_and_then { return $_[0]{metric} =~ /^(stalls|longest)_/ }

sub is_paired { return $_[0]{peer} eq 'gcheap' && Results::is_compared($_[0]) && !is_now_and_then($_[0]) }

# (a line for each number, how many are slower). `least` is the smallest change that counts, as a fraction.
sub report {
    my ($results, $least) = @_;
    my ($text, %count) = ('');
    for my $after (grep { is_paired($_) } $results->entries) {
        my $before = $results->find($after->{bench}, 'before', $after->{metric}, %{ $after->{params} }) or next;
        my ($word, $ratio, $higher, $pairs) = verdict($before->{samples}, $after->{samples}, $least);
        $count{$word}++;
        $text .= sprintf "%-6s %+7.1f %%  (higher in %d of %d)  %10.4g to %10.4g  %s, %s\n", $word,
            100 * ($ratio - 1), $higher, $pairs, map({ Results::median(@{ $_->{samples} }) } $before, $after),
            Plan::key($after->{bench}, $after->{params}), $after->{metric};
    }
    $text .= join(', ', map { ($count{$_} // 0) . " $_" } qw(slower faster same)) . "\n";
    return ($text, $count{slower} // 0);
}

1;
