"""What holds of each setting, and where it comes from.

An option of the command line comes before all of it. Nothing is read before a setting is asked for,
and no more than is needed to answer.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from imagekit.errors import InputError
from imagekit.settings.config_files import NONE, VARIABLE, Place, places, read_place
from imagekit.settings.keys import BY_NAME, KEYS

if TYPE_CHECKING:
    from imagekit.settings.document import Entries


class Setting(Struct, frozen=True, kw_only=True):
    """A setting, and the variable or file that it comes from."""

    value: Any
    source: str
    line: int = 0
    """In the file; 0 where it comes from a variable."""

    @property
    def where(self) -> str:
        """The source, as it is shown."""
        return f"{self.source}:{self.line}" if self.line else self.source


class SettingsFile(Struct, frozen=True, kw_only=True):
    """A file that was read."""

    place: Place
    entries: "Entries"
    trusted: bool
    """Whether all of it is obeyed, and not only what decides nothing."""

    def obeyed(self, name: str) -> bool:
        """Return whether a setting of this file is obeyed."""
        if self.trusted or not BY_NAME[name].free:
            return self.trusted
        inside = os.path.realpath(self.entries[name].value)
        root = os.path.realpath(self.place.path.parent)
        return Path(inside).is_relative_to(root)


class Settings(Struct, kw_only=True):
    """The settings of one command; each file is read once."""

    env: Mapping[str, str]
    folder: Path | None
    root: Path = Path("/")
    _files: list[SettingsFile] = field(default_factory=list)
    _places: list[Place] | None = None

    @classmethod
    def here(cls) -> "Settings":
        """Return those of this process, in its working folder."""
        try:
            folder = Path.cwd()
        except OSError:
            folder = None
        return cls(env=os.environ, folder=folder)

    def find(self, name: str) -> Setting | None:
        """Return a setting; None where nothing says it.

        Raises:
            InputError: the source that says it is malformed, somebody else's, or not trusted.
        """
        group = BY_NAME[name].group
        names = [key.name for key in KEYS if key.name == name or (group and key.group == group)]
        # Of what excludes each other the nearest source that says any of it says all of it.
        if any(self.env.get(BY_NAME[other].variable) for other in names):
            return self._of_variable(name)
        for file in self.files():
            said = [other for other in names if other in file.entries]
            for other in said:
                if not file.obeyed(other):
                    raise _not_trusted(file, other)
            if said:
                return _of_file(file, name)
        return None

    def files(self) -> Iterator[SettingsFile]:
        """Yield the files that are there, in the order in which they count.

        Raises:
            InputError: one is malformed, or somebody else's.
        """
        yield from self._files
        if self._places is None:
            self._places = places(self.env, self.folder, self.root)
        while self._places:
            file = read_file(self._places[0], self.env)
            del self._places[0]
            if file is not None:
                self._files.append(file)
                yield file

    def _of_variable(self, name: str) -> Setting | None:
        variable = BY_NAME[name].variable
        text = self.env.get(variable, "")
        if not text:
            return None
        from imagekit.settings.document import read_variable

        return Setting(value=read_variable(name, text), source=variable)


def read_file(place: Place, env: Mapping[str, str]) -> SettingsFile | None:
    """Return the file at a place; None where there is none.

    Raises:
        InputError: it is malformed, or somebody else's.
    """
    raw = read_place(place)
    if raw is None:
        return None
    from imagekit.settings.document import read_settings
    from imagekit.settings.trust import is_trusted

    entries = read_settings(raw, place.path)
    trusted = not place.needs_trust or is_trusted(place.path, raw, env)
    return SettingsFile(place=place, entries=entries, trusted=trusted)


def _of_file(file: SettingsFile, name: str) -> Setting | None:
    entry = file.entries.get(name)
    if entry is None:
        return None
    return Setting(value=entry.value, source=str(file.place.path), line=entry.line)


def _not_trusted(file: SettingsFile, name: str) -> InputError:
    path, line = file.place.path, file.entries[name].line
    return InputError(
        f"{path}:{line} sets `{name}`, and you have not said yet that you trust this file",
        hint=f"read it, then: imagekit config trust {path}; or leave it out: {VARIABLE}={NONE}",
        code="config/not-trusted",
    )
