"""What a fuzz target is, and what must hold of every one."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from imagekit.errors import ImagekitError, InputError

SLOWEST = 1.0
"""Seconds of processor time that one input may cost."""
MAX_LENGTH = 16 << 10

_T = TypeVar("_T")


class BrokenRuleError(AssertionError):
    """A parser did what no parser of ours may do."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A parser under test: what it does with some bytes, and honest bytes to begin with."""

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    json: bool = False
    """Whether the inputs are JSON documents, so that they are altered as such, too."""
    max_length: int = MAX_LENGTH


def run(target: Target, data: bytes) -> None:
    """Give one input to a target.

    Raises:
        BrokenRuleError: it took too long, or its error cannot be shown to a person.
        Exception: whatever the parser raised that is no error of imagekit's.
    """
    began = time.process_time()
    try:
        target.check(data)
    except ImagekitError as error:
        _check_error(error)
    took = time.process_time() - began
    if took > SLOWEST:
        raise BrokenRuleError(f"an input of {len(data)} bytes took {took:.1f} s")


def same(first: _T, second: _T) -> None:
    """Hold that what was written reads as what it was written from.

    Raises:
        BrokenRuleError: it does not.
    """
    if first != second:
        raise BrokenRuleError(f"written and read again it differs:\n{first!r}\n{second!r}")


def documents(*values: object) -> tuple[bytes, ...]:
    """Return values as JSON documents, for seeds."""
    return tuple(json.dumps(value).encode() for value in values)


def texts(*values: str) -> tuple[bytes, ...]:
    """Return texts as bytes, for seeds."""
    return tuple(value.encode() for value in values)


def _check_error(error: ImagekitError) -> None:
    if not error.message:
        raise BrokenRuleError("an error without a message")
    shown = [error.message, error.hint, error.code]
    if isinstance(error, InputError):
        shown += _shown(error)
    for text in shown:
        text.encode()
        if not all(character.isprintable() or character == "\n" for character in text):
            raise BrokenRuleError(f"an error that steers terminals: {text!r}")


def _shown(error: InputError) -> Iterable[str]:
    for diagnostic in error.diagnostics:
        yield diagnostic.message
        yield diagnostic.hint
