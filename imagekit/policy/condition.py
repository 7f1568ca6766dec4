"""What a policy may demand of an attestation's predicate.

Values only; ``imagekit.verify.conditions`` judges by them.
"""

from datetime import timedelta
from enum import IntEnum

from msgspec import Struct


class Severity(IntEnum):
    """How bad a vulnerability is, in the words of CVSS; ``UNKNOWN`` counts as the worst."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4
    UNKNOWN = 5


class PackageRange(Struct, frozen=True, kw_only=True):
    """Packages by purl without a version, and the versions of them that are meant."""

    purl: str
    """``pkg:TYPE/[NAMESPACE/]NAME``."""
    versions: str = ""
    """Version range specifier (``vers:``), such as ``vers:deb/<3.0.15-1``; empty for all."""


class SbomCondition(Struct, frozen=True, kw_only=True):
    """What an SBOM must hold."""

    min_components: int = 0
    deny_licences: frozenset[str] = frozenset()
    """SPDX identifiers; no component names one of these, also not as a choice."""
    allow_licences: frozenset[str] = frozenset()
    """Where it is not empty, every licence that a component names is one of these; of a choice
    one suffices."""
    deny_packages: tuple[PackageRange, ...] = ()


class ProvenanceCondition(Struct, frozen=True, kw_only=True):
    """What a SLSA provenance must say."""

    builder_ids: tuple[str, ...] = ()
    build_types: tuple[str, ...] = ()
    base_images: tuple[str, ...] = ()
    """Globs of repositories; every base image among the dependencies must match one."""


class VulnerabilityCondition(Struct, frozen=True, kw_only=True):
    """What a vulnerability report may say."""

    max_severity: Severity | None = None
    fixed_only: bool = False
    """Only those count that have a fix."""
    max_age: timedelta | None = None
    """Of the scan."""


class VsaCondition(Struct, frozen=True, kw_only=True):
    """Whose verification summaries count, and which."""

    verifier_ids: tuple[str, ...]
    policy_digests: tuple[str, ...] = ()
    """``sha256:...`` of the policies that it may have been judged by; empty for any."""
    levels: tuple[str, ...] = ()
    """Each must be among ``verifiedLevels``."""
    max_age: timedelta | None = None


class PassedTestsCondition(Struct, frozen=True, kw_only=True):
    """All tests of a run passed, and which at least."""

    tests: tuple[str, ...] = ()
    """Names of tests that must be among those that passed."""
    max_age: timedelta | None = None
    """Of the run."""


class RebuildCondition(Struct, frozen=True, kw_only=True):
    """A builder that is not the first one built the image again, and it came out the same."""

    builder_ids: tuple[str, ...] = ()
    """Who may have built it again; empty for any other builder."""
    max_age: timedelta | None = None
    """Of the rebuild."""


class SelfContainedCondition(Struct, frozen=True, kw_only=True):
    """The static checks of an image found nothing, but what its recipe excepts."""

    allow_excepted: frozenset[str] | None = None
    """Numbers of findings that a recipe may except; None for any."""
    max_age: timedelta | None = None
    """Of the check."""


class NeedsCondition(Struct, frozen=True, kw_only=True):
    """The node that is to run the image has what the image needs of it.

    Where a verdict is for no node, as a gate's, what the image needs must be said all the same.
    """


Condition = (
    SbomCondition
    | ProvenanceCondition
    | VulnerabilityCondition
    | VsaCondition
    | PassedTestsCondition
    | RebuildCondition
    | SelfContainedCondition
    | NeedsCondition
)
