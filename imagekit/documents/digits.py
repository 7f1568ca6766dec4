"""Whole numbers in untrusted text."""


def decimal(text: str, *, most: int) -> int | None:
    """Return the number that ASCII digits state, or None for anything else.

    Args:
        text: without sign, space or underscore; zeros may lead.
        most: how many digits there may be.
    """
    good = text.isascii() and text.isdigit() and len(text) <= most
    return int(text) if good else None
