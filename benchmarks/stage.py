"""Starting a large image on a node: a staged squashfs file against a pull and a run.

    python benchmarks/stage.py [MEGABYTES] [USERS]        (as root, which makes the users)

Makes an image of this host's shell and of bytes that do not compress, publishes and stages it; then
ordinary users without subordinate ids start it by ``imagekit run --staged``, and one with them by
``podman pull`` and ``podman run``: cold (the caches of pages and of read files are empty) and warm,
one alone and all at once, and many tasks of one user. The last lines are the ratios.

How much is read while all users read all of the image shows that they share one page cache: of the
file, from the disks, where nothing else should run meanwhile; and where root mounted it, of its
unpacked pages too, from the loop device, which nothing else reads.
"""

import os
import pwd
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from common import registry

RECIPE = """\
schema: 1
name: big
version: 1.0.0
base: scratch
steps:
  - copy: {from: root, to: /}
entrypoint: [/usr/bin/sh, -c]
cmd: ["true"]
"""
NODES = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: nodes, version: 1, expires: 2999-01-01T00:00:00Z}
images:
  - match: {glob: "**"}
    proof: vsa
    authorities: [{name: staging, key: {path: imagekit.pub}}]
    vsa: {verifierIds: ["urn:imagekit:stage"]}
"""
PLACE = Path("/srv/imagekit-bench")
CHECKED = Path("/run/imagekit/checked")
FILE = PLACE / "images/big.sqsh"
READ_ALL = "cat /big/* | wc -c"
# udev lets every user open it; where there is none, a node in a mount namespace stands for it.
DEVICE = """
if [ "$(stat -c %a /dev/fuse)" != 666 ]; then
  mount -t tmpfs tmpfs /mnt && mknod -m 666 /mnt/fuse c 10 229 && mount --bind /mnt/fuse /dev/fuse
fi
exec "$@"
"""


def main() -> int:
    """Measure and print."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 512
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    PLACE.mkdir(mode=0o755)
    try:
        with registry() as (folder, host), users(count) as names:
            size = stage(folder, host, megabytes)
            print(f"image {megabytes} MB, squashfs file {size >> 20} MB, {count} users")
            cold, warm = squashfuse(names)
            shared(names)
            kernel(names)
            pulled_cold, pulled_warm = pulled(names[0], host)
            ratios = f"cold {pulled_cold / cold:.1f}, warm {pulled_warm / warm:.1f}"
            print(f"pull and run takes, times as long as staged, 1 user: {ratios}")
    finally:
        shutil.rmtree(PLACE)
    return 0


def stage(folder: Path, host: str, megabytes: int) -> int:
    """Publish the image and stage it; return the file's size."""
    root = folder / "big/root"
    (root / "big").mkdir(parents=True)
    for number in range(megabytes // 16):
        (root / "big" / str(number)).write_bytes(os.urandom(16 << 20))
    for name in ("sh", "cat", "wc"):
        program = shutil.which(name, path="/usr/bin")
        if program is None:
            raise FileNotFoundError(name)
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
        files = [word for word in listed.stdout.split() if word.startswith("/")]
        for file in (program, *files):
            target = root / file.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    (folder / "big/recipe.yaml").write_text(RECIPE)
    imagekit(folder, "key", "generate")
    imagekit(folder, "publish", "big", "--to", host, "--key", "imagekit.key")
    new = imagekit(folder, "policy", "new", "--image", "**", "--key", "imagekit.pub")
    (folder / "policy.yaml").write_text(new)
    by = ("--policy", "policy.yaml", "--key", "imagekit.key", "--to", f"{PLACE}/images")
    imagekit(folder, "stage", f"{host}/big:1.0.0", *by)
    shutil.copy(folder / "imagekit.pub", PLACE)
    (PLACE / "nodes.yaml").write_text(NODES)
    return FILE.stat().st_size


def squashfuse(names: Sequence[str]) -> tuple[float, float]:
    """Time the starts that mount the file for each user; return one user's, cold and warm."""
    forget(names)
    cold = show("staged, cold, 1 user", [start(names[0])])
    warm = show("staged, warm, 1 user", [start(names[0]) for _ in range(5)])
    many = [names[0]] * len(names)
    forget(names)
    show(f"staged, cold, 1 user, {len(many)} tasks at once", at_once(many))
    show(f"staged, warm, 1 user, {len(many)} tasks at once", at_once(many))
    forget(names)
    show(f"staged, cold, {len(names)} users at once", at_once(names))
    show(f"staged, warm, {len(names)} users at once", at_once(names))
    forget(names)
    imagekit(PLACE, "receipt", "check", str(FILE), "--policy", "nodes.yaml")
    show(f"staged, read by root's prolog, {len(names)} users at once", at_once(names))
    return cold, warm


def shared(names: Sequence[str]) -> None:
    """Print what is read from the disk while users read all, each by a mount of their own."""
    for some in (names[:1], names):
        forget(())
        before = read_from_disks()
        at_once(some, READ_ALL)
        what = f"from the disks, {len(some)} users read all, squashfuse"
        print(f"{what:60}{read_from_disks() - before:8.0f} MB", flush=True)


def kernel(names: Sequence[str]) -> None:
    """Time the starts on one mount of root's, and print what users read through it."""
    place = PLACE / "mounted"
    place.mkdir()
    words = ["mount", "-t", "squashfs", "-o", "loop,ro,nosuid,nodev", str(FILE.resolve())]
    subprocess.run([*words, str(place)], check=True)
    try:
        for some in (names[:1], names):
            forget(())
            before = read_from(place)
            at_once(some, READ_ALL)
            what = f"from the loop device, {len(some)} users read all, one mount"
            print(f"{what:60}{read_from(place) - before:8.0f} MB", flush=True)
        show("kernel mount, warm, 1 user", [start(names[0]) for _ in range(5)])
        show(f"kernel mount, warm, {len(names)} users at once", at_once(names))
    finally:
        subprocess.run(["umount", place], check=True)


def pulled(name: str, host: str) -> tuple[float, float]:
    """Time a pull and a run by rootless Podman; return both, cold and warm."""
    image = f"{host}/big:1.0.0"
    forget(())
    began = time.monotonic()
    as_user(name, "podman", "pull", "-q", "--tls-verify=false", image)
    pull = time.monotonic() - began
    run = ("podman", "run", "--rm", "--network=host", "--pull=never", *runtime(), image, "true")
    cold = show("podman pull and run, cold, 1 user", [pull + timed(name, *run)])
    runs = [timed(name, *run) for _ in range(5)]
    return cold, show("podman run of what was pulled, warm, 1 user", runs)


def runtime() -> tuple[str, ...]:
    """Return the option of Podman that hybrid cgroups need, where this host has them."""
    return ("--runtime=runc",) if Path("/sys/fs/cgroup/unified").is_dir() else ()


def start(name: str, command: str = "true") -> float:
    """Start the staged image as a user, and return the seconds that it took to end."""
    by = ("--staged", str(FILE), "--policy", f"{PLACE}/nodes.yaml")
    return timed(name, sys.executable, "-m", "imagekit", "run", *by, "--", command)


def timed(name: str, *words: str) -> float:
    """Run words as a user, and return the seconds that it took."""
    began = time.monotonic()
    as_user(name, *words)
    return time.monotonic() - began


def at_once(names: Sequence[str], command: str = "true") -> list[float]:
    """Start the staged image by all users at once."""
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(lambda name: start(name, command), names))


