"""Events of long work, passed as they happen to a callback that may show them."""

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct


class Started(Struct, frozen=True, kw_only=True):
    """A stage began."""

    stage: str
    detail: str = ""


class OutputLine(Struct, frozen=True, kw_only=True):
    """A line that a program printed during a stage."""

    stage: str
    line: str


class Advanced(Struct, frozen=True, kw_only=True):
    """How far a stage is; ``total`` 0 where it is not known."""

    stage: str
    done: int
    total: int = 0
    unit: str = "byte"
    """What is counted, in the singular."""
    doing: str = ""
    """What is being done to them, where a stage does several things one after the other."""


class Done(Struct, frozen=True, kw_only=True):
    """A stage succeeded."""

    stage: str
    summary: str
    seconds: float


class Failed(Struct, frozen=True, kw_only=True):
    """A stage failed; the error follows as an exception."""

    stage: str
    summary: str
    seconds: float


class Command(Struct, frozen=True, kw_only=True):
    """A program is about to be run; secrets are already replaced."""

    argv: tuple[str, ...]


class Note(Struct, frozen=True, kw_only=True):
    """Something that an admin should know and that stops nothing."""

    message: str


Event = Started | OutputLine | Advanced | Done | Failed | Command | Note
Progress = Callable[[Event], None]


def silent(event: Event) -> None:
    """Show nothing: for callers without a callback of their own."""
    del event


Count = Callable[[int], None]
"""Gets how many bytes of one thing were moved so far; less than before where it begins again."""


def counted(pieces: Iterable[bytes], count: Count) -> Iterator[bytes]:
    """Yield the pieces, and count them."""
    done = 0
    for piece in pieces:
        done += len(piece)
        count(done)
        yield piece
