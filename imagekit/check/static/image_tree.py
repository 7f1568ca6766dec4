"""An image as the static checks see it: its files, what was read of them, its configuration."""

from collections.abc import Iterator, Mapping
from functools import cached_property

from msgspec import Struct

from imagekit.check.image_files import LOOP, ImageFile, ImageFiles
from imagekit.check.static.dynamic_object import DynamicObject
from imagekit.check.static.examined import Examined
from imagekit.oci.tar import EntryKind
from imagekit.oci.types import ImageConfig

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What runtimes set where the image says nothing."""
_MACHINES = {
    "386": (3,),
    "amd64": (62, 3),
    "arm": (40,),
    "arm64": (183, 40),
    "ppc64le": (21,),
    "riscv64": (243,),
    "s390x": (22,),
}
"""Of each architecture (Go's GOARCH) the machines of ELF that it runs."""


class ImageTree(Struct, kw_only=True, dict=True):
    """All of an image; paths have no slash in front."""

    files: ImageFiles
    examined: Examined
    config: ImageConfig

    @cached_property
    def regular(self) -> Mapping[str, ImageFile]:
        """All regular files."""
        listed = self.files.files.items()
        return {path: file for path, file in listed if file.kind is EntryKind.FILE}

    @cached_property
    def objects(self) -> Mapping[str, DynamicObject]:
        """All programs and libraries, by path."""
        objects = self.examined.objects
        found = ((path, objects.get(_key(file))) for path, file in self.regular.items())
        return {path: known for path, known in found if known is not None}

    @cached_property
    def env(self) -> Mapping[str, str]:
        """The image's variables."""
        return {name: value for name, _, value in (v.partition("=") for v in self.config.env)}

    @cached_property
    def machines(self) -> tuple[int, ...]:
        """The machines of ELF that the image's platform runs; none where that is not known."""
        return _MACHINES.get(self.config.platform.architecture, ())

    @cached_property
    def search_path(self) -> tuple[str, ...]:
        """The folders of PATH."""
        folders = self.env.get("PATH", DEFAULT_PATH).split(":")
        return tuple(folder.strip("/") for folder in folders if folder.startswith("/"))

    @cached_property
    def _folders(self) -> dict[str, str]:
        return {}

    def real(self, path: str) -> str:
        """Return where a path leads, links followed; what is not there keeps its name."""
        folder, _, name = path.strip("/").rpartition("/")
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = self.files.resolved(folder)
        place = f"{known}/{name}" if known else name
        file = self.files.files.get(place)
        if name in {"", ".", ".."} or (file is not None and file.kind is EntryKind.SYMLINK):
            return self.files.resolved(path)
        return place

    def find(self, path: str) -> ImageFile | None:
        """Return what a path leads to, links followed; None where nothing is."""
        return self.files.files.get(self.real(path))

    def is_folder(self, path: str) -> bool:
        """Return whether a path leads to a folder."""
        file = self.find(path)
        return file is not None and file.kind is EntryKind.FOLDER

    def is_loop(self, path: str) -> bool:
        """Return whether links lead from one to another without an end."""
        return self.files.resolved(path) == LOOP

    def object_at(self, path: str) -> DynamicObject | None:
        """Return the program or library that a path leads to."""
        return self.objects.get(self.real(path))

    def script_at(self, path: str) -> str | None:
        """Return the first line of the script at a path, which is no link."""
        file = self.regular.get(path)
        return None if file is None else self.examined.scripts.get(_key(file))

    def text(self, path: str) -> str:
        """Return what a file holds that is read; nothing where it is not there."""
        file = self.find(path)
        raw = None if file is None else self.examined.texts.get(_key(file))
        return "" if raw is None else raw.decode("utf-8", "replace")

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield path and content of each file that is read."""
        for path, file in self.regular.items():
            raw = self.examined.texts.get(_key(file))
            if raw is not None:
                yield path, raw.decode("utf-8", "replace")

    def command(self, name: str) -> str:
        """Return where a command lies: by its path, or in a folder of PATH; nothing for nowhere."""
        places = (name,) if "/" in name else (f"{folder}/{name}" for folder in self.search_path)
        for place in places:
            file = self.find(place)
            if file is not None and file.kind is EntryKind.FILE and file.mode & 0o111:
                return self.real(place)
        return ""


def _key(file: ImageFile) -> tuple[int, str]:
    return file.layer, file.source
