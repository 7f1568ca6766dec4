"""Signing and attesting: both forms, and nothing twice."""

import contextlib
import json
from typing import Any

import pytest

from imagekit.documents.fields import strict_base64
from imagekit.errors import DocumentError, IntegrityError, RegistryError
from imagekit.oci.codec import manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.types import (
    BUNDLE,
    CONFIG,
    CYCLONEDX,
    EMPTY,
    INDEX,
    MANIFEST,
    SIMPLE_SIGNING,
    Descriptor,
    Manifest,
    RawManifest,
)
from imagekit.sign.attach import Attached
from imagekit.sign.legacy import legacy_tag
from imagekit.sign.own import own_statements
from imagekit.sign.signing import attest, subjects
from imagekit.signatures.bundle import KeyBundle, parse_bundle
from imagekit.signatures.intoto import COSIGN_SIGN, Statement, StatementSubject, statement_of
from imagekit.signatures.signature import verify_legacy_signature, verify_signature
from imagekit.signatures.simplesigning import SIGNATURE_ANNOTATION, parse_payload
from tests.support.fakes import FixedClock, Killed, MemoryRegistry, MemorySigner, push_image
from tests.support.signing import attach_sbom, sign

REPOSITORY = Repository("reg.example:5000", "apps/solver")
CLOCK = FixedClock()


@pytest.fixture
def registry() -> MemoryRegistry:
    """An empty registry."""
    return MemoryRegistry()


@pytest.fixture
def image(registry: MemoryRegistry) -> PinnedReference:
    """An image in it."""
    return push_image(registry, REPOSITORY)


@pytest.fixture(scope="module")
def signer() -> MemorySigner:
    """A key."""
    return MemorySigner()


def _sign(
    registry: MemoryRegistry, signer: MemorySigner, image: PinnedReference, *tags: str
) -> tuple[Attached, ...]:
    manifest = registry.manifest(image).descriptor
    return sign(registry, signer, image, manifest=manifest, tags=tags, clock=CLOCK)


def _document(registry: MemoryRegistry, reference: PinnedReference) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(registry.manifest(reference).raw)
    return document


def _signature_layers(registry: MemoryRegistry, image: PinnedReference) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = _document(registry, registry.resolve(legacy_tag(image)))[
        "layers"
    ]
    return layers


def test_sign_refuses_the_descriptor_of_another_image(
    registry: MemoryRegistry, image: PinnedReference, signer: MemorySigner
) -> None:
    """The subject of what is attached is the image that was signed, or nothing is attached."""
    other = push_image(registry, REPOSITORY, content=b"other")

    with pytest.raises(IntegrityError):
        attach_sbom(registry, image, manifest=registry.manifest(other).descriptor, sbom=b"{}")


@pytest.mark.parametrize(
    ("media_type", "raw"),
    [
        pytest.param(INDEX, b'{"schemaVersion":2,"manifests":[]}', id="index"),
        pytest.param(MANIFEST, b'{"schemaVersion":2,"layers":[]}', id="no config"),
        pytest.param(MANIFEST, b"{}", id="empty"),
    ],
)
def test_sign_overwrites_no_tag_that_it_cannot_read(
    registry: MemoryRegistry,
    image: PinnedReference,
    signer: MemorySigner,
    media_type: str,
    raw: bytes,
) -> None:
    """What stands under the legacy tag may be somebody's, so that it is not thrown away."""
    stored = registry.put_manifest(REPOSITORY, media_type, raw)
    rubbish = RawManifest(media_type=media_type, digest=stored.digest, raw=raw)
    registry.tag(legacy_tag(image), rubbish)

    with pytest.raises(DocumentError, match="cannot take a signature"):
        _sign(registry, signer, image, "1")

    assert registry.resolve(legacy_tag(image)).digest == stored.digest


