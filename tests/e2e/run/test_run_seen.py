"""What a container sees is what docs/run.md says, whoever starts it."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import imagekit, tiny_recipe
from tests.support.users import OrdinaryUser, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.root]

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
says 'can be written', grep { -d && open my $file, '>', "$_/probe" }
  sort '/', qw(/bin /dev/shm /etc /home /root /run /srv /tmp /usr /var/tmp), $ENV{HOME};
my @mounts = map { [split] } lines('/proc/self/mountinfo');
my $memory = qr/^(tmpfs|shm|proc|sysfs|mqueue|devpts)$/;
sub kind { my ($i) = grep { $_[0][$_] eq '-' } 6 .. $#{$_[0]}; return $_[0][$i + 1] }
says 'of this host', sort grep { !m{^/$|^/(proc|sys|dev)/} }
  map { $_->[4] } grep { kind($_) !~ $memory } @mounts;
says "namespace $_", readlink "/proc/self/ns/$_" for qw(ipc mnt net pid);
says 'devices', sort map { m{([^/]+)$} } glob '/dev/*';
says 'size of /dev/shm', map { $_->[-1] =~ /size=(\w+)/ } grep { $_->[4] eq '/dev/shm' } @mounts;
says 'file mode mask', sprintf '%04o', umask;
my $held = hex $status{CapEff};
says 'capabilities', map { $bits[$_] } grep { $held >> $_ & 1 } 0 .. $#bits;
says 'system calls', $status{Seccomp} == 2 ? 'filtered' : 'free';
my %limits = map { /^Max (open files|processes)\s+(\S+)/ } lines('/proc/self/limits');
says 'limit files', $limits{'open files'};
says 'limit processes', $limits{processes};
"""
OPEN_FILES, PROCESSES = 1_048_576, 32_768


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed image, whose entrypoint is Perl, and its policy."""
    folder = tmp_path_factory.mktemp("site")
    with (tiny_recipe(folder / "recipe") / "recipe.yaml").open("a") as file:
        file.write("entrypoint: [/usr/bin/perl, -e]\n")
    assert imagekit(folder, "key", "generate").returncode == 0
    words = ("recipe", "--to", "oci:out", "--key", "imagekit.key", "--no-test")
    made = imagekit(folder, "publish", *words)
    assert made.returncode == 0, made.stderr
    new = imagekit(folder, "policy", "new", "--image", "**", "--key", "imagekit.pub")
    (folder / "p.yaml").write_text(new.stdout)
    return folder


def documented(project: Path) -> dict[str, str]:
    """Return the page's table: what is seen, by what it is."""
    page = (project / "docs/run.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| ([^|`]+?) \| `([^|`]+)` \|", page, re.MULTILINE))


def seen(printed: str) -> dict[str, str]:
    """Return what a container printed, in the words of the page."""
    found = dict(line.split("=", 1) for line in printed.splitlines())
    names = ["ipc", "mnt", "net", "pid"]
    hosts = {name: str(Path(f"/proc/self/ns/{name}").readlink()) for name in names}
    shared = [name for name in names if found.pop(f"namespace {name}") == hosts[name]]
    found["namespaces of this host"] = " ".join(shared)
    found["namespaces of its own"] = " ".join(name for name in names if name not in shared)
    return found


def limits(found: dict[str, str]) -> str:
    """Take the limits out of what was seen; return whose they are."""
    files, processes = found.pop("limit files"), found.pop("limit processes")
    assert int(processes) <= PROCESSES
    return "yours" if int(files) <= OPEN_FILES else f"{files} files"


def run(start: Callable[[list[str]], "subprocess.CompletedProcess[str]"]) -> dict[str, str]:
    """Start the probe, and return what it saw."""
    words = ("run", "oci:out:tiny:1.0.0", "--policy", "p.yaml", "--", PROBE)
    ran = start([*words])
    assert ran.returncode == 0, ran.stderr
    found = seen(ran.stdout)
    found["limits"] = limits(found)
    return found


def as_user(user: OrdinaryUser, site: Path) -> dict[str, str]:
    """Run it as a user, who has an environment and a home that it must not see."""
    shutil.copytree(site / "out", user.home / "out")
    shutil.copy(site / "p.yaml", user.home)
    user.give(user.home)
    own = {"http_proxy": "http://proxy.site", "LD_LIBRARY_PATH": "/opt", "TZ": "Asia/Tokyo"}
    return run(lambda words: user.run(["/usr/bin/python3", "-m", "imagekit", *words], own))


def test_root_sees_what_the_page_says(site: Path, project: Path) -> None:
    """Each row of the table."""
    assert run(lambda words: imagekit(site, *words)) == documented(project)


@pytest.mark.parametrize("subordinate", [True, False], ids=["ids", "no ids"])
def test_users_see_what_the_page_says(site: Path, project: Path, *, subordinate: bool) -> None:
    """The same as root does."""
    name = f"imagekit-seen-{os.getpid()}-{int(subordinate)}"
    with ordinary_user(name, subordinate_ids=subordinate) as user:
        assert as_user(user, site) == documented(project)
