"""Each fault that the static checks know, planted by itself, and found with all that it breaks."""

from pathlib import Path

import pytest

from imagekit.check.static.portability_finding import KINDS
from imagekit.check.static.read_tree import tree_of_image
from imagekit.check.static.static_check import CheckedImage, check_tree
from tests.support.built import layered_image
from tests.support.planted import FAULTS, PATH, PlantedFault


def _checked(folder: Path, fault: PlantedFault) -> CheckedImage:
    config = {"env": (PATH,), **fault.config}
    return check_tree(tree_of_image(layered_image(folder, fault.layers, **config)))


def test_a_healthy_image_has_no_finding(tmp_path: Path) -> None:
    """With setuid programs of the system, bundled libraries, links to /proc, keys of tests."""
    checked = _checked(tmp_path, PlantedFault(code="", path=""))

    assert checked.findings == ()
    assert checked.programs == 10


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_alone(tmp_path: Path, fault: PlantedFault) -> None:
    """By its number and place, with what does not work because of it."""
    findings = _checked(tmp_path, fault).findings

    assert [(one.code, one.path) for one in findings] == [(fault.code, fault.path)]
    (finding,) = findings
    assert finding.breaks == ((fault.path,) if fault.breaks is None else fault.breaks)
    assert fault.says in finding.message
    assert finding.hint


def test_every_number_is_planted() -> None:
    """But the one for images that are too large to be looked at whole."""
    assert KINDS.keys() - {fault.code for fault in FAULTS.values()} == {"IK001"}
