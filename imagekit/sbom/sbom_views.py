"""Ways to look at what an SBOM lists: as rows, by licence, by origin, as a tree of needs."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from imagekit.documents.quantity import count
from imagekit.sbom.sbom_listing import ListedComponent, SbomListing

NO_LICENCE = "no licence stated"
UNKNOWN_ORIGIN = "unknown"
_MAX_INDENT = 60
HEADS = ("type", "name", "version", "licence", "origin")


def rows(sbom: SbomListing) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each component, in the order of ``HEADS``."""
    for each in sbom.components:
        yield each.type, each.name, each.version, ", ".join(each.licences), each.step


def by_licence(sbom: SbomListing) -> dict[str, list[ListedComponent]]:
    """Return the components under each licence; one of several licences stands under each."""
    return _grouped(sbom, lambda each: each.licences or (NO_LICENCE,))


def by_origin(sbom: SbomListing) -> dict[str, list[ListedComponent]]:
    """Return the components of each part of the recipe and type, such as ``packages, deb``."""
    return _grouped(sbom, lambda each: (f"{each.step or UNKNOWN_ORIGIN}, {each.type}",))


def group_lines(groups: dict[str, list[ListedComponent]]) -> Iterator[str]:
    """Yield groups as text, the largest first."""
    for title, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        yield f"{title}: {count(len(members), 'component')}"
        yield from (f"  {_called(each)}" for each in members)


def tree_lines(sbom: SbomListing) -> Iterator[str]:
    """Yield what needs what: first what nothing needs, and each with its own needs only once."""
    by_ref = {each.ref: each for each in sbom.components if each.ref}
    needed = {ref for each in sbom.components for ref in each.depends if ref != each.ref}
    shown: set[int] = set()
    tops = [each for each in sbom.components if each.ref not in needed]
    for top in tops:
        yield from _branch(top, by_ref, shown)
    # What needs each other has no top.
    for each in sbom.components:
        if id(each) not in shown:
            yield from _branch(each, by_ref, shown)


def _branch(
    top: ListedComponent, by_ref: dict[str, ListedComponent], shown: set[int]
) -> Iterator[str]:
    # A list and no recursion: a hostile chain has any length.
    pending = [(top, 0)]
    while pending:
        component, depth = pending.pop()
        below = [by_ref[ref] for ref in sorted(set(component.depends)) if ref in by_ref]
        again = id(component) in shown and bool(below)
        yield f"{'  ' * min(depth, _MAX_INDENT)}{_called(component)}{'  (above)' if again else ''}"
        if id(component) not in shown:
            shown.add(id(component))
            pending += [(each, depth + 1) for each in reversed(below)]


def _grouped(
    sbom: SbomListing, keys: Callable[[ListedComponent], Sequence[str]]
) -> dict[str, list[ListedComponent]]:
    groups: dict[str, list[ListedComponent]] = defaultdict(list)
    for each in sbom.components:
        for key in keys(each):
            groups[key].append(each)
    return dict(groups)


def _called(component: ListedComponent) -> str:
    return f"{component.name} {component.version}".rstrip()
