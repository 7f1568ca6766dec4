"""Signing an image in both forms, and attesting to it.

Each function first looks at what is there: what verifies with the signer's own public key and says
the same is kept, so that a publish that was killed completes without signing anything twice.

What looks and signs, and so may fail, is apart from what writes: whoever signs several images at
once has all signatures before the first of them is in the registry.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC

from imagekit.clock import Clock
from imagekit.errors import DocumentError
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.oci.types import BUNDLE, PREDICATE_TYPE, Descriptor
from imagekit.sign.attach import Attached, attach
from imagekit.sign.legacy import merge, signed_layers
from imagekit.sign.own import own_statements
from imagekit.sign.provenance import same_build
from imagekit.signatures.bundle import MAX_BUNDLE
from imagekit.signatures.intoto import (
    COSIGN_SIGN,
    SLSA_PROVENANCE,
    Statement,
    Subject,
    statement_bytes,
)
from imagekit.signatures.ports import Signer

_CREATED = "org.opencontainers.image.created"


def identities(image: PinnedReference, tags: Sequence[str]) -> tuple[str, ...]:
    """Return what signatures of the image are made for: ``HOST/PATH:TAG``, one for each tag.

    Without tags it is ``HOST/PATH``: good wherever the image is named by its digest.
    """
    name = image.repository.name
    return tuple(f"{name}:{tag}" for tag in dict.fromkeys(tags)) or (name,)


def subjects(image: PinnedReference, tags: Sequence[str]) -> tuple[Subject, ...]:
    """Return the subjects of statements about the image, one for each identity."""
    return tuple(
        Subject(name=identity, digest=image.digest) for identity in identities(image, tags)
    )


def sign(
    writer: RegistryWriter,
    signer: Signer,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    tags: Sequence[str],
    clock: Clock,
) -> tuple[Attached, ...]:
    """Sign an image for its tags, as Sigstore bundle and in the legacy form.

    Args:
        writer: where the image is.
        signer: who signs.
        image: the image; a tag in the reference means nothing here.
        manifest: what points to the image's manifest or index.
        tags: the tags to sign for, whether they exist yet or not.
        clock: for the time in the bundle's annotations.

    Returns:
        The bundle, and the legacy signature where the signer has that form.

    Raises:
        RegistryError: the registry refused or did not answer.
        DocumentError: the legacy tag holds something that is no manifest of signatures.
    """
    return signed(writer, signer, image, manifest=manifest, tags=tags, clock=clock)()


def signed(
    writer: RegistryWriter,
    signer: Signer,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    tags: Sequence[str],
    clock: Clock,
) -> Callable[[], tuple[Attached, ...]]:
    """Sign an image as ``sign`` does, and return what attaches the signatures.

    Raises:
        RegistryError: the registry refused or did not answer.
        DocumentError: the legacy tag holds something that is no manifest of signatures.
    """
    legacy = signed_layers(writer, signer, image, identities=identities(image, tags))
    attach_it = _signed_bundle(writer, signer, image, manifest=manifest, tags=tags, clock=clock)

    def write() -> tuple[Attached, ...]:
        first = merge(writer, image, legacy) if legacy.layers else None
        bundle = attach_it()
        if first is None:
            return (bundle,)
        # Somebody who read the tag before our write may have overwritten it after our look.
        second = merge(writer, image, replace(legacy, payloads=()))
        merged = Attached(
            what="legacy signature", reference=second.reference, new=first.new or second.new
        )
        return bundle, merged

    return write


def attest(
    writer: RegistryWriter,
    signer: Signer,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    statement: Statement,
    clock: Clock,
) -> Attached:
    """Sign a statement about an image and attach it, unless one that says the same is there.

    Two provenances say the same where they differ only in when and by which run.

    Raises:
        RegistryError: the registry refused or did not answer.
    """
    return attested(writer, signer, image, manifest=manifest, statement=statement, clock=clock)()


def attested(
    writer: RegistryWriter,
    signer: Signer,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    statement: Statement,
    clock: Clock,
) -> Callable[[], Attached]:
    """Sign a statement as ``attest`` does, and return what attaches it.

    Raises:
        RegistryError: the registry refused or did not answer.
        DocumentError: it is longer than verifiers read.
    """
    same = same_build if statement.predicate_type == SLSA_PROVENANCE else Statement.__eq__
    for own in own_statements(writer, image, signer):
        if same(own.statement, statement):
            there = Attached(what=statement.predicate_type, reference=own.reference, new=False)
            return lambda: there
    return _bundle(
        writer,
        signer,
        image,
        manifest=manifest,
        statement=statement,
        clock=clock,
        what=statement.predicate_type,
    )


def _signed_bundle(
    writer: RegistryWriter,
    signer: Signer,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    tags: Sequence[str],
    clock: Clock,
) -> Callable[[], Attached]:
    mine = [
        own
        for own in own_statements(writer, image, signer)
        if own.statement.predicate_type == COSIGN_SIGN
    ]
    there = {(subject.name, subject.digest) for own in mine for subject in own.statement.subjects}
    missing = tuple(one for one in subjects(image, tags) if (one.name, one.digest) not in there)
    if not missing:
        known = Attached(what="signature", reference=mine[0].reference, new=False)
        return lambda: known
    return _bundle(
        writer,
        signer,
        image,
        manifest=manifest,
        statement=Statement(subjects=missing, predicate_type=COSIGN_SIGN),
        clock=clock,
        what="signature",
    )


def _bundle(
    writer: RegistryWriter,
    signer: Signer,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    statement: Statement,
    clock: Clock,
    what: str,
) -> Callable[[], Attached]:
    bundle = signer.bundle(statement_bytes(statement))
    if len(bundle) > MAX_BUNDLE:
        raise DocumentError(
            f"what is signed of {image} as {what} has {len(bundle)} bytes; verifiers read at most "
            f"{MAX_BUNDLE}",
            code="TOO_LARGE",
        )

    def write() -> Attached:
        attached = attach_bundle(
            writer,
            image,
            manifest=manifest,
            bundle=bundle,
            predicate_type=statement.predicate_type,
            clock=clock,
        )
        return replace(attached, what=what)

    return write


def attach_bundle(
    writer: RegistryWriter,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    bundle: bytes,
    predicate_type: str,
    clock: Clock,
) -> Attached:
    """Attach a signed bundle to the image that it is about, as cosign does.

    Raises:
        RegistryError: the registry refused or did not answer.
    """
    return attach(
        writer,
        image,
        manifest=manifest,
        media_type=BUNDLE,
        raw=bundle,
        what=predicate_type,
        annotations={
            "dev.sigstore.bundle.content": "dsse-envelope",
            PREDICATE_TYPE: predicate_type,
            _CREATED: clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )
