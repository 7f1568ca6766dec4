"""Secrets of a recipe: whole and as they are, or refused with the reason."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.build import build as module
from imagekit.build.build import BuildOptions, _secrets, build
from imagekit.documents.place import SourcePlace
from imagekit.errors import RecipeError
from imagekit.oci.digest import Digest
from imagekit.process import Runner
from imagekit.recipe.recipe import Recipe, ScratchBase, Secret, Tags

HERE = SourcePlace("recipe.yaml", 3, 1)


def recipe(**secret: str) -> Recipe:
    """A recipe with one secret."""
    return Recipe(
        folder=Path("r"),
        file=Path("r/recipe.yaml"),
        digest=Digest.of(b""),
        name="x",
        version="1",
        place=HERE,
        base=ScratchBase(place=HERE),
        tags=Tags(immutable=("1",), moving=()),
        secrets=(Secret(id="token", place=HERE, **secret),),
    )


def test_a_secret_of_the_longest_length_is_whole(tmp_path: Path) -> None:
    """Nothing of it is cut."""
    file = tmp_path / "secret"
    file.write_bytes(b"s" * (1 << 20))

    (found,) = _secrets(recipe(file=str(file)), {})

    assert len(found.value) == 1 << 20


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"s" * ((1 << 20) + 1), "longer than 1048576 bytes"),
        (b"s" * (1 << 20) + "ä".encode(), "longer than 1048576 bytes"),
        (b"\xff\xfe", "no text in UTF-8"),
    ],
)
def test_a_secret_that_cannot_be_kept_whole_is_refused(
    tmp_path: Path, raw: bytes, reason: str
) -> None:
    """Too long or no text: the recipe's line and the reason are named, never the value."""
    file = tmp_path / "secret"
    file.write_bytes(raw)

    with pytest.raises(RecipeError, match=reason) as caught:
        _secrets(recipe(file=str(file)), {})

    assert caught.value.message.startswith("recipe.yaml:3: the secret 'token'")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("value", "reason"), [("s" * ((1 << 20) + 1), "longer than"), ("\udcff", "no text in UTF-8")]
)
def test_a_variable_is_held_to_the_same(value: str, reason: str) -> None:
    """The environment may hold any bytes."""
    with pytest.raises(RecipeError, match=reason):
        _secrets(recipe(env="TOKEN"), {"TOKEN": value})


@pytest.mark.parametrize("file", ["a\0b", "~no-such-user-here/x", "/no/such/file"])
def test_a_file_that_is_none_is_bad_input(file: str) -> None:
    """A path that no system call takes is no internal fault."""
    with pytest.raises(RecipeError, match="the secret 'token'"):
        _secrets(recipe(file=file), {})


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_plain_file_is_called_so(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """It is there, and is not waited for: to say that it is missing would mislead."""
    make(tmp_path / "secret")

    with pytest.raises(RecipeError, match="it is not a regular file"):
        _secrets(recipe(file=str(tmp_path / "secret")), {})


def test_a_secret_is_what_its_file_is(tmp_path: Path) -> None:
    """A key without the line feed at its end is none to some programs."""
    file = tmp_path / "secret"
    file.write_bytes(b"-----END KEY-----\r\n\n")

    (found,) = _secrets(recipe(file=str(file)), {})

    assert found.value == "-----END KEY-----\r\n\n"


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_short_secret_is_hidden_however_its_file_ends(end: str) -> None:
    """Output comes by the line, without its end."""
    runner = Runner(secrets=(f"pin1{end}",))

    assert runner.redact("the pin is pin1, and\nmore\n") == "the pin is ***, and\nmore\n"


def test_a_secret_that_is_missing_costs_no_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are looked for before a base is built, which may take an hour."""

    def no_build(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(module, "_build", no_build)

    with pytest.raises(RecipeError, match="is not there"):
        build(recipe(env="NO_SUCH"), options=BuildOptions(env={"HOME": str(tmp_path)}))
