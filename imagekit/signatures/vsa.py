"""Verification summaries as predicates: SLSA's VSA v1, as docs/policy.md says what it is used for.

Keys that are not known are passed over (Parsing rules there).

https://slsa.dev/spec/v1.1/verification_summary
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, cast

from msgspec import Struct

from imagekit.documents.fields import Fields
from imagekit.errors import InvalidReferenceError
from imagekit.oci.digest import Digest
from imagekit.signatures.release import moment_text


class ResourceDescriptor(Struct, frozen=True, kw_only=True):
    """Something that a summary names: a policy, or an attestation that was used."""

    uri: str = ""
    digest: Digest | None = None


class Summary(Struct, frozen=True, kw_only=True):
    """What a verification summary says besides its subject."""

    verifier: str
    """URI of who verified; what policies of others list."""
    resource: str
    """What was verified, as it was asked for: ``HOST/PATH:TAG`` or ``HOST/PATH@DIGEST``."""
    policy: ResourceDescriptor
    result: Literal["PASSED", "FAILED"]
    levels: tuple[str, ...]
    """What the resource was found to be, such as ``SLSA_BUILD_LEVEL_2``."""
    time: datetime | None = None
    versions: tuple[tuple[str, str], ...] = ()
    """Of the verifier's parts, by their names."""
    inputs: tuple[ResourceDescriptor, ...] = ()
    """The attestations that were used."""


BAD_VSA = "BAD_VSA"
# What bounds the lists and texts is ours; the specification has no bounds.
MAX_LEVELS = 100
MAX_INPUTS = 1000
MAX_TEXT = 4096
_RESULTS = ("PASSED", "FAILED")
_SLSA_VERSION = "1.1"


def parse_summary(predicate: Mapping[str, object]) -> Summary:
    """Read a verification summary from a statement's predicate.

    Raises:
        DocumentError: it is none (code ``BAD_VSA``).
    """
    fields = Fields(predicate, "the verification summary", BAD_VSA)
    # How to verify, steps 4 to 7: verifier, resource, result and levels are compared by
    # ``imagekit.verify.conditions.summary``; here they only have to be there.
    verifier = fields.object("verifier")
    result = fields.text("verificationResult")
    if result not in _RESULTS:
        raise fields.fault(f"has the result {result[:80]!r}, and not PASSED or FAILED")
    return Summary(
        verifier=_required(verifier, "id"),
        versions=_versions(verifier.optional_object("version")),
        time=_moment(fields),
        resource=_required(fields, "resourceUri"),
        policy=_descriptor(fields.object("policy")),
        inputs=_inputs(fields),
        result=cast("Literal['PASSED', 'FAILED']", result),
        levels=_levels(fields),
    )


def summary_predicate(summary: Summary) -> Mapping[str, object]:
    """Write a verification summary."""
    verifier: dict[str, object] = {"id": summary.verifier}
    if summary.versions:
        verifier["version"] = dict(summary.versions)
    document: dict[str, object] = {
        "verifier": verifier,
        "resourceUri": summary.resource,
        "policy": _descriptor_object(summary.policy),
        "verificationResult": summary.result,
        "verifiedLevels": list(summary.levels),
        "slsaVersion": _SLSA_VERSION,
    }
    if summary.time is not None:
        document["timeVerified"] = moment_text(summary.time)
    if summary.inputs:
        document["inputAttestations"] = [
            _descriptor_object(descriptor) for descriptor in summary.inputs
        ]
    return document


def _required(fields: Fields, key: str) -> str:
    text = fields.text(key)
    if not 0 < len(text) <= MAX_TEXT:
        raise fields.fault(f"has {len(text)} characters in {key!r}")
    return text


def _versions(fields: Fields) -> tuple[tuple[str, str], ...]:
    return tuple((key, fields.text(key)) for key in sorted(fields.values)[:MAX_LEVELS])


def _moment(fields: Fields) -> datetime | None:
    text = fields.optional_text("timeVerified")
    if not text:
        return None
    # field_types.md, Timestamp: in UTC. Another zone is understood, none is not.
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise fields.fault("has a time without a zone in 'timeVerified'")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise fields.fault("has no time in 'timeVerified'") from error


def _levels(fields: Fields) -> tuple[str, ...]:
    # SlsaResult is open: besides SLSA_BUILD_LEVEL_3 and its like, other values are allowed.
    levels = fields.array("verifiedLevels", limit=MAX_LEVELS)
    if not all(isinstance(level, str) for level in levels):
        raise fields.fault("has something else than texts in 'verifiedLevels'")
    return tuple(levels)


def _inputs(fields: Fields) -> tuple[ResourceDescriptor, ...]:
    if fields.get("inputAttestations") is None:
        return ()
    what = f"{fields.what}: an input attestation"
    return tuple(
        _descriptor(Fields.of(entry, what=what, code=BAD_VSA))
        for entry in fields.array("inputAttestations", limit=MAX_INPUTS)
    )


def _descriptor(fields: Fields) -> ResourceDescriptor:
    """Read a resource descriptor; of its digests the SHA-256 is kept, and must be one."""
    # resource_descriptor.md; what else a descriptor may say (name, content, mediaType) is not used.
    digests = fields.optional_object("digest")
    digest = None
    if "sha256" in digests.values:
        try:
            digest = Digest("sha256", digests.text("sha256"))
        except InvalidReferenceError as error:
            raise digests.fault(f"is malformed: {error.message}") from error
    return ResourceDescriptor(uri=fields.optional_text("uri"), digest=digest)


def _descriptor_object(descriptor: ResourceDescriptor) -> Mapping[str, object]:
    document: dict[str, object] = {}
    if descriptor.uri:
        document["uri"] = descriptor.uri
    if descriptor.digest is not None:
        document["digest"] = {descriptor.digest.algorithm: descriptor.digest.hex}
    return document
