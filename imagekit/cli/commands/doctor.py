"""Show what this host can do for imagekit, and the remedy for what it cannot.

Ends with 0 where there is no problem, and with 6 where there is one.
"""

import argparse

from imagekit.cli.console import Console


def configure(parser: argparse.ArgumentParser) -> None:
    """The command has no options of its own."""
    del parser


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Check the host and print the result."""
    import os
    from pathlib import Path

    from imagekit.hosts.doctor import diagnose, document, text, with_isolation
    from imagekit.hosts.probe import read
    from imagekit.process import Runner

    del arguments
    runner = Runner(progress=console.progress)
    host = with_isolation(read(runner, os.environ, Path("/")), os.environ)
    diagnosis = diagnose(host)
    console.result(text(diagnosis), document(diagnosis))
    return diagnosis.exit_code
