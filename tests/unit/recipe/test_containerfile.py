"""Images that a Containerfile names."""

from pathlib import Path
from typing import Any

import pytest

from imagekit.documents.report import Report
from imagekit.errors import RecipeError
from imagekit.recipe import load
from imagekit.recipe.containerfile import read_containerfile
from imagekit.recipe.recipe import RecipeBase
from imagekit.recipe.render import render

HEX = "ab" * 32

REFUSED = {
    "tag": ("FROM r.example/b:1\n", "base-not-pinned", 1),
    "short name": ("FROM debian\n", "base-not-pinned", 1),
    "second stage": ("FROM scratch\nFROM r.example/b:1\n", "base-not-pinned", 2),
    "link": ("FROM scratch\nCOPY --link a b\n", "bad-instruction", 2),
    "blank in an option": ('FROM scratch\nCOPY --chown="1 " a b\n', "bad-instruction", 2),
    "half a quote": ("FROM scratch\nCOPY --chown='1 a b\n", "bad-instruction", 2),
    "escape in an option": ('FROM scratch\nCOPY --chown="\\\\1" a b\n', "bad-instruction", 2),
    "copy": ("FROM scratch\nCOPY --chown=1 --from=r.example/b:1 /a /a\n", "base-not-pinned", 2),
    "add": ("FROM scratch\nADD --from=busybox /a /a\n", "bad-instruction", 2),
    "add of a deep list": (f"FROM scratch\nADD {'[' * 20_000}\n", "bad-instruction", 2),
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
        2,
    ),
    "escape in a line that is moved in": (" # escape=`\nFROM scratch\n", "escape-directive", 1),
    "escape of more": ("# escape=`x\nFROM scratch\n", "escape-directive", 1),
    "escape of another kind": ("# escape=^\nFROM scratch\n", "escape-directive", 1),
    "escape twice": ("# escape=`\n# escape=\\\nFROM scratch\n", "escape-directive", 2),
    "escapes of two kinds": ("# escape=\\\n# escape=`\nFROM scratch\n", "escape-directive", 2),
    "later and later": (
        f"# escape=`\nFROM scratch\n{'ONBUILD ' * 7000}RUN a\n",
        "bad-instruction",
        3,
    ),
    "nothing": ("# nothing\n", "no-base", 0),
    "before the first FROM": ("RUN ls\nFROM scratch\n", "no-base", 1),
}


UNCLEAR_BEHIND_ESCAPE = {
    "backslash in words": "ENV A=b\\c\n",
    "backtick in words": "LABEL a=`'b\n",
    "argument": 'ARG A="b\\"c"\n',
    "path": "COPY a\\b /c\n",
    "folder": "WORKDIR /a`b\n",
    "option": "RUN --mount=target=/a`b,type=cache c\n",
    "later option": "RUN --network=none --mount=target=/a`b,type=cache c\n",
    "for later": "ONBUILD ENV A=b\\c\n",
    "two at the end": "RUN a ``\nb\n",
    "backslash at the end": "RUN a \\\nUSER b\n",
    "text with variables": "COPY <<EOF /a\n$b\nEOF\n",
}


def judge(text: str | bytes, **build_args: str) -> tuple[list[str], Report]:
    """Return the recipes named, and the report."""
    report = Report("Containerfile", "recipe")
    raw = text.encode() if isinstance(text, str) else text
    script = read_containerfile(raw, build_args, report)
    sources = () if script is None else script.sources
    return [source.name for source in sources if isinstance(source, RecipeBase)], report


