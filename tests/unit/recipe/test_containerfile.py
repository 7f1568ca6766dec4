"""Images that a Containerfile names."""

from pathlib import Path
from typing import Any

import pytest

from imagekit.errors import RecipeError
from imagekit.formats.report import Report
from imagekit.recipe import load
from imagekit.recipe.containerfile import recipes_named

HEX = "ab" * 32

REFUSED = {
    "tag": ("FROM r.example/b:1\n", "base-not-pinned", 1),
    "short name": ("FROM debian\n", "base-not-pinned", 1),
    "second stage": ("FROM scratch\nFROM r.example/b:1\n", "base-not-pinned", 2),
    "copy": ("FROM scratch\nCOPY --chown=1 --from=r.example/b:1 /a /a\n", "base-not-pinned", 2),
    "add": ("FROM scratch\nADD --from=busybox /a /a\n", "base-not-pinned", 2),
    "mount": (
        "FROM scratch\nRUN --mount=type=bind,from=busybox,target=/x ls\n",
        "base-not-pinned",
        2,
    ),
    "continued": ("# comment\nFROM \\\n  # inside\n  r.example/b:1\n", "base-not-pinned", 2),
    "continued at the end": ("FROM r.example/b:1 \\", "base-not-pinned", 1),
    "lower case": ("from debian\n", "base-not-pinned", 1),
    "tab": ("FROM\tdebian\n", "base-not-pinned", 1),
    "platform": ("FROM --platform=linux/amd64 debian\n", "base-not-pinned", 1),
    "variable": ("FROM $BASE\n", "base-not-pinned", 1),
    "default of a variable": ("ARG BASE=debian\nFROM ${BASE}\n", "base-not-pinned", 2),
    "variable with default": ("FROM ${BASE:-debian}\n", "base-not-pinned", 1),
    "recipe by tag": ("FROM localhost/base:1\n", "base-not-pinned", 1),
    "number": ("FROM 7\n", "base-not-pinned", 1),
    "escape": (
        "# syntax=x\n# escape=`\nFROM scratch\nRUN a \\\nFROM debian\n",
        "escape-directive",
        1,
    ),
    "nothing": ("RUN ls\n", "no-base", 0),
}


def judge(text: str | bytes, **build_args: str) -> tuple[list[str], Report]:
    """Return the recipes named, and the report."""
    report = Report("Containerfile", "recipe")
    raw = text.encode() if isinstance(text, str) else text
    return [base.name for base in recipes_named(raw, build_args, report)], report


@pytest.mark.parametrize(("text", "code", "line"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_is_not_pinned(text: str, code: str, line: int) -> None:
    """Every image has a digest, or is a stage, nothing, or another recipe."""
    report = judge(text)[1]

    assert [(d.code, d.line) for d in report.diagnostics] == [(f"recipe/{code}", line)]


def test_refuses_bytes_and_size() -> None:
    """A file that is not text, or is very long, is one fault."""
    assert [d.code for d in judge(b"\xff")[1].diagnostics] == ["recipe/encoding"]
    assert [d.code for d in judge(b"#" * (2 << 20))[1].diagnostics] == ["recipe/too-large"]


def test_accepts_what_is_pinned() -> None:
    """Digests, stages, scratch and recipes pass; each recipe is named once."""
    text = (
        f"ARG BASE\nFROM ${{BASE}} AS Build\nRUN echo \\\n  FROM debian\n"
        f"FROM r.example/b@sha256:{HEX} as second\nFROM build\nFROM scratch\n"
        "COPY --from=build /a /a\nCOPY --from=0 /a /a\nFROM localhost/base/debian\n"
    )

    names, report = judge(text, BASE="localhost/base/debian")

    assert names == ["base/debian"]
    assert not report.diagnostics


def test_faults_point_into_the_containerfile(make_recipe: Any) -> None:
    """The place is in the Containerfile, not in recipe.yaml."""
    folder: Path = make_recipe("containerfile: sub/C\n", base="")
    (folder / "sub").mkdir()
    (folder / "sub" / "C").write_text("FROM debian\n", encoding="utf-8")

    with pytest.raises(RecipeError) as caught:
        load(folder)

    (fault,) = caught.value.diagnostics
    assert fault.file == str(folder / "sub" / "C")
    assert fault.source == "FROM debian"


def test_stands_instead_of_a_base(make_recipe: Any) -> None:
    """A Containerfile excludes base, packages and steps, and is a file."""
    folder: Path = make_recipe("containerfile: sub\npackages: []\nsteps: []\n")
    (folder / "sub").mkdir()

    with pytest.raises(RecipeError) as caught:
        load(folder)

    codes = [d.code.removeprefix("recipe/") for d in caught.value.diagnostics]
    assert sorted(codes) == [*["containerfile-and-base"] * 3, "no-such-file"]
