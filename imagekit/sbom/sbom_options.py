"""How an SBOM is written: in which format and version, by which rules, and in whose name."""

import re
from typing import Literal, get_args

from msgspec import Struct

from imagekit.errors import InputError

CycloneDxVersion = Literal["1.6", "1.7"]
SbomFormat = Literal["cyclonedx", "spdx3"]
SbomProfile = Literal["bsi"]
VERSIONS: tuple[CycloneDxVersion, ...] = get_args(CycloneDxVersion)
FORMATS: tuple[SbomFormat, ...] = get_args(SbomFormat)
PROFILES: tuple[SbomProfile, ...] = get_args(SbomProfile)
_MAX_NAME = 200
# Narrower than the schemas': whatever passes here is valid there.
_EMAIL = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,255}")
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]{1,500}")


class Party(Struct, frozen=True, kw_only=True):
    """Somebody who makes software or documents about it."""

    name: str
    email: str = ""
    url: str = ""


class SbomOptions(Struct, frozen=True, kw_only=True):
    """How an SBOM is written."""

    version: CycloneDxVersion = "1.6"
    profile: SbomProfile | None = None
    author: Party | None = None
    """Who made the document (NTIA, "Author of SBOM Data")."""
    manufacturer: Party | None = None
    """The organization that made it (BSI TR-03183-2, 5.2.1, "Creator of the SBOM")."""


def parse_party(text: str) -> Party:
    """Read ``NAME``, ``NAME <EMAIL>`` or ``NAME <URL>``.

    Raises:
        InputError: it is none of these.
    """
    name, bracket, rest = text.partition("<")
    contact, closing, behind = rest.partition(">")
    name = name.strip()
    good = bool(name) and len(name) <= _MAX_NAME and name.isprintable()
    if not bracket and good:
        return Party(name=name)
    if good and closing and not behind.strip():
        if is_email(contact):
            return Party(name=name, email=contact)
        if _URL.fullmatch(contact):
            return Party(name=name, url=contact)
    raise InputError(
        f"{text[:80]!r} does not name anybody",
        hint="write NAME, NAME <EMAIL> or NAME <https://...>",
    )


def is_email(text: str) -> bool:
    """Return whether a text is an address that every schema takes."""
    return _EMAIL.fullmatch(text) is not None
