"""Show what this host can do for imagekit, and the remedy for what it cannot.

  imagekit doctor                  everything
  imagekit doctor --for verify     only what concerns a host that verifies and does nothing else

Ends with 0 where there is no problem, and with 6 where there is one.
"""

import argparse

from imagekit.cli.console import Console

PURPOSES = ("verify", "build", "gate", "run", "stage")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's option."""
    parser.add_argument(
        "--for",
        dest="purpose",
        choices=PURPOSES,
        help="what this host is used for; only what concerns that is judged (default: all)",
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Check the host and print the result."""
    import os

    from imagekit.hosts.doctor import diagnose, document, read_host, text
    from imagekit.process import Runner

    host = read_host(Runner(progress=console.progress), os.environ, arguments.purpose)
    diagnosis = diagnose(host, arguments.purpose)
    console.result(text(diagnosis), document(diagnosis))
    return diagnosis.exit_code
