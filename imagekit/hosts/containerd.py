"""What containerd asks its image verifiers (docs/image-verification.md, since containerd 2.0).

``-name REF -digest DIGEST -stdin-media-type TYPE``, a descriptor on stdin; exit code 0 allows, and
what stands on stdout, at most 32 KiB, is shown to the user.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.errors import DocumentError, InvalidReferenceError
from imagekit.oci.codec import parse_descriptor
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference, parse_reference
from imagekit.oci.types import INDEX_TYPES, MANIFEST_TYPES

if TYPE_CHECKING:
    from imagekit.verify.verdict import Verdict

DESCRIPTOR = "application/vnd.oci.descriptor.v1+json"
MAX_DESCRIPTOR = 64 << 10
MAX_REASON = 2000


class PullQuestion(Struct, frozen=True, kw_only=True):
    """What containerd asks: whether this may be pulled."""

    name: str
    digest: str
    media_type: str
    descriptor: bytes


def image_of(question: PullQuestion) -> PinnedReference:
    """Return the image that is asked about, by the digest that will be pulled.

    Raises:
        InvalidReferenceError: the name is malformed, or has another digest.
        DocumentError: the descriptor is malformed, of another digest, or of no image.
    """
    digest = Digest.parse(question.digest)
    if question.media_type != DESCRIPTOR:
        raise DocumentError(f"stdin holds {question.media_type[:80]!r} and not {DESCRIPTOR}")
    if len(question.descriptor) > MAX_DESCRIPTOR:
        raise DocumentError("the descriptor on stdin is too large")
    document = strictjson.loads_object(question.descriptor, what="the descriptor on stdin")
    descriptor = parse_descriptor(document, what="the descriptor on stdin")
    if descriptor.digest != digest:
        raise DocumentError(f"-digest is {digest}, and the descriptor is of {descriptor.digest}")
    if descriptor.media_type not in MANIFEST_TYPES | INDEX_TYPES:
        raise DocumentError(f"{descriptor.media_type[:80]!r} is no image")
    return named(question.name, digest)


def named(name: str, digest: Digest) -> PinnedReference:
    """Return the image of that name, by the digest; ``HOST/PATH`` alone is by digest, too.

    Raises:
        InvalidReferenceError: the name is malformed, or has another digest.
    """
    if name.startswith("oci:"):
        raise InvalidReferenceError(f"{name[:80]!r} is no name of an image in a registry")
    try:
        reference = parse_reference(name)
    except InvalidReferenceError:
        return PinnedReference(Repository.parse(name), digest)
    if isinstance(reference, TaggedReference):
        return reference.pin(digest)
    if reference.digest != digest:
        raise InvalidReferenceError(f"{name[:120]!r} is not {digest}")
    return reference


def reason(verdict: "Verdict") -> str:
    """Return the verdict in one line, as the runtime shows it to its user."""
    image = verdict.reference
    name = f"{image.repository.name}:{image.tag}" if image.tag else str(image)
    policy = f"the policy {verdict.policy} version {verdict.policy_version}"
    if verdict.allowed and verdict.unread:
        lacks = ", ".join(digest.short for digest in verdict.unread)
        return (
            f"imagekit: {name} is refused: its registry does not have all that the index lists, "
            f"so a runtime could choose what was not judged: {lacks} (MISSING_MANIFEST); copy the "
            "image whole, or name that of the platform by its digest"
        )[:MAX_REASON]
    if verdict.allowed:
        return f"imagekit: {name} is allowed by {policy}"
    faults = [f for f in verdict.findings if f.severity == "error"]
    reasons = "; ".join(f"{f.message} ({f.code})" for f in faults[:3]) or "nothing allows it"
    return f"imagekit: {name} is refused by {policy}: {reasons}"[:MAX_REASON]