def test_sign_says_when_its_signature_is_overwritten_each_time(
    registry: MemoryRegistry,
    image: PinnedReference,
    signer: MemorySigner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tag that never keeps our layer ends in an error, in bounded time."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    original = registry.manifest

    def forgetful(reference: TaggedReference | PinnedReference) -> RawManifest:
        registry.tagged.pop((REPOSITORY.name, legacy_tag(image).tag), None)
        return original(reference)

    monkeypatch.setattr(registry, "manifest", forgetful)

    with pytest.raises(RegistryError) as caught:
        _sign(registry, signer, image, "1")

    assert caught.value.code == "SIGNATURE_LOST"


def test_the_bundle_is_a_referrer_as_cosign_writes_it(
    registry: MemoryRegistry, image: PinnedReference, signer: MemorySigner
) -> None:
    """Every field of the artifact manifest is that of cosign's BUNDLE_SPEC."""
    bundle, _ = _sign(registry, signer, image, "1")

    document = _document(registry, bundle.reference)
    layer = document.pop("layers")
    assert document == {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": {
            "mediaType": EMPTY,
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "size": 2,
        },
        "subject": {
            "mediaType": MANIFEST,
            "digest": str(image.digest),
            "size": len(registry.manifest(image).raw),
        },
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": COSIGN_SIGN,
            "org.opencontainers.image.created": "2026-05-04T03:02:01Z",
        },
    }
    assert [one["mediaType"] for one in layer] == [BUNDLE]


def test_the_bundle_binds_every_tag_to_the_digest(
    registry: MemoryRegistry, image: PinnedReference, signer: MemorySigner
) -> None:
    """One subject a tag, named by the full reference, in a statement that the key signed."""
    bundle, _ = _sign(registry, signer, image, "1.0", "latest", "1.0")

    (layer,) = _document(registry, bundle.reference)["layers"]
    raw = registry.blobs[REPOSITORY.name, Digest.parse(layer["digest"])]
    parsed = parse_bundle(raw)
    assert isinstance(parsed, KeyBundle)
    (signature,) = parsed.envelope.signatures
    assert verify_signature(signer.public_key, signature, parsed.envelope.signed_bytes)
    assert statement_of(parsed.envelope) == Statement(
        subjects=(
            StatementSubject(name="reg.example:5000/apps/solver:1.0", digest=image.digest),
            StatementSubject(name="reg.example:5000/apps/solver:latest", digest=image.digest),
        ),
        predicate_type=COSIGN_SIGN,
    )


def test_the_legacy_tag_has_one_signed_payload_a_tag(
    registry: MemoryRegistry, image: PinnedReference, signer: MemorySigner
) -> None:
    """Podman's form: the payload names the reference, its signature stands in the annotation."""
    _sign(registry, signer, image, "1.0", "latest")

    names = []
    for layer in _signature_layers(registry, image):
        payload = registry.blobs[REPOSITORY.name, Digest.parse(layer["digest"])]
        signature = strict_base64(layer["annotations"][SIGNATURE_ANNOTATION])
        assert signature is not None
        assert verify_legacy_signature(signer.public_key, signature, payload)
        assert parse_payload(payload).digest == image.digest
        assert layer["mediaType"] == SIMPLE_SIGNING
        names.append(parse_payload(payload).identity)
    assert names == [f"{REPOSITORY.name}:1.0", f"{REPOSITORY.name}:latest"]


def test_without_tags_the_repository_is_signed_for(
    registry: MemoryRegistry, image: PinnedReference
) -> None:
    """An image that is only named by digest has its repository as identity."""
    assert [subject.name for subject in subjects(image, ())] == [REPOSITORY.name]


def test_signing_again_writes_nothing(registry: MemoryRegistry, image: PinnedReference) -> None:
    """Every claim that is there and verifies is kept; the key is not even used."""
    signer = MemorySigner()
    first = _sign(registry, signer, image, "1", "latest")
    writes, signed = list(registry.writes), signer.signed

    second = _sign(registry, signer, image, "latest", "1")

    assert [one.new for one in first] == [True, True]
    assert [one.new for one in second] == [False, False]
    assert [one.reference.digest for one in second] == [one.reference.digest for one in first]
    assert (registry.writes, signer.signed) == (writes, signed)


def test_a_new_tag_is_signed_alone(
    registry: MemoryRegistry, image: PinnedReference, signer: MemorySigner
) -> None:
    """The second statement speaks of the new tag only, the first stays."""
    _sign(registry, signer, image, "1")

    _sign(registry, signer, image, "1", "latest")

    names = [
        [subject.name for subject in own.statement.subjects]
        for own in own_statements(registry, image, signer)
    ]
    assert names == [[f"{REPOSITORY.name}:1"], [f"{REPOSITORY.name}:latest"]]
    assert len(_signature_layers(registry, image)) == 2


