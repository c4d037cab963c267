# The machine and the peers, described.
package Machine;
use strict;
use warnings;
use Exporter 'import';
use POSIX qw(sysconf _SC_CLK_TCK);
our @EXPORT_OK = qw(describe versions available_mib busy stolen);

sub slurp {
    my ($file) = @_;
    open my $in, '<', $file or return '';
    local $/;
    return scalar <$in> // '';
}

sub first_line {
    my (@command) = @_;
    open my $in, '-|', 'sh', '-c', "$command[0] 2>/dev/null" or return '';
    my $line = <$in> // '';
    close $in;
    chomp $line;
    return $line;
}

sub describe {
    my $cpuinfo = slurp('/proc/cpuinfo');
    my ($model) = $cpuinfo =~ /^model name\s*:\s*(.*)$/m;
    my ($total) = slurp('/proc/meminfo') =~ /^MemTotal:\s*(\d+)/m;
    my ($system) = slurp('/etc/os-release') =~ /^PRETTY_NAME="?([^"\n]*)/m;
    my $cpus = () = $cpuinfo =~ /^processor\s*:/mg;
    return {
        cpu    => $model // 'unknown', cpus => $cpus,
        caches => join(', ', grep {$_} map { cache($_) } 0 .. 4),
        memory => sprintf('%.1f GiB', ($total // 0) / 1048576),
        kernel => first_line('uname -sr'), system => $system // '',
        compiler => first_line(($ENV{CC} // 'gcc') . ' --version'),
        huge_pages => huge_pages(),
    };
}

sub cache {
    my ($i) = @_;
    my $at = "/sys/devices/system/cpu/cpu0/cache/index$i";
    my ($level, $type, $size) = map { my $t = slurp("$at/$_"); chomp $t; $t } qw(level type size);
    return $size && $type ne 'Instruction' ? "L$level $size" : '';
}

sub huge_pages {
    my ($chosen) = slurp('/sys/kernel/mm/transparent_hugepage/enabled') =~ /\[(\w+)\]/;
    return $chosen // 'unknown';
}

sub versions {
    my ($build, @peers) = @_;
    return { map { $_ => first_line("$build/bench/$_.run $_ version") } @peers };
}

sub available_mib {
    my ($kib) = slurp('/proc/meminfo') =~ /^MemAvailable:\s*(\d+)/m;
    return ($kib // 0) / 1024;
}

# How many CPUs others keep busy; what this process did is not known yet when it is asked.
sub busy {
    my ($load) = slurp('/proc/loadavg') =~ /^(\S+)/;
    return $load // 0;
}

# The seconds for which the host gave a processor to others since the system started, all processors
# together.
sub stolen {
    my ($ticks) = slurp('/proc/stat') =~ /^cpu (?:\s+\d+){7}\s+(\d+)/m;
    return ($ticks // 0) / sysconf(_SC_CLK_TCK);
}

1;
