#!/usr/bin/python3
"""Lets heat flow through a rod until it is even, and says how long that took."""

import sys

import humanize
import numpy as np

FEWEST, MOST = 2, 512


def even_out(cells: int, tolerance: float = 0.01) -> int:
    """Return how many steps it takes until no cell differs much from the mean."""
    rod = np.zeros(cells)
    rod[: cells // 2] = 1.0
    steps = 0
    while np.ptp(rod) > tolerance:
        padded = np.pad(rod, 1, mode="edge")
        rod += 0.4 * (padded[2:] - 2 * rod + padded[:-2])
        steps += 1
    return steps


def main() -> int:
    """Read the number of cells and print the answer."""
    word = sys.argv[1] if len(sys.argv) > 1 else "64"
    if not word.isdecimal() or not FEWEST <= int(word) <= MOST:
        sys.stderr.write(f"{word!r} is not a number of cells from {FEWEST} to {MOST}\n")
        return 2
    cells = int(word)
    sys.stdout.write(f"{cells} cells were even after {humanize.intcomma(even_out(cells))} steps\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
