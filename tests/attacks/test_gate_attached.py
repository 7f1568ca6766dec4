"""Attack 45: what strangers attach to an allowed image is served only where it is a proof."""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from imagekit.gate.decisions import attached
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference
from imagekit.oci.types import (
    BUNDLE,
    CONFIG,
    CYCLONEDX,
    EMPTY,
    EMPTY_JSON,
    IN_TOTO,
    MANIFEST,
    SIMPLE_SIGNING,
)
from tests.e2e.gate.kit import Reply
from tests.e2e.gate.local import LocalGate, Making
from tests.e2e.gate.origin import Origin
from tests.support.fakes import MemorySigner

pytestmark = pytest.mark.real

SIF = "application/vnd.sylabs.sif.layer.v1.sif"
TAR = b"bin/sh" + bytes(94) + b"0000755\0" + b"#!evil"
GENUINE = {
    BUNDLE: b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}',
    "application/vnd.dev.sigstore.bundle+json;version=0.2": b'{"mediaType": "x"}',
    SIMPLE_SIGNING: b'{"critical": {}}',
    "application/vnd.dsse.envelope.v1+json": b'{"payloadType": "x"}',
    IN_TOTO: b'{"_type": "https://in-toto.io/Statement/v1"}',
    CYCLONEDX: b'{"bomFormat": "CycloneDX"}',
    "application/spdx+json": b'{"spdxVersion": "SPDX-2.3"}',
    "text/spdx+json": b'{"spdxVersion": "SPDX-2.3"}',
}


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A registry with one signed image."""
    with Origin(b"layer") as running:
        yield running


@pytest.fixture
def gate(origin: Origin, tmp_path: Path) -> Iterator[LocalGate]:
    """A gate in front of it, at which the image is allowed."""
    made = Making(folder=tmp_path, policy=origin.world.policy(), upstreams=(origin.upstream(),))
    with LocalGate(made) as running:
        assert running.get(origin.manifest).status == 200
        yield running


def attach(
    origin: Origin,
    *layers: tuple[str, bytes],
    kind: str | None = BUNDLE,
    config: tuple[str, bytes] = (EMPTY, EMPTY_JSON),
    subject: PinnedReference | None = None,
    **more: object,
) -> PinnedReference:
    """Attach a manifest to the allowed image, as anybody may who pushes."""
    registry, repository = origin.world.registry, origin.world.repository

    def stored(media_type: str, raw: bytes) -> Mapping[str, object]:
        one = registry.put_bytes(repository, media_type, raw)
        return {"mediaType": media_type, "digest": str(one.digest), "size": one.size}

    top = registry.manifest(subject or origin.image).descriptor
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": stored(*config),
        "layers": [stored(*layer) for layer in layers],
        "subject": {"mediaType": MANIFEST, "digest": str(top.digest), "size": top.size},
        **({} if kind is None else {"artifactType": kind}),
        **more,
    }
    return registry.put_manifest(repository, MANIFEST, json.dumps(document).encode())


def pull(gate: LocalGate, attached: PinnedReference, *blobs: bytes) -> tuple[Reply, ...]:
    """Ask for a manifest, and then for blobs that it names."""
    asked = [f"manifests/{attached.digest}", *(f"blobs/{Digest.of(blob)}" for blob in blobs)]
    return tuple(gate.get(f"/v2/apps/demo/{path}") for path in asked)


def _archive_in_json() -> bytes:
    """Return a tar archive of the oldest form, which has no zero bytes, and is a JSON object."""
    name = b'{"_type": "' + b"a" * 89
    numbers = b"0000755 " + b"0000000 " * 2 + b"%011o " % 512 + b"00000000000 "
    rest = b"0" + b" " * 355
    total = sum(name + numbers + b" " * 8 + rest)
    header = name + numbers + b"%06o  " % total + rest
    return header + b"exec evil".ljust(510) + b'"}'


@pytest.mark.parametrize("lead", [b"", b" " * 512], ids=["first", "later"])
def test_45_archive_that_is_json(origin: Origin, gate: LocalGate, lead: bytes) -> None:
    """A layer that is a document to one reader and an archive to another is no proof."""
    raw = lead + _archive_in_json()
    assert "_type" in json.loads(raw)
    with tarfile.open(fileobj=io.BytesIO(raw.lstrip()), mode="r:") as archive:
        assert archive.getmembers()[0].isfile()

    manifest, blob = pull(gate, attach(origin, (IN_TOTO, raw), kind=IN_TOTO), raw)

    assert (manifest.status, blob.status) == (403, 404)


@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        pytest.param("application/vnd.sylabs.sif.config.v1+json", [(SIF, TAR)], id="sif"),
        pytest.param(BUNDLE, [(SIF, TAR)], id="sif-called-a-bundle"),
        pytest.param(None, [(BUNDLE, GENUINE[BUNDLE])], id="without-a-type"),
        pytest.param(EMPTY, [(EMPTY, EMPTY_JSON)], id="of-the-empty-type"),
        pytest.param("text/plain", [("text/plain", b"note")], id="note"),
        pytest.param("application/x-squashfs", [("application/x-squashfs", TAR)], id="squashfs"),
        pytest.param("x/y", [("application/octet-stream", TAR)], id="octets"),
        pytest.param(BUNDLE, [(BUNDLE, GENUINE[BUNDLE]), (SIF, TAR)], id="beside-a-bundle"),
        pytest.param(BUNDLE.upper(), [(BUNDLE, GENUINE[BUNDLE])], id="another-spelling"),
        pytest.param(BUNDLE, [], id="nothing"),
    ],
)
def test_45_artifact_that_is_no_proof(
    origin: Origin, gate: LocalGate, kind: str | None, layers: list[tuple[str, bytes]]
) -> None:
    """Neither the manifest nor a blob of it is served, whatever it is attached to."""
    pushed = attach(origin, *layers, kind=kind)

    manifest, *blobs = pull(gate, pushed, *(raw for _, raw in layers))

    assert (manifest.status, manifest.code) == (403, "DENIED")
    assert [blob.status for blob in blobs] == [404] * len(layers)


@pytest.mark.parametrize("kind", GENUINE)
@pytest.mark.parametrize(
    "raw", [TAR, b"[]", b"{}", b'{"a": 1, "A": 2}'], ids=["tar", "list", "empty", "twice"]
)
def test_45_archive_called_a_proof(origin: Origin, gate: LocalGate, kind: str, raw: bytes) -> None:
    """The types are a stranger's words: a blob that is no such document opens nothing."""
    pushed = attach(origin, (kind, GENUINE[kind]), (kind, raw), kind=kind)

    answers = pull(gate, pushed, raw, GENUINE[kind])

    assert [answer.status for answer in answers] == [403, 404, 404]


