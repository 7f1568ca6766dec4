"""What differs between two SBOMs: what came, what went, and what is of another version or licence.

Components are the same one where type and name are. Of several versions of one, those that both
sides have are the same; what is left over is paired in the order of its text.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from imagekit.documents.markdown import table
from imagekit.sbom.sbom_listing import ListedComponent, SbomListing

_UNKNOWN_STEP = "of an unknown step"


class DiffKind(StrEnum):
    """What became of a component."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class ComponentChange(Struct, frozen=True, kw_only=True):
    """One component that differs; at least one side is there."""

    before: ListedComponent | None = None
    after: ListedComponent | None = None

    @property
    def kind(self) -> DiffKind:
        """Whether it came, went or is another one."""
        if self.before is None:
            return DiffKind.ADDED
        return DiffKind.REMOVED if self.after is None else DiffKind.CHANGED

    @property
    def component(self) -> ListedComponent:
        """The newer side, or the one that went."""
        either = self.after or self.before
        if either is None:
            raise ValueError("a change has a side")
        return either

    @property
    def licensed_otherwise(self) -> bool:
        """Whether both sides are there, and their licences differ."""
        both = self.before is not None and self.after is not None
        return both and _licences(self.before) != _licences(self.after)


class SbomDiff(Struct, frozen=True, kw_only=True):
    """What differs between two SBOMs."""

    before: str
    after: str
    """What each is about."""
    changes: tuple[ComponentChange, ...]
    """By type, step and name."""

    @property
    def summary(self) -> str:
        """One line, such as ``2 added, 3 changed (1 of another licence)``."""
        kinds = [change.kind for change in self.changes]
        parts = [f"{kinds.count(kind)} {kind}" for kind in DiffKind if kind in kinds]
        licences = sum(change.licensed_otherwise for change in self.changes)
        told = f" ({licences} of another licence)" if licences else ""
        return f"{', '.join(parts)}{told}" if parts else "nothing changed"

    def groups(self) -> Iterator[tuple[str, list[ComponentChange]]]:
        """Yield the changes of each type and step, with what both are called."""
        groups: dict[str, list[ComponentChange]] = defaultdict(list)
        for change in self.changes:
            component = change.component
            groups[f"{component.type}, {component.step or _UNKNOWN_STEP}"].append(change)
        yield from groups.items()


def diff_sboms(before: SbomListing, after: SbomListing) -> SbomDiff:
    """Return what differs between two SBOMs."""
    old, new = _by_identity(before.components), _by_identity(after.components)
    changes = [
        change
        for identity in {*old, *new}
        for change in _changes(old.get(identity, []), new.get(identity, []))
    ]
    return SbomDiff(
        before=before.title, after=after.title, changes=tuple(sorted(changes, key=_order))
    )


def diff_text(diff: SbomDiff) -> str:
    """Return a diff for a person at a terminal."""
    lines = [f"{diff.before} -> {diff.after}: {diff.summary}"]
    for title, changes in diff.groups():
        lines += ["", title]
        lines += [_line(change) for change in changes]
    return "\n".join(lines)


def diff_markdown(diff: SbomDiff) -> str:
    """Return a diff as Markdown, for a release's page or a merge request."""
    heads = ["type", "step", "component", "before", "after", "licence"]
    rows = [
        [
            change.component.type,
            change.component.step,
            change.component.name,
            change.before.version or "there" if change.before else "",
            change.after.version or "there" if change.after else "",
            _licence_text(change),
        ]
        for change in diff.changes
    ]
    return "\n".join(
        [f"{diff.summary}.", "", *table(heads, rows)] if rows else ["Nothing changed."]
    )


def diff_document(diff: SbomDiff) -> dict[str, object]:
    """Return a diff as ``--json`` prints it."""
    return {
        "schema": 1,
        "before": diff.before,
        "after": diff.after,
        "summary": diff.summary,
        "changes": [
            {
                "kind": str(change.kind),
                "type": change.component.type,
                "step": change.component.step or None,
                "name": change.component.name,
                "before": _side(change.before),
                "after": _side(change.after),
            }
            for change in diff.changes
        ],
    }


def _by_identity(
    components: Iterable[ListedComponent],
) -> Mapping[tuple[str, str], list[ListedComponent]]:
    found: dict[tuple[str, str], list[ListedComponent]] = defaultdict(list)
    for component in components:
        found[component.type, component.name].append(component)
    return found


def _changes(
    before: Sequence[ListedComponent], after: Sequence[ListedComponent]
) -> Iterator[ComponentChange]:
    old, new = _without_common(before, after), _without_common(after, before)
    for left, right in zip(old, new, strict=False):
        yield ComponentChange(before=left, after=right)
    paired = min(len(old), len(new))
    yield from (ComponentChange(before=left) for left in old[paired:])
    yield from (ComponentChange(after=right) for right in new[paired:])


def _without_common(
    mine: Sequence[ListedComponent], others: Sequence[ListedComponent]
) -> list[ListedComponent]:
    """Return what the other side does not have, each as often as it has it less."""
    there: dict[object, int] = defaultdict(int)
    for other in others:
        there[_sameness(other)] += 1
    left = []
    for component in sorted(mine, key=_sameness):
        same = _sameness(component)
        there[same] -= 1
        if there[same] < 0:
            left.append(component)
    return left


def _sameness(component: ListedComponent) -> tuple[str, tuple[str, ...]]:
    return component.version, _licences(component)


def _licences(component: ListedComponent | None) -> tuple[str, ...]:
    return component.licences if component else ()


def _order(change: ComponentChange) -> tuple[str, ...]:
    component = change.component
    return (component.type, component.step, component.name, component.version)


def _line(change: ComponentChange) -> str:
    match change.kind:
        case DiffKind.CHANGED:
            sign, versions = "~", _moved(change)
        case kind:
            sign = "+" if kind is DiffKind.ADDED else "-"
            versions = change.component.version
    words = [sign, change.component.name, versions, _licence_text(change)]
    return f"  {'  '.join(filter(None, words))}"


def _moved(change: ComponentChange) -> str:
    versions = [side.version for side in (change.before, change.after) if side]
    return versions[0] if len(set(versions)) == 1 else " -> ".join(each or "?" for each in versions)


def _licence_text(change: ComponentChange) -> str:
    sides = [
        ", ".join(_licences(side)) or "none stated"
        for side in (change.before, change.after)
        if side is not None
    ]
    if change.licensed_otherwise:
        return f"licence: {' -> '.join(sides)}"
    return "" if change.kind is DiffKind.CHANGED else ", ".join(_licences(change.component))


def _side(component: ListedComponent | None) -> dict[str, object] | None:
    if component is None:
        return None
    return {"version": component.version, "licences": list(component.licences)}
