"""Parts of CycloneDX documents that several of its objects have."""

import re
import string
from typing import Any

from imagekit.sbom.sbom_options import Party, is_email

Rendered = dict[str, Any]
"""An object of the document."""
_KEPT = frozenset(f"{string.ascii_letters}{string.digits}-._~:/?#@!$&'()*+,;=%")
_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
# RFC 3987 sections 2.2 and 3.1, of what is ASCII by now: narrower than what the schema takes.
_URL = re.compile(r"https?://[^/?#:@%]+(?::[0-9]{1,5})?(?:[/?][^#]*)?(?:#[^#]*)?")


def uri(text: str) -> str:
    """Return the address of a web page, percent-encoded; empty where it is none even then."""
    kept = _STRAY_PERCENT.sub("%25", text)
    encoded = "".join(c if c in _KEPT else "".join(f"%{b:02X}" for b in c.encode()) for c in kept)
    return encoded if _URL.fullmatch(encoded) else ""


def filled(**values: object) -> Rendered:
    """Return an object of what is known, by the names of CycloneDX."""
    return {name.replace("_", "-"): value for name, value in values.items() if value}


def party(someone: Party) -> Rendered:
    """Return somebody as an organization."""
    contact = [{"email": someone.email}] if is_email(someone.email) else None
    return filled(name=someone.name, url=[someone.url] if someone.url else None, contact=contact)
