"""How much of tests/e2e/failures is done: some of it, or all by `tox run -e failures`."""

import os

WHOLE = os.environ.get("IMAGEKIT_FAILURES") == "whole"
"""Whether all is done, which takes an hour."""


def times(some: int, whole: int) -> int:
    """Return how often something is done."""
    return whole if WHOLE else some