def test_foreign_signatures_are_kept_and_never_taken_for_ours(
    registry: MemoryRegistry, image: PinnedReference, signer: MemorySigner
) -> None:
    """Another key's signatures of the same claim stay, and ours are written beside them."""
    other = MemorySigner()
    _sign(registry, other, image, "1")
    before = _signature_layers(registry, image)

    bundle, legacy = _sign(registry, signer, image, "1")

    assert (bundle.new, legacy.new) == (True, True)
    assert _signature_layers(registry, image)[:1] == before
    assert len(_signature_layers(registry, image)) == 2


def test_a_lost_race_for_the_legacy_tag_is_made_good(
    registry: MemoryRegistry, image: PinnedReference, signer: MemorySigner
) -> None:
    """Somebody else's write between our look and ours loses neither theirs nor ours."""
    other = MemorySigner()
    original = registry.tag

    def others_write_after_us(reference: TaggedReference, manifest: RawManifest) -> None:
        registry.tag = original  # type: ignore[method-assign] # the fake races once
        theirs = MemoryRegistry(
            manifests=registry.manifests, blobs=registry.blobs, tagged=dict(registry.tagged)
        )
        _sign(theirs, other, image, "1")
        original(reference, manifest)
        # They read the tag before we wrote it, and write now.
        registry.tagged[REPOSITORY.name, reference.tag] = theirs.resolve(reference).digest

    registry.tag = others_write_after_us  # type: ignore[method-assign] # the same

    _sign(registry, signer, image, "1")

    assert len(_signature_layers(registry, image)) == 2


def test_killed_at_any_write_the_next_run_completes_without_a_second_signature(
    signer: MemorySigner,
) -> None:
    """Whatever was left behind, the end is one bundle a claim and one layer a tag."""
    whole = MemoryRegistry()
    _publish(whole, signer)

    for writes in range(len(whole.writes)):
        registry = MemoryRegistry(die_after=writes)
        with pytest.raises(Killed):
            _publish(registry, signer)
        registry.die_after = None
        image = _publish(registry, signer)

        assert len(registry.referrers(image)) == 3
        assert len(_signature_layers(registry, image)) == 2


def _publish(registry: MemoryRegistry, signer: MemorySigner) -> PinnedReference:
    image = push_image(registry, REPOSITORY)
    manifest = registry.manifest(image).descriptor
    sign(registry, signer, image, manifest=manifest, tags=("1", "latest"), clock=CLOCK)
    attach_sbom(registry, image, manifest=manifest, sbom=b'{"bomFormat":"CycloneDX"}')
    statement = Statement(subjects=subjects(image, ("1",)), predicate_type="https://x.example/y")
    attest(registry, signer, image, manifest=manifest, statement=statement, clock=CLOCK)
    return image


def test_the_sbom_is_a_referrer_of_its_own(
    registry: MemoryRegistry, image: PinnedReference
) -> None:
    """Scanners find it by its media type; the same document is attached once."""
    manifest = registry.manifest(image).descriptor

    first = attach_sbom(registry, image, manifest=manifest, sbom=b"{}")
    second = attach_sbom(registry, image, manifest=manifest, sbom=b"{}")

    assert (first.new, second.new) == (True, False)
    assert first.reference == second.reference
    (referrer,) = registry.referrers(image)
    assert referrer.artifact_type == CYCLONEDX
    document = _document(registry, first.reference)
    assert document["config"]["mediaType"] == EMPTY
    assert [layer["mediaType"] for layer in document["layers"]] == [CYCLONEDX]


def test_attestations_are_compared_by_what_they_say(
    registry: MemoryRegistry, image: PinnedReference, signer: MemorySigner
) -> None:
    """The same statement is kept; another predicate is attached beside it."""
    manifest = registry.manifest(image).descriptor

    def attested(predicate: dict[str, object]) -> bool:
        statement = Statement(
            subjects=subjects(image, ("1",)), predicate_type="https://x/y", predicate=predicate
        )
        done = attest(registry, signer, image, manifest=manifest, statement=statement, clock=CLOCK)
        return done.new

    assert [attested({"a": 1}), attested({"a": 1}), attested({"a": 2})] == [True, False, True]


