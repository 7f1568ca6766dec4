"""Texts of a recipe, made into values: licences, dates, durations, packages, paths, platforms."""

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from imagekit.documents.scalars import TextRefusedError
from imagekit.errors import InputError
from imagekit.oci.digest import Digest
from imagekit.oci.location import Location, parse_located
from imagekit.oci.reference import PinnedReference, TaggedReference
from imagekit.oci.types import Platform

_LICENCE_TOKEN = re.compile(r"\(|\)|[A-Za-z0-9][A-Za-z0-9.:+-]*")
# Debian Policy, sections 5.6.7 (names) and 5.6.12 (versions), as apt-get install takes both.
_APT = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?(?:=[A-Za-z0-9.+:~-]+)?")
# PEP 508 (names, extras) and PEP 440, Version matching, without its wildcard: one version only.
_PIP = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\[[A-Za-z0-9,._-]+\])?==[A-Za-z0-9.+!_-]+"
)
_PIP_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LATEST = 1 << 33
MAX_TIME_LIMIT = 7 * 86400


def pinned(text: str) -> tuple[Location, PinnedReference]:
    """Read where a base image is, and its reference, which has a digest.

    Raises:
        InputError: it is not a reference, or has only a tag.
    """
    located = parse_located(text)
    reference = located.reference
    if isinstance(reference, TaggedReference):
        raise TextRefusedError(
            "the base has a tag but no digest, so a later build could differ",
            hint=f"write: {text}@sha256:..., the digest that `skopeo inspect` shows",
            code="base-not-pinned",
        )
    return located.location, reference


def url(text: str) -> str:
    """Check a web address.

    Raises:
        TextRefusedError: it has no host, or carries a user or password.
    """
    try:
        parts = urlsplit(text)
        host, user, _ = parts.hostname, parts.username, parts.port
    except ValueError as error:
        raise TextRefusedError(f"this is not a URL: {error}", code="bad-url") from error
    if not host:
        raise TextRefusedError("the URL names no host", code="bad-url")
    # RFC 3986, section 3.2.1; "@" alone is a user info that is empty.
    if user is not None or "@" in parts.netloc:
        raise TextRefusedError(
            "the URL holds a user or password, which all users of the image could read",
            hint="take it out; a `run:` step can read a secret from /run/secrets/ID",
            code="bad-url",
        )
    return text


def suite(text: str) -> str:
    """Check the name of a suite that a system can be made of.

    Raises:
        TextRefusedError: it is one of those that only add to another one.
    """
    base, dash, _ = text.partition("-")
    if dash or text == "experimental":
        raise TextRefusedError(
            f"{text} is no whole system, but adds packages to another one",
            hint=f"write `suite: {base if dash else 'sid'}`; its updates and security fixes are in "
            "it anyway",
            code="bad-suite",
        )
    return text


def licence(text: str) -> str:
    """Check the grammar of an SPDX licence expression (SPDX 2.3 annex D).

    Raises:
        TextRefusedError: it is not one.
    """
    # The grammar only: which identifiers there are changes with each list, and LicenseRef- is free.
    tokens = text.replace("(", " ( ").replace(")", " ) ").split()
    depth, operand = 0, True
    for token in tokens:
        known = _LICENCE_TOKEN.fullmatch(token)
        operator = token in {"AND", "OR", "WITH", ")"}
        if not known or operator is operand:
            depth = -1
            break
        depth += {"(": 1, ")": -1}.get(token, 0)
        operand = token in {"(", "AND", "OR", "WITH"}
        if depth < 0:
            break
    if depth != 0 or operand:
        hint = "for example: BSD-3-Clause, or: MIT AND (GPL-2.0-only OR Apache-2.0)"
        raise TextRefusedError(
            "this is not an SPDX licence expression", hint=hint, code="bad-licence"
        )
    return text


def epoch(text: str) -> int:
    """Read ``2026-11-23`` or ``2026-11-23T14:02:11Z`` as seconds since 1970.

    Raises:
        TextRefusedError: there is no such day or time, it lies before 1970, or has no zone.
    """
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise TextRefusedError(f"there is no such time: {error}", code="bad-date") from error
    if len(text) == len("2026-11-23"):
        read = read.replace(tzinfo=UTC)
    if read.tzinfo is None:
        raise TextRefusedError("the time has no zone", hint=f"write: {text}Z", code="bad-date")
    seconds = int(read.timestamp())
    if not 0 <= seconds <= _LATEST:
        raise TextRefusedError("the time must lie in 1970 or later, before 2242", code="bad-date")
    return seconds


