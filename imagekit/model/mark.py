"""Texts by which a host could be told that no image may hold: its proxy, a mirror's password."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """A text of the host that builds, which is no part of what is built."""

    text: bytes
    what: str
    """What it is, for people: never the text itself."""
    secret: bool = False
    """Whether it opens something; such a text is refused even where the recipe has it too."""
