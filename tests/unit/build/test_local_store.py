"""The local image store: a layout with names, and what is known of each image."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.image import BuiltImage
from imagekit.build.local_store import (
    PUBLISHED,
    digest_of,
    image_of_recipe,
    local_images,
    open_store,
    record_built,
    record_published,
)
from imagekit.build.tools.storage import Folders
from imagekit.errors import NotFoundError, RecipeError
from imagekit.oci.digest import Digest
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.layout import LayoutReader, LayoutStore, change_index, entries
from imagekit.oci.location import parse_located
from imagekit.oci.types import MANIFEST, REF_NAME, Platform
from imagekit.recipe import load
from tests.support.built import built_image
from tests.support.local_store import folders_in, put


def record(folders: Folders, image: BuiltImage, recipes: str = "recipes") -> None:
    """Give an image its name."""
    record_built(open_store(folders), image, recipes=Digest.of(recipes.encode()))


def names(folders: Folders) -> list[str]:
    """Return the names in the list."""
    return [entry.annotations.get(REF_NAME, "") for entry in entries(folders.images)]


def test_a_built_image_has_its_name(tmp_path: Path) -> None:
    """Tools that read layouts find it: image-layout.md, "index.json file"."""
    folders = folders_in(tmp_path)
    image = put(folders, "app", "1.0")

    record(folders, image)

    layout = json.loads((folders.images / "oci-layout").read_text())
    index = json.loads((folders.images / "index.json").read_text())
    (entry,) = index["manifests"]
    assert layout == {"imageLayoutVersion": "1.0.0"}
    assert index["schemaVersion"] == 2
    assert entry["annotations"][REF_NAME] == "app:1.0"
    assert entry["digest"] == str(image.manifest.digest)
    assert (entry["mediaType"], entry["size"]) == (MANIFEST, image.manifest.size)


def test_a_rebuilt_version_takes_the_name(tmp_path: Path) -> None:
    """As tags move; the image of before can still be read by its digest."""
    folders = folders_in(tmp_path)
    old, new = put(folders, "app", "1", mark="old"), put(folders, "app", "1", mark="new")
    record(folders, old)
    record_published(folders, old.manifest.digest, "registry.site/app:1")

    record(folders, new)

    (image,) = local_images(folders)
    assert image.digest == new.manifest.digest
    assert image.published == ()
    assert (folders.images / "blobs/sha256" / old.manifest.digest.hex).is_file()


def _of(image: BuiltImage, architecture: str) -> BuiltImage:
    return replace(image, platform=Platform(os="linux", architecture=architecture))


def test_an_image_for_another_platform_keeps_its_name(tmp_path: Path) -> None:
    """Hosts of two architectures share a home: each build replaces those for its platform alone."""
    folders = folders_in(tmp_path)
    first = _of(put(folders, "app", "1", mark="first"), "amd64")
    second = _of(put(folders, "app", "1", mark="second"), "arm64")
    third = _of(put(folders, "app", "1", mark="third"), "arm64")
    fourth = _of(put(folders, "app", "1", mark="fourth"), "amd64")

    for image in (first, second, third):
        record(folders, image)
    assert names(folders) == ["app:1", "app:1+arm64"]
    record(folders, fourth)

    assert sorted(names(folders)) == ["app:1", "app:1+arm64"]
    seen = [(str(i.platform), i.version, i.label, i.digest) for i in local_images(folders)]
    assert seen == [
        ("linux/amd64", "1", "1", fourth.manifest.digest),
        ("linux/arm64", "1", "1+arm64", third.manifest.digest),
    ]


def test_a_list_of_an_older_version_is_read_with_its_platforms(tmp_path: Path) -> None:
    """It does not say them; the image's configuration does, which is for amd64 here."""
    folders = folders_in(tmp_path)
    old = put(folders, "app", "1", mark="old")
    record(folders, old)
    change_index(
        open_store(folders), lambda listed: tuple(replace(e, platform=None) for e in listed)
    )

    record(folders, _of(put(folders, "app", "1", mark="new"), "arm64"))

    assert names(folders) == ["app:1", "app:1+arm64"]
    assert [str(i.platform) for i in local_images(folders)] == ["linux/amd64", "linux/arm64"]


