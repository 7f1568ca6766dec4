"""Attacks by a tree: what lies in a root file system leads out of it."""

from pathlib import Path

import pytest

from imagekit.build import inside
from imagekit.build.passwd import user_of
from imagekit.errors import BuildError, ImagekitError, InputError
from imagekit.hosts.engines.engine import Engine, GateAddress, Route
from imagekit.hosts.engines.install import install, remove
from imagekit.hosts.engines.plan_files import Wish
from imagekit.hosts.hostfiles import HostFiles

WISH = Wish(
    gate=GateAddress(address="gate.site:5443", routes=(Route(registry="registry.site"),)),
    engines=frozenset(Engine),
)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the host with the files that an attacker wants read or written."""
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "policy.json").write_text('{"default": [{"type": "reject"}]}')
    (folder / "daemon.json").write_text('{"data-root": "/srv"}')
    (folder / "passwd").write_text("evil:x:0:0::/:\n")
    return folder


def _state(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name",
    [
        "etc",
        "etc/containers",
        "etc/containers/registries.conf.d",
        "etc/containers/policy.json",
        "etc/containerd",
        "etc/docker",
        "etc/docker/daemon.json",
        "etc/imagekit",
        "etc/imagekit/trust.json",
        "var",
        "var/lib/imagekit",
    ],
)
@pytest.mark.parametrize("form", ["absolute", "relative", "through a link"])
def test_trust_install_in_a_tree_stays_in_the_tree(
    tmp_path: Path, outside: Path, name: str, form: str
) -> None:
    """Whatever is a link, and however it leads out: the host's files are neither read nor written.

    The installation succeeds inside the tree or is refused; it never reaches the host.
    """
    tree = tmp_path / "tree"
    link = tree / name
    link.parent.mkdir(parents=True)
    target = outside / link.name if link.suffix else outside
    if form == "relative":
        link.symlink_to(f"{'../' * (name.count('/') + 1)}host/{target.relative_to(outside)}")
    elif form == "absolute":
        link.symlink_to(target)
    else:
        (tree / "step").symlink_to(target)
        link.symlink_to("/step")
    before = _state(outside)

    try:
        done = install(WISH, HostFiles(tree))
        assert not any(change.before for change in done.changes)
        assert _state(outside) == before
        remove(HostFiles(tree))
    except ImagekitError as error:
        assert "No such file" in error.message  # noqa: PT017 - either end is good
    assert _state(outside) == before


def test_an_image_writes_no_file_of_the_host(tmp_path: Path, outside: Path) -> None:
    """A base whose folders are links to the builder's."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "etc").symlink_to(outside)

    with pytest.raises(BuildError, match="cannot be written in the image"):
        inside.place(root, "etc/apt/sources.list.d/imagekit.list", "evil")
    assert sorted(_state(outside)) == ["daemon.json", "passwd", "policy.json"]


@pytest.mark.parametrize("link", ["etc", "etc/passwd"])
def test_a_staged_image_takes_no_user_of_the_host(tmp_path: Path, outside: Path, link: str) -> None:
    """Who the process is comes from the image's own files."""
    root = tmp_path / "root"
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(outside if link == "etc" else outside / "passwd")

    with pytest.raises(InputError, match="whom it does not have"):
        user_of("evil", root)
