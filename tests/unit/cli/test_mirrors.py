"""``--mirror NAME=URL``: where distributions are got from."""

import argparse

import pytest

from imagekit.cli.options import add_mirrors, mirrors_of
from imagekit.errors import UsageError


def _mirrors(*words: str) -> dict[str, str]:
    parser = argparse.ArgumentParser()
    add_mirrors(parser)
    return dict(mirrors_of(parser.parse_args([f"--mirror={word}" for word in words])))


def test_archives_have_their_own_mirrors() -> None:
    """Each by its name, once."""
    assert _mirrors() == {}
    assert _mirrors("ubuntu=http://a.example/ubuntu", "debian=https://b.example:8080/x/") == {
        "ubuntu": "http://a.example/ubuntu",
        "debian": "https://b.example:8080/x/",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["http://a.example/debian"], "has no mirror"),
        (["fedora=http://a.example/"], "`fedora` has no mirror"),
        (["debian=http://a.example/", "debian=http://b.example/"], "`debian` is there twice"),
        (["debian="], "not the address of a repository"),
        (["debian=ftp://a.example/debian"], "not the address"),
        (["debian=file:///srv/debian"], "not the address"),
        (["debian=http://a.example/debian sid main"], "not the address"),
        (["debian=http://a.example/[trusted=yes]"], "not the address"),
        (["debian=http://a.example/\ndeb"], "not the address"),
        (["debian=http://me:hunter2@a.example/debian"], "a user or password"),
        ([f"debian=http://a.example/{'x' * 1000}"], "not the address"),
    ],
)
def test_what_is_no_mirror_is_wrong_usage(words: list[str], said: str) -> None:
    """It goes into apt's configuration, so that nothing but an address may stand there."""
    with pytest.raises(UsageError, match=said) as caught:
        _mirrors(*words)

    assert "hunter2" not in caught.value.message + caught.value.hint