@pytest.mark.parametrize(("text", "code", "line"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_is_not_pinned(text: str, code: str, line: int) -> None:
    """Every image has a digest, or is a stage, nothing, or another recipe."""
    report = judge(text)[1]

    assert [(d.code, d.line) for d in report.diagnostics] == [(f"recipe/{code}", line)]


@pytest.mark.parametrize("text", UNCLEAR_BEHIND_ESCAPE.values(), ids=UNCLEAR_BEHIND_ESCAPE)
def test_refuses_what_programs_read_differently_behind_escape(text: str) -> None:
    """Where they read words, some take the directive's character and some the backslash."""
    report = judge(f"# escape=`\nFROM scratch\n{text}")[1]

    assert [(d.code, d.line) for d in report.diagnostics][:1] == [("recipe/unclear-line", 3)]


def test_buildah_gets_lines_that_were_joined_by_backticks() -> None:
    """And no directive: what stands in a command is the shell's."""
    report = Report("Containerfile", "recipe")
    text = b"# escape=`\nFROM scratch\nRUN a\\tb `\n # c\n  `d` \\ e\nONBUILD RUN f `\ng\n"

    script = read_containerfile(text, {}, report)

    assert script is not None
    assert render(script, {}).text == "FROM scratch AS stage0\nRUN a\\tb   `d` \\ e\n"
    assert [step.text for step in script.stages[0].onbuild] == ["RUN f g"]


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


LEGAL = {
    "quotes in options": (
        f'FROM --platform="$BUILDPLATFORM" r.example/b@sha256:{HEX} AS b\n'
        "FROM b\nCOPY --chown='1':\"2\" --from='b' /a /b\n"
    ),
    "checksum": f"FROM r.example/b@sha256:{HEX}\nADD --checksum=sha256:{HEX} https://x/$V /x\n",
    "volume of a variable": f"FROM r.example/b@sha256:{HEX}\nENV H=/h\nVOLUME $H\nENV I=$H/i\n",
    "nested": f"ARG REG=r.example\nARG BASE=${{REG}}/b@sha256:{HEX}\nFROM ${{BASE}}\n",
    "default": f"ARG BASE\nFROM ${{BASE:-r.example/b@sha256:{HEX}}}\n",
    "other": f"ARG A=1\nFROM ${{A:+r.example/b@sha256:{HEX}}}\n",
    "several": f"ARG REG=r.example IMG=b@sha256:{HEX}\nFROM ${{REG}}/${{IMG}}\n",
    "quotes": f'ARG REG=\'r.example\' IMG="b@sha256:{HEX}"\nFROM "$REG/$IMG"\n',
    "byte order mark": f"\ufeffFROM r.example/b@sha256:{HEX}\n",
    "carriage returns": f"FROM r.example/b@sha256:{HEX}\r\nRUN a \\\r\n  b\r\n",
    "tag and digest": f"FROM r.example/b:1@sha256:{HEX}\n",
    "platform": f"FROM --platform=$BUILDPLATFORM r.example/b@sha256:{HEX} AS b\nFROM b\n",
    "stages on stages": f"FROM r.example/b@sha256:{HEX} AS A\nFROM a AS B\nFROM b\n",
    "here-document": f"FROM r.example/b@sha256:{HEX}\nRUN cat > /x <<EOF\nFROM debian\nEOF\n",
    "here-string": f"FROM r.example/b@sha256:{HEX}\nRUN cat <<<'a' && echo $((1<<3))\n",
    "escape": f"# escape=\\\nFROM r.example/b@sha256:{HEX}\n",
    "escape by a backtick": (
        f"# Escape = ` \nFROM r.example/b@sha256:{HEX} `\n AS b\nRUN echo `date` a\\tb `\n\n  c\n"
        'CMD ["a\\\\b`"]\nONBUILD RUN c\\d\n'
    ),
    "escape behind a byte order mark": f"\ufeff# escape=`\nFROM `\nr.example/b@sha256:{HEX}\n",
    "other letters": f"FROM r.example/b@sha256:{HEX}\nARG T='\u00dcbung'\nLABEL t=\u00e9\n",
    "copy": f"FROM r.example/b@sha256:{HEX} AS b\nFROM b\nARG S=b\nCOPY --from=$S a b",
    "heading variable in a stage": (
        f"ARG S=r.example/b@sha256:{HEX}\nFROM scratch\nARG S\nCOPY --from=$S /a /b\n"
    ),
}


@pytest.mark.parametrize("text", LEGAL.values(), ids=LEGAL)
def test_what_is_legal_and_pinned_is_read(text: str) -> None:
    """No form that pins is refused."""
    report = Report("Containerfile", "recipe")

    script = read_containerfile(text.encode(), {}, report)

    assert not report.diagnostics
    assert script is not None
    assert len(script.sources) == 1


def test_a_volume_of_a_stage_below_has_no_variable() -> None:
    """It is done in the stage above, which has none of this one's arguments."""
    report = Report("Containerfile", "recipe")
    text = b"FROM scratch AS a\nARG D=/d\nVOLUME $D\nFROM a\nRUN x\n"

    assert read_containerfile(text, {}, report) is None
    assert "VOLUME $D" in report.diagnostics[0].message


def test_buildah_gets_options_without_quotes() -> None:
    """It takes them off itself, before it replaces variables."""
    report = Report("Containerfile", "recipe")
    text = b"FROM scratch AS a\nFROM a\nCOPY --chown='$A':\"2\" --from='a' /a /b\n"

    script = read_containerfile(text, {}, report)

    assert script is not None
    assert script.stages[1].steps[0].text == "COPY --chown=$A:2 --from=stage0 /a /b"


def test_an_instruction_for_later_is_kept_from_buildah() -> None:
    """ONBUILD is no step: it goes into the configuration, and into the stages above."""
    report = Report("Containerfile", "recipe")

    script = read_containerfile(b"FROM scratch\nONBUILD  copy a /a\nLABEL a=1\n", {}, report)

    assert script is not None
    (stage,) = script.stages
    assert [step.text for step in stage.onbuild] == ["COPY a /a"]
    assert [step.text for step in stage.steps] == ["LABEL a=1"]
