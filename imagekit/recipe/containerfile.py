"""Containerfiles: read once, and what they build on is judged.

Each image must be pinned, an earlier stage, ``scratch``, or another recipe, which is called
``localhost/NAME``, the name of an image that has not been published anywhere. Buildah never gets
the file itself: it gets what ``imagekit.recipe.render`` writes of the value that is
returned here, one line an instruction, so that it cannot read another file than was judged.
What is not understood is refused.
"""

import json
import re
from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.documents.place import SourcePlace
from imagekit.documents.report import Report, SourceSpan
from imagekit.errors import InputError
from imagekit.oci.location import parse_located
from imagekit.oci.reference import LAYOUT_HOST, PinnedReference, check_path
from imagekit.recipe import lines
from imagekit.recipe.lines import Line
from imagekit.recipe.mounts import mount
from imagekit.recipe.recipe import (
    Containerfile,
    ImageBase,
    Instruction,
    Needed,
    RecipeBase,
    Stage,
)
from imagekit.recipe.words import assignments, expand, only, options

_OPTIONS = {
    "ADD": frozenset({"chown", "chmod", "checksum"}),
    "ARG": frozenset[str](),
    "CMD": frozenset[str](),
    "COPY": frozenset({"chown", "chmod", "from"}),
    "ENTRYPOINT": frozenset[str](),
    "ENV": frozenset[str](),
    "EXPOSE": frozenset[str](),
    "FROM": frozenset({"platform"}),
    "HEALTHCHECK": frozenset({"interval", "timeout", "start-period", "start-interval", "retries"}),
    "LABEL": frozenset[str](),
    "MAINTAINER": frozenset[str](),
    "RUN": frozenset({"mount", "network"}),
    "SHELL": frozenset[str](),
    "STOPSIGNAL": frozenset[str](),
    "USER": frozenset[str](),
    "VOLUME": frozenset[str](),
    "WORKDIR": frozenset[str](),
}
"""The instructions that are understood (Containerfile(5)), each with its options."""
_NOT_IN_ONBUILD = frozenset({"FROM", "ONBUILD", "MAINTAINER"})
_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_OWN_PLATFORM = re.compile(r"\$(?:BUILD|TARGET)PLATFORM|\$\{(?:BUILD|TARGET)PLATFORM\}")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9]+)?")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_REMOTE = ("http://", "https://", "git://", "ssh://", "git@")
_HEREDOC_SINCE = "1.33"
_SINCE = {"checksum": "1.33", "network": "1.30", "start-interval": "1.36"}
"""Options that older versions of Buildah do not know."""
_VALUES = {"checksum": r"sha256:[0-9a-f]{64}", "network": "none"}
"""What may stand behind some options."""
_MAX_VARIABLES = 500


class _State(Struct):
    """What was read so far."""

    build_args: Mapping[str, str]
    report: Report
    heading: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    """The variables of the stage, as far as their values are known."""
    arguments: list[Instruction] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    steps: list[Instruction] = field(default_factory=list)
    onbuild: list[Instruction] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    used: list[set[int]] = field(default_factory=list)
    """The stages that each stage needs."""
    images: list[set[str]] = field(default_factory=list)
    """The images that each stage needs."""
    sources: dict[str, ImageBase | RecipeBase] = field(default_factory=dict)
    binds: list[str] = field(default_factory=list)
    needs: list[Needed] = field(default_factory=list)
    triggers: bool = False
    """Whether what is read comes from ONBUILD, where no image may be named."""


def read_containerfile(
    raw: bytes, build_args: Mapping[str, str], report: Report
) -> Containerfile | None:
    """Read a Containerfile and check every image that it names.

    Args:
        raw: the bytes of the file.
        build_args: values of its ARGs.
        report: takes the faults of this file.

    Returns:
        What it says; None where the report has a fault.
    """
    before = report.errors
    state = _State(build_args, report)
    for line in lines.instructions(raw, report):
        try:
            _read(line, state)
        except InputError as error:
            _refuse(state, line, error)
    _end_stage(state)
    if not state.stages and report.errors == before:
        report.error(SourceSpan(), "no-base", "the Containerfile has no FROM")
    return None if report.errors > before else _needed(state)


