"""Images and folders as the static checks read them."""

import os
from pathlib import Path

import pytest

from imagekit.check.static import examined, static_check
from imagekit.check.static.read_tree import tree_of_folder, tree_of_image, tree_of_reference
from imagekit.check.static.static_check import check_tree
from imagekit.errors import DocumentError, InputError
from imagekit.oci.layout import LayoutReader, LayoutStore
from imagekit.oci.reference import parse_reference
from tests.support.archives import archive, entry, hard_link, link
from tests.support.built import layered_image
from tests.support.planted import FAULTS, HEALTHY, PATH, PlantedFault, program


def test_a_reference_is_read_as_what_was_built(tmp_path: Path) -> None:
    """Layer by layer, of the layout."""
    fault = FAULTS["library missing"]
    image = layered_image(tmp_path, fault.layers, env=(PATH,))

    reader = LayoutReader(LayoutStore(tmp_path))
    pinned, tree = tree_of_reference(reader, parse_reference("localhost/app:1"))

    assert pinned.digest == image.manifest.digest
    assert check_tree(tree) == check_tree(tree_of_image(image))


def test_a_folder_is_read_by_the_same_rules(tmp_path: Path) -> None:
    """Its links lead inside of it, and what is no file is none."""
    root = tmp_path / "root"
    for info, content in HEALTHY:
        place = root / info.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if info.issym():
            place.symlink_to(info.linkname)
        elif info.isdir():
            place.mkdir(exist_ok=True)
            place.chmod(info.mode)
        else:
            place.write_bytes(content)
            place.chmod(info.mode)
    os.mkfifo(root / "opt/pipe")

    findings = check_tree(tree_of_folder(root)).findings

    ours = [one for one in findings if one.code != "IK301"]
    assert [(one.code, one.path) for one in ours] == [("IK304", "/opt/pipe")]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    """With what can be named instead."""
    with pytest.raises(InputError, match="cannot be read"):
        tree_of_folder(tmp_path / "gone")


def test_a_later_entry_and_a_higher_layer_replace_what_was_found(tmp_path: Path) -> None:
    """A program that was broken and is not there any more breaks nothing."""
    broken = program("usr/bin/x", needed=("libgone.so",))
    for layers in (
        (archive(*HEALTHY, broken, program("usr/bin/x")),),
        (archive(*HEALTHY, broken), archive(program("usr/bin/x"))),
        (archive(*HEALTHY, broken), archive(entry("usr/bin/.wh.x", b""))),
        (archive(*HEALTHY, broken), archive(link("usr/bin/x", "sh"))),
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        assert check_tree(tree_of_image(layered_image(folder, layers, env=(PATH,)))).passed


def test_a_hard_link_is_what_it_leads_to(tmp_path: Path) -> None:
    """Also to a file of a lower layer."""
    layers = (
        archive(*HEALTHY, program("usr/bin/x", needed=("libgone.so",))),
        archive(hard_link("usr/bin/y", "usr/bin/x")),
    )

    checked = check_tree(tree_of_image(layered_image(tmp_path, layers, env=(PATH,))))

    assert [one.path for one in checked.findings] == ["/usr/bin/x", "/usr/bin/y"]


def test_what_was_not_read_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is too large to be looked at whole does not pass."""
    image = layered_image(tmp_path, PlantedFault(code="", path="").layers, env=(PATH,))
    monkeypatch.setattr(examined, "MAX_OBJECTS", 9)

    finding = check_tree(tree_of_image(image)).findings[0]

    assert (finding.code, finding.message.partition(":")[0]) == ("IK001", "1 files were not read")


def test_findings_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That there are more is one of them."""
    monkeypatch.setattr(static_check, "MAX_FINDINGS", 5)
    dangling = [link(f"opt/{number}", "gone") for number in range(9)]
    image = layered_image(tmp_path, (archive(*HEALTHY, *dangling),), env=(PATH,))

    findings = check_tree(tree_of_image(image)).findings

    assert [one.code for one in findings] == ["IK001", *["IK201"] * 5]


def test_a_layer_that_is_none_is_refused(tmp_path: Path) -> None:
    """By the word of all that reads layers."""
    image = layered_image(tmp_path, (b"no archive" * 100,))

    with pytest.raises(DocumentError, match="not a readable layer"):
        tree_of_image(image)