def as_user(name: str, *words: str) -> None:
    """Run words as a user, with nothing of this process's environment."""
    ids = ("setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups", "env", "-i")
    paths = [str(Path(entry).resolve()) for entry in sys.path[1:] if entry]
    own = (f"HOME=/home/{name}", f"PATH={os.environ['PATH']}:/usr/sbin")
    more = (f"PYTHONPATH={os.pathsep.join(paths)}", f"USER={name}")
    apart = ("unshare", "--mount", "--propagation", "slave", "sh", "-euc", DEVICE, "sh")
    argv = [*apart, *ids, *own, *more, *words]
    done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)


@contextmanager
def users(count: int) -> Iterator[list[str]]:
    """Make users: the first has subordinate ids, the others have none."""
    names = [f"ikbench{number}" for number in range(count)]
    try:
        for name in names:
            none = ["-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0"] if name != names[0] else []
            subprocess.run(["useradd", "--create-home", *none, name], check=True)
        yield names
    finally:
        for name in names:
            subprocess.run(["pkill", "-KILL", "-u", name], check=False)
            shutil.rmtree(checked_by(name), ignore_errors=True)
            subprocess.run(["userdel", "--remove", name], capture_output=True, check=False)


def forget(names: Sequence[str]) -> None:
    """Empty the page cache, and what users and root remember of the file."""
    for folder in (CHECKED, *(checked_by(name) for name in names)):
        for entry in folder.glob(f"*-{FILE.stat().st_ino}.json"):
            entry.unlink()
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def checked_by(name: str) -> Path:
    """Return where a user's digests of files are kept."""
    return Path(f"/tmp/imagekit-checked-{pwd.getpwnam(name).pw_uid}")


def read_from_disks() -> float:
    """Return the megabytes that this machine has read from disks, whoever did; loop devices not."""
    lines = [line.split() for line in Path("/proc/diskstats").read_text().splitlines()]
    disks = {path.name for path in Path("/sys/block").iterdir() if (path / "device").exists()}
    return sum(int(line[5]) for line in lines if line[2] in disks) / 2048


def read_from(place: Path) -> float:
    """Return the megabytes that were read from the device that is mounted at a place."""
    device = place.stat().st_dev
    fields = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()
    return int(fields[2]) / 2048


def imagekit(folder: Path, *words: str) -> str:
    """Run imagekit, and return what it printed."""
    own = {"HOME": str(folder), "IMAGEKIT_KEY_PASSWORD": "x"}
    own["PYTHONPATH"] = os.pathsep.join(sys.path[1:])
    argv = [sys.executable, "-m", "imagekit", *words]
    ran = subprocess.run(
        argv, cwd=folder, env=os.environ | own, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    return ran.stdout


def show(what: str, seconds: Sequence[float]) -> float:
    """Print the median, the least and the most, and the load of the machine; return the median."""
    middle = statistics.median(seconds)
    span = f"({min(seconds):.2f} to {max(seconds):.2f})"
    print(f"{what:60}{middle:8.2f} s   {span:20} load {os.getloadavg()[0]:.1f}", flush=True)
    return middle


if __name__ == "__main__":
    sys.exit(main())
