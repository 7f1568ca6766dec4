"""Files that a policy names: read with it, since half a policy verifies nothing."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.documents.report import Report, shown
from imagekit.documents.shape import INVALID, Invalid
from imagekit.documents.strictyaml import Node
from imagekit.errors import DocumentError, InputError
from imagekit.inputs import read_regular
from imagekit.oci.digest import Digest
from imagekit.policy.schema.single_values import PATH
from imagekit.signatures.authority import TrustRoot
from imagekit.signatures.publickey import MAX_KEY_FILE, PublicKey, parse_public_key

MAX_TRUST_ROOT = 4 << 20
_MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot"

T = TypeVar("T")


class File(Struct, Generic[T], frozen=True):
    """The path of a file, whose content is the value."""

    what: str
    parse: Callable[[bytes, str], T]
    """Of the bytes and a name for messages; raises InputError."""
    code: str
    limit: int
    remedy: str = ""
    """What to do where a policy has no folder."""

    def read(self, node: Node, report: Report) -> T | Invalid:
        """Read the path, then the file."""
        path = PATH.read(node, report)
        if path is INVALID:
            return INVALID
        if report.folder is None:
            message = "this policy has no folder that a path could be relative to"
            report.error(node.span, self.code, message, hint=self.remedy)
            return INVALID
        file = report.folder / path
        try:
            raw = read_regular(file, limit=self.limit)
            report.note_file(path, raw)
            return self.parse(raw, f"`{shown(path)}`")
        except OSError as error:
            why = error.strerror or type(error).__name__
            message = f"{self.what} `{shown(path)}` cannot be read: {why}"
            report.error(node.span, self.code, message, hint=f"it is looked for at {file}")
        except InputError as error:
            report.error(node.span, self.code, error.message, hint=error.hint)
        return INVALID

    def schema(self) -> dict[str, Any]:
        """Return the schema of the path."""
        return PATH.schema()


def _trust_root(raw: bytes, what: str) -> TrustRoot:
    document = strictjson.loads_object(raw, what=what)
    if not str(document.get("mediaType", "")).startswith(_MEDIA_TYPE):
        raise DocumentError(
            f"{what} is not a Sigstore trusted root: its mediaType is not {_MEDIA_TYPE}...",
            hint="a private Sigstore hands one out; that of the public instance is in its TUF "
            "repository as trusted_root.json",
        )
    return TrustRoot(name="", raw=raw, digest=Digest.of(raw))


KEY_FILE: File[PublicKey] = File(
    "the key",
    lambda raw, what: parse_public_key(raw, what=what),
    "bad-key",
    MAX_KEY_FILE,
    "write the key itself into the policy: key: {data: ...}",
)
TRUST_ROOT_FILE: File[TrustRoot] = File(
    "the trusted root",
    _trust_root,
    "bad-trust-root",
    MAX_TRUST_ROOT,
    "put the policy into a file beside trusted_root.json",
)
