"""Options that several commands share, so that they are spelled and explained once."""

import argparse
from pathlib import Path


def add_registry_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--plain-http`` and ``--ca-file``."""
    group = parser.add_argument_group("registry")
    group.add_argument(
        "--plain-http",
        action="store_true",
        help="the registry speaks HTTP without TLS (a registry on loopback needs no flag)",
    )
    group.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help="certificate authorities (PEM) to trust for the registry, besides the system's",
    )


def add_policy_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--policy FILE``, which has no default: no policy, no verdict."""
    parser.add_argument(
        "--policy", type=Path, required=True, metavar="FILE", help="the policy to judge by"
    )


def add_key_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add ``--key FILE`` and ``--password-file FILE``."""
    group = parser.add_argument_group("key")
    group.add_argument(
        "--key",
        type=Path,
        required=required,
        metavar="FILE",
        help="private key: cosign's encrypted file or PEM; the password comes from "
        "IMAGEKIT_KEY_PASSWORD, else COSIGN_PASSWORD, --password-file or a prompt",
    )
    group.add_argument(
        "--password-file", type=Path, metavar="FILE", help="file whose first line is the password"
    )
