"""A folder of images: each has a file by its own name, and no image takes another's."""

from pathlib import Path

import pytest

from imagekit.errors import InputError
from imagekit.oci.reference import Repository
from imagekit.offline.stage_folder import below_folder
from imagekit.offline.stage_target import StageKind, Target
from tests.unit.offline.test_stage import Yard

SOLVER = Repository("r.site", "apps/solver")


def test_a_folder_need_not_be_there(tmp_path: Path) -> None:
    """Where no kind was given, the path is one."""
    placed = below_folder(Target.parse(f"{tmp_path}/new"), SOLVER)

    assert placed == Target(kind=StageKind.SQUASHFS, path=tmp_path / "new/solver.sqsh")


@pytest.mark.parametrize(("kind", "name"), [("squashfs", "solver.sqsh"), ("sif", "solver.sif")])
def test_one_file_goes_into_a_folder_that_is_there(tmp_path: Path, kind: str, name: str) -> None:
    """As with cp."""
    assert below_folder(Target.parse(f"{kind}:{tmp_path}"), SOLVER).path == tmp_path / name


@pytest.mark.parametrize("text", ["bundle:{}", "oci:{}", "podman-store:{}", "squashfs:{}/a.sqsh"])
def test_another_path_is_meant_as_it_stands(tmp_path: Path, text: str) -> None:
    """A link to a version, or a store of its own."""
    target = Target.parse(text.format(tmp_path))

    assert below_folder(target, SOLVER) == target


def test_a_link_is_no_folder(tmp_path: Path) -> None:
    """It leads to a version of something."""
    (tmp_path / "it").symlink_to(tmp_path)
    target = Target.parse(f"squashfs:{tmp_path}/it")

    assert below_folder(target, SOLVER) == target


def test_nothing_is_written_into_a_staged_image(tmp_path: Path) -> None:
    """Its receipt would be good no more."""
    yard = Yard(tmp_path)
    yard.stage()

    with pytest.raises(InputError, match="no folder for others"):
        below_folder(Target.parse(str(yard.path)), SOLVER)


def test_nothing_is_written_into_a_store(tmp_path: Path) -> None:
    """Podman's folder is no place for files of ours."""
    (tmp_path / "overlay-images").mkdir()
    (tmp_path / "overlay-images/images.json").write_text("[]")

    with pytest.raises(InputError, match="no folder for others"):
        below_folder(Target.parse(str(tmp_path)), SOLVER)


def test_no_image_takes_the_file_of_another(tmp_path: Path) -> None:
    """Whose last part of the name is the same."""
    yard = Yard(tmp_path)
    yard.stage()
    mine = yard.site.world.repository
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{mine.path.rpartition('/')[2]}.sqsh").symlink_to(yard.path.resolve())
    target = Target.parse(str(tmp_path / "images"))

    assert below_folder(target, mine).path.exists()
    with pytest.raises(InputError, match=f"is of {mine.name}"):
        below_folder(target, Repository("other.site", mine.path))
