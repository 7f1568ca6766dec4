"""Images that are not in a layout: what is said instead of them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imagekit.errors import NotFoundError
from imagekit.locks import folder_held
from imagekit.oci.layout import LayoutReader, LayoutRegistry, LayoutStore
from imagekit.oci.reference import Repository, TaggedReference
from imagekit.oci.types import INDEX, REF_NAME

_WANTED = TaggedReference(Repository.parse("localhost/wanted"), "1")
_EMPTY = b'{"schemaVersion":2,"mediaType":"%s","manifests":[]}' % INDEX.encode()


def _resolve(folder: Path) -> NotFoundError:
    with pytest.raises(NotFoundError) as caught:
        LayoutReader(LayoutStore(folder)).resolve(_WANTED)
    return caught.value


def test_a_folder_that_is_missing_is_said_to_be(tmp_path: Path) -> None:
    """Else somebody looks for the image in a folder that is misspelt."""
    assert (
        f"{tmp_path / 'no'} is no OCI layout: it does not exist"
        in _resolve(tmp_path / "no").message
    )


def test_a_folder_that_is_no_layout_is_said_to_be(tmp_path: Path) -> None:
    """An empty folder has no images because it is none."""
    assert "it has no index.json" in _resolve(tmp_path).message


@pytest.mark.parametrize(
    ("tags", "known"),
    [
        ([], "none of its images has a name"),
        (["1", "2"], "it has reg.example/a:1, reg.example/a:2; a name"),
        ([str(number) for number in range(7)], "a:3, reg.example/a:4, ...; a name"),
    ],
)
def test_the_images_that_are_there_are_listed(tags: list[str], known: str, tmp_path: Path) -> None:
    """A few of them: a layout may hold thousands."""
    layout = LayoutRegistry(LayoutStore.create(tmp_path / "layout"))
    repository = Repository.parse("reg.example/a")
    raw = layout.manifest(layout.put_manifest(repository, INDEX, _EMPTY))
    for tag in tags:
        layout.tag(TaggedReference(repository, tag), raw)

    error = _resolve(tmp_path / "layout")

    assert error.message.endswith("has no image localhost/wanted:1")
    assert known in error.hint


def test_tags_of_signatures_are_no_images(tmp_path: Path) -> None:
    """Whoever misspelt the name of an image wants none of them."""
    layout = LayoutRegistry(LayoutStore.create(tmp_path / "layout"))
    repository = Repository.parse("reg.example/a")
    raw = layout.manifest(layout.put_manifest(repository, INDEX, _EMPTY))
    for tag in ("1.0", f"sha256-{raw.digest.hex}.sig", f"sha256-{raw.digest.hex}"):
        layout.tag(TaggedReference(repository, tag), raw)

    assert _resolve(tmp_path / "layout").hint.startswith("it has reg.example/a:1.0; ")


def test_names_in_a_layout_move_no_cursor(tmp_path: Path) -> None:
    """Whoever wrote the layout chose them."""
    folder = tmp_path / "layout"
    LayoutStore.create(folder)
    entry = '{"mediaType":"%s","digest":"sha256:%s","size":1,"annotations":{"%s":"\\u001b[2Jx"}}'
    text = entry % (INDEX, "ab" * 32, REF_NAME)
    (folder / "index.json").write_text(f'{{"schemaVersion":2,"manifests":[{text}]}}')

    assert "\x1b" not in _resolve(folder).hint


def test_a_writer_waits_for_others_of_the_folder(tmp_path: Path) -> None:
    """On another node of an NFS home too, or one of two images that are published is lost."""
    registry = LayoutRegistry(LayoutStore.create(tmp_path / "images"))
    pinned = registry.put_manifest(_WANTED.repository, INDEX, _EMPTY)
    raw = registry.manifest(pinned)

    with ThreadPoolExecutor(1) as pool:
        with folder_held(tmp_path / "images"):
            tagged = pool.submit(registry.tag, _WANTED, raw)
            with pytest.raises(TimeoutError):
                tagged.result(0.3)
        tagged.result(10)

    assert registry.resolve(_WANTED).digest == pinned.digest
