"""``imagekit lock``, from words to what is printed; nothing here is installed by apt."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.cli.main import main
from imagekit.lock.lock_file import lock_digest, read_lock
from imagekit.oci.destination import Destination
from imagekit.oci.digest import Digest
from imagekit.oci.reference import TaggedReference
from imagekit.oci.registry.connect import writer
from imagekit.oci.registry.options import RegistryOptions
from imagekit.recipe import load
from imagekit.sign.provenance import provenance
from imagekit.sign.signing import attest, subjects
from tests.support.built import built_image
from tests.support.fakes import FixedClock, MemorySigner, push_image
from tests.support.repositories import commit, git


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe on another one."""
    (tmp_path / "imagekit.toml").touch()
    for name, base in {"base": "scratch", "child": "{recipe: base}"}.items():
        (tmp_path / name).mkdir()
        text = f"schema: 1\nname: {name}\nversion: '1'\ndate: 2023-11-14T22:13:20Z\nbase: {base}\n"
        (tmp_path / name / "recipe.yaml").write_text(text)
    return tmp_path / "child"


def test_a_lock_is_written_beside_each_recipe(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of the base, which comes first; then nothing is."""
    assert main(["lock", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == ["base: 0 packages, 1 entry added", "child: 0 packages, 2 entries added"]
    before = (folder / "recipe.lock").read_bytes()

    assert main(["lock", str(folder), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["locks"]
    assert [(row["recipe"], row["changes"], row["moved"]) for row in rows] == [
        ("base", [], []),
        ("child", [], []),
    ]
    assert rows[1]["before"] == rows[1]["digest"]
    assert (folder / "recipe.lock").read_bytes() == before


@pytest.mark.parametrize(("word", "status"), [("--dry-run", 0), ("--check", 4)])
def test_what_would_be_is_shown_and_not_written(folder: Path, word: str, status: int) -> None:
    """A bot is told by the exit code."""
    assert main(["lock", str(folder), word]) == status
    assert not (folder / "recipe.lock").exists()
    assert not (folder.parent / "base/recipe.lock").exists()


def test_a_check_of_a_lock_that_is_the_newest_is_good(folder: Path) -> None:
    """It ends with 0."""
    main(["lock", str(folder)])

    assert main(["lock", str(folder), "--check"]) == 0


def test_the_published_base_is_locked_where_it_is_known(folder: Path) -> None:
    """By the digest that its tag has, if it was made of the base as it is now."""
    words = ["lock", str(folder), "--to", f"oci:{folder.parent}/images"]
    assert main(words) == 0
    assert _base_images(folder) == {None}

    image = _publish_base(folder.parent)
    assert main(words) == 0
    assert _base_images(folder) == {image}
    assert main(words) == 0
    assert main(["lock", str(folder)]) == 0
    assert _base_images(folder) == {image}

    (folder.parent / "base/note").touch()
    assert main(words) == 0
    assert _base_images(folder) == {None}


def _base_images(folder: Path) -> set[Digest | None]:
    lock = read_lock(folder)
    assert lock is not None
    return {platform.image.image for platform in lock.platforms.values()}


def _publish_base(tree: Path) -> Digest:
    """Write an image with the tag of the base, and a provenance that it was made of that."""
    recipe, lock = load(tree / "base"), read_lock(tree / "base")
    assert lock is not None
    place = Destination.parse(f"oci:{tree}/images").place("base")
    registry = writer(place, RegistryOptions())
    image = push_image(registry, place.repository)
    manifest = registry.manifest(image)
    built = replace(built_image(tree / "built"), lock=lock_digest(lock))
    statement = provenance(recipe, built, subjects=subjects(image, ()), invocation="urn:one")
    attest(
        registry,
        MemorySigner(),
        image,
        manifest=manifest.descriptor,
        statement=statement,
        clock=FixedClock(),
    )
    registry.tag(TaggedReference(place.repository, "1"), manifest)
    return image.digest


def test_changes_since_a_revision_are_a_table(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of text, or of Markdown for a merge request."""
    assert main(["lock", str(folder), "--diff"]) == 2
    assert "there is no lock" in capsys.readouterr().err
    git(folder.parent, "init", "-q")
    main(["lock", str(folder)])
    commit(folder.parent, "one", 1_700_000_000)
    text = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(text.replace("22:13:20", "22:13:21"))
    main(["lock", str(folder)])
    capsys.readouterr()

    assert main(["lock", str(folder), "--diff"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "child: 0 packages, 1 entry changed"
    assert said[1].split("\t") == ["", "source date", "image", "1700000000", "1700000001"]
    assert main(["lock", str(folder), "--diff", "HEAD", "--format", "markdown"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "### child: 0 packages, 1 entry changed"
    assert said[-1] == "|  | source date | image | 1700000000 | 1700000001 |"