def read_triggers(texts: tuple[str, ...], stage: Stage, report: Report) -> tuple[Instruction, ...]:
    """Read what a base image wants to be done first in a stage (ONBUILD of its configuration).

    Args:
        texts: the instructions, as the configuration has them.
        stage: the stage that stands on the image.
        report: takes the faults.
    """
    state = _State({}, report, triggers=True)
    for text in texts:
        line = lines.instruction(text, stage.place.line, report)
        if line is None:
            continue
        try:
            _only_in_onbuild(line)
            state.steps.append(_step(line, state))
        except InputError as error:
            _refuse(state, line, error)
    return tuple(state.steps)


def _read(line: Line, state: _State) -> None:
    if line.word == "FROM":
        _end_stage(state)
        _from(line, state)
    elif state.stages and line.word == "ONBUILD":
        # Kept from Buildah: `buildah from` runs it, and it is ours to put into the configuration.
        state.onbuild.append(_onbuild(line, state))
    elif state.stages:
        _check_volume(line, state)
        state.steps.append(_step(line, state))
    elif line.word == "ARG":
        state.arguments.append(_step(line, state))
        state.heading = dict(state.known)
    else:
        raise _fault("only ARG may stand before the first FROM", code="no-base")


def _from(line: Line, state: _State) -> None:
    """Begin a stage."""
    flags, rest = options(line.rest)
    only(flags, _OPTIONS["FROM"], word="FROM")
    word, name = _image_and_name(rest)
    number = len(state.stages)
    # The stage is there even where its image is refused: the faults of the rest are reported too.
    state.stages.append(Stage(number=number, place=_place(line, state)))
    state.used.append(set())
    state.images.append(set())
    heading, state.known = state.heading, {}
    image = _name(word, heading)
    below = _stage(image, state, numbers=number)
    if name:
        _check_stage_name(name, state)
        state.names[name] = number
    named = "" if below is not None or image == "scratch" else _image(image, line, state)
    state.stages[-1] = replace(
        state.stages[-1],
        image=named,
        below=below,
        platform=_platform(dict(flags)),
    )
    if below is not None:
        state.used[-1].add(below)
        _check_volumes_below(below, state)


def _image_and_name(rest: str) -> tuple[str, str]:
    """Return what stands behind FROM: the image, and the stage's name or nothing."""
    match rest.split():
        case [image]:
            return image, ""
        case [image, word, name] if word.lower() == "as":
            return image, name.lower()
        case _:
            raise _fault("FROM is followed by IMAGE, or by IMAGE AS NAME")


def _check_volume(line: Line, state: _State) -> None:
    """Refuse what would change a VOLUME's variables: Buildah gets it as the last of its stage.

    Raises:
        InputError: an ENV or ARG sets a variable again that a VOLUME before it has.
    """
    volumes = [step.text for step in state.steps if step.text.startswith("VOLUME ")]
    for name in _VARIABLE.findall(" ".join(volumes)) if line.word in {"ENV", "ARG"} else ():
        if re.search(rf"(?<![\w${{]){name}(?=['\"=\s\\]|$)", line.rest):
            raise _fault(
                f"{name} is set again behind a VOLUME that it stands in, which is done last",
                hint="write the VOLUME behind it, or its path without a variable",
            )


def _check_volumes_below(below: int, state: _State) -> None:
    """Refuse variables in the VOLUMEs of a stage that another stands on: those are done there.

    Raises:
        InputError: there is one.
    """
    for step in (*state.stages[below].steps, *state.stages[below].onbuild):
        if step.text.startswith("VOLUME ") and "$" in step.text:
            raise _fault(
                f"the stage below has `{step.text[:60]}`, whose variables this stage may not have",
                hint="write the path of the VOLUME without a variable",
            )


def _end_stage(state: _State) -> None:
    if state.stages:
        last = state.stages[-1]
        state.stages[-1] = replace(last, steps=tuple(state.steps), onbuild=tuple(state.onbuild))
    state.steps, state.onbuild = [], []


def _check_stage_name(name: str, state: _State) -> None:
    if _STAGE_NAME.fullmatch(name) is None or name == "scratch":
        raise _fault(
            f"`{name[:60]}` is not a stage's name",
            hint="a letter, then letters, digits, '-', '_' and '.'",
        )
    if name in state.names:
        raise _fault(f"two stages are called {name}", hint="rename one")


