"""Verdicts: what verifying an image found, check by check."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from msgspec import Struct

from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, LocatedReference, Location
from imagekit.oci.reference import PinnedReference, Reference, TaggedReference
from imagekit.policy.findings import Finding

Decision = Literal["allow", "deny"]


class Verdict(Struct, frozen=True, kw_only=True):
    """The decision about one reference, with one finding for each check.

    It has no truth value on purpose: ask for ``allowed``.
    """

    reference: Reference
    location: Location = REGISTRY
    """Where the image was read; what was judged is its name."""
    digest: Digest | None
    """The digest that was judged; None where the tag did not resolve."""
    policy: str
    """Name of the policy."""
    policy_digest: Digest
    findings: tuple[Finding, ...]
    policy_version: int = 0
    evidence: tuple[Digest, ...] = ()
    """Digests of the signed statements that counted, as they lie in the registry."""
    judged: tuple[Digest, ...] = ()
    """The manifests that the verdict speaks for: the image itself, or those of the index that were
    judged with it. Of an index, a runtime may use these and no others."""
    unread: tuple[Digest, ...] = ()
    """What the index lists besides and could not be read: whoever leaves the choice to a runtime
    refuses an index that has any."""

    until: datetime | None = None
    """From then on the same evidence may lead to another verdict; None where no time ends it."""

    @property
    def located(self) -> LocatedReference:
        """What was judged, and where it was read."""
        return LocatedReference(self.location, self.reference)

    @property
    def allowed(self) -> bool:
        """Whether at least one check was made and none failed."""
        # Of no findings at all, ``all`` would be true.
        return bool(self.findings) and all(f.severity != "error" for f in self.findings)

    @property
    def decision(self) -> Decision:
        """``allow`` or ``deny``."""
        return "allow" if self.allowed else "deny"

    def __bool__(self) -> bool:
        """Refuse, so that ``if verify(...)`` cannot be written by mistake.

        Raises:
            TypeError: always.
        """
        raise TypeError("a Verdict has no truth value: ask for .allowed")


Judge = Callable[[Reference], Verdict]


def allowed(reference: Reference, verdict: Verdict) -> PinnedReference | None:
    """Return what may be used: the judged digest; None unless the verdict is for this image."""
    digest = verdict.digest
    if not verdict.allowed or digest is None:
        return None
    if isinstance(reference, TaggedReference):
        return reference.pin(digest)
    return reference if reference.digest == digest else None
