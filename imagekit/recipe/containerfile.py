"""Which images a Containerfile builds on: each must be pinned, a stage, or another recipe.

The file stays plain: another recipe is called ``localhost/NAME``, the name of an image that has
not been published anywhere, and Buildah reads it as it stands.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from imagekit.errors import InputError
from imagekit.formats.report import Report, Span
from imagekit.model.recipe import RecipeBase
from imagekit.model.reference import LAYOUT_HOST, PinnedReference, check_path, parse_reference

MAX_BYTES = 1 << 20
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_ESCAPE = re.compile(r"(?:\s*#[^\n]*\n)*\s*#\s*escape\s*=", re.IGNORECASE)
_FROM_FLAG = re.compile(r"--from=(\S+)")
_MOUNT_FROM = re.compile(r"--mount=\S*?\bfrom=([^,\s]+)")


@dataclass(frozen=True, slots=True)
class _Instruction:
    word: str
    rest: str
    line: int


def recipes_named(raw: bytes, build_args: Mapping[str, str], report: Report) -> list[RecipeBase]:
    """Check every image that a Containerfile names.

    Args:
        raw: the bytes of the file.
        build_args: values of its ARGs.
        report: takes the faults of this file.

    Returns:
        The other recipes that it names, each once.
    """
    text = _text(raw, report)
    stages: set[str] = set()
    known: dict[str, str] = {}
    found: dict[str, RecipeBase] = {}
    count = 0
    for instruction in _instructions(text):
        if instruction.word == "ARG" and not count:
            name, _, default = instruction.rest.partition("=")
            known[name] = build_args.get(name, default.strip("\"'"))
        for image in _images(instruction):
            base = _judge(image, instruction.line, (stages, known), report=report)
            if base is not None:
                found.setdefault(base.name, base)
        if instruction.word == "FROM":
            stages |= {str(count), *_stage_name(instruction)}
            count += 1
    if not count:
        report.error(Span(), "no-base", "the Containerfile has no FROM")
    return list(found.values())


def _stage_name(instruction: _Instruction) -> list[str]:
    """Return NAME of ``FROM IMAGE AS NAME``, if there is one."""
    words = instruction.rest.lower().split()
    return words[-1:] if "as" in words[1:-1] else []


def _text(raw: bytes, report: Report) -> str:
    if len(raw) > MAX_BYTES:
        report.error(Span(), "too-large", f"the file has more than {MAX_BYTES} bytes")
        return "FROM scratch"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        report.error(Span(), "encoding", "the file is not UTF-8", hint="save it as UTF-8")
        return "FROM scratch"
    report.set_source(text)
    if _ESCAPE.match(text):
        # It would let this reader and Buildah join lines differently.
        report.error(Span(1, 1), "escape-directive", "the directive `escape` is not read")
    return text


def _instructions(text: str) -> Iterator[_Instruction]:
    """Yield instructions with their continuation lines joined (Containerfile(5), FORMAT)."""
    joined, began = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped.startswith("#") or (not stripped and joined):
            continue
        began = began if joined else number
        joined += stripped.removesuffix("\\") + " "
        if not stripped.endswith("\\"):
            yield _instruction(joined, began)
            joined = ""
    yield _instruction(joined, began)


def _instruction(joined: str, line: int) -> _Instruction:
    word, rest = [*joined.split(maxsplit=1), "", ""][:2]
    return _Instruction(word.upper(), rest.strip(), line)


def _images(instruction: _Instruction) -> list[str]:
    if instruction.word == "FROM":
        words = [word for word in instruction.rest.split() if not word.startswith("--")]
        return words[:1]
    if instruction.word in {"COPY", "ADD"}:
        return _FROM_FLAG.findall(instruction.rest)
    if instruction.word == "RUN":
        return _MOUNT_FROM.findall(instruction.rest)
    return []


def _judge(
    image: str, line: int, scope: tuple[set[str], dict[str, str]], *, report: Report
) -> RecipeBase | None:
    """Return the recipe that an image's name stands for, if it is one; report an unpinned one."""
    stages, known = scope
    span = Span(line, 1, len(report.line(line)) or 1)
    name = _VARIABLE.sub(lambda match: known.get(match[1] or match[2], ""), image)
    if name == "scratch" or name.lower() in stages:
        return None
    if "$" in name or not name:
        message = f"`{image}` has a variable that neither the recipe nor an ARG gives"
        report.error(span, "base-not-pinned", message, hint="give it in `build_args`")
        return None
    host, _, path = name.partition("/")
    try:
        if host == LAYOUT_HOST and "@" not in path:
            check_path(path, whole=name)
            return RecipeBase(name=path, place=report.place(span))
        if not isinstance(parse_reference(name), PinnedReference):
            raise _unpinned(name)
    except InputError as error:
        report.error(span, "base-not-pinned", error.message, hint=error.hint)
    return None


def _unpinned(name: str) -> InputError:
    return InputError(
        f"`{name}` has a tag but no digest, so tomorrow's build would differ",
        hint=f"write {name}@sha256:..., or localhost/NAME for another recipe",
    )
