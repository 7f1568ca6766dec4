"""Show what holds without options, and which variable or file says it.

  imagekit config                  every setting that is said anywhere
  imagekit config files            where imagekit.toml is looked for, and what is there
  imagekit config trust            obey the imagekit.toml of this folder, as it is now

An option counts first, then the variable IMAGEKIT_*, then the nearest imagekit.toml in this folder
or above it, then the user's ($XDG_CONFIG_HOME/imagekit/imagekit.toml), then the system's
(/etc/imagekit/imagekit.toml). Paths in a file are relative to it. The nearest one may have come
with a `git clone`: what decides whom you trust, what signs and where images go is only obeyed from
there once you have said that you trust the file; when it changes, you are asked again.
IMAGEKIT_CONFIG=FILE names a file that takes its place, IMAGEKIT_CONFIG=/dev/null none.
docs/configuration.md has every key.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagekit.cli.console import Console
from imagekit.errors import InputError, UsageError

if TYPE_CHECKING:
    from imagekit.settings.settings import Setting, Settings

_VERBS = ("show", "files", "trust")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "verb", nargs="?", choices=_VERBS, default="show", help="what to do (default: show)"
    )
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="of trust: default is the nearest"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Show the settings, or their files, or trust one."""
    from imagekit.settings.settings import Settings

    if arguments.file is not None and arguments.verb != "trust":
        raise UsageError(f"{arguments.file} goes with `config trust` only", hint="leave it out")
    settings = Settings.here()
    if arguments.verb == "trust":
        _trust(arguments.file, settings, console)
    elif arguments.verb == "files":
        _show_files(settings, console)
    else:
        _show(settings, console)
    return 0


def _show(settings: "Settings", console: Console) -> None:
    from imagekit.settings.keys import KEYS

    rows: list[tuple[str, str, str]] = []
    documents: list[dict[str, object]] = []
    for key in KEYS:
        found, fault = _found(settings, key.name)
        if found is None and not fault:
            continue
        values = [] if found is None else _texts(found.value)
        rows.append((key.name, ", ".join(values) or "-", fault or (found.where if found else "")))
        documents.append(
            {
                "key": key.name,
                "values": values,
                "source": found.source if found is not None else "",
                "line": found.line if found is not None else 0,
                "fault": fault,
            }
        )
    text = _table(rows) or "nothing is set: see imagekit config files"
    console.result(text, {"schema": 1, "settings": documents})


def _found(settings: "Settings", name: str) -> "tuple[Setting | None, str]":
    """Return a setting, or why a command that needs it would end."""
    try:
        return settings.find(name), ""
    except InputError as error:
        if error.code != "config/not-trusted":
            raise
        return None, f"not obeyed: {error.message}"


def _show_files(settings: "Settings", console: Console) -> None:
    from imagekit.settings.config_files import places
    from imagekit.settings.settings import read_file

    rows: list[tuple[str, str, str]] = []
    documents: list[dict[str, object]] = []
    for place in places(settings.env, settings.folder):
        try:
            file = read_file(place, settings.env)
        except InputError as error:
            status, detail = "refused", error.message
        else:
            status = "absent" if file is None else ("used" if file.trusted else "not trusted")
            detail = ", ".join(file.entries) if file is not None else ""
        rows.append((str(place.path), status, detail))
        documents.append(
            {"path": str(place.path), "kind": place.kind, "status": status, "detail": detail}
        )
    console.result(_table(rows), {"schema": 1, "files": documents})


def _trust(file: Path | None, settings: "Settings", console: Console) -> None:
    from imagekit.settings.config_files import Place, places, read_place
    from imagekit.settings.document import read_settings
    from imagekit.settings.keys import FILE_NAME
    from imagekit.settings.trust import trust

    near = places({**settings.env, "IMAGEKIT_CONFIG": ""}, settings.folder)[0]
    place = near if file is None else Place(path=file.absolute(), kind="folder")
    raw = read_place(place)
    if place.kind != "folder" or raw is None:
        raise InputError(
            f"there is no {FILE_NAME} to trust in this folder or above it"
            if file is None
            else f"{file} is not there",
            hint="the user's and the system's are trusted as they are",
            code="config/not-found",
        )
    # What is trusted is what was read, and shown.
    entries = read_settings(raw, place.path)
    trust(place.path, raw, settings.env)
    document = {name: _texts(entry.value) for name, entry in entries.items()}
    rows = [(name, ", ".join(values), "") for name, values in document.items()]
    console.note(f"trusted as it is now: {place.path}")
    console.result(
        _table(rows) or "it sets nothing",
        {"schema": 1, "trusted": str(place.path), "settings": document},
    )


def _texts(value: Any) -> list[str]:
    """Return a value, or each of several, as text."""
    if isinstance(value, bool):
        return [str(value).lower()]
    return [str(part) for part in value] if isinstance(value, tuple) else [str(value)]


def _table(rows: Sequence[tuple[str, str, str]]) -> str:
    first, second = (max((len(row[n]) for row in rows), default=0) for n in (0, 1))
    return "\n".join(f"{a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in rows)
