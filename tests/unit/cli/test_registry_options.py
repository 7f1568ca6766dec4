"""What `--plain-http` and `--ca-file` speak of: destinations, and registries of base images."""

import argparse
from pathlib import Path

import pytest

from imagekit.cli import build, publish
from imagekit.cli.options import registry_of
from imagekit.cli.publish import _plain_hosts
from imagekit.model.reference import Destination
from imagekit.model.registry import RegistryOptions

_WORDS = ["recipe", "--plain-http", "--ca-file", "ca.pem"]


@pytest.mark.parametrize("command", [build, publish])
def test_base_images_may_be_elsewhere(command: object) -> None:
    """Both commands take the options; they are given on as they were written."""
    parser = argparse.ArgumentParser()
    command.configure(parser)  # type: ignore[attr-defined]
    more = ["--to", "r.site/apps"] if command is publish else []

    options = registry_of(parser.parse_args([*_WORDS, *more]))

    assert options == RegistryOptions(plain_http=True, ca_file=Path("ca.pem"))


@pytest.mark.parametrize(
    ("to", "base", "plain"),
    [
        ("oci:folder", "b.site", True),
        ("127.0.0.1:5000/apps", "b.site", True),
        ("R.site:443/apps", "r.site", True),
        ("r.site/apps", "docker.io", False),
    ],
)
def test_plain_http_is_not_for_every_base(to: str, base: str, *, plain: bool) -> None:
    """A login for Docker Hub does not go without TLS because the site's own registry has none."""
    hosts = _plain_hosts(Destination.parse(to))
    options = RegistryOptions(plain_http=True, plain_hosts=hosts, ca_file=Path("ca.pem"))

    assert options.of(base).plain_http is plain
    assert options.of(base).ca_file == Path("ca.pem")
