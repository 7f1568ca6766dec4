"""What a recipe excepts of findings, and what is told of all of them."""

from imagekit.check.static.portability_finding import CONFIG, PortabilityFinding, found
from imagekit.check.static.static_check import NOT_ALL, CheckedImage, with_exceptions
from imagekit.check.static.told import exception_lines, finding_lines, summary
from imagekit.documents.place import SourcePlace
from imagekit.recipe.check_key import FindingException


def _checked(*findings: PortabilityFinding) -> CheckedImage:
    return CheckedImage(findings=findings, files=3, programs=1)


def _except(finding: str, path: str) -> FindingException:
    place = SourcePlace("recipe.yaml", 1, 1)
    return FindingException(finding=finding, path=path, reason="it is right here", place=place)


_SETUID = found("IK301", "opt/v/bin/helper", "whoever starts it becomes the user 0")


def test_a_finding_is_excepted_by_number_and_place() -> None:
    """With the reason; a pattern is of the whole place, and its star matches slashes."""
    for path in ("/opt/v/bin/helper", "/opt/*", "*helper"):
        checked = with_exceptions(_checked(_SETUID), (_except("IK301", path),))

        assert checked.passed
        assert [one.reason for one in checked.excepted] == ["it is right here"]
        assert checked.unused == ()


def test_an_exception_of_nothing_is_told() -> None:
    """Of another number, or another place."""
    others = (_except("IK302", "/opt/*"), _except("IK301", "/opt"), _except("IK301", "opt/*"))

    checked = with_exceptions(_checked(_SETUID), others)

    assert checked.findings == (_SETUID,)
    assert checked.unused == others
    assert "take the exception out" in next(exception_lines(checked))


def test_that_not_all_was_read_cannot_be_excepted() -> None:
    """Nobody knows what is there."""
    partly = found(NOT_ALL, "", "there is more")

    assert not with_exceptions(_checked(partly), (_except(NOT_ALL, "*"),)).passed


def test_findings_of_one_cause_are_told_together() -> None:
    """With the places, then what else is broken by it, then the remedy."""
    message = "libm3.so.6 is not in the image"
    checked = _checked(
        found("IK101", "lib/a.so", message, breaks={"bin/x", "lib/a.so"}),
        found("IK101", "lib/b.so", message, breaks={"bin/y"}),
        found("IK508", CONFIG, "the folder /w\33[2J is not there"),
    )

    lines = list(finding_lines(checked))

    assert lines[0] == f"IK101  a library is missing: {message}"
    assert lines[1].strip() == "/lib/a.so, /lib/b.so"
    assert lines[2].strip() == "breaks /bin/x, /bin/y"
    assert lines[3].strip().startswith("= install")
    assert CONFIG in lines[5]
    assert "\33" not in "".join(lines)
    assert list(finding_lines(checked, most=1))[-1] == "and 1 more causes: imagekit check shows all"
    assert summary(checked) == "3 findings in 3 files, 1 program and libraries"
