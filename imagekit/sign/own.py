"""What a signer has signed about an image already, so that nothing is signed twice."""

import logging

from msgspec import Struct

from imagekit.errors import DocumentError, NotFoundError
from imagekit.oci.codec import parse_manifest
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import DOCUMENT_TYPES, Descriptor, Manifest
from imagekit.signatures.bundle import MAX_BUNDLE, parse_bundle
from imagekit.signatures.intoto import Statement, statement_of
from imagekit.signatures.ports import Signer

_log = logging.getLogger(__name__)

_BUNDLE_PREFIX = "application/vnd.dev.sigstore.bundle"
MAX_EXAMINED = 500
"""Most referrers that are read: of a longer listing the rest counts as not there."""


class OwnStatement(Struct, frozen=True, kw_only=True):
    """A statement about an image, by the signer that was asked for."""

    reference: PinnedReference
    """The artifact that holds it."""
    statement: Statement


def own_statements(
    reader: RegistryReader, image: PinnedReference, signer: Signer
) -> tuple[OwnStatement, ...]:
    """Return the statements about the image whose bundle this signer made.

    What others attached, and what cannot be read, is skipped: this only finds what need not be
    written again.

    Raises:
        RegistryError: the registry did not answer; a listing that fails is never an empty one.
        IntegrityError: bytes differ from their digest.
    """
    statements = []
    for referrer in reader.referrers(image)[:MAX_EXAMINED]:
        if referrer.artifact_type in DOCUMENT_TYPES:
            continue
        reference = image.with_digest(referrer.digest)
        try:
            statement = _verified(reader, reference, signer)
        except (DocumentError, NotFoundError) as error:
            _log.debug("passed over %s: %s", reference, error)
            continue
        if statement is not None and any(
            subject.digest == image.digest for subject in statement.subjects
        ):
            statements.append(OwnStatement(reference=reference, statement=statement))
    return tuple(statements)


def _verified(
    reader: RegistryReader, reference: PinnedReference, signer: Signer
) -> Statement | None:
    layer = _bundle_layer(reader, reference)
    if layer is None:
        return None
    raw = reader.blob(reference.repository, layer, limit=MAX_BUNDLE)
    return statement_of(parse_bundle(raw).envelope) if signer.made(raw) else None


def _bundle_layer(reader: RegistryReader, reference: PinnedReference) -> Descriptor | None:
    raw = reader.manifest(reference)
    manifest = parse_manifest(raw.raw, raw.media_type)
    if not isinstance(manifest, Manifest) or len(manifest.layers) != 1:
        return None
    # cosign BUNDLE_SPEC, Publishing: the manifest has a single layer, the bundle.
    layer = manifest.layers[0]
    fits = layer.media_type.startswith(_BUNDLE_PREFIX) and layer.size <= MAX_BUNDLE
    return layer if fits else None
