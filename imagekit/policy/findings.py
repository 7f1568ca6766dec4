"""Findings, made in one place, so that no untrusted text reaches a terminal as it is."""

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True, kw_only=True):
    """One check and what came of it.

    ``code`` is ``OK`` for a check that passed, else one of the words of the README's table, such
    as ``NO_SIGNATURE``. ``warning`` findings deny nothing.
    """

    check: str
    """Which check: ``policy``, ``signature``, ``sbom``, ``provenance`` ..."""
    code: str
    message: str
    hint: str = ""
    severity: Literal["ok", "warning", "error"]


_LONGEST = 600


def ok(check: str, message: str) -> Finding:
    """Return the finding of a check that passed."""
    return Finding(check=check, code="OK", message=plain(message), severity="ok")


def warning(check: str, code: str, message: str, *, hint: str = "") -> Finding:
    """Return a finding that denies nothing."""
    return Finding(
        check=check, code=code, message=plain(message), hint=plain(hint), severity="warning"
    )


def error(check: str, code: str, message: str, *, hint: str = "") -> Finding:
    """Return a finding that denies the image."""
    return Finding(
        check=check, code=code, message=plain(message), hint=plain(hint), severity="error"
    )


def plain(text: str) -> str:
    """Return the text without control characters and of bounded length.

    Names in signatures and answers of registries are untrusted: control characters in them could
    steer the terminal or hide the line above.
    """
    if text.isprintable() and len(text) <= _LONGEST:
        return text
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."
