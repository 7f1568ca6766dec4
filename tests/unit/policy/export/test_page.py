"""The page for people: nothing in a policy can break out of its place in it."""

import pytest
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository
from imagekit.policy.ruleset import Expression, PolicyException
from tests.unit.policy.export.kit import LATER, NOW, A, export, policy, rule

HOSTILE = "a | b\n\n# heading <script>`x`</script> [l](http://evil) \x1b[2J *b*"


def _page(**changes: object) -> str:
    return export(policy(**changes), "docs").documents[0].text


def test_reasons_are_text() -> None:
    """A reason is one cell of its table, without markup, HTML or escapes of a terminal."""
    exception = PolicyException(
        repository=Repository.parse("r.site/x"),
        digest=Digest.of(b"x"),
        reason=HOSTILE,
        owner=HOSTILE,
        expires=LATER,
    )
    (row,) = [line for line in _page(exceptions=(exception,)).splitlines() if "heading" in line]

    assert row.replace(r"\|", "").count("|") == 5
    assert "<script>" not in row.replace(r"\<", "")
    assert "[l]" not in row
    assert "\x1b" not in row


@pytest.mark.parametrize("cel", ["a == '`'", "a == '``'", "`", "a\n == b", "a || b"])
def test_expressions_are_code(cel: str) -> None:
    """An expression is shown as it is, whatever backticks it holds."""
    page = _page(images=(rule(expressions=(Expression(cel=cel),)),))
    (line,) = [line for line in page.splitlines() if line.startswith("- True of the image is ")]
    shown = line.removeprefix("- True of the image is ").removesuffix(".")
    ticks = len(shown) - len(shown.lstrip("`"))

    assert shown.endswith("`" * ticks)
    assert "`" * ticks not in shown[ticks:-ticks].strip(" ").strip("`") or ticks == 0
    assert " ".join(cel.split()).replace("|", r"\|") in shown


def test_what_has_ended_is_said_to_have() -> None:
    """An auditor need not compare dates."""
    page = _page(
        images=(rule(authorities=(replace(A, not_before=LATER), replace(A, not_after=NOW))),),
        expires=NOW,
    )

    assert "**It has expired.**" in page
    assert "(**not yet**)" in page
    assert "(**ended**)" in page
