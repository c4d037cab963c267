# What is run: every job is one workload with its parameters and the peers that run it.
package Plan;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(@PEERS jobs key);

# In the order of the tables' columns. A variant runs the program named before the dash: stw with
# GC_STOP_WORLD, 400 with options.percent 400, small with GC_NO_HUGE_PAGES.
our @PEERS = qw(gcheap gcheap-stw gcheap-400 gcheap-small go boehm glibc mimalloc jemalloc tcmalloc);

my @MALLOC     = qw(glibc mimalloc jemalloc tcmalloc);
my @COLLECTORS = qw(gcheap gcheap-stw go boehm);
# Of most programs.
my @OTHERS = qw(gcheap gcheap-stw go boehm glibc mimalloc jemalloc tcmalloc);

# job(bench, 'key=value …', [peers], rounds wanted, MiB needed, seconds for all peers if long)
sub job {
    my ($bench, $parameters, $peers, $rounds, $memory, $seconds) = @_;
    return {
        bench => $bench, parameters => [split ' ', $parameters], peers => $peers,
        rounds => $rounds // 3, memory => $memory // 0, seconds => $seconds // 5,
    };
}

# Collectors zero what has pointers, whatever is asked for. The largest take most of the time.
sub alloc_jobs {
    my ($count, @sizes) = @_;
    my @all = ('gcheap', 'go', 'boehm', @MALLOC);
    my @jobs;
    for my $pointers (1, 0) {
        for my $size (@sizes) {
            my $what = "size=$size pointers=$pointers count=$count";
            my $rounds = $size < 1024 ? 3 : 2;
            push @jobs, job('alloc', "$what zero=1", \@all, $rounds),
                job('alloc', "$what zero=0", $pointers ? \@MALLOC : \@all, $rounds);
        }
    }
    return @jobs;
}

# Small objects of variable size.
sub shape_jobs {
    my ($count, $fib) = @_;
    my @peers = qw(gcheap go boehm glibc mimalloc);
    return (
        (map { job('arrays', "most=$_ count=$count", \@peers) } 1, 8, 16),
        job('closures', "most=4 count=$count",  \@peers),
        job('strings',  "most=15 count=$count", \@peers),
        job('mixture',  "most=6 count=$count",  \@peers),
        job('vector',   'most=100 count=' . $count / 50, \@peers),
        job('fib',      "n=$fib", \@peers),
    );
}

# Blocks of one size, and of sizes in turn beside others that live. 'from to live count'.
sub large_jobs {
    my ($rounds, @rows) = @_;
    my @peers = qw(gcheap go boehm glibc mimalloc);
    return map {
        my ($from, $to, $live, $count) = split ' ';
        map { job('large', "from=$from to=$to live=$live count=$count zero=$_", \@peers, $rounds) }
            1, 0;
    } @rows;
}

sub program_jobs {
    my ($rounds, %size) = @_;
    return (map({ job($_, $size{$_}, \@OTHERS, $rounds) } qw(gcbench hashmap editor broker)),
            map({ job('holes', "threads=$_ percent=150", \@OTHERS, $rounds) } 1, 2),
            job('fragment', $size{fragment}, \@OTHERS, 2));
}

# Full collections of one shape each, with all CPUs and with one.
my @SHAPES = qw(tree list shuffled random table strings arrays mixed wide boxed);

sub graph_jobs {
    my ($items, @cpus) = @_;
    return map {
        my $cpus = $_;
        map { job('graphs', "shape=$_ items=$items cpus=$cpus collections=3", [qw(gcheap go boehm)],
                  2, 500) } @SHAPES
    } @cpus;
}

