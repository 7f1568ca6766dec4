"""Containerfiles: whatever stands in one, each image that it builds on is pinned or refused."""

from hypothesis import given
from hypothesis import strategies as st

from imagekit.documents.report import Report
from imagekit.recipe.containerfile import read_containerfile
from imagekit.recipe.recipe import Containerfile, RecipeBase
from imagekit.recipe.render import BaseReference, render

_INSTRUCTIONS = frozenset(
    [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ]
)
_PINNED = "r.site/base@sha256:" + "a" * 64
_WORDS = ("FROM", "from", "ARG", "COPY", "RUN", "AS", "--from=", "--mount=type=bind,from=", "#")
_PIECES = st.sampled_from(
    (
        *(*_WORDS, _PINNED, "r.site/base:latest", "localhost/tools", "scratch", "one", "0"),
        *(" ", "\n", "\\\n", "\t", "\r", "$X", "${X}", "${X:-y}", "X=", "<<EOF", "EOF"),
        *("`", "`\n", "\\"),
        *('"', "'", "=", "\u00a0", "\ufeff", "\v", "\x85", "\n", "FROM scratch\n", "RUN x "),
    )
)
_TEXTS = st.lists(_PIECES | st.characters(max_codepoint=0x2100).map(str), max_size=25).map("".join)
_TEXTS |= _TEXTS.map("# escape=`\n".__add__)


@given(st.binary(max_size=200) | _TEXTS.map(lambda text: text.encode("utf-8", "replace")))
def test_anything_is_read_or_reported(raw: bytes) -> None:
    """No bytes make anything happen but reports that a terminal can show."""
    report = Report("Containerfile", "recipe")
    read_containerfile(raw, {"X": "scratch"}, report)

    assert all(each.message.isprintable() for each in report.diagnostics)


@given(st.lists(st.sampled_from(("r.site/evil:1", "evil", "docker.io/x", "$UNKNOWN")), min_size=1))
def test_an_image_that_is_not_pinned_is_never_passed_over(images: list[str]) -> None:
    """Wherever it stands, what is named by no digest is an error."""
    lines = [f"FROM {_PINNED} AS s{n}\nCOPY --from={image} /a /b" for n, image in enumerate(images)]
    report = Report("Containerfile", "recipe")
    read_containerfile("\n".join(lines).encode(), {}, report)

    assert report.errors >= len(set(images))


@given(st.binary(max_size=200) | _TEXTS.map(lambda text: text.encode("utf-8", "replace")))
def test_what_buildah_gets_has_one_reading(raw: bytes) -> None:
    """Each line is one whole instruction, and every image in it is one that was brought."""
    script = read_containerfile(raw, {"X": "scratch"}, Report("Containerfile", "recipe"))
    if script is None or script.needs:
        return

    images = {name: BaseReference(id="f" * 64) for name in _names(script)}
    rendered = render(script, images)

    lines = rendered.text.removesuffix("\n").split("\n")
    assert len(lines) == len(rendered.reports) + len(script.arguments)
    for line in lines:
        assert line.split(maxsplit=1)[0] in _INSTRUCTIONS
        assert not line.rstrip(" \t").endswith("\\")
        assert not set(line) & set("\0\r\v\f\x85\u2028\u2029\ufeff")
    for line in lines:
        if line.startswith("FROM "):
            image = line.split()[1]
            assert image in {"f" * 64, "scratch"} or image.startswith("stage")


def _names(script: Containerfile) -> list[str]:
    return [
        f"localhost/{source.name}" if isinstance(source, RecipeBase) else str(source.reference)
        for source in script.sources
    ]
