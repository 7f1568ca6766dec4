"""What differs between two SBOMs, for people and for programs."""

import re

import pytest
from msgspec.structs import replace

from imagekit.sbom.sbom_diff import (
    SbomDiff,
    diff_document,
    diff_markdown,
    diff_sboms,
    diff_text,
)
from imagekit.sbom.sbom_listing import ListedComponent, SbomListing

LIBC = ListedComponent(type="deb", name="libc6", version="1", licences=("MIT",), step="base")
YAML = ListedComponent(type="pypi", name="pyyaml", version="6.0", step="recipe")
PROGRAM = ListedComponent(type="file", name="/opt/a|<b>", version="#0123", step="recipe")


def listing(*components: ListedComponent, title: str = "solver") -> SbomListing:
    """Return a listing of these."""
    return SbomListing(title=title, components=components)


def versions(*texts: str) -> list[ListedComponent]:
    """Return one component in several versions."""
    return [replace(LIBC, version=text) for text in texts]


DIFF = diff_sboms(
    listing(LIBC, YAML, title="solver 1"),
    listing(
        replace(LIBC, version="2", licences=("BSD-3-Clause",)),
        PROGRAM,
        title="solver 2",
    ),
)


def test_the_same_is_no_change() -> None:
    """Whatever its place in the graph and its step."""
    diff = diff_sboms(listing(LIBC), listing(replace(LIBC, ref="x", depends=("y",), step="")))

    assert diff.changes == ()
    assert diff_text(diff) == "solver -> solver: nothing changed"
    assert diff_markdown(diff) == "Nothing changed."


def test_text_is_by_type_and_step() -> None:
    """With versions on both sides, and licences where they are others."""
    assert diff_text(DIFF) == (
        "solver 1 -> solver 2: 1 added, 1 removed, 1 changed (1 of another licence)\n"
        "\ndeb, base\n  ~  libc6  1 -> 2  licence: MIT -> BSD-3-Clause\n"
        "\nfile, recipe\n  +  /opt/a|<b>  #0123\n"
        "\npypi, recipe\n  -  pyyaml  6.0"
    )


def test_markdown_is_a_table_whatever_a_component_is_called() -> None:
    """A pipe or a tag in a name is a letter of it."""
    lines = diff_markdown(DIFF).split("\n")

    assert lines[0] == "1 added, 1 removed, 1 changed (1 of another licence)."
    assert {len(re.findall(r"\|", line)) for line in lines[2:]} == {7}
    assert "<b>" not in "".join(lines)


def test_the_document_says_the_same() -> None:
    """What is absent on a side is null."""
    changes = diff_document(DIFF)["changes"]

    assert isinstance(changes, list)
    assert changes[1] == {
        "kind": "added",
        "type": "file",
        "step": "recipe",
        "name": "/opt/a|<b>",
        "before": None,
        "after": {"version": "#0123", "licences": []},
    }


@pytest.mark.parametrize(
    ("before", "after", "moves"),
    [
        (["1", "2"], ["2", "3"], [("1", "3")]),
        (["1", "1"], ["1"], [("1", None)]),
        (["1"], ["1", "2", "3"], [(None, "2"), (None, "3")]),
        (["1", "3"], ["2", "4", "5"], [("1", "2"), ("3", "4"), (None, "5")]),
    ],
)
def test_several_versions_of_one_are_paired(
    before: list[str], after: list[str], moves: list[tuple[str | None, str | None]]
) -> None:
    """As npm and Java have them: what both sides have is no change."""
    diff = diff_sboms(listing(*versions(*before)), listing(*versions(*after)))

    assert _moves(diff) == moves


def _moves(diff: SbomDiff) -> list[tuple[str | None, str | None]]:
    return [
        (
            change.before.version if change.before else None,
            change.after.version if change.after else None,
        )
        for change in diff.changes
    ]
