"""The library's front: its names, and that they cost nothing until they are used."""

import subprocess
import sys

import pytest

import imagekit

HEAVY = ("oras", "sigstore", "cyclonedx", "requests", "sh", "yaml", "cryptography", "rich", "json")


@pytest.mark.parametrize("name", imagekit.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """What __all__ promises can be imported."""
    assert getattr(imagekit, name) is not None


def test_other_names_are_not() -> None:
    """A misspelt name is an AttributeError, as everywhere."""
    with pytest.raises(AttributeError):
        _ = imagekit.no_such_name


@pytest.mark.parametrize("code", ["import imagekit", "from imagekit.cli.main import main"])
def test_import_is_light(code: str) -> None:
    """Neither the library nor the command line loads anything heavy to begin with."""
    probe = f"import sys; {code}; print(*[n for n in {HEAVY!r} if n in sys.modules])"
    heavy = HEAVY[:-1] if "cli" in code else HEAVY

    shown = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not set(shown) & set(heavy)
