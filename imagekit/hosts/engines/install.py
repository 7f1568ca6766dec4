"""Engines that ask the gate: ``imagekit trust install``, ``show`` and ``remove``.

Every change is recorded before it is made, with the bytes that were there, so that ``remove`` can
undo it after a crash too.
"""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Literal

from msgspec import Struct

from imagekit.errors import InputError
from imagekit.hosts.engines import pull
from imagekit.hosts.engines.engine import Installed, PlanRemark, SystemFile
from imagekit.hosts.engines.installed import installed_bytes, parse_installed
from imagekit.hosts.engines.plan_files import DAEMON, Wish, plan
from imagekit.hosts.engines.pull import Pull
from imagekit.hosts.hostfiles import HostFiles
from imagekit.oci.digest import Digest

State = Literal["installed", "changed", "missing"]


class Change(Struct, frozen=True, kw_only=True):
    """One file that is written, restored or removed."""

    path: PurePosixPath
    before: bytes | None
    after: bytes | None
    """None where the file is removed."""
    why: str = ""

    @property
    def verb(self) -> str:
        """What happens to the file."""
        if self.after is None:
            return "remove"
        return "create" if self.before is None else "change"

    def diff(self) -> str:
        """Return the change as a unified diff."""
        old, new = (
            "/dev/null" if raw is None else str(self.path) for raw in (self.before, self.after)
        )
        return "".join(difflib.unified_diff(_lines(self.before), _lines(self.after), old, new))


class Installation(Struct, frozen=True, kw_only=True):
    """What was changed, or would be, with remarks."""

    changes: tuple[Change, ...]
    remarks: tuple[PlanRemark, ...] = ()


class InstalledState(Struct, frozen=True, kw_only=True):
    """One installed file and its state now."""

    file: Installed
    state: State


def install(wish: Wish, files: HostFiles, *, dry_run: bool = False) -> Installation:
    """Write the files that send this host's engines to the gate; a second time does nothing.

    Args:
        wish: the gate, the engines, and what else is wanted.
        files: the host's files.
        dry_run: change nothing, and return what would change.

    Raises:
        InputError: a file that is to be kept cannot be read.
        ToolError: a file cannot be written.
    """
    recorded = _recorded(files)
    planned = plan(wish, _originals(files, recorded), files.places)
    old = {file.path: file for file in recorded}
    wanted = {file.path: file for file in planned.files}
    changes = [
        *(_written(files, file) for file in planned.files),
        *(_undone(files, file, force=False) for file in recorded if file.path not in wanted),
    ]
    real = tuple(change for change in changes if change.before != change.after)
    if not dry_run and (real or set(old) != set(wanted)):
        entries = [_entry(files, file, old.get(file.path)) for file in planned.files]
        # Until all is done the record has also what is being undone.
        leaving = [file for file in recorded if file.path not in wanted]
        files.write(files.places.record, installed_bytes([*entries, *leaving]))
        _apply(files, real)
        files.write(files.places.record, installed_bytes(entries))
    return Installation(changes=real, remarks=planned.remarks)


def remove(files: HostFiles, *, force: bool = False, dry_run: bool = False) -> Installation:
    """Undo what was installed: files that were there before are restored.

    Args:
        files: the host's files.
        force: also where a file was changed since.
        dry_run: change nothing, and return what would change.

    Raises:
        InputError: a file was changed since, and ``force`` was not given.
    """
    recorded = _recorded(files)
    changes = tuple(_undone(files, file, force=force) for file in recorded)
    real = tuple(change for change in changes if change.before != change.after)
    if not dry_run and recorded:
        _apply(files, real)
        files.remove(files.places.record)
        for file in recorded:
            if file.before is not None:
                files.forget(file.before)
    return Installation(changes=real)


def show(files: HostFiles) -> tuple[InstalledState, ...]:
    """Return what is installed, and whether it is still as it was written."""
    return tuple(InstalledState(file=file, state=_state(files, file)) for file in _recorded(files))


def _state(files: HostFiles, file: Installed) -> State:
    raw = files.read(file.path)
    if raw is None:
        return "missing"
    return "installed" if Digest.of(raw) == file.digest else "changed"


def _recorded(files: HostFiles) -> tuple[Installed, ...]:
    raw = files.read(files.places.record)
    return () if raw is None else parse_installed(raw, what=str(files.places.record))


def _originals(files: HostFiles, recorded: Iterable[Installed]) -> Mapping[PurePosixPath, bytes]:
    """Return the shared files as their owners wrote them."""
    raw = files.read(DAEMON)
    for file in recorded:
        if file.path == DAEMON and raw is not None and Digest.of(raw) == file.digest:
            raw = files.kept(file.before) if file.before is not None else None
    return {} if raw is None else {DAEMON: raw}


def _written(files: HostFiles, file: SystemFile) -> Change:
    return Change(path=file.path, before=files.read(file.path), after=file.content, why=file.why)


def _undone(files: HostFiles, file: Installed, *, force: bool) -> Change:
    """Return the change that undoes a file.

    Raises:
        InputError: it was changed since.
    """
    now = files.read(file.path)
    untouched = now is None or Digest.of(now) in {file.digest, file.before}
    if not untouched and not force:
        raise InputError(
            f"{file.path} was changed since it was installed",
            hint="undo what was changed, or use --force to lose it",
            code="CHANGED_SINCE",
        )
    before = files.kept(file.before) if file.before is not None else None
    return Change(path=file.path, before=now, after=before, why="as it was before")


def _entry(files: HostFiles, file: SystemFile, old: Installed | None) -> Installed:
    """Return the file's record; what was there before the first installation is kept."""
    digest = Digest.of(file.content)
    if old is not None:
        return Installed(path=file.path, digest=digest, before=old.before)
    now = files.read(file.path)
    before = None if now is None else files.keep(now)
    return Installed(path=file.path, digest=digest, before=before)


def _apply(files: HostFiles, changes: Iterable[Change]) -> None:
    for change in changes:
        if change.after is None:
            files.remove(change.path)
        else:
            files.write(change.path, change.after)


def _lines(raw: bytes | None) -> list[str]:
    text = "" if raw is None else raw.decode("utf-8", "replace")
    return [line if line.endswith("\n") else f"{line}\n" for line in text.splitlines(keepends=True)]


class Try(Struct, frozen=True, kw_only=True):
    """What one engine did with an image that is to be pulled and one that is to be refused."""

    engine: str
    good: Pull
    bad: Pull

    @property
    def right(self) -> bool:
        """Whether it pulled the good image and refused the bad one."""
        return self.good.pulled and not self.bad.pulled


def try_engines(good: str, bad: str) -> tuple[Try, ...]:
    """Have every engine that can pull here pull both images; nothing of them stays.

    Args:
        good: an image that the policy allows.
        bad: one that it refuses.
    """
    return tuple(
        Try(engine=engine, good=pull.pull(engine, good), bad=pull.pull(engine, bad))
        for engine in pull.pullers()
    )
