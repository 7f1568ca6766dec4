#!/usr/bin/python3
"""Says a number for people."""

import sys

import humanize


def main() -> int:
    """Read a number and print it."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if not word.isdecimal():
        sys.stderr.write(f"{word!r} is not a number\n")
        return 2
    sys.stdout.write(f"{humanize.intcomma(word)} is {humanize.intword(word)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
