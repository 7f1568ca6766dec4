"""The record of an exported file as JSON, and the paths that such a file may have."""

from collections.abc import Mapping

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import DocumentError, InvalidReferenceError
from imagekit.oci.archive import BAD_ARCHIVE, MAX_MEMBERS
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, parse_reference

RECORD = "imagekit/export.json"
POLICY_FOLDER = "imagekit/policy"


class Member(Struct, frozen=True, kw_only=True):
    """One file in the archive."""

    digest: Digest
    size: int


class EnclosedPolicy(Struct, frozen=True, kw_only=True):
    """The policy that the image was judged by before it was exported."""

    file: str
    """Its name below ``POLICY_FOLDER``."""
    name: str
    version: int
    digest: Digest


class Exported(Struct, frozen=True, kw_only=True):
    """The record of an exported file."""

    reference: Reference
    """The image's name, in the registry that it came from."""
    digest: Digest
    policy: EnclosedPolicy
    members: Mapping[str, Member]
    """Every other file of the archive, by its path."""


MAX_RECORD = 16 << 20
_SCHEMA = 1
_KIND = "imagekit-export"
_MAX_SIZE = 1 << 50
_MAX_VERSION = 1_000_000_000


def record_bytes(record: Exported) -> bytes:
    """Write a record: the same value gives the same bytes."""
    policy = record.policy
    return strictjson.dumps(
        {
            "schema": _SCHEMA,
            "kind": _KIND,
            "reference": record.reference.full,
            "digest": str(record.digest),
            "policy": {
                "file": policy.file,
                "name": policy.name,
                "version": policy.version,
                "digest": str(policy.digest),
            },
            "files": {
                path: {"digest": str(member.digest), "size": member.size}
                for path, member in sorted(record.members.items())
            },
        }
    )


def parse_record(raw: bytes) -> Exported:
    """Read a record from its exact bytes.

    Raises:
        DocumentError: it is malformed (code ``BAD_ARCHIVE``).
    """
    document = strictjson.loads(raw, what="the export's record")
    fields = Fields.of(document, what="the export's record", code=BAD_ARCHIVE)
    if fields.get("kind") != _KIND or fields.get("schema") != _SCHEMA:
        raise fields.fault("is of a kind that this version does not know")
    fields.exactly({"schema", "kind", "reference", "digest", "policy", "files"})
    digest = _digest(fields, "digest")
    return Exported(
        reference=_reference(fields, digest),
        digest=digest,
        policy=_policy(fields.object("policy")),
        members=_members(fields.object("files")),
    )


def _reference(fields: Fields, digest: Digest) -> Reference:
    text = fields.text("reference")
    if text.startswith("oci:"):
        raise fields.fault("names an image by a folder")
    try:
        reference = parse_reference(text)
    except InvalidReferenceError as error:
        raise fields.fault(f"names no image: {error.message}") from error
    if isinstance(reference, PinnedReference) and reference.digest != digest:
        raise fields.fault("names two digests")
    return reference


def _policy(fields: Fields) -> EnclosedPolicy:
    fields.exactly({"file", "name", "version", "digest"})
    version = fields.get("version")
    if type(version) is not int or not 0 < version <= _MAX_VERSION:
        raise fields.fault("has no version")
    file = fields.text("file")
    check_path(file, what="the enclosed policy's name")
    return EnclosedPolicy(
        file=file, name=fields.text("name"), version=version, digest=_digest(fields, "digest")
    )


def _members(fields: Fields) -> Mapping[str, Member]:
    if len(fields.values) > MAX_MEMBERS:
        raise fields.fault(f"lists more than {MAX_MEMBERS} files")
    members = {}
    for path in fields.values:
        check_path(path, what="a path in the export's record")
        member = fields.object(path)
        member.exactly({"digest", "size"})
        size = member.get("size")
        if type(size) is not int or not 0 <= size <= _MAX_SIZE:
            raise member.fault("has no size")
        members[path] = Member(digest=_digest(member, "digest"), size=size)
    return members


def _digest(fields: Fields, key: str) -> Digest:
    try:
        return Digest.parse(fields.text(key))
    except InvalidReferenceError as error:
        raise fields.fault(f"has no digest: {error.message}") from error


def check_path(path: str, *, what: str) -> None:
    """Check that a path is one that an archive may have: relative, printable, without ``..``.

    Raises:
        DocumentError: it is not (code ``BAD_ARCHIVE``).
    """
    limit = 1024
    parts = path.split("/")
    good = 0 < len(path) <= limit and path.isprintable() and "\\" not in path
    if not good or any(part in {"", ".", ".."} for part in parts):
        raise DocumentError(
            f"{what} is not a path below the archive: {path[:80]!r}", code=BAD_ARCHIVE
        )
