"""What Buildah gets of a Containerfile, and what it has to report."""

import pytest

from imagekit.documents.report import Report as Faults
from imagekit.recipe.containerfile import read_containerfile
from imagekit.recipe.render import BaseReference, StepReport, reaches, render

HEX = "ab" * 32
PINNED = f"r.example/base@sha256:{HEX}"
ID = "cd" * 32


def rendered(text: str, **below: object) -> tuple[str, list[str]]:
    """Return the text for Buildah and the beginnings of the reports."""
    script = read_containerfile(text.encode(), {}, Faults("Containerfile", "recipe"))
    assert script is not None
    out = render(script, {PINNED: BaseReference(id=ID, **below)})  # type: ignore[arg-type]  # its fields
    return out.text, [report.begin for report in out.reports]


def test_variables_of_every_run_are_arguments_of_each_stage() -> None:
    """First, so that what the file says goes before them; Buildah has to report them."""
    text = b"ARG A=1\nFROM scratch AS one\nRUN a\nFROM one\nARG B=2\n"
    script = read_containerfile(text, {}, Faults("Containerfile", "recipe"))
    assert script is not None

    out = render(script, {}, {"B": "0", "C": "x"})

    assert out.text.splitlines() == [
        "ARG A=1",
        *("FROM scratch AS stage0", "ARG B=0", "ARG C=x", "RUN a"),
        *("FROM stage0 AS stage1", "ARG B=0", "ARG C=x", "ARG B=2"),
    ]
    assert [report.begin for report in out.reports][2:5] == [
        "[1/2] STEP 3/4: ARG C=x",
        "[1/2] STEP 4/4: RUN a",
        "[2/2] STEP 1/4: FROM ",
    ]


def test_one_line_is_one_instruction() -> None:
    """Continued lines are joined, comments go, and stages and images have our names."""
    text, reports = rendered(
        f"\ufeff# comment\nARG A=1\nFROM {PINNED} AS Base\nRUN echo \\\n  # inside\n\n  two\n"
        f"FROM base\nCOPY --from=0 --chown=1 /a /b\nRUN --mount=from={PINNED},dst=/x true\n"
    )

    assert text.splitlines() == [
        "ARG A=1",
        f"FROM {ID} AS stage0",
        "RUN echo   two",
        "FROM stage0 AS stage1",
        "COPY --from=stage0 --chown=1 /a /b",
        f"RUN --mount=type=bind,from={ID},target=/x true",
    ]
    assert reports == [
        f"[1/2] STEP 1/2: FROM {ID}",
        "[1/2] STEP 2/2: RUN echo   two",
        "[2/2] STEP 1/3: FROM ",
        "[2/2] STEP 2/3: COPY --from=stage0 --chown=1 /a /b",
        f"[2/2] STEP 3/3: RUN --mount=type=bind,from={ID},target=/x true",
    ]


def test_a_stage_that_nothing_needs_is_left_out() -> None:
    """It is judged, and neither its image is brought nor is it built."""
    text, _ = rendered(f"FROM {PINNED} AS unused\nRUN true\nFROM scratch\nCOPY a /a\n")

    assert text.splitlines() == ["FROM scratch AS stage1", "COPY a /a"]


def test_what_the_oci_format_does_not_carry_is_said_by_steps() -> None:
    """The shell of a base holds for the RUN behind it."""
    text, reports = rendered(f"FROM {PINNED}\nRUN true\n", shell=("/bin/sh", "-e"))  # noqa: S604 - no call of a shell

    assert text.splitlines()[1:] == ['SHELL ["/bin/sh","-e"]', "RUN true"]
    assert reports[-1] == "STEP 3/3: RUN true"


@pytest.mark.parametrize(
    "line", ["STEP 1/3: RUN a", "STEP 1/2: RUN ab", "STEP 1/2: RUN", "RUN a", ""]
)
def test_another_step_is_no_report(line: str) -> None:
    """Neither another number of steps nor another text is what was asked for."""
    assert not StepReport("STEP 1/2: RUN a").fits(line)


def test_a_report_may_stand_behind_output() -> None:
    """A step before may end without a line's end."""
    assert StepReport("STEP 1/2: RUN a").fits("some outputSTEP 1/2: RUN a")
    assert StepReport("STEP 1/2: FROM ", " AS stage1").fits("STEP 1/2: FROM 12ab AS stage1")


@pytest.mark.parametrize(
    ("version", "wanted", "good"),
    [
        ("1.33.0", "1.33", True),
        ("1.28.2", "1.33", False),
        ("2.0", "1.35.1", True),
        ("1.35.1-dev", "1.35.1", True),
        ("unknown", "1.33", False),
        ("", "1.33", False),
    ],
)
def test_versions(version: str, wanted: str, *, good: bool) -> None:
    """A version that cannot be read reaches nothing."""
    assert reaches(version, wanted) is good


def test_volumes_come_last() -> None:
    """Nothing is run while Buildah would mount their paths, wherever they stand."""
    text, reports = rendered(
        "FROM scratch\nVOLUME /a\nRUN x\nVOLUME /b\nONBUILD VOLUME /c\nRUN y\n"
    )

    assert text.splitlines()[1:] == ["RUN x", "RUN y", "VOLUME /a", "VOLUME /b"]
    assert reports[-1] == "STEP 5/5: VOLUME /b"


def test_volumes_of_the_stages_below_come_last_too() -> None:
    """Else what a RUN of a later stage writes there were dropped in silence."""
    text, _ = rendered(
        "FROM scratch AS a\nVOLUME /a\nRUN x\nFROM scratch AS other\nVOLUME /o\nRUN o\n"
        "FROM a\nVOLUME /b\nCOPY --from=other /o /o\nRUN y\n"
    )

    assert text.splitlines() == [
        *("FROM scratch AS stage0", "RUN x", "FROM scratch AS stage1", "RUN o"),
        *("FROM stage0 AS stage2", "COPY --from=stage1 /o /o", "RUN y", "VOLUME /a", "VOLUME /b"),
    ]