def test_45_blob_of_another_image_called_a_proof(origin: Origin, gate: LocalGate) -> None:
    """What a refused image consists of is not opened by a list that a stranger writes."""
    evil = b"layer of an image that nobody signed"
    origin.world.registry.put_bytes(origin.world.repository, "x/y", evil)
    pushed = attach(origin, (BUNDLE, evil))

    assert [answer.status for answer in pull(gate, pushed, evil)] == [403, 404]


@pytest.mark.parametrize(
    "config",
    [
        pytest.param((CONFIG, b'{"os": "linux"}'), id="of-an-image"),
        pytest.param((EMPTY, b'{"os": "linux"}'), id="empty-by-name"),
        pytest.param(("application/vnd.sylabs.sif.config.v1+json", b"{}"), id="of-a-sif"),
        pytest.param(("application/vnd.dev.cosign.artifact.sig.v1+json", TAR), id="archive"),
    ],
)
def test_45_configuration_that_runs(
    origin: Origin, gate: LocalGate, config: tuple[str, bytes]
) -> None:
    """With a configuration that says how, a runtime could take it for an image."""
    pushed = attach(origin, (BUNDLE, GENUINE[BUNDLE]), config=config)

    assert [answer.status for answer in pull(gate, pushed, config[1])] == [403, 404]