def seconds(text: str) -> int:
    """Read ``90m`` or ``2h`` as seconds.

    Raises:
        TextRefusedError: it is longer than a week.
    """
    value = int(text[:-1]) * _UNITS[text[-1]]
    if value > MAX_TIME_LIMIT:
        raise TextRefusedError("the time limit is longer than a week", code="bad-time-limit")
    return value


def regex(text: str) -> str:
    """Check a regular expression of a test.

    Raises:
        TextRefusedError: it is not one.
    """
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise TextRefusedError(
            f"this is not a regular expression: {error}", code="bad-regex"
        ) from error
    return text


def platform(text: str) -> Platform:
    """Read ``linux/arm64/v8``; the shape checked its form."""
    parts = text.split("/")
    return Platform(os=parts[0], architecture=parts[1], variant="".join(parts[2:]))


def sha256(text: str) -> Digest:
    """Read 64 hexadecimal digits."""
    return Digest("sha256", text)


def image_path(text: str) -> str:
    """Check an absolute path in the image.

    Raises:
        TextRefusedError: a part of it is ``..``.
    """
    if ".." in text.split("/"):
        raise TextRefusedError("a path in the image may not hold `..`", code="bad-path")
    return text


def stage_path(text: str) -> str:
    """Check an absolute path in a stage, which names one thing.

    Raises:
        TextRefusedError: it is relative, a part of it is ``..``, or Buildah would read a pattern.
    """
    if not text.startswith("/"):
        hint = "write the absolute path in the stage, such as /opt/solver"
        raise TextRefusedError(f"`{text}` is no absolute path", hint=hint, code="bad-path")
    if any(character in text for character in "*?[\\"):
        hint = "copy the folder, or give the file a plain name in the stage"
        raise TextRefusedError(f"`{text}` would be read as a pattern", hint=hint, code="bad-path")
    return image_path(text)


def recipe_path(text: str) -> str:
    """Check a path below the recipe's folder, as far as its text shows.

    Raises:
        TextRefusedError: it is absolute or holds ``..``.
    """
    if text.startswith(("/", "~")) or ".." in text.split("/"):
        raise TextRefusedError(
            f"`{text}` leaves the recipe's folder",
            hint="put the file beside recipe.yaml and write its path from there",
            code="path-leaves-recipe",
        )
    return text


def package(manager: str, text: str) -> str:
    """Check what a package manager is to install, and return it with single spaces.

    Raises:
        InputError: it is not ``NAME[=VERSION]`` for apt, or for pip not pinned with a hash.
    """
    return _apt(text) if manager == "apt" else _pip(text)


def _apt(text: str) -> str:
    if _APT.fullmatch(text):
        return text
    raise InputError(
        f"`{text[:60]}` is not a Debian package", hint="write NAME or NAME=VERSION, one an item"
    )


def _pip(text: str) -> str:
    head, dashes, rest = text.partition(" --")
    stated, semicolon, marker = (part.strip() for part in head.partition(";"))
    words = [stated, *f"{dashes}{rest}".split()]
    if not _PIP.fullmatch(stated):
        raise InputError(
            f"`{text[:60]}` is not pinned to one version",
            hint='write: "NAME==VERSION --hash=sha256:..."',
        )
    if len(words) == 1:
        raise InputError(
            f"`{words[0]}` has no hash, so a later build could get another file",
            hint=f'write: "{words[0]} --hash=sha256:...", which `pip hash FILE` prints',
        )
    bad = next((word for word in words[1:] if not _PIP_HASH.fullmatch(word)), None)
    if bad is not None:
        raise InputError(
            f"`{bad[:60]}` is not a hash", hint="write --hash=sha256: and 64 hexadecimal digits"
        )
    if semicolon:
        words.insert(1, f"; {_marker(marker)}")
    return " ".join(words)


def _marker(text: str) -> str:
    """Return a marker of the environment (PEP 508), which the image's Python judges."""
    # The library costs more to import than a recipe without markers to read.
    from packaging.markers import InvalidMarker, Marker  # few lines have one

    try:
        return str(Marker(text))
    except (InvalidMarker, RecursionError) as error:
        raise InputError(
            f"`{text[:60]}` is not a marker of the environment",
            hint="write it as in a requirements file: ; python_version < '3.12'",
        ) from error
