"""What the driver of Podman is answered: by the fake of the unit tests, and by Podman itself."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.build.job import Trial
from imagekit.build.tools.podman import (
    ContainerOptions,
    Podman,
    RootFolder,
    in_namespace,
    run_folder,
)
from imagekit.errors import IntegrityError, ToolError
from imagekit.hosts.podman_options import container_options, with_choices
from imagekit.hosts.probe import ids, read
from imagekit.hosts.run_options import RunOptions
from imagekit.oci.digest import Digest
from imagekit.oci.location import LayoutLocation
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.types import CONFIG, LAYER, MANIFEST
from imagekit.process import Runner
from imagekit.recipe.image_test import EndSignal
from tests.support.fake_podman import FakePodman
from tests.support.tinyroot import tiny_root
from tests.support.users import ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]

NAME = "r.site/team/app:1"
OTHER = Digest.of(b"what was judged instead")


@dataclass(frozen=True)
class Host:
    """Podman with a storage of its own, and an image that it can pull."""

    podman: Podman
    image: PinnedReference
    root: Path
    """The image's files."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system with a shell."""
    folder = tmp_path_factory.mktemp("files") / "root"
    tiny_root(folder, ["sh", "grep", "id", "sleep"])
    return folder


@pytest.fixture(scope="module")
def image(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PinnedReference]:
    """A layout with an image whose entrypoint is the shell."""
    return _layout(tmp_path_factory.mktemp("layout"), root, _of_root)


def _layout(
    layout: Path, root: Path, owned: Callable[[tarfile.TarInfo], tarfile.TarInfo]
) -> tuple[Path, PinnedReference]:
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            tar.add(root, arcname=".", filter=owned)
        layer = file.getvalue()
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Entrypoint": ["/bin/sh", "-c"]},
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(layer))]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _blob(layout, CONFIG, json.dumps(config).encode()),
        "layers": [_blob(layout, LAYER, layer)],
    }
    entry = _blob(layout, MANIFEST, json.dumps(manifest).encode())
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    repository = Repository("r.site", "team/app")
    return layout, PinnedReference(repository, Digest.parse(str(entry["digest"])))


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    return entry


