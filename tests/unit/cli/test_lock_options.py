"""Whether a recipe has to be locked: by an option, by a setting, and where CI is set."""

import argparse

import pytest

from imagekit.cli.options import add_cache_from, add_lock_options, cache_from, lock_wish
from imagekit.oci.reference import Repository


def _wish(*words: str) -> str:
    parser = argparse.ArgumentParser()
    add_lock_options(parser)
    return lock_wish(parser.parse_args(words))


@pytest.mark.parametrize(
    ("words", "env", "wish"),
    [
        ([], {}, "auto"),
        (["--locked"], {}, "required"),
        (["--unlocked"], {"CI": "true"}, "ignored"),
        ([], {"CI": "true"}, "required"),
        ([], {"CI": "1"}, "required"),
        ([], {"CI": "false"}, "auto"),
        ([], {"CI": "true", "IMAGEKIT_LOCKED": "false"}, "auto"),
        ([], {"IMAGEKIT_LOCKED": "true"}, "required"),
    ],
)
def test_what_is_nearest_says_whether_a_lock_has_to_be_there(
    words: list[str], env: dict[str, str], wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option before a setting, and a setting before CI."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    assert _wish(*words) == wish


def test_a_repository_of_packages_is_an_option_or_a_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None is asked where none is named."""
    parser = argparse.ArgumentParser()
    add_cache_from(parser)
    option = parser.parse_args(["--cache-from", "r.site/packages"])

    assert cache_from(parser.parse_args([])) is None
    assert cache_from(option) == Repository("r.site", "packages")
    monkeypatch.setenv("IMAGEKIT_CACHE_FROM", "s.site/p")
    assert cache_from(parser.parse_args([])) == Repository("s.site", "p")