def _platform(flags: Mapping[str, str]) -> str:
    text = flags.get("platform", "")
    if not text or _OWN_PLATFORM.fullmatch(text) is not None:
        return ""
    if _PLATFORM.fullmatch(text) is None:
        raise _fault(
            f"the platform `{text[:60]}` is not read",
            hint="write OS/ARCHITECTURE, $BUILDPLATFORM or $TARGETPLATFORM",
        )
    return text


def _step(line: Line, state: _State) -> Instruction:
    """Return an instruction of a stage, its images named so that the build can put them in."""
    allowed = _OPTIONS.get(line.word)
    if allowed is None:
        raise _fault(f"{line.word[:60]} is no instruction that is understood")
    flags, rest = options(line.rest)
    only(flags, allowed, word=line.word)
    if not rest:
        raise _fault(f"{line.word} has nothing behind it")
    if line.body:
        state.needs.append(
            Needed(feature="a here-document", version=_HEREDOC_SINCE, place=_place(line, state))
        )
    if line.word == "ARG":
        _argument(rest, state)
    elif line.word == "ADD" and "checksum" not in dict(flags):
        _check_add(rest)
    words = [f"--{name}={_option((name, value), line, state)}" for name, value in flags]
    return Instruction(text=" ".join((line.word, *words, rest)), line=line.number, body=line.body)


def _option(option: tuple[str, str], line: Line, state: _State) -> str:
    """Return the value of an option, its images and stages named for the build."""
    name, value = option
    if re.fullmatch(_VALUES.get(name, ".*"), value) is None:
        raise _fault(f"--{name}={value[:60]} is not understood", hint="write it as documented")
    if name in _SINCE:
        place = _place(line, state)
        state.needs.append(Needed(feature=f"--{name}", version=_SINCE[name], place=place))
    if name == "from":
        return _content(value, line, state)
    if name == "mount":
        read = mount(value, state.known)
        if read.bind and state.triggers:
            raise _fault("an instruction of ONBUILD may mount nothing of the context")
        if read.bind:
            state.binds.append(read.bind)
        if read.since:
            feature = "a folder of another stage or image that is mounted"
            state.needs.append(
                Needed(feature=feature, version=read.since, place=_place(line, state))
            )
        source = _content(read.source, line, state) if read.source else ""
        return read.text(source)
    return value


def _content(value: str, line: Line, state: _State) -> str:
    """Return what Buildah gets as the stage or image that files are taken from."""
    if state.triggers:
        raise _fault("an instruction of ONBUILD may name no stage and no image")
    name = _name(value, state.known)
    number = len(state.stages) - 1
    stage = _stage(name, state, numbers=number)
    if stage is not None:
        state.used[-1].add(stage)
        return f"stage{stage}"
    return f"\0{_image(name, line, state)}\0"


def _stage(name: str, state: _State, *, numbers: int) -> int | None:
    """Return the earlier stage of that name or number (names have no case, as with Docker)."""
    if name.isascii() and name.isdigit() and name == str(int(name[:9])) and int(name) < numbers:
        return int(name)
    number = state.names.get(name.lower(), numbers)
    return number if number < numbers else None


def _image(name: str, line: Line, state: _State) -> str:
    """Take an image that is pinned, or another recipe, and return its name.

    Raises:
        InputError: it is neither.
    """
    source = _source(name, _place(line, state))
    known = f"{LAYOUT_HOST}/{source.name}" if isinstance(source, RecipeBase) else str(source)
    state.images[-1].add(known)
    state.sources.setdefault(known, source)
    return known


def _name(word: str, known: Mapping[str, str]) -> str:
    try:
        return expand(word, known)
    except InputError as error:
        raise _fault(error.message, hint=error.hint, code="base-not-pinned") from error


