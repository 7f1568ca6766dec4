"""Events of long work, passed as they happen to a callback that may show them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A stage began."""

    stage: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLine:
    """A line that a program printed during a stage."""

    stage: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """How far a stage is, in bytes or pieces; ``total`` 0 where it is not known."""

    stage: str
    done: int
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A stage succeeded."""

    stage: str
    summary: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A stage failed; the error follows as an exception."""

    stage: str
    summary: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program is about to be run; secrets are already replaced."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that an admin should know and that stops nothing."""

    message: str


Event = Started | OutputLine | Advanced | Done | Failed | Command | Note
Progress = Callable[[Event], None]


def silent(event: Event) -> None:
    """Show nothing: for callers without a callback of their own."""
    del event
