"""Package URLs in an untrusted document."""

from typing import TYPE_CHECKING

from imagekit.errors import DocumentError
from imagekit.verify.conditions.untrusted_json import BAD_STATEMENT, shown

if TYPE_CHECKING:
    from packageurl import PackageURL

MAX_PURL = 4096
_SCHEME = "pkg:"


def is_purl(text: str) -> bool:
    """Return whether a text begins as a package URL does."""
    return text[: len(_SCHEME)].casefold() == _SCHEME


def parse_purl(text: str) -> "PackageURL":
    """Read a package URL; in what case it is written does not matter.

    Raises:
        DocumentError: it is none.
    """
    from packageurl import PackageURL  # few policies look at packages

    stripped = text.strip()
    if len(stripped) > MAX_PURL or not is_purl(stripped):
        raise _unreadable(text, "it is none")
    try:
        # purl, "How to parse": the scheme is read in any case; the library takes it in lower case
        # only.
        return PackageURL.from_string(_SCHEME + stripped[len(_SCHEME) :])
    except ValueError as error:
        raise _unreadable(text, str(error)) from error


def qualifier(purl: "PackageURL", key: str) -> str:
    """Return a qualifier, or an empty text where there is none."""
    value = dict(purl.qualifiers or {}).get(key)
    return value or ""


def _unreadable(text: str, why: str) -> DocumentError:
    return DocumentError(
        f"a package URL cannot be read, {shown(text)!r}: {shown(why)}", code=BAD_STATEMENT
    )
