"""What differs between two locks, as a person reviews it."""

from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from imagekit.documents.markdown import table
from imagekit.documents.quantity import count
from imagekit.lock.lock import Lock, LockedPlatform, LockedTree
from imagekit.oci.digest import Digest


class ChangeKind(StrEnum):
    """What became of something that is locked."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class LockChange(Struct, frozen=True, kw_only=True):
    """One thing that differs."""

    platform: str
    stage: str = ""
    """Empty for the image itself."""
    what: str
    """``deb``, ``wheel``, ``file``, ``base``, ``archive`` or ``source date``."""
    name: str
    before: str = ""
    after: str = ""

    @property
    def kind(self) -> ChangeKind:
        """Whether it came, went or is another one."""
        if not self.before:
            return ChangeKind.ADDED
        return ChangeKind.CHANGED if self.after else ChangeKind.REMOVED


_Fact = tuple[str, Digest | None]
"""What is shown of a thing, and what it is."""
_Facts = dict[tuple[str, str, str], _Fact]
"""By stage, kind of thing and name."""


def changes(before: Lock | None, after: Lock | None) -> tuple[LockChange, ...]:
    """Return what differs between two locks, packages by name.

    Args:
        before: the older one; None where there was none.
        after: the newer one; None where there is none any more.
    """
    old, new = (lock.platforms if lock is not None else {} for lock in (before, after))
    found = [
        change
        for platform in sorted({*old, *new})
        for change in _platform_changes(platform, old.get(platform), new.get(platform))
    ]
    return (*_date_change(before, after), *found)


def package_changes(before: Lock | None, after: Lock | None) -> tuple[LockChange, ...]:
    """Return what differs without what is no part of an image: the state of archives."""
    return tuple(change for change in changes(before, after) if change.what != "archive")


def summary(found: Sequence[LockChange]) -> str:
    """Return how many things came, went and moved."""
    if not found:
        return "nothing changed"
    kinds = [change.kind for change in found]
    shown = [kind for kind in ChangeKind if kind in kinds]
    return ", ".join(f"{count(kinds.count(k), 'entry', 'entries')} {k}" for k in shown)


def markdown(found: Sequence[LockChange]) -> str:
    """Return a table in Markdown, for the text of a merge request."""
    if not found:
        return "Nothing changed."
    rows = [
        [f"{each.platform} {each.stage}".strip(), each.what, each.name, each.before, each.after]
        for each in found
    ]
    return "\n".join(table(["where", "what", "name", "before", "after"], rows))


def _date_change(before: Lock | None, after: Lock | None) -> Iterator[LockChange]:
    dates = ["" if lock is None else str(lock.source_date) for lock in (before, after)]
    if before is not None and after is not None and dates[0] != dates[1]:
        yield LockChange(
            platform="", what="source date", name="image", before=dates[0], after=dates[1]
        )


def _platform_changes(
    platform: str, before: LockedPlatform | None, after: LockedPlatform | None
) -> Iterator[LockChange]:
    old, new = ({} if lock is None else _facts(lock) for lock in (before, after))
    for key in sorted({*old, *new}):
        first, second = old.get(key), new.get(key)
        if first != second:
            stage, what, name = key
            # Another file of the same version is told by its digest.
            whole = first is not None and second is not None and first[0] == second[0]
            texts = [_shown(fact, whole=whole) for fact in (first, second)]
            yield LockChange(
                platform=platform,
                stage=stage,
                what=what,
                name=name,
                before=texts[0],
                after=texts[1],
            )


def _shown(fact: _Fact | None, *, whole: bool) -> str:
    if fact is None:
        return ""
    text, digest = fact
    return text if digest is None or not whole else f"{text} ({digest.short})".strip()


def _facts(platform: LockedPlatform) -> _Facts:
    facts: _Facts = {}
    for archive in platform.archives:
        facts["", "archive", f"{archive.name} {archive.suite}"] = (archive.release.short, None)
    for stage, tree in {"": platform.image, **platform.stages}.items():
        facts |= {(stage, what, name): fact for what, name, fact in _tree_facts(tree)}
    return facts


def _tree_facts(tree: LockedTree) -> Iterator[tuple[str, str, _Fact]]:
    if tree.base:
        yield "base", "base", (tree.base, tree.image)
    if tree.lock is not None:
        yield "base", "its lock", (tree.lock.short, tree.lock)
    for deb in (*tree.bootstrap, *(deb for entry in tree.installs for deb in entry.debs)):
        yield "deb", f"{deb.name}:{deb.architecture}", (deb.version, deb.sha256)
    for wheel in (wheel for entry in tree.installs for wheel in entry.wheels):
        yield "wheel", wheel.name, (wheel.version, wheel.sha256)
    for file in tree.files:
        yield "file", file.url, (file.digest.short, file.digest)