def test_a_statement_of_ours_about_another_image_is_not_about_this_one(
    registry: MemoryRegistry, image: PinnedReference, signer: MemorySigner
) -> None:
    """A bundle that somebody attached to the wrong image says nothing about it."""
    other = push_image(registry, REPOSITORY, content=b"other")
    bundle, _ = _sign(registry, signer, other, "1")
    moved = _document(registry, bundle.reference)
    moved["subject"]["digest"] = str(image.digest)
    registry.put_manifest(REPOSITORY, MANIFEST, json.dumps(moved).encode())

    assert len(registry.referrers(image)) == 1
    assert own_statements(registry, image, signer) == ()


@pytest.mark.parametrize("raw", [b"{}", b"not json"], ids=["no bundle", "no JSON"])
def test_rubbish_among_the_referrers_hinders_nothing(
    registry: MemoryRegistry, image: PinnedReference, signer: MemorySigner, raw: bytes
) -> None:
    """Anybody who may push can attach rubbish: it is passed over."""
    layer = registry.put_bytes(REPOSITORY, BUNDLE, raw)
    config = registry.put_bytes(REPOSITORY, EMPTY, b"{}")
    subject = registry.manifest(image).descriptor
    for layers in ((layer,), (layer, layer), ()):
        manifest = Manifest(media_type=MANIFEST, config=config, layers=layers, subject=subject)
        registry.put_manifest(REPOSITORY, MANIFEST, manifest_bytes(manifest))

    bundle, _ = _sign(registry, signer, image, "1")

    assert bundle.new


def test_the_legacy_config_names_every_layer(
    registry: MemoryRegistry, image: PinnedReference, signer: MemorySigner
) -> None:
    """The config is an image's, with one diff ID a layer, as tools that check it expect."""
    _, legacy = _sign(registry, signer, image, "1", "2")

    document = _document(registry, legacy.reference)
    config = Descriptor(
        media_type=CONFIG,
        digest=Digest.parse(document["config"]["digest"]),
        size=document["config"]["size"],
    )
    inner = json.loads(registry.blob(REPOSITORY, config, limit=10000))
    assert inner["rootfs"]["diff_ids"] == [layer["digest"] for layer in document["layers"]]


@pytest.mark.parametrize(("reason", "signed"), [("DIGEST_INVALID", True), ("DENIED", False)])
def test_only_the_fault_of_two_equal_writes_is_tried_again(
    registry: MemoryRegistry,
    image: PinnedReference,
    signer: MemorySigner,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
    *,
    signed: bool,
) -> None:
    """What docker-registry says to one of two equal writers passes; a refusal does not."""
    original = registry.put_manifest
    failed: list[bytes] = []

    def put(repository: Repository, media_type: str, raw: bytes) -> PinnedReference:
        if not failed:
            failed.append(raw)
            raise RegistryError("400", http_status=400, reason=reason)
        return original(repository, media_type, raw)

    monkeypatch.setattr(registry, "put_manifest", put)

    with contextlib.nullcontext() if signed else pytest.raises(RegistryError):
        _sign(registry, signer, image, "1")

    assert (legacy_tag(image).tag in registry.tags(REPOSITORY)) == signed


def test_a_tag_that_changed_since_it_was_read_is_not_written(
    registry: MemoryRegistry,
    image: PinnedReference,
    signer: MemorySigner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody else's signature that arrives meanwhile is merged and never replaced."""
    other, original = MemorySigner(), registry.put_manifest
    raced: list[bytes] = []

    def put(repository: Repository, media_type: str, raw: bytes) -> PinnedReference:
        if not raced:
            raced.append(raw)
            _sign(registry, other, image, "1")
        return original(repository, media_type, raw)

    monkeypatch.setattr(registry, "put_manifest", put)

    _sign(registry, signer, image, "1")

    assert len(_signature_layers(registry, image)) == 2
    tagged = [line for line in registry.writes if line.startswith("tag")]
    assert len(tagged) == 2
