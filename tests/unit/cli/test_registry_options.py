"""How registries are reached, as the command line says it: destinations, bases, token servers."""

import argparse
from pathlib import Path

import pytest

from imagekit.cli.commands import build, publish
from imagekit.cli.commands.publish import _plain_hosts
from imagekit.cli.options import add_registry_options, registry_of
from imagekit.errors import InvalidReferenceError
from imagekit.oci.destination import Destination
from imagekit.oci.registry.options import RegistryOptions

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


def test_token_servers_are_named_by_option_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are read into the one spelling of a host, and nobody is listed by default."""
    parser = argparse.ArgumentParser()
    add_registry_options(parser)
    assert not registry_of(parser.parse_args([])).realms
    monkeypatch.setenv("IMAGEKIT_REALMS", "Auth.site:8443, ,[::1]")

    options = registry_of(parser.parse_args(["--realm", "GitLab.com."]))

    assert options.realms == ("gitlab.com", "auth.site:8443", "::1")


@pytest.mark.parametrize(
    "name", ["http://a.site", "a.site/b", "u@a.site", "127.1", "a.site:0", "*"]
)
def test_token_servers_are_hosts(name: str) -> None:
    """What is none, or can be read in several ways, is refused."""
    parser = argparse.ArgumentParser()
    add_registry_options(parser)
    with pytest.raises(InvalidReferenceError):
        registry_of(parser.parse_args(["--realm", name]))


def test_every_command_that_reads_registries_takes_the_options_from_one_place() -> None:
    """A command that made its own would send a login where nobody allowed it, or not at all."""
    folder = Path(build.__file__).parent
    odd = [
        path.name
        for path in folder.glob("*.py")
        if "add_registry_options(parser)" in (text := path.read_text())
        and "registry_of(" not in text
        and path.name not in {"options.py", "run.py"}
    ]

    assert not odd
