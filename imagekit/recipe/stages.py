"""The stages of a recipe: what is copied from which, and in which order they are made."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from msgspec.structs import replace

from imagekit.documents.place import SourcePlace
from imagekit.documents.report import Report, SourceSpan, did_you_mean, shown
from imagekit.documents.shape import Values
from imagekit.recipe.recipe import BuildStage, StageCopy, Step, stages_of


def in_order(stages: Mapping[str, BuildStage]) -> tuple[BuildStage, ...]:
    """Return the stages with their names, each behind those that it copies from."""
    order = TopologicalSorter({name: stages_of(stage.steps) for name, stage in stages.items()})
    return tuple(replace(stages[name], name=name) for name in order.static_order())


def stages_fit(values: Values, report: Report) -> None:
    """Require that every stage that is named is there, every one is used, and none needs itself."""
    stages: Mapping[str, BuildStage] | None = values.get("stages")
    if "stages" in values and stages is None:
        return
    stages = stages or {}
    whole = "steps" not in values or values.get("steps") is not None
    steps: tuple[Step, ...] = values.get("steps") or ()
    copies = [*_copies(steps), *(c for stage in stages.values() for c in _copies(stage.steps))]
    unknown = [copy for copy in copies if copy.stage not in stages]
    for copy in unknown:
        message = f"the recipe has no stage `{copy.stage}`"
        known = f"known are: {', '.join(map(shown, stages))}" if stages else "add it to `stages`"
        hint = did_you_mean(copy.stage, stages) or known
        report.error(_span(copy.named), "unknown-stage", message, hint=hint)
    if not unknown and _is_acyclic(stages, report) and whole:
        _all_used(stages, steps, report)


def _is_acyclic(stages: Mapping[str, BuildStage], report: Report) -> bool:
    sorter = TopologicalSorter({name: stages_of(stage.steps) for name, stage in stages.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        # graphlib: the second argument is the cycle, its first node also the last one.
        circle: list[str] = error.args[1][::-1]
        place = next(c.named for c in _copies(stages[circle[0]].steps) if c.stage == circle[1])
        message = f"the stages need each other: {' > '.join(circle)}"
        hint = "copy in one direction only"
        report.error(_span(place), "stage-cycle", message, hint=hint)
        return False
    return True


def _all_used(stages: Mapping[str, BuildStage], steps: tuple[Step, ...], report: Report) -> None:
    used: set[str] = set()
    pending = list(stages_of(steps))
    while pending:
        name = pending.pop()
        if name not in used:
            used.add(name)
            pending += stages_of(stages[name].steps)
    for name, stage in stages.items():
        if name not in used:
            message = f"nothing of the stage `{name}` gets into the image"
            hint = f"copy from it (`copy: {{from_stage: {name}, ...}}`), or take it out"
            report.error(_span(stage.place), "unused-stage", message, hint=hint)


def _copies(steps: Iterable[Step]) -> list[StageCopy]:
    return [step for step in steps if isinstance(step, StageCopy)]


def _span(place: SourcePlace) -> SourceSpan:
    return SourceSpan(place.line, place.column, place.length)
