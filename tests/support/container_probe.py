"""What a container sees, told by a Perl program in it, in the words of docs/run.md."""

import re
from pathlib import Path

PROBE = r"""
my @bits = qw(CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
  LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE
  SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
  SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP);
sub lines { open my $file, '<', $_[0] or die "$_[0]: $!"; return <$file> }
sub says { print shift, '=', join(' ', @_), "\n" }
my %status = map { /^(\w+):\s*(.*?)\s*$/ } lines('/proc/self/status');
my ($uid, $gid) = map { (split)[1] } @status{'Uid', 'Gid'};
says 'user and group', "$uid:$gid";
says 'further groups', $status{Groups} || 'none';
says 'environment', sort keys %ENV;
says 'HOME', $ENV{HOME};
says 'working folder', readlink '/proc/self/cwd';
my %known;
says 'can be written', grep { !$known{$_}++ && -d && open my $file, '>', "$_/probe" }
  sort '/', qw(/bin /dev/shm /etc /home /root /run /srv /tmp /usr /var/tmp), $ENV{HOME};
my @mounts = map { [split] } lines('/proc/self/mountinfo');
my $memory = qr/^(tmpfs|shm|proc|sysfs|mqueue|devpts)$/;
sub kind { my ($i) = grep { $_[0][$_] eq '-' } 6 .. $#{$_[0]}; return $_[0][$i + 1] }
says 'of this host', sort grep { !m{^/$|^/(proc|sys|dev)/} }
  map { $_->[4] } grep { kind($_) !~ $memory } @mounts;
says "namespace $_", readlink "/proc/self/ns/$_" for qw(ipc mnt net pid);
says 'devices', sort map { m{([^/]+)$} } glob '/dev/*';
my ($shm) = grep { $_->[4] eq '/dev/shm' } @mounts;
says 'size of /dev/shm', $shm->[-1] =~ /size=(\w+)/ ? $1 : 'half of the memory';
says 'file mode mask', sprintf '%04o', umask;
my $held = hex $status{CapEff};
says 'capabilities', $held ? map { $bits[$_] } grep { $held >> $_ & 1 } 0 .. $#bits : 'none';
says 'system calls', $status{Seccomp} == 2 ? 'filtered' : 'free';
my %limits = map { /^Max (open files|processes)\s+(\S+)/ } lines('/proc/self/limits');
says 'limit files', $limits{'open files'};
says 'limit processes', $limits{processes};
"""
OPEN_FILES, PROCESSES = 1_048_576, 32_768


def documented(project: Path, *, engine: str = "") -> dict[str, str]:
    """Return the page's table: what is seen, by what it is; and where an engine differs."""
    page = (project / "docs/run.md").read_text(encoding="utf-8")
    first = page.partition("## What a container sees")[2].partition("\n## ")[0]
    more = page.partition(f"\n## {engine}\n")[2].partition("\n## ")[0] if engine else ""
    return dict(re.findall(r"^\| ([^|`]+?) \| `([^|`]+)` \|", first + more, re.MULTILINE))


def seen(printed: str) -> dict[str, str]:
    """Return what a container printed, in the words of the page."""
    found = dict(line.split("=", 1) for line in printed.splitlines())
    names = ["ipc", "mnt", "net", "pid"]
    hosts = {name: str(Path(f"/proc/self/ns/{name}").readlink()) for name in names}
    shared = [name for name in names if found.pop(f"namespace {name}") == hosts[name]]
    found["namespaces of this host"] = " ".join(shared)
    found["namespaces of its own"] = " ".join(name for name in names if name not in shared)
    found["limits"] = _limits(found)
    return found


def _limits(found: dict[str, str]) -> str:
    """Take the limits out of what was seen; return whether they are at most Podman's."""
    files, processes = found.pop("limit files"), found.pop("limit processes")
    bounded = [(files, OPEN_FILES), (processes, PROCESSES)]
    below = all(text.isdigit() and int(text) <= most for text, most in bounded)
    return "bounded" if below else f"{files} files, {processes} processes"
