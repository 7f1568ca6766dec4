# What a hostile build step tries: each line "reached: WHAT" on its output is an escape.
use strict; use warnings; use Socket;
my ($home, $victim, $socket, $marker, $abstract) = @ARGV;
my ($digits) = $marker =~ /(\d+)/;
my ($source, $target, $kind) = ("x", "/attack/mnt", "tmpfs");
$| = 1;
sub reached { print "reached: $_[0]\n" }
sub holds { my ($path, $what) = @_; open(my $f, '<', $path) or return 0;
  local $/; my $text = <$f>; return defined $text && $text =~ $what }
my @secrets = ("$home/imagekit.key", "$home/.docker/config.json");
my @pids = grep { /^\d+$/ } map { s{/proc/}{}r } glob("/proc/[0-9]*");

for my $secret (@secrets) {
  reached("$secret by its path") if -e $secret;
  for my $pid (@pids) {
    for my $way ("root", "cwd", "cwd/../../../../../..") {
      reached("$secret by /proc/$pid/$way") if -e "/proc/$pid/$way$secret";
    }
  }
  for my $fd (0 .. 20) { reached("$secret by handle $fd") if -e "/proc/self/fd/$fd/../../../..$secret" }
}
for my $pid (@pids) {
  reached("the environment of $pid") if $pid != $$ && holds("/proc/$pid/environ", qr/$marker/);
  reached("the memory of $pid") if $pid != $$ && $pid < $$ && open(my $m, '+<', "/proc/$pid/mem")
    && holds("/proc/$pid/cmdline", qr/imagekit\.pipeline|imagekit publish/);
}
reached("process $victim") if -d "/proc/$victim" && holds("/proc/$victim/cmdline", qr/$digits/);
reached("a signal to $victim") if kill(9, $victim) && holds("/proc/$victim/cmdline", qr/$digits/);
my %numbers = `uname -m 2>/dev/null` =~ /aarch64/ || -e "/lib/ld-linux-aarch64.so.1"
  ? (ptrace => 117, mount => 40, mknodat => 33, setns => 268, keyctl => 219)
  : (ptrace => 101, mount => 165, mknodat => 259, setns => 308, keyctl => 250);
reached("ptrace of $victim") if syscall($numbers{ptrace}, 16, $victim + 0, 0, 0) == 0;
for my $pid (grep { $_ != $$ } @pids) {
  # The shell that stands for mmdebstrap is of the sandbox, and has no other powers.
  next if holds("/proc/$pid/cmdline", qr/escape\.pl|^\/bin\/sh\0/);
  reached("ptrace of $pid") if syscall($numbers{ptrace}, 16, $pid + 0, 0, 0) == 0;
}
# KEYCTL_SEARCH in the rings of the process, the session, the user and the user's session.
my ($type, $key) = ("user", "imagekit-attacked");
for my $ring (-2, -3, -4, -5) {
  reached("a key of ring $ring") if syscall($numbers{keyctl}, 10, $ring, $type, $key, 0) != -1;
}
mkdir "/attack"; mkdir "/attack/mnt";
reached("mount") if syscall($numbers{mount}, $source, $target, $kind, 0, 0) == 0;
for my $device ([0060000, 254 << 8], [0060000, 8 << 8], [0020000, (1 << 8) | 1]) {
  my $name = "/attack/node-$device->[1]";
  syscall($numbers{mknodat}, -100, $name, $device->[0] | 0666, $device->[1]);
  reached("a device node $device->[1]") if -e $name && open(my $d, '<', $name);
}
for my $path (glob("/dev/vd* /dev/sd* /dev/nvme* /dev/dm-* /dev/loop* /dev/mem /dev/kmsg /dev/kvm")) {
  reached("the device $path") if open(my $d, '<', $path);
}
for my $path ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger",
              "/sys/kernel/uevent_helper", glob("/sys/fs/cgroup/release_agent"),
              glob("/sys/fs/cgroup/*/release_agent")) {
  reached("$path for writing") if -e $path && open(my $f, '>>', $path);
}
if (socket(my $s, AF_UNIX, SOCK_STREAM, 0)) {
  reached("the socket $socket") if connect($s, pack_sockaddr_un($socket));
}
if ($abstract && socket(my $s, AF_UNIX, SOCK_STREAM, 0)) {
  reached("the abstract socket $abstract") if connect($s, pack_sockaddr_un("\0$abstract"));
}
# The double chroot, by which root leaves every chroot that left it CAP_SYS_CHROOT.
mkdir "/attack/inner";
if (my $pid = fork()) { waitpid($pid, 0) } else {
  if (chroot("/attack/inner")) {
    chdir("..") for 1 .. 64;
    chroot(".");
    for my $secret (@secrets) { reached("$secret by a second chroot") if -e $secret }
  }
  exit 0;
}
# What outlives the step, in a session of its own.
if (!fork()) { setpgrp(0, 0); fork() && exit 0; close STDOUT; close STDERR; exec "sleep", $digits }
print "the attack is over\n";
