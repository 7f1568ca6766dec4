"""The command ``imagekit``.

``imagekit --help`` costs little more than Python itself: what runs a command, argparse included, is
imported only where there is one.
"""

import gc
import sys
from collections.abc import Sequence
from contextlib import suppress

from imagekit.cli.help import HELP_WORDS, print_help
from imagekit.cli.streams import prepare_streams

_GARBAGE = 50_000
"""After how many new objects this process looks for cycles; with Python's 700, imports alone make
it look so often that it costs a tenth of a short command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the words after ``imagekit``; those of the process by default.

    Returns:
        The exit code.
    """
    if argv is None:
        gc.set_threshold(_GARBAGE)
        prepare_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in HELP_WORDS:
        # What cannot be written is reported as for any command, by what is imported below.
        with suppress(OSError):
            print_help()
            return 0
    from imagekit.cli.execute import execute

    code = execute(words)
    if argv is None:
        # Python looks for cycles once more when it ends, in all that was imported.
        gc.freeze()
    return code
