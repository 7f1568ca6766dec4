"""Writes what Buildah gets of a Containerfile, and what Buildah then has to report.

One line is one instruction, so that there is one way to read it: no line is continued, no variable
stands in the name of an image, every stage has a name of ours and every image is named by its id
in the storage. Buildah reports each step with the number of steps in its stage, which shows that it
read neither more nor fewer than were judged.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct, field

from imagekit.documents import strictjson
from imagekit.documents.digits import decimal
from imagekit.recipe.recipe import Containerfile, Instruction, Stage

_MARK = "\0"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class BaseReference(Struct, frozen=True, kw_only=True):
    """An image that a Containerfile names, as the storage has it."""

    id: str
    """64 hexadecimal digits."""
    shell: tuple[str, ...] = ()
    """The shell of its RUN; the OCI format that it is handed over in does not know it."""
    triggers: tuple[Instruction, ...] = ()
    """What it wants to be done first (ONBUILD)."""


class StepReport(Struct, frozen=True):
    """A line that Buildah writes when it begins a step."""

    begin: str
    end: str | None = ""
    """What stands at the end of it; None for anything."""

    def fits(self, line: str) -> bool:
        """Return whether a line of Buildah's output ends with this report.

        The output of a step before may stand on the same line.
        """
        at = line.rfind(self.begin)
        rest = line[at + len(self.begin) :]
        if at < 0 or self.end is None:
            return at >= 0
        return rest.endswith(self.end) if self.end else not rest


class Rendered(Struct, frozen=True, kw_only=True):
    """What Buildah gets, and what it reports."""

    text: str
    reports: tuple[StepReport, ...]


class _Lines(Struct):
    text: list[str] = field(default_factory=list)
    reports: list[StepReport] = field(default_factory=list)


def render(
    script: Containerfile,
    images: Mapping[str, BaseReference],
    environment: Mapping[str, str] = _NOTHING,
) -> Rendered:
    """Write a Containerfile for Buildah.

    Args:
        script: what was read and judged.
        images: the images that it names, by these names.
        environment: variables that every RUN sees, where the file does not say them itself; they
            are ARGs, so that the image does not have them.
    """
    out = _Lines()
    given = tuple(Instruction(text=f"ARG {n}={v}", line=0) for n, v in environment.items())
    for argument in script.arguments:
        out.text += _text(argument, images)
    for number, stage in enumerate(script.stages, 1):
        prefix = f"[{number}/{len(script.stages)}] " if len(script.stages) > 1 else ""
        steps = [*given, *_steps(stage, script, images)]
        _stage((stage, steps), images, out, prefix=prefix)
    return Rendered(text="\n".join(out.text) + "\n", reports=tuple(out.reports))


def reaches(version: str, wanted: str) -> bool:
    """Return whether a version of Buildah is at least the wanted one; an unclear one is not."""
    numbers = [part.partition("-")[0].partition("+")[0] for part in version.split(".")[:3]]
    known = [decimal(part, most=6) for part in numbers]
    if None in known or not known:
        return False
    return [number or 0 for number in known] >= [int(part) for part in wanted.split(".")]


def _stage(
    stage_and_steps: tuple[Stage, list[Instruction]],
    images: Mapping[str, BaseReference],
    out: _Lines,
    *,
    prefix: str,
) -> None:
    stage, steps = stage_and_steps
    name = f" AS stage{stage.number}"
    source = "scratch" if not stage.image else images[stage.image].id
    # Buildah reports the image that it made of the other stage, which has no name before.
    reported = source if stage.below is None else ""
    source = source if stage.below is None else f"stage{stage.below}"
    out.text.append(f"FROM {source}{name}")
    total = len(steps) + 1
    out.reports.append(StepReport(f"{prefix}STEP 1/{total}: FROM {reported}", name))
    for number, step in enumerate(steps, 2):
        lines = _text(step, images)
        out.text += lines
        begin = f"{prefix}STEP {number}/{total}: {lines[0]}"
        # Newer versions show the first words of a here-document behind it.
        out.reports.append(StepReport(begin, None if step.body else ""))


def _steps(
    stage: Stage, script: Containerfile, images: Mapping[str, BaseReference]
) -> Iterator[Instruction]:
    """Yield what is done in a stage, behind what the image or stage below it wants done.

    Volumes come last of all: Buildah mounts the path of a volume into every RUN behind it, follows
    on the host what a step made of the folders above, and drops what the RUN writes there.
    """
    yield from (step for step in _in_order(stage, script, images) if not _is_volume(step))
    if stage.number == script.stages[-1].number:
        for included in _with_those_below(stage, script):
            yield from filter(_is_volume, _in_order(included, script, images))


def _with_those_below(stage: Stage, script: Containerfile) -> Iterator[Stage]:
    """Yield the stages that a stage stands on, the lowest first, and the stage."""
    for other in script.stages:
        if other.number == stage.below:
            yield from _with_those_below(other, script)
    yield stage


def _is_volume(step: Instruction) -> bool:
    return step.text.startswith("VOLUME ")


def _in_order(
    stage: Stage, script: Containerfile, images: Mapping[str, BaseReference]
) -> Iterator[Instruction]:
    for other in script.stages:
        if other.number == stage.below:
            yield from other.onbuild
    below = images.get(stage.image)
    if below is not None:
        if below.shell:
            shell = strictjson.dumps(list(below.shell)).decode()
            yield Instruction(text=f"SHELL {shell}", line=stage.place.line)
        yield from below.triggers
    yield from stage.steps


def _text(step: Instruction, images: Mapping[str, BaseReference]) -> list[str]:
    """Return the lines of an instruction, the names of images replaced by their ids."""
    parts = step.text.split(_MARK)
    parts[1::2] = [images[name].id for name in parts[1::2]]
    return ["".join(parts), *step.body]