def _of_others(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """As Debian has /etc/gshadow."""
    entry.uid, entry.gid = 0, 42
    return entry


def _blob(layout: Path, media_type: str, raw: bytes) -> dict[str, object]:
    digest = Digest.of(raw)
    (layout / "blobs" / digest.algorithm).mkdir(parents=True, exist_ok=True)
    (layout / "blobs" / digest.algorithm / digest.hex).write_bytes(raw)
    return {"mediaType": media_type, "digest": str(digest), "size": len(raw)}


@pytest.fixture(scope="module")
def options() -> ContainerOptions:
    """What this host needs; the host's network, which everybody may use."""
    return container_options(read(Runner(), os.environ), network="host")


@pytest.fixture(params=["fake", "podman"])
def host(
    request: pytest.FixtureRequest,
    image: tuple[Path, PinnedReference],
    root: Path,
    tmp_path: Path,
) -> Iterator[Host]:
    """The fake and Podman in turn, each with an empty storage."""

    def ends(words: Sequence[str]) -> int:
        return int(words[-1].removeprefix("exit "))

    podman = Podman(programs=FakePodman(container=ends))
    if request.param == "podman":
        podman = Podman(programs=Runner(), container=request.getfixturevalue("options"))
    layout, pinned = image
    podman = podman.pulling(LayoutLocation(layout))
    with podman.in_temporary_storage(tmp_path, "vfs") as own:
        yield Host(podman=own, image=pinned, root=root)


def test_what_was_pulled_is_listed_by_its_digest_and_name(host: Host) -> None:
    """And by no name that was made of the folder it came from."""
    pulled = host.podman.pull(host.image, among=(host.image.digest,))
    host.podman.name(pulled, NAME)

    assert host.podman.pull(host.image) == pulled
    host.podman.name(pulled, NAME)
    assert {found.id for found in host.podman.images()} == {pulled}
    found = host.podman.images()[0]
    assert NAME in found.names
    assert not any("imagekit-" in name for name in found.names)
    assert host.image.digest in found.digests


def test_what_was_not_judged_does_not_stay(host: Host) -> None:
    """The storage is as before."""
    with pytest.raises(IntegrityError, match="was not judged"):
        host.podman.pull(host.image, among=(OTHER,))

    assert host.podman.images() == ()


def test_a_removed_image_is_gone_with_all_of_its_names(host: Host) -> None:
    """What is not there cannot be removed."""
    pulled = host.podman.pull(host.image)
    host.podman.name(pulled, NAME)

    host.podman.remove(pulled)

    assert host.podman.images() == ()
    with pytest.raises(ToolError):
        host.podman.name(pulled, NAME)


def test_a_storage_is_told(host: Host, tmp_path: Path) -> None:
    """Its own driver and folder, whatever this host's are."""
    storage = host.podman.find_storage()

    assert storage.driver == "vfs"
    assert storage.root is not None
    assert storage.root.parent == tmp_path


def test_an_image_runs_and_its_exit_code_is_returned(host: Host) -> None:
    """By its id; what is not there is not pulled."""
    assert host.podman.run(host.image, ["exit 3"]) == 3
    assert host.podman.start("f" * 64, ["exit 0"]) == 125


def test_an_unpacked_image_runs(host: Host) -> None:
    """What is called its command is run, and no entrypoint."""
    folder = RootFolder(path=host.root, uid=0, gid=0, cwd="/", env=("A=4",))

    assert host.podman.start_folder(folder, ["/bin/sh", "-c", "exit 4"]) == 4


def test_a_test_is_run_by_its_user_and_one_that_cannot_start_is_an_error(host: Host) -> None:
    """The exit code is the test's, and Podman's own is not taken for it."""
    pulled = host.podman.pull(host.image)

    def run(image: str, command: Sequence[str], *, around: bool) -> int:
        trial = Trial(
            command=tuple(command), user="48211:48211", around_entrypoint=around, limit=120.0
        )
        return host.podman.run_test(image, trial, name="imagekit-t").status

    assert run(pulled, ["exit 5"], around=False) == 5
    assert run(pulled, ["/bin/sh", "-c", "exit 6"], around=True) == 6
    with pytest.raises(ToolError, match="could not start"):
        run("f" * 64, ["exit 0"], around=False)


@pytest.mark.parametrize("host", ["podman"], indirect=True)
def test_a_test_sees_its_user_its_root_and_its_network(host: Host) -> None:
    """By default the strictest of each; a user whom the image does not know is in no passwd."""
    pulled = host.podman.pull(host.image)
    seen = "w=read-only; (: > /new) 2>/dev/null && w=writable; n=$(grep -c : /proc/net/dev); "
    seen += 'p=known; [ -e /etc/passwd ] || p=unknown; echo "$(id -u):$(id -g) $w $n $p $A"'

    def run(**how: Any) -> str:
        trial = Trial(command=("/bin/sh", "-c", seen), limit=120.0, **how)
        return host.podman.run_test(pulled, trial, name="imagekit-t").stdout.strip()

    assert run(user="48211:48211", env={"A": "a b"}) == "48211:48211 read-only 1 unknown a b"
    other = run(read_only=False, network=True).split()
    assert other[:2] == ["0:0", "writable"]
    assert int(other[2]) >= 1


@pytest.mark.parametrize("host", ["podman"], indirect=True)
@pytest.mark.parametrize(
    ("command", "end", "status"),
    [
        ("trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done", "ended", 3),
        ("while :; do sleep 0.1; done", "late", 137),
        ("exit 4", "early", 4),
    ],
    ids=["ends", "ignores it", "has ended before"],
)
def test_a_signal_ends_a_test_or_it_is_told_how_not(
    host: Host, command: str, end: str, status: int
) -> None:
    """What it wrote itself is kept apart from that."""
    pulled = host.podman.pull(host.image)
    signal = EndSignal(after=1, within=2)
    script = f"echo here >&2; {command}"
    trial = Trial(command=("/bin/sh", "-c", script), limit=120.0, signal=signal)

    ran = host.podman.run_test(pulled, trial, name="imagekit-t")

    assert (ran.end, ran.status) == (end, status)
    assert ran.stderr.strip() == "here"
    assert ("bye" in ran.stdout) is (end == "ended")


def test_images_of_another_store_run_from_this_storage(host: Host, tmp_path: Path) -> None:
    """They are read where they lie."""
    store = tmp_path / "store"
    with run_folder() as run:
        filled = host.podman.in_storage(store, run, "vfs")
        pulled = filled.pull(host.image)

    assert host.podman.with_images_of(store).start(pulled, ["exit 2"]) == 2
    assert host.podman.start(pulled, ["exit 2"]) == 125


@pytest.mark.parametrize("host", ["podman"], indirect=True)
def test_what_the_caller_chose_is_what_the_container_has(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an image and of an unpacked one, whatever that says itself; the fake has no container."""
    (tmp_path / "given").mkdir(mode=0o755)
    (tmp_path / "given/file").touch()
    options = RunOptions(
        volumes=(f"{tmp_path}/given:/given:ro",),
        env=("A=5", "B=-x y"),
        workdir="/given",
        user="0:0",
        entrypoint='["/bin/sh", "-c"]',
        home=tmp_path / "given",
    )
    chosen = with_choices(host.podman.container, options, ["--hostname=n1", "--umask=0027"])
    podman = replace(host.podman, container=chosen)
    monkeypatch.setenv("http_proxy", "http://proxy.site")
    seen = 'test "$A,$B,$PWD,$HOME,$http_proxy,$(umask)"'
    seen += f" = '5,-x y,/given,{tmp_path}/given,,0027' && test -f $HOME/file -a -f /given/file"
    seen += " && test ! -w /given -a ! -w /"
    folder = RootFolder(path=host.root, uid=0, gid=0, cwd="/", env=("A=4",))

    assert podman.run(host.image, [seen]) == 0
    assert podman.start_folder(folder, [seen]) == 0


@pytest.mark.parametrize("host", ["podman"], indirect=True)
def test_a_product_is_made_of_an_images_files(host: Host, tmp_path: Path) -> None:
    """The fake unpacks nothing."""
    copy = 'mkdir "$2" && cp "$1/bin/sh" "$2/sh"'

    host.podman.make_from(host.podman.pull(host.image), tmp_path / "made", copy)

    assert (tmp_path / "made/sh").read_bytes() == (host.root / "usr/bin/sh").read_bytes()


def test_files_of_others_need_ids_or_are_explained(root: Path, tmp_path: Path) -> None:
    """Who has none is told what works without, and not of a failed lchown only."""
    layout, image = _layout(tmp_path / "layout", root, _of_others)
    has_ids = os.geteuid() == 0 or ids(Path("/etc/subuid")) > 0
    with run_folder() as run:
        podman = Podman(programs=Runner()).in_storage(tmp_path / "store", run, "vfs")
        podman = podman.pulling(LayoutLocation(layout))
        if has_ids:
            assert podman.pull(image)
            subprocess.run(in_namespace(("rm", "-rf", str(tmp_path / "store"))), check=True)
        else:
            with pytest.raises(ToolError, match="no subordinate ids") as caught:
                podman.pull(image)
            assert caught.value.code == "NO_SUBORDINATE_IDS"
            assert "--staged" in caught.value.hint


@pytest.mark.root
@pytest.mark.parametrize("subordinate", [True, False], ids=["ids", "no ids"])
def test_an_ordinary_user_is_answered_the_same(project: Path, *, subordinate: bool) -> None:
    """All of the above, run by a user who has ids for a user namespace, and by one who has not."""
    name = f"imagekit-podman-{os.getpid()}-{int(subordinate)}"
    with ordinary_user(name, subordinate_ids=subordinate) as user:
        shutil.copytree(project / "tests/support", user.home / "tests/support")
        for file in ("pyproject.toml", "tests/contract/test_podman.py"):
            (user.home / file).parent.mkdir(exist_ok=True)
            shutil.copy(project / file, user.home / file)
        user.give(user.home)
        # Without such ids there is no other user in a container.
        some = "podman] or explained"
        if not subordinate:
            some = f"({some}) and not (run_by_its_user or sees_its_user)"
        words = ["-p", "no:cacheprovider", "-q", "-k", some, "--basetemp", "t"]
        argv = ["/usr/bin/python3", "-m", "pytest", *words, "tests/contract/test_podman.py"]
        ran: subprocess.CompletedProcess[str] = user.run(argv, {}, seconds=600)

    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr
    assert "passed" in ran.stdout
    assert "skipped" not in ran.stdout
