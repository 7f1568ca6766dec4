"""Installing trust and taking it back: what was there before is never lost."""

from pathlib import Path, PurePosixPath

import pytest

from imagekit.errors import ImagekitError, InputError
from imagekit.hosts.engines.engine import Engine, GateAddress, Route
from imagekit.hosts.engines.install import install, remove, show
from imagekit.hosts.engines.plan_files import DAEMON, Wish
from imagekit.hosts.engines.plan_files import POLICY as POLICY_NAME
from imagekit.hosts.engines.plan_files import REGISTRIES as REGISTRIES_NAME
from imagekit.hosts.hostfiles import HOME, HOST, HostFiles

RECORD = HOST.record
POLICY = HOST.containers / POLICY_NAME
REGISTRIES = HOST.containers / REGISTRIES_NAME

GATE = GateAddress(address="gate.site:5443", routes=(Route(registry="registry.site"),))
WISH = Wish(gate=GATE, engines=frozenset(Engine), authorization="imagekit")


def _tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def host(tmp_path: Path) -> HostFiles:
    """A host with a policy.json and a daemon.json of its own."""
    files = HostFiles(tmp_path)
    files.write(POLICY, b'{"default": [{"type": "insecureAcceptAnything"}]}\n')
    files.write(DAEMON, b'{"data-root": "/srv"}\n')
    return files


def test_removing_restores_every_byte(host: HostFiles, tmp_path: Path) -> None:
    """Also of files that were there before; no trace is left."""
    before = _tree(tmp_path)

    install(WISH, host)
    assert _tree(tmp_path) != before
    remove(host)

    assert _tree(tmp_path) == before
    assert not (tmp_path / "etc/containerd").exists()


def test_a_second_time_changes_nothing(host: HostFiles, tmp_path: Path) -> None:
    """And the first original is still the one that is kept."""
    before = _tree(tmp_path)
    install(WISH, host)
    after = _tree(tmp_path)

    assert install(WISH, host).changes == ()
    assert _tree(tmp_path) == after
    remove(host)
    assert _tree(tmp_path) == before


def test_another_wish_takes_back_what_it_does_not_want(host: HostFiles, tmp_path: Path) -> None:
    """Fewer engines: the files of the others are restored."""
    before = _tree(tmp_path)
    install(WISH, host)
    fewer = Wish(gate=GATE, engines=frozenset({Engine.CONTAINERS}))

    install(fewer, host)

    assert (tmp_path / "etc/docker/daemon.json").read_bytes() == before["etc/docker/daemon.json"]
    assert {each.file.path for each in show(host)} == {POLICY, REGISTRIES}


def test_a_dry_run_writes_nothing(host: HostFiles, tmp_path: Path) -> None:
    """It shows the change as a diff."""
    before = _tree(tmp_path)

    done = install(WISH, host, dry_run=True)

    assert _tree(tmp_path) == before
    assert '+prefix = "registry.site"' in "".join(change.diff() for change in done.changes)


def test_a_file_that_was_changed_since_is_not_lost(host: HostFiles, tmp_path: Path) -> None:
    """Removing refuses, and changes nothing, unless it is forced."""
    install(WISH, host)
    host.write(POLICY, b"{}")
    before = _tree(tmp_path)

    assert {each.state for each in show(host) if each.file.path == POLICY} == {"changed"}
    with pytest.raises(InputError, match=r"policy\.json was changed"):
        remove(host)
    assert _tree(tmp_path) == before
    remove(host, force=True)
    assert (tmp_path / "etc/containers/policy.json").read_bytes().startswith(b'{"default"')


class _Full(HostFiles):
    """A disk that is full after some writes."""

    left = 0

    def write(self, path: PurePosixPath, content: bytes, *, mode: int = 0o644) -> None:
        """Write, or fail as a full disk does."""
        if self.left == 0:
            raise ImagekitError("no space")
        self.left -= 1
        super().write(path, content, mode=mode)


def test_an_installation_that_broke_off_can_be_taken_back(host: HostFiles, tmp_path: Path) -> None:
    """Whatever write was the last."""
    before = _tree(tmp_path)
    for writes in range(1, 12):
        broken = _Full(tmp_path)
        broken.left = writes
        try:
            install(WISH, broken)
        except ImagekitError:
            remove(host)
            kept = {
                name: raw for name, raw in _tree(tmp_path).items() if "lib/imagekit" not in name
            }
            assert kept == before, writes
        else:
            break
    else:
        pytest.fail("it never came to an end")
    remove(host)


@pytest.mark.parametrize(
    "record",
    [
        b"[]",
        b'{"schema": 2, "files": []}',
        b'{"schema": 1, "files": [{"path": "/../etc/passwd", "digest": "x", "before": null}]}',
        b'{"schema": 1, "files": [{"path": "etc/passwd", "digest": "x", "before": null}]}',
        b'{"schema": 1, "files": [{"path": "/etc/x", "digest": "x", "before": null}]}',
    ],
)
def test_a_broken_record_is_told_and_nothing_is_removed(host: HostFiles, record: bytes) -> None:
    """It says which files may be removed: nobody guesses."""
    host.write(RECORD, record)

    with pytest.raises(InputError, match=r"trust\.json"):
        remove(host)


def test_one_user_gets_the_files_in_the_home_folder_and_loses_none(tmp_path: Path) -> None:
    """Engines read them below ``$HOME/.config``; what was there comes back byte by byte."""
    files = HostFiles(tmp_path, HOME)
    own = HOME.containers / POLICY_NAME
    files.write(own, b'{"default": [{"type": "reject"}]}\n')
    before = _tree(tmp_path)
    wish = Wish(gate=GATE, engines=frozenset({Engine.CONTAINERS}))

    done = install(wish, files)

    assert [remark.code for remark in done.remarks] == ["ONE_USER"]
    assert {change.path for change in done.changes} == {own, HOME.containers / REGISTRIES_NAME}
    assert set(_tree(tmp_path)) - set(before) >= {
        ".config/containers/registries.conf.d/99-imagekit.conf",
        ".config/imagekit/trust.json",
    }
    assert install(wish, files).changes == ()
    remove(files)
    assert _tree(tmp_path) == before
