"""``imagekit build``: one recipe, and many."""

import json
from pathlib import Path
from typing import Any

import pytest

from imagekit.build.image import BuiltImage
from imagekit.check import check
from imagekit.cli.main import main
from imagekit.errors import BuildError
from imagekit.oci.digest import Digest
from imagekit.oci.types import CONFIG, MANIFEST, Descriptor, Platform
from imagekit.recipe.recipe import Recipe
from imagekit.sbom import complete_needs

_RECIPE = 'schema: 1\nname: {name}\nversion: "1"\nbase: {base}\n'


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A tree of three recipes, in the working folder, and the names of what is built of it."""
    for name, base in (("bad", "base"), ("base", ""), ("good", "base")):
        (tmp_path / name).mkdir()
        below = f"{{recipe: {base}}}" if base else "scratch"
        (tmp_path / name / "recipe.yaml").write_text(_RECIPE.format(name=name, base=below))
    (tmp_path / "imagekit.toml").touch()
    monkeypatch.chdir(tmp_path)
    names: list[str] = []

    def build(recipe: Recipe, **_: object) -> BuiltImage:
        if recipe.name == "bad":
            raise BuildError("it failed", code="x")
        names.append(recipe.name)
        return _image(recipe)

    monkeypatch.setattr(check, "build_tested", build)
    monkeypatch.setattr(complete_needs, "check_needs", lambda *_, **__: None)
    return names


def _image(recipe: Recipe) -> BuiltImage:
    nothing = Digest.of(b"")
    return BuiltImage(
        layout=Path("images"),
        manifest=Descriptor(media_type=MANIFEST, digest=nothing, size=0),
        config=Descriptor(media_type=CONFIG, digest=nothing, size=0),
        layers=(),
        platform=Platform(os="linux", architecture="amd64"),
        name=recipe.name,
        version=recipe.version,
        epoch=0,
        recipe_digest=recipe.digest,
        materials=(),
        tools=(),
        isolations=(),
        started=0.0,
        finished=0.0,
    )


def _document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_one_recipe_has_a_document_of_its_own(
    built: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As ever: no list of one."""
    assert main(["build", "good", "--json"]) == 0

    document = _document(capsys)
    assert (document["name"], [base["name"] for base in document["bases"]]) == ("good", ["base"])
    assert "built" not in document
    assert built == ["good"]


def test_many_recipes_are_built_around_what_fails(
    built: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each when what it stands on is built; what came of all is in one document."""
    assert main(["build", ".", "--json", "--jobs", "2"]) == 6

    document = _document(capsys)
    assert built == ["base", "good"]
    assert [(one["name"], one["status"]) for one in document["built"]] == [
        ("bad", "failed"),
        ("base", "built"),
        ("good", "built"),
    ]
    assert (document["exit_code"], document["error"]["code"]) == (6, "x")


def test_references_of_many_are_lines(built: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else is on stdout."""
    assert main(["build", "good", "--with-bases"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("@")[0] for line in lines] == ["oci:images:good", "oci:images:base"]
    assert built == ["base", "good"]
