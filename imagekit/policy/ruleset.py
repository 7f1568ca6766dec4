"""Policies: which images are allowed, by whose signatures and with which attestations.

Values only, already checked; ``imagekit.policy.load`` reads them from YAML.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from msgspec import Struct

from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository
from imagekit.policy.condition import Condition
from imagekit.policy.findings import Finding
from imagekit.signatures.authority import Authority, Identity, Need


class SignedIdentity(StrEnum):
    """What the name inside a signature has to be, in the words of containers-policy.json."""

    MATCH_REPO_DIGEST_OR_EXACT = "matchRepoDigestOrExact"
    """Asked for by tag: that very reference. Asked for by digest: the repository."""
    MATCH_EXACT = "matchExact"
    """Exactly the reference that was asked for."""
    MATCH_REPOSITORY = "matchRepository"
    """The repository, under any tag."""
    REMAP_IDENTITY = "remapIdentity"
    """As matchRepoDigestOrExact, after a prefix was replaced: for mirrors."""
    DIGEST_ONLY = "digestOnly"
    """Nothing: for images that others sign without a name."""


class Level(StrEnum):
    """Which manifests of an image must be signed and attested."""

    TOP = "top"
    """What the reference points to: an index, or the only manifest."""
    MANIFESTS = "manifests"
    """The manifest of each platform; of an index only these."""
    ALL = "all"
    """Both."""


class Proof(StrEnum):
    """What makes an image acceptable."""

    SIGNATURE = "signature"
    VSA = "vsa"
    """A verification summary: another node's signed verdict."""
    ATTESTATIONS = "attestations"
    """The required attestations alone: for images that are attested and not signed."""


class RequiredAttestation(Struct, frozen=True, kw_only=True):
    """An attestation that an image must have, by one of these authorities."""

    type: str
    """As the policy says it: ``cyclonedx``, ``slsaprovenance1`` or a URI."""
    predicate_type: str
    """The URI that the statement must have."""
    authorities: tuple[Authority, ...]
    condition: Condition | None = None
    """What its predicate must say."""


class Remap(Struct, frozen=True, kw_only=True):
    """Mirrors: ``prefix`` of the name asked for stands for ``signed_prefix`` in signatures."""

    prefix: str
    signed_prefix: str


class Freshness(Struct, frozen=True, kw_only=True):
    """How old an image may be, and whether its tag may go back."""

    max_age: timedelta | None = None
    """Since the newest release or trusted time of a signature."""
    monotonic: bool = False
    """A tag never goes back behind the highest release that this verifier has seen."""
    remember: Need = Need.OPTIONAL
    """Whether the verifier must be able to remember what it saw."""


class Platforms(Struct, frozen=True, kw_only=True):
    """Which platforms an image must have, and which of its manifests must be signed."""

    verify: Level = Level.TOP
    require: tuple[str, ...] = ()
    """As ``linux/amd64`` or ``linux/arm64/v8``."""


class Expression(Struct, frozen=True, kw_only=True):
    """A CEL expression that must be true of the image."""

    cel: str
    message: str = ""
    """What a person reads where it is not."""


class ImageRule(Struct, frozen=True, kw_only=True):
    """What holds for the images whose repository matches the glob."""

    glob: str
    authorities: tuple[Authority, ...]
    exclude: tuple[str, ...] = ()
    threshold: int = 1
    """How many distinct authorities must have signed, each by a signer of its own."""
    signed_identity: SignedIdentity = SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT
    remap: Remap | None = None
    """With remapIdentity only."""
    proof: Proof = Proof.SIGNATURE
    vsa: Condition | None = None
    """With proof vsa: what the summary must say."""
    attestations: tuple[RequiredAttestation, ...] = ()
    freshness: Freshness = Freshness()
    platforms: Platforms = Platforms()
    expressions: tuple[Expression, ...] = ()
    warn_until: datetime | None = None
    """Until then what this rule refuses is only warned of; None enforces."""


class Deny(Struct, frozen=True, kw_only=True):
    """What is refused whoever signed it: looked up before anything else."""

    digests: frozenset[Digest] = frozenset()
    keys: frozenset[str] = frozenset()
    """Fingerprints as ``PublicKey.fingerprint`` writes them."""
    identities: tuple[Identity, ...] = ()


class PolicyException(Struct, frozen=True, kw_only=True):
    """A dated exception: one image, by its digest, is allowed without signatures."""

    repository: Repository
    digest: Digest
    reason: str
    owner: str
    expires: datetime


class Policy(Struct, frozen=True, kw_only=True):
    """A whole policy. What no rule matches is refused."""

    name: str
    version: int
    expires: datetime
    images: tuple[ImageRule, ...]
    digest: Digest
    """Digest of the policy file's bytes, so that a verdict says what it was judged by."""
    deny: Deny = Deny()
    exceptions: tuple[PolicyException, ...] = ()
    issued: datetime | None = None
    """Before it nothing is allowed: a clock that says so was set back."""
    files: tuple[tuple[str, Digest], ...] = ()
    """The files that it names, by their paths, with the digests of what was read of them."""


class OpenedPolicy(Policy, frozen=True, kw_only=True):
    """A policy that may judge: it was asked who signed it, or said that this does not matter.

    ``imagekit.verify.policies`` makes it of a policy that was read, and nothing is judged by
    another.
    """

    standing: tuple[Finding, ...]
    """What was found of the policy itself: its signature, and whether it went back. They stand
    in every verdict; a policy with an error among them allows nothing."""

    @classmethod
    def of(cls, policy: Policy, *, standing: tuple[Finding, ...] = ()) -> Self:
        """Return a policy that was read as one that may judge.

        Args:
            policy: what was read.
            standing: what was found of it; nothing where its author does not matter.
        """
        read = {name: getattr(policy, name) for name in Policy.__struct_fields__}
        return cls(**read, standing=standing)
