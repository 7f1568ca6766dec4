"""Attack 46 with the real Podman: what was hidden from the verifier is chosen, and goes again."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imagekit.build.tools.podman import Podman
from imagekit.errors import IntegrityError
from imagekit.hosts.run import pull
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.reference import PinnedReference, Reference
from imagekit.oci.types import INDEX, MANIFEST
from imagekit.process import Runner
from imagekit.verify.verdict import Verdict
from imagekit.verify.verify import verify
from tests.e2e.gate.kit import push
from tests.e2e.gate.origin import QUICK, Origin
from tests.support.fakes import FixedClock
from tests.support.hostile import Answer, Asked

pytestmark = pytest.mark.real

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def podman() -> Iterator[Podman]:
    """Podman with a storage of the test's own; it takes no long path."""
    folder = Path(tempfile.mkdtemp(prefix="ik-", dir="/tmp"))
    yield Podman(programs=Runner()).in_storage(folder / "s", folder / "r", "vfs")
    shutil.rmtree(folder, ignore_errors=True)


def index_of(origin: Origin) -> PinnedReference:
    """Sign an index whose image for this host is the last; return that."""
    world, here = origin.world, host_platform().architecture
    entries, image = [], origin.image
    for architecture in ("riscv64", here):
        image = push(
            world.registry, world.repository, architecture.encode(), architecture=architecture
        )
        found = world.registry.manifest(image).descriptor
        entries.append(
            {
                "mediaType": MANIFEST,
                "digest": str(found.digest),
                "size": found.size,
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    world.image = world.registry.put_manifest(world.repository, INDEX, raw)
    world.tag("1", world.image)
    world.sign()
    return image


@pytest.mark.parametrize("hidden", [True, False])
def test_46_podman_chooses_what_was_hidden(podman: Podman, *, hidden: bool) -> None:
    """It is an error, and the storage is as before; what was judged is pulled."""
    with Origin(b"layer") as origin:
        child = index_of(origin)

        def to_podman(asked: Asked, _honest: Answer) -> Answer | None:
            return Answer(200, {}, b"{}") if asked.path == "/v2/" else None

        def to_us(asked: Asked, _honest: Answer) -> Answer | None:
            return Answer(404) if hidden and str(child.digest) in asked.path else None

        def judge(reference: Reference) -> Verdict:
            origin.lie = to_us
            verdict = verify(
                reference, policy=origin.world.policy(), options=QUICK, clock=FixedClock(NOW)
            )
            origin.lie = to_podman
            return verdict

        if hidden:
            with pytest.raises(IntegrityError, match="was not judged"):
                pull(
                    origin.world.reference,
                    judge=judge,
                    make_podman=lambda: podman,
                    show=lambda _: None,
                )
        else:
            assert pull(
                origin.world.reference, judge=judge, make_podman=lambda: podman, show=lambda _: None
            ).reference

    assert len(podman.images()) == (0 if hidden else 1)
