"""The record of what ``imagekit trust install`` wrote, so that it can be undone."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import ImagekitError
from imagekit.hosts.engines.engine import Installed
from imagekit.oci.digest import Digest

MAX_FILES = 1000
_CODE = "BAD_RECORD"
_SCHEMA = 1


def parse_installed(raw: bytes, *, what: str) -> tuple[Installed, ...]:
    """Read the record.

    Raises:
        DocumentError: it is malformed, or of another version (code ``BAD_RECORD``).
    """
    document = Fields.of(strictjson.loads(raw, what=what), what=what, code=_CODE)
    document.exactly(("schema", "files"))
    if document.get("schema") != _SCHEMA:
        raise document.fault(f"is not of schema {_SCHEMA}")
    entries = document.array("files", limit=MAX_FILES)
    return tuple(_file(Fields.of(entry, what=f"{what}: files", code=_CODE)) for entry in entries)


def installed_bytes(files: Iterable[Installed]) -> bytes:
    """Write the record."""
    entries: list[Mapping[str, object]] = [
        {
            "path": str(file.path),
            "digest": str(file.digest),
            "before": str(file.before) if file.before else None,
        }
        for file in files
    ]
    return strictjson.dumps({"schema": _SCHEMA, "files": entries}) + b"\n"


def _file(fields: Fields) -> Installed:
    fields.exactly(("path", "digest", "before"))
    path = PurePosixPath(fields.text("path"))
    if not path.is_absolute() or ".." in path.parts:
        raise fields.fault("names a path that is not below the root")
    before = fields.optional_text("before")
    try:
        return Installed(
            path=path,
            digest=Digest.parse(fields.text("digest")),
            before=Digest.parse(before) if before else None,
        )
    except ImagekitError as error:
        raise fields.fault(f"has no digest: {error.message}") from error
