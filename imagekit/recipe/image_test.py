"""A test of a recipe: a command in the finished image, how it is run and what must come of it."""

from typing import Literal

from msgspec import Struct

from imagekit.documents.place import SourcePlace
from imagekit.recipe.structure import StructureTests

ARBITRARY = "arbitrary"
"""The user of a test whom no image knows, as on a cluster."""
OF_IMAGE = "image"
"""The user of a test whom the image says itself."""


class EndSignal(Struct, frozen=True, kw_only=True):
    """A signal that must end a program, and when."""

    name: Literal["TERM", "INT", "HUP", "QUIT"] = "TERM"
    after: int = 1
    """Seconds that the program runs before."""
    within: int
    """Seconds that it may take to end."""

    @property
    def number(self) -> int:
        """Its number (signal(7))."""
        return {"HUP": 1, "INT": 2, "QUIT": 3, "TERM": 15}[self.name]


class ImageTest(Struct, frozen=True, kw_only=True):
    """A command that must behave in the finished image.

    ``run`` goes around the entrypoint, ``args`` go to it, ``structure`` are those of a file; one is
    given. ``stdout`` and ``stderr`` are regular expressions that must be found.
    """

    place: SourcePlace
    name: str = ""
    """What the recipe calls it; empty for the command itself."""
    run: str | tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    structure: StructureTests | None = None
    exit_code: int | None = None
    """None: 0, or what the signal makes of it."""
    stdout: str | None = None
    stderr: str | None = None
    user: str = ARBITRARY
    """``ARBITRARY``, ``OF_IMAGE``, or ``USER[:GROUP]`` by number or name."""
    read_only: bool = True
    network: bool = False
    """Whether it has the host's network; else it has none but loopback."""
    signal: EndSignal | None = None
    time_limit: int | None = None
    """Seconds that it may take; None for what a step may."""

    @property
    def exit_codes(self) -> tuple[int, ...]:
        """How it may end."""
        if self.exit_code is not None:
            return (self.exit_code,)
        # POSIX.1-2017, Shell Command Language, 2.8.2: what a signal ended has a code above 128.
        return (0,) if self.signal is None else (0, 128 + self.signal.number)