def test_45_too_large(origin: Origin, gate: LocalGate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many layers, or many bytes, are no proof: they are not even read."""
    proof = (CYCLONEDX, b'{"bomFormat": "CycloneDX", "x": "%s"}' % (b"x" * 300))
    many = attach(origin, *[(BUNDLE, b'{"mediaType": "%d"}' % n) for n in range(65)])
    monkeypatch.setattr(attached, "MAX_BYTES", 300)
    large = attach(origin, proof, kind=CYCLONEDX)

    answers = [*pull(gate, many), *pull(gate, large, proof[1])]

    assert [answer.status for answer in answers] == [403, 403, 404]
    assert not [one for one in origin.asked if str(Digest.of(proof[1])) in one.path]


def test_45_junk_is_read_once(origin: Origin, gate: LocalGate) -> None:
    """Whoever asks for the same junk again and again costs the gate and its upstream nothing."""
    junk = TAR * 90_000
    pushed = attach(origin, (CYCLONEDX, junk), kind=CYCLONEDX)
    blob = f"/v2/apps/demo/blobs/{Digest.of(junk)}"

    statuses = [pull(gate, pushed)[0].status for _ in range(3)]

    assert statuses == [403] * 3
    assert [one.path for one in origin.asked].count(blob) == 1


def test_45_attached_to_an_artifact_that_is_no_proof(origin: Origin, gate: LocalGate) -> None:
    """A chain to an allowed image by way of what is not served leads nowhere."""
    middle = attach(origin, (SIF, TAR))
    pushed = attach(origin, (BUNDLE, GENUINE[BUNDLE]), subject=middle)

    assert [answer.status for answer in pull(gate, pushed, GENUINE[BUNDLE])] == [403, 404]


def test_45_image_that_is_no_longer_allowed(origin: Origin, gate: LocalGate) -> None:
    """What is attached goes with its image, at once, and so do its blobs."""
    pushed = attach(origin, (BUNDLE, GENUINE[BUNDLE]))
    before = pull(gate, pushed, GENUINE[BUNDLE])
    gate.policy = origin.world.policy(signers=(MemorySigner(),))
    after = pull(gate, pushed, GENUINE[BUNDLE])

    assert [answer.status for answer in before] == [200, 200]
    assert [answer.status for answer in after] == [403, 404]


@pytest.mark.parametrize("kind", GENUINE)
def test_proofs_are_served(origin: Origin, gate: LocalGate, kind: str) -> None:
    """No attack: whoever wants to look for themselves finds every kind of proof."""
    pushed = attach(origin, (kind, GENUINE[kind]), kind=kind)

    answers = pull(gate, pushed, GENUINE[kind], EMPTY_JSON)

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert answers[1].body == GENUINE[kind]


def test_legacy_signature_as_a_referrer_is_served(origin: Origin, gate: LocalGate) -> None:
    """No attack: cosign's experimental form has a configuration of its own."""
    kind = "application/vnd.dev.cosign.artifact.sig.v1+json"
    config = b'{"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": []}}'
    layer = GENUINE[SIMPLE_SIGNING]
    pushed = attach(origin, (SIMPLE_SIGNING, layer), kind=None, config=(kind, config))

    assert [one.status for one in pull(gate, pushed, config, layer)] == [200, 200, 200]


def test_artifact_that_is_signed_itself_is_served(origin: Origin, gate: LocalGate) -> None:
    """No attack: what an authority of the rule signed is served whatever its type."""
    pushed = attach(origin, (SIF, TAR), kind="application/vnd.sylabs.sif.config.v1+json")
    origin.world.image = pushed
    origin.world.sign(name=f"{origin.world.repository.name}@{pushed.digest}")

    assert [answer.status for answer in pull(gate, pushed, TAR)] == [200, 200]
