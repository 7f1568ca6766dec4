"""What a container sees is what docs/run.md says, whoever starts it."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import imagekit, signed_image
from tests.support.container_probe import PROBE, documented, seen
from tests.support.outcomes import ROOT, WITH_IDS, WITHOUT_IDS, noted
from tests.support.users import OrdinaryUser, ordinary_user

CANNOT_START = (125, 126)
SEEN = "runs, and sees what docs/run.md says"
Start = Callable[[list[str]], "subprocess.CompletedProcess[str]"]

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.root]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed image, whose entrypoint is Perl, and its policy."""
    folder = tmp_path_factory.mktemp("site")
    signed_image(folder, "entrypoint: [/usr/bin/perl, -e]")
    return folder


def run(start: Start, *options: str, script: str = PROBE) -> str:
    """Start a container, and return what it printed."""
    words = ("run", *options, "oci:out:tiny:1.0.0", "--policy", "p.yaml", "--", script)
    ran = start(list(words))
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@contextmanager
def started_by(site: Path, *, subordinate: bool) -> Iterator[tuple[OrdinaryUser, Start]]:
    """Make a user, who has an environment and a home that a container must not see."""
    name = f"imagekit-seen-{os.getpid()}-{int(subordinate)}"
    with ordinary_user(name, subordinate_ids=subordinate) as user:
        shutil.copytree(site / "out", user.home / "out")
        shutil.copy(site / "p.yaml", user.home)
        user.give(user.home)
        own = {"http_proxy": "http://proxy.site", "LD_LIBRARY_PATH": "/opt", "TZ": "Asia/Tokyo"}
        before = ["/usr/bin/python3", "-m", "imagekit"]
        yield user, lambda words: user.run([*before, *words], own)


def test_root_sees_what_the_page_says(site: Path, project: Path) -> None:
    """Each row of the table."""
    assert seen(run(lambda words: imagekit(site, *words))) == documented(project)
    noted("imagekit run, Podman", ROOT, SEEN)


@pytest.mark.parametrize("subordinate", [True, False], ids=["ids", "no ids"])
def test_users_see_what_the_page_says(site: Path, project: Path, *, subordinate: bool) -> None:
    """The same as root does; and with --home their own home, in which files are theirs."""
    write = 'open my $file, ">", "$ENV{HOME}/made" or die $!; print $file $ENV{HOME}'
    with started_by(site, subordinate=subordinate) as (user, start):
        assert seen(run(start)) == documented(project)

        run(start, "--home", script=write)
        assert (user.home / "made").read_text() == str(user.home)
        assert (user.home / "made").stat().st_uid == user.uid
    noted("imagekit run, Podman", WITH_IDS if subordinate else WITHOUT_IDS, SEEN)


def test_with_keep_id_a_user_is_the_same_inside(site: Path) -> None:
    """By a user who has ids for it."""
    with started_by(site, subordinate=True) as (user, start):
        assert run(start, "--userns", "keep-id", script="print $<") == str(user.uid)


# /etc as it is, and a file of CDI in it, for the program behind it alone.
WITH_GPU = """
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" none /etc
mkdir -p /etc/cdi
cat > /etc/cdi/imagekit-test.json <<'END'
{"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu",
 "devices": [{"name": "all", "containerEdits": {"env": ["GPU=seen"]}}]}
END
shift
exec "$@"
"""


def with_gpu(folder: Path) -> list[str]:
    """Return what runs a program where there is a GPU."""
    return ["unshare", "--mount", "sh", "-ec", WITH_GPU, "sh", str(folder)]


def see_gpus(start: Start) -> None:
    """Start containers with all that there are, with none, and with one that there is not."""
    script = "print $ENV{GPU} // 'none'"
    assert run(start, "--gpus", "all", script=script) == "seen"
    assert run(start, script=script) == "none"
    missing = ("--gpus", "all,7", "oci:out:tiny:1.0.0", "--policy", "p.yaml", "--", script)
    assert start(["run", *missing]).returncode in CANNOT_START


def test_gpus_are_devices_of_cdi(site: Path, tmp_path: Path) -> None:
    """As this host's files say what belongs to one; what they do not name is an error."""
    see_gpus(lambda words: imagekit(site, *words, before=with_gpu(tmp_path)))


def test_users_have_gpus_without_subordinate_ids(site: Path, tmp_path: Path) -> None:
    """By the same files, which are root's."""
    with started_by(site, subordinate=False) as (user, _):
        ids = ("setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups")
        own = (f"HOME={user.home}", f"USER={user.name}", f"PYTHONPATH={user.packages}")
        inside = (*ids, "env", "-i", f"PATH={os.environ['PATH']}", *own, "/usr/bin/python3")

        see_gpus(
            lambda words: subprocess.run(
                [*with_gpu(tmp_path), *inside, "-m", "imagekit", *words],
                cwd=user.home,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        )
