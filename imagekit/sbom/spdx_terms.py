"""Licences in SPDX's words: identifiers and expressions (SPDX 3.0.1, Annex B)."""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

from imagekit.sbom.contents import License

_OTHER = re.compile(r"[^A-Za-z0-9.-]+")
_MAX_REF = 60


def spdx_term(licence: License) -> str:
    """Return what a licence is in SPDX; empty where that is not known."""
    return licence.spdx if licence.spdx and _is_term(licence.spdx) else ""


def is_identifier(text: str) -> bool:
    """Return whether a text is the identifier of one licence on SPDX's list."""
    from cyclonedx.spdx import is_supported_id

    return is_supported_id(text)


@lru_cache(maxsize=4096)
def _is_term(text: str) -> bool:
    from cyclonedx.spdx import is_expression

    return is_identifier(text) or is_expression(text)


def conjunction(terms: Iterable[str]) -> str:
    """Join terms, each of which holds, to one expression; empty where there is none."""
    unique = set(terms)
    if len(unique) == 1:
        return unique.pop()
    return " AND ".join(sorted(f"({term})" if " OR " in term.upper() else term for term in unique))


def with_references(licences: Iterable[License]) -> str:
    """Return one expression of all licences; what is not on SPDX's list is a ``LicenseRef-``."""
    return conjunction(spdx_term(licence) or reference(licence.stated) for licence in licences)


def reference(name: str) -> str:
    """Return the ``LicenseRef-`` of a licence that SPDX does not list: one for each name."""
    slug = _OTHER.sub("-", name).strip("-.")[:_MAX_REF]
    if slug and slug == name:
        return f"LicenseRef-{slug}"
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"LicenseRef-{slug}-{digest}" if slug else f"LicenseRef-{digest}"
