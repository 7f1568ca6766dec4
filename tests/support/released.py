"""What a release in a registry must be at any time, and what it is when a publish ended well."""

from collections import Counter
from pathlib import Path

from imagekit.build.local_store import blobs_of
from imagekit.build.tools.storage import Folders
from imagekit.clock import SystemClock
from imagekit.errors import NotFoundError
from imagekit.oci.codec import parse_manifest
from imagekit.oci.destination import Destination
from imagekit.oci.layout import LayoutStore, entries
from imagekit.oci.location import LocatedReference, LocatedRepository
from imagekit.oci.reference import PinnedReference, TaggedReference
from imagekit.oci.registry.connect import writer
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import Manifest
from imagekit.publish.own_policy import own_policy
from imagekit.sign.legacy import legacy_tag
from imagekit.sign.own import own_statements
from imagekit.signatures.intoto import COSIGN_SIGN, CYCLONEDX, SELF_CONTAINED, SLSA_PROVENANCE
from imagekit.signatures.ports import Signer
from imagekit.signatures.release import RELEASE
from imagekit.verify.verify import verify

RECIPE = """\
schema: 1
name: hello
version: 1.0.0
base: scratch
steps:
  - copy: {from: hello.txt, to: /hello.txt}
tags: {immutable: ["{version}"], moving: [latest]}
"""
"""What is published: needs no tool, and has a tag of each kind."""
_PROOFS = {COSIGN_SIGN, CYCLONEDX, RELEASE, SELF_CONTAINED, SLSA_PROVENANCE}
TAGS = ("1.0.0", "latest")


def no_unsigned_tag(destination: str, signer: Signer) -> None:
    """Hold that whatever a user gets by a tag has all of its proofs."""
    place = Destination.parse(destination).place("hello")
    try:
        tags = writer(place, RegistryOptions()).tags(place.repository)
    except NotFoundError:
        return
    for tag in tags:
        if not tag.startswith("sha256-"):
            _hold_tag(place, tag, signer)


def complete(
    destination: str, signer: Signer, *, publishers: int = 1, lost: bool = False
) -> PinnedReference:
    """Hold that there is one release, with all that belongs to it, and return its image.

    Args:
        destination: where it is.
        signer: who published it.
        publishers: how many were there at once, each of which may have attached its own proofs.
        lost: whether the registry has lost proofs that it lists still.
    """
    place = Destination.parse(destination).place("hello")
    repository = place.repository
    reader = writer(place, RegistryOptions())
    for tag in TAGS:
        _hold_tag(place, tag, signer)
    image, moving = (reader.resolve(TaggedReference(repository, tag)) for tag in TAGS)
    assert image.digest == moving.digest
    own = own_statements(reader, PinnedReference(repository, image.digest), signer)
    kinds = Counter(entry.statement.predicate_type for entry in own)
    assert set(kinds) == _PROOFS, destination
    assert max(kinds.values()) <= publishers, (destination, kinds)
    found = reader.manifest(legacy_tag(image))
    legacy = parse_manifest(found.raw, found.media_type)
    assert isinstance(legacy, Manifest)
    assert len(legacy.layers) == len(TAGS) or lost, destination
    # The SBOM lies beside its attestation, and the recipe beside the provenance that names it.
    listed = len(reader.referrers(image)) - kinds.total()
    assert 1 < listed <= 2 * publishers or lost, destination
    return image


def whole_blobs(home: Path) -> None:
    """Hold that the local image store of a home has all that it lists, and as it should be."""
    store = LayoutStore(Folders.of({"HOME": str(home)}).images)
    for entry in entries(store.folder):
        for blob in blobs_of(store, entry):
            blob.digest.check(store.path(blob.digest).read_bytes(), what="the local store")


def _hold_tag(place: LocatedRepository, tag: str, signer: Signer) -> None:
    repository = place.repository
    verdict = verify(
        LocatedReference(place.location, TaggedReference(repository, tag)),
        policy=own_policy(repository.name, signer.authority, SystemClock().now()),
    )
    assert verdict.allowed, (repository.name, tag, verdict.findings)
