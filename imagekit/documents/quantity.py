"""Numbers in messages: how many of something, and how large it is."""

_MEGA, _KILO = 1_000_000, 1000
_LEAST_MEGA = 50_000
"""From here on a size is at least 0.1 MB."""


def count(number: int, noun: str, plural: str = "") -> str:
    """Return how many of something there are: ``1 file``, ``2 files``.

    Args:
        number: how many.
        noun: one of them.
        plural: several of them, where that is not the noun and an "s".
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def size(number: int) -> str:
    """Return a number of bytes for a person: ``0.3 MB``, ``12 kB``; never 0 for something."""
    if number >= _LEAST_MEGA:
        return f"{number / _MEGA:.1f} MB"
    if number >= _KILO:
        return f"{number / _KILO:.0f} kB"
    return count(number, "byte")
