"""Policies: which images are allowed, by whose signatures and with which attestations.

Values only, already checked; ``imagekit.verify.load`` reads them from YAML.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from imagekit.model.digest import Digest
from imagekit.model.key import PublicKey


class SignedIdentity(StrEnum):
    """What the name inside a signature has to be, in the words of containers-policy.json."""

    MATCH_REPO_DIGEST_OR_EXACT = "matchRepoDigestOrExact"
    """Asked for by tag: that very reference. Asked for by digest: the repository."""
    MATCH_EXACT = "matchExact"
    """Exactly the reference that was asked for."""
    MATCH_REPOSITORY = "matchRepository"
    """The repository, under any tag."""
    DIGEST_ONLY = "digestOnly"
    """Nothing: for images that others sign without a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Somebody whose signature counts: a name for people, a key for the verifier."""

    name: str
    key: PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredAttestation:
    """An attestation that an image must have, by one of these authorities."""

    type: str
    """As the policy says it: ``cyclonedx``, ``slsaprovenance1`` or a URI."""
    predicate_type: str
    """The URI that the statement must have."""
    authorities: tuple[Authority, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRule:
    """What holds for the images whose repository matches the glob."""

    glob: str
    authorities: tuple[Authority, ...]
    exclude: tuple[str, ...] = ()
    threshold: int = 1
    """How many distinct keys must have signed."""
    signed_identity: SignedIdentity = SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT
    attestations: tuple[RequiredAttestation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """What is refused whoever signed it: looked up before anything else."""

    digests: frozenset[Digest] = frozenset()
    keys: frozenset[str] = frozenset()
    """Fingerprints as ``PublicKey.fingerprint`` writes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A whole policy. What no rule matches is refused."""

    name: str
    version: int
    expires: datetime
    images: tuple[ImageRule, ...]
    digest: Digest
    """Digest of the policy file's bytes, so that a verdict says what it was judged by."""
    deny: Deny = Deny()
