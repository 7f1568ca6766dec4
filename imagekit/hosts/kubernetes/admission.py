"""Whether Kubernetes may store an object: ``imagekit webhook``.

A webhook that only validates cannot write the digest that it judged into the object, and the node
resolves the tag again when it pulls. So an image by its tag is refused with the digest to write,
unless the nodes pull through a gate, which judges it again (``allow_tags``).
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct

from imagekit.errors import ImagekitError
from imagekit.hosts.kubernetes.review import Admission, Review, WantedImage
from imagekit.oci.reference import Reference, TaggedReference, complete_name, parse_reference
from imagekit.policy.findings import plain
from imagekit.verify.verdict import Verdict

_SHOWN = 3
_AT_ONCE = 8

Judge = Callable[[Reference], Verdict]


class ObjectDecision(Struct, frozen=True, kw_only=True):
    """The decision on one image of an object."""

    image: WantedImage
    refusal: str = ""
    """Why it is refused; empty where it is not."""
    warning: str = ""
    digest: str = ""


def admit(review: Review, judge: Judge, *, allow_tags: bool, contact: str = "") -> Admission:
    """Judge every image of an object; one that is refused, or has no verdict, refuses the object.

    Args:
        review: what the API server asks.
        judge: judges a reference by a policy.
        allow_tags: whether images may be named by a tag: the nodes pull through a gate.
        contact: whom users ask.
    """
    wanted = {image.reference: image for image in reversed(review.images)}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rulings = [
            *pool.map(lambda image: rule(image, judge, allow_tags=allow_tags), wanted.values())
        ]
    refused = [ruling for ruling in rulings if ruling.refusal]
    return Admission(
        uid=review.uid,
        allowed=not refused,
        message=_message(refused, contact) if refused else "",
        warnings=tuple(ruling.warning for ruling in rulings if ruling.warning),
        digests=tuple(
            (ruling.image.reference, ruling.digest) for ruling in rulings if ruling.digest
        ),
    )


def rule(image: WantedImage, judge: Judge, *, allow_tags: bool) -> ObjectDecision:
    """Judge one image."""
    try:
        reference = as_kubernetes_reads(image.reference)
        verdict = judge(reference)
    except ImagekitError as error:
        refusal = f"no verdict, so it is refused: {error.code or 'ERROR'}: {plain(error.message)}"
        return ObjectDecision(image=image, refusal=refusal)
    digest = str(verdict.digest) if verdict.digest else ""
    if not verdict.allowed:
        return ObjectDecision(image=image, refusal=_reasons(verdict), digest=digest)
    if isinstance(reference, TaggedReference) and not allow_tags:
        name = f"{reference.repository}:{reference.tag}@{digest}"
        refusal = f"its tag may move before a node pulls it; write {name}"
        return ObjectDecision(image=image, refusal=refusal, digest=digest)
    # A node compares the host as it is written to find out whether the registry is a gate's.
    by_gate = allow_tags and _is_plainly_named(image.reference, reference)
    if verdict.unread and not by_gate:
        lacks = ", ".join(missing.short for missing in verdict.unread)
        refusal = (
            "MISSING_MANIFEST: its registry does not have all that the index lists, so a node "
            f"could choose what was not judged: {lacks}; copy the image whole"
        )
        return ObjectDecision(image=image, refusal=refusal, digest=digest)
    if isinstance(reference, TaggedReference) and not by_gate:
        refusal = f"its registry is written in another spelling than nodes know it by: {reference}"
        return ObjectDecision(image=image, refusal=refusal, digest=digest)
    warned = [finding for finding in verdict.findings if finding.severity == "warning"]
    warning = f"{image.reference}: {warned[0].code}: {warned[0].message}" if warned else ""
    return ObjectDecision(image=image, warning=warning, digest=digest)


def as_kubernetes_reads(text: str) -> Reference:
    """Read the name of an image as nodes do: by default of Docker Hub, and with ``latest``.

    Raises:
        InvalidReferenceError: it is no name of an image.
    """
    text = complete_name(text)
    last = text.rpartition("/")[2]
    return parse_reference(text if ":" in last or "@" in last else f"{text}:latest")


def _is_plainly_named(text: str, reference: Reference) -> bool:
    """Return whether the host is written in its canonical spelling, or left out."""
    return complete_name(text).partition("/")[0] == reference.repository.host


def _reasons(verdict: Verdict) -> str:
    errors = [finding for finding in verdict.findings if finding.severity == "error"]
    reasons = "; ".join(f"{finding.code}: {finding.message}" for finding in errors[:_SHOWN])
    return f"refused by policy {verdict.policy} version {verdict.policy_version}: {reasons}"


def _message(refused: Iterable[ObjectDecision], contact: str) -> str:
    rulings = [*refused]
    lines = [
        f"imagekit: {plain(ruling.image.place)}: {plain(ruling.image.reference)}: {ruling.refusal}"
        for ruling in rulings[:_SHOWN]
    ]
    if len(rulings) > _SHOWN:
        lines.append(f"and {len(rulings) - _SHOWN} more images")
    if contact:
        lines.append(f"ask {contact}")
    return "; ".join(lines)
