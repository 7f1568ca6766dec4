"""Attack 56: an output file that is a device, a FIFO or a link, for every option that names one."""

import os
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imagekit.cli.junit import write as write_junit
from imagekit.cli.main import main
from imagekit.oci.archive import whole, write_archive
from imagekit.policy.new import new_policy
from imagekit.sign.issue_vsa import SummaryOptions, issue_summary
from imagekit.verify.policies import sign_policy
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.signed import NOW, signed_world

Write = Callable[[Path], None]


def _sbom(path: Path) -> None:
    root = path.parent / "root"
    root.mkdir(exist_ok=True)
    assert main(["sbom", str(root), "-o", str(path)]) == 0


def _junit(path: Path) -> None:
    write_junit(path, [("table", [])])


def _export(path: Path) -> None:
    write_archive(path, [whole("a", b"x")], written=lambda _: None)


def _summary(path: Path) -> None:
    world = signed_world()
    issue_summary(
        world.judge(),
        signer=MemorySigner(),
        options=SummaryOptions(verifier="https://gate.site", attach=False, file=path),
        writer=world.registry,
        clock=FixedClock(NOW),
    )


def _policy_export(path: Path) -> None:
    policy = Path(__file__).parents[2] / "policies/production.yaml"
    words = ["policy", "export", "--policy", str(policy), "--format", "containers-policy"]
    words += ["--allow-loss", "all", "--to", str(path.parent), "--force"]
    (path.parent / "policy.json").symlink_to(path)
    assert main(words) == 0
    assert (path.parent / "policy.json").is_symlink()


WRITERS: tuple[Write, ...] = (_sbom, _junit, _export, _summary, _policy_export)
every = pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)


@every
def test_a_device_stays_a_device(write: Write, tmp_path: Path) -> None:
    """Root has replaced /dev/null by a file; here it is a link to it."""
    (tmp_path / "out").symlink_to("/dev/null")

    write(tmp_path / "out")

    assert (tmp_path / "out").is_symlink()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@every
def test_a_fifo_gets_the_bytes(write: Write, tmp_path: Path) -> None:
    """Whoever waits for them at its other end."""
    fifo = tmp_path / "out"
    os.mkfifo(fifo)
    read: list[bytes] = []
    # Open for writing too, so that a writer which replaced it would not leave the reader waiting.
    handle = os.open(fifo, os.O_RDWR)
    reader = threading.Thread(target=lambda: read.append(os.read(handle, 1 << 20)), daemon=True)
    reader.start()

    write(fifo)
    reader.join(10)
    os.close(handle)

    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert read
    assert read[0]


@every
def test_a_link_leads_to_the_new_file(write: Write, tmp_path: Path) -> None:
    """The link stays, and the file is another one, whole."""
    (tmp_path / "far").mkdir()
    (tmp_path / "far/file").write_bytes(b"old")
    (tmp_path / "out").symlink_to("far/file")
    with (tmp_path / "far/file").open("rb") as before:
        write(tmp_path / "out")

        assert before.read() == b"old"
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "far/file").read_bytes() not in {b"old", b""}


def test_the_signature_of_a_policy_is_written_through_a_link(tmp_path: Path) -> None:
    """It lies beside the policy, or where its link says."""
    policy = tmp_path / "policy.yaml"
    signer = MemorySigner()
    policy.write_text(new_policy("r.site/**", signer.public_key, now=datetime.now(UTC)))
    target, _, _ = sign_policy(policy, signer)
    target.rename(tmp_path / "far")
    target.symlink_to("far")

    assert sign_policy(policy, MemorySigner())[2]
    assert target.is_symlink()