def _source(name: str, place: SourcePlace) -> ImageBase | RecipeBase:
    host, _, path = name.partition("/")
    try:
        if host == LAYOUT_HOST and "@" not in path:
            check_path(path, whole=name)
            return RecipeBase(name=path, place=place)
        located = parse_located(name)
    except InputError as error:
        raise _fault(error.message, hint=error.hint, code="base-not-pinned") from error
    if not isinstance(located.reference, PinnedReference):
        raise _fault(
            f"`{name}` has a tag but no digest, so a later build could differ",
            hint=f"write {name}@sha256:..., or localhost/NAME for another recipe",
            code="base-not-pinned",
        )
    return ImageBase(reference=located.reference, location=located.location, place=place)


def _argument(rest: str, state: _State) -> None:
    """Take the ARG's variables: what the recipe gives, else the default, else the one above."""
    before = dict(state.known)
    for word in assignments(rest):
        name, equals, default = word.partition("=")
        value = state.build_args.get(name)
        if value is None and equals:
            value = _value(default, before)
        elif value is None:
            value = state.heading.get(name)
        state.known.pop(name, None)
        if value is not None:
            state.known[name] = value
        if len(state.known) > _MAX_VARIABLES:
            raise _fault(f"there are more than {_MAX_VARIABLES} variables")


def _value(default: str, known: Mapping[str, str]) -> str | None:
    try:
        return expand(default, known)
    except InputError:
        # It may come from the environment of a base; only who builds on it has to know it.
        return None


def _check_add(rest: str) -> None:
    """Refuse what ADD would bring from the network: nothing says which bytes it has to be.

    Raises:
        InputError: a source is remote, or may be.
    """
    for word in _sources(rest):
        plain = re.split(r"[$'\"\\]", word, maxsplit=1)[0]
        unclear = plain != word and any(prefix.startswith(plain.lower()) for prefix in _REMOTE)
        if unclear or "://" in word or word.lower().startswith("git@"):
            raise _fault(
                f"ADD of `{word[:120]}` brings what no digest says",
                hint="fetch it in a RUN that checks its sha256, or put it beside the Containerfile",
                code="not-pinned",
            )


def _sources(rest: str) -> list[str]:
    """Return the words of an ADD, of its JSON form too."""
    if not rest.lstrip().startswith("["):
        return rest.split()
    try:
        words = json.loads(rest)
    except (ValueError, RecursionError) as error:
        raise _fault("the list of ADD is not JSON") from error
    if not all(isinstance(word, str) for word in words):
        raise _fault("the list of ADD holds something else than texts")
    return list(words)


def _onbuild(line: Line, state: _State) -> Instruction:
    """Return what is done in images that are built on this one."""
    inner = lines.instruction(line.rest, line.number, state.report)
    if inner is None:
        raise _fault("ONBUILD has no instruction")
    _only_in_onbuild(inner)
    return _step(inner, _State({}, state.report, triggers=True))


def _only_in_onbuild(line: Line) -> None:
    if line.word in _NOT_IN_ONBUILD:
        raise _fault(f"{line.word} may not stand in ONBUILD")
    if line.word == "VOLUME" and "$" in line.rest:
        raise _fault("VOLUME in ONBUILD may have no variable", hint="write the path out")


def _needed(state: _State) -> Containerfile:
    """Return the stages that the last one needs; Buildah builds every stage that it gets."""
    wanted = {len(state.stages) - 1}
    for number in range(len(state.stages) - 1, -1, -1):
        if number in wanted:
            wanted |= state.used[number]
    images = {name for number in wanted for name in state.images[number]}
    return Containerfile(
        arguments=tuple(state.arguments),
        stages=tuple(stage for stage in state.stages if stage.number in wanted),
        sources=tuple(source for name, source in state.sources.items() if name in images),
        binds=tuple(dict.fromkeys(state.binds)),
        needs=tuple(state.needs),
    )


def _refuse(state: _State, line: Line, error: InputError) -> None:
    span = SourceSpan(line.number, 1, len(state.report.line(line.number)) or 1)
    code = error.code if error.code.islower() else "bad-instruction"
    state.report.error(span, code or "bad-instruction", error.message, hint=error.hint)


def _fault(message: str, *, hint: str = "", code: str = "bad-instruction") -> InputError:
    return InputError(message, hint=hint, code=code)


def _place(line: Line, state: _State) -> SourcePlace:
    return state.report.place(SourceSpan(line.number, 1))