def test_the_same_image_again_keeps_where_it_was_published(tmp_path: Path) -> None:
    """A build from the cache does not forget it."""
    folders = folders_in(tmp_path)
    image = put(folders, "app", "1")
    record(folders, image)
    record_published(folders, image.manifest.digest, "registry.site/app:1")

    record(folders, image)

    assert local_images(folders)[0].published == ("registry.site/app:1",)


def test_where_an_image_was_published_is_bounded(tmp_path: Path) -> None:
    """Each place once, the newest last, and no more than twenty."""
    folders = folders_in(tmp_path)
    image = put(folders, "app", "1")
    record(folders, image)

    for number in (*range(30), 15):
        record_published(folders, image.manifest.digest, f"registry.site/{number}/app:1")

    (found,) = local_images(folders)
    assert len(found.published) == 20
    assert found.published[-1] == "registry.site/15/app:1"
    assert found.published.count("registry.site/15/app:1") == 1


def test_what_is_not_here_is_not_noted(tmp_path: Path) -> None:
    """Another host may have published it; no store is made for that."""
    folders = folders_in(tmp_path)

    record_published(folders, Digest.of(b"x"), "registry.site/app:1")

    assert not folders.images.exists()
    assert local_images(folders) == ()


def test_a_store_of_an_older_version_gets_its_list(tmp_path: Path) -> None:
    """On first use; what has a name is found by its labels, and the newest of a name wins."""
    folders = folders_in(tmp_path)
    old, new = put(folders, "app", "1", mark="old"), put(folders, "app", "1", mark="new")
    put(folders, "A title of words", "1")
    os_utime(folders, old, 1_000_000_000)
    os_utime(folders, new, 1_100_000_000)

    images = local_images(folders)

    assert names(folders) == ["app:1"]
    assert [(image.digest, image.built) for image in images] == [
        (new.manifest.digest, 1_100_000_000.0)
    ]


def os_utime(folders: Folders, image: BuiltImage, seconds: int) -> None:
    """Set when an image was written."""
    import os

    os.utime(folders.images / "blobs/sha256" / image.manifest.digest.hex, (seconds, seconds))


def test_what_is_no_image_of_ours_is_not_listed(tmp_path: Path) -> None:
    """A chain of layers, a base image and a damaged file lie in the same folder."""
    folders = folders_in(tmp_path)
    store = LayoutStore.create(folders.images)
    built_image(folders.images, "2")
    (folders.images / "index.json").unlink()
    (folders.images / "blobs/sha256" / ("0" * 64)).write_bytes(b"{}")
    (folders.images / "blobs/sha256" / ("1" * 64)).symlink_to("/etc/passwd")

    assert local_images(folders) == ()
    assert store.index() is not None


def test_names_are_read_as_users_type_them(tmp_path: Path) -> None:
    """``oci:FOLDER:NAME:VERSION`` is an image of localhost, however the list spells it."""
    folders = folders_in(tmp_path)
    image = put(folders, "apps/solver", "1")
    record(folders, image)
    reader = LayoutReader(open_store(folders))

    located = parse_located(f"oci:{folders.images}:apps/solver:1")

    assert reader.manifest(located.reference).digest == image.manifest.digest


def test_a_short_name_stands_for_no_host(tmp_path: Path) -> None:
    """``localhost/HOST/PATH`` is another name than ``HOST/PATH``."""
    folders = folders_in(tmp_path)
    record(folders, put(folders, "registry.site/solver", "1"))
    reader = LayoutReader(open_store(folders))
    located = parse_located(f"oci:{folders.images}:localhost/registry.site/solver:1")

    with pytest.raises(NotFoundError):
        reader.manifest(located.reference)


_BUILDS = """
import sys
from pathlib import Path
from tests.unit.build.test_local_store import folders_in, put, record

folders = folders_in(Path(sys.argv[1]))
for number in range(10):
    record(folders, put(folders, "app", sys.argv[2] + str(number)))
"""