sub full {
    my $interning = [qw(gcheap go boehm glibc mimalloc)];
    my $growth = [qw(gcheap gcheap-400 gcheap-small go boehm mimalloc)];
    return (
        alloc_jobs(20_000_000, 16, 24, 32, 64, 256, 1024), shape_jobs(10_000_000, 30),
        (map { job('tree', "threads=$_ depth=18", \@OTHERS) } 1, 2),
        job('mark', 'graph=0 depth=22',       \@COLLECTORS, 3, 2000),
        job('mark', 'graph=1 nodes=4000000',  \@COLLECTORS, 3, 1000),
        graph_jobs(2_000_000, 2, 1),
        (map { job('latency', "live=1000000 operations=5000000 threads=$_",
                   [qw(gcheap gcheap-stw go boehm glibc mimalloc)], 3, 2000) } 1, 2, 8),
        (map { job('intern', "names=$_ hits=5000000 misses=1000000", $interning, 2) } 5000, 1000000),
        large_jobs(2, '2k 6k 1 300000', '32k 32k 1 40000', '64k 64k 1 20000', '256k 256k 1 5000',
                   '1m 1m 1 1500', '4m 4m 1 400', '4k 1m 16 5000', '4k 1m 256 5000'),
        job('tiny',     '',           \@COLLECTORS),
        job('micro',    '',           ['gcheap']),
        job('weak',     '',           ['gcheap']),
        (map { job('attach', "threads=$_", ['gcheap']) } 1, 2),
        job('metadata', 'pointers=1', ['gcheap']),
        job('metadata', 'pointers=0', ['gcheap']),
        program_jobs(3, gcbench => 'repeat=2', hashmap => 'threads=2', editor => '',
                     broker => '', fragment => ''),
        (map { job('tree', "threads=$_ depth=18", \@OTHERS, 2) } 4, 16, 64),
        (map { job('growth', "live=$_ passes=9", $growth, 2, 3000) } '10m', '100m'),
        job('growth', 'live=1g passes=9', $growth, 1, 6000, 50),
        job('giveback', '', [qw(gcheap go)], 1, 2000, 75),
        job('mark', 'graph=1 nodes=32000000 collections=1', [qw(gcheap go boehm)], 1, 5000, 100),
        job('growth', 'live=8g passes=1', [qw(gcheap go boehm mimalloc)], 1, 21000, 130),
    );
}

sub quick {
    my $interning = [qw(gcheap go boehm glibc mimalloc)];
    return (
        alloc_jobs(4_000_000, 16, 64, 1024), shape_jobs(2_000_000, 27),
        (map { job('tree', "threads=$_ depth=16", \@OTHERS) } 1, 2, 16),
        job('mark', 'graph=0 depth=20',     \@COLLECTORS),
        job('mark', 'graph=1 nodes=500000', \@COLLECTORS),
        graph_jobs(200_000, 2),
        (map { job('latency', "live=100000 operations=1000000 threads=$_",
                   [qw(gcheap gcheap-stw go boehm glibc mimalloc)]) } 1, 8),
        large_jobs(1, '2k 6k 1 100000', '64k 64k 1 10000', '4k 1m 16 2000'),
        job('tiny',     '',                     \@COLLECTORS),
        job('micro',    'count=10000000 depth=20', ['gcheap']),
        job('weak',     'collections=9',        ['gcheap']),
        (map { job('attach', "threads=$_ count=200000", ['gcheap']) } 1, 2),
        job('metadata', 'pointers=1 live=128m', ['gcheap']),
        job('metadata', 'pointers=0 live=128m', ['gcheap']),
        program_jobs(2, gcbench => 'repeat=1', hashmap => 'threads=2 keys=200000 operations=800000',
                     editor => 'edits=500000', broker => 'messages=500000', fragment => 'live=16m'),
        (map { job('growth', "live=$_ passes=9", [qw(gcheap gcheap-400 gcheap-small go boehm mimalloc)], 1) }
            '10m', '100m'),
        job('intern', 'names=5000 hits=2000000 misses=1000000', $interning, 1),
        job('giveback', 'peak=256m live=64m seconds=15', ['gcheap'], 1, 500, 16),
    );
}

# The interpreters among the examples, over their own programs: build/NAME for examples/NAME.
sub languages {
    my ($quick, $build) = @_;
    my @jobs;
    for my $file (sort glob 'examples/*/programs/*.*') {
        my ($language, $program) = $file =~ m{^examples/([^/]+)/programs/([^/]+)$};
        next unless -f $file && -x "$build/$language" && $program !~ /\.(txt|expected|in|out)$/;
        next if $quick && $program =~ /gigabyte/;
        my $job = job('language', "$language/$program", ['gcheap'], $quick ? 1 : 3);
        $job->{command} = ["$build/bench/timed", 'language', 'gcheap', "$language/$program",
                           "$build/$language", $file];
        push @jobs, $job;
    }
    return @jobs;
}

# The languages come first: the largest jobs leave no memory to the files that these read, and a disk
# may take 0.1 s for each.
sub jobs {
    my ($quick, $build) = @_;
    return (languages($quick, $build), $quick ? quick() : full());
}

# One text per configuration, the same for every peer.
sub key {
    my ($bench, $params) = @_;
    return join ' ', $bench, map {"$_=$params->{$_}"} sort keys %$params;
}

1;