def test_two_builds_at_once_lose_nothing(tmp_path: Path, project: Path) -> None:
    """The list is read and written under one lock."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(project)])}
    builds = [
        subprocess.Popen([sys.executable, "-c", _BUILDS, str(tmp_path), name], env=env)
        for name in ("a", "b")
    ]

    assert [build.wait(120) for build in builds] == [0, 0]

    expected = [f"app:{name}{number}" for name in ("a", "b") for number in range(10)]
    assert sorted(names(folders_in(tmp_path))) == sorted(expected)


def test_images_are_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, and the newest first."""
    folders = folders_in(tmp_path)
    for number, (name, version) in enumerate([("b", "1"), ("a", "1"), ("a", "2")]):
        monkeypatch.setattr("time.time", lambda number=number: 1_700_000_000.0 + number)
        record(folders, put(folders, name, version))

    listed = [(image.name, image.version, image.built) for image in local_images(folders)]

    assert listed == [
        ("a", "2", 1_700_000_002.0),
        ("a", "1", 1_700_000_001.0),
        ("b", "1", 1_700_000_000.0),
    ]


def test_an_image_removed_by_hand_is_no_image(tmp_path: Path) -> None:
    """Its name in the list leads nowhere."""
    folders = folders_in(tmp_path)
    image = put(folders, "app", "1")
    record(folders, image)
    (folders.images / "blobs/sha256" / image.manifest.digest.hex).unlink()

    assert local_images(folders) == ()


def test_the_image_of_a_recipe(tmp_path: Path) -> None:
    """It is that of the recipe as it is now, with all recipes below."""
    folders = folders_in(tmp_path)
    (tmp_path / "recipe").mkdir()
    file = tmp_path / "recipe/recipe.yaml"
    file.write_text("schema: 1\nname: app\nversion: '1'\nbase: scratch\n")
    recipe = load(file)
    with pytest.raises(RecipeError, match="not in the local image store") as missing:
        image_of_recipe(folders, recipe, recipes=digest_of([recipe]))
    image = put(folders, "app", "1")
    record_built(open_store(folders), image, recipes=digest_of([recipe]))

    found = image_of_recipe(folders, recipe, recipes=digest_of([recipe]))

    assert found.digest == image.manifest.digest
    assert missing.value.hint == f"build it: imagekit build {recipe.folder}"
    (tmp_path / "recipe/more.txt").touch()
    changed = load(file)
    with pytest.raises(RecipeError, match="another state") as refused:
        image_of_recipe(folders, changed, recipes=digest_of([changed]))
    assert refused.value.hint == missing.value.hint


def test_the_image_of_a_recipe_is_for_this_host(tmp_path: Path) -> None:
    """One that another host built of it into the same store does not run here."""
    folders = folders_in(tmp_path)
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe/recipe.yaml").write_text(
        "schema: 1\nname: app\nversion: '1'\nbase: scratch\n"
    )
    recipe = load(tmp_path / "recipe")
    own = replace(put(folders, "app", "1", mark="own"), platform=host_platform())
    record_built(open_store(folders), own, recipes=digest_of([recipe]))
    other = _of(put(folders, "app", "1", mark="other"), "s390x")
    record_built(open_store(folders), other, recipes=digest_of([recipe]))

    found = image_of_recipe(folders, recipe, recipes=digest_of([recipe]))

    assert found.digest == own.manifest.digest


def test_the_digest_of_recipes_has_those_below(tmp_path: Path) -> None:
    """A changed base makes another image of the same recipe."""
    recipes = []
    for name in ("base", "app", "other"):
        (tmp_path / name).mkdir()
        text = f"schema: 1\nname: {name}\nversion: '1'\nbase: scratch\n"
        (tmp_path / name / "recipe.yaml").write_text(text)
        recipes.append(load(tmp_path / name))
    base, app, other = recipes

    assert digest_of([base, app]) != digest_of([other, app])
    assert digest_of([base, app]) != digest_of([app])


def test_places_of_an_image_are_lines(tmp_path: Path) -> None:
    """The annotation is a text (image-spec annotations.md, Rules)."""
    folders = folders_in(tmp_path)
    image = put(folders, "app", "1")
    record(folders, image)
    for place in ("a.example/app:1", "b.example/app:1"):
        record_published(folders, image.manifest.digest, place)

    (entry,) = entries(folders.images)

    assert entry.annotations[PUBLISHED] == "a.example/app:1\nb.example/app:1"
