"""What the caller of ``imagekit run`` chooses for the container, whichever engine runs it.

The verdict is about the bytes of one image. What would have other bytes run in their place is
refused; a volume over a folder of the image, and less isolation, are the caller's to choose, and
are said.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from imagekit.errors import UsageError
from imagekit.paths import plain

REFUSED = "run/refused-option"
"""The code of every refusal."""
_GPU = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?")
"""A device's name in CDI (container-device-interface SPEC.md, Kinds and names)."""
_GPU_KIND = "nvidia.com/gpu"
_MOST_PARTS = 3
_SYSTEM = frozenset({"bin", "etc", "lib", "lib32", "lib64", "libx32", "opt", "sbin", "usr"})
"""Folders from which programs, libraries and their settings are read."""


class RunOptions(Struct, frozen=True, kw_only=True):
    """The options of the container, in Podman's words."""

    volumes: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    """``NAME=VALUE``, or ``NAME`` for the caller's own value."""
    workdir: str = ""
    devices: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    """``all``, or names of devices."""
    user: str = ""
    entrypoint: str | None = None
    """What takes the place of the image's entrypoint; empty for none."""
    userns: str = ""
    host_processes: bool = False
    """Whether the container shares the host's process numbers."""
    descriptor: int | None = None
    """An open descriptor of this process, which is the container's descriptor 3."""
    home: Path | None = None
    """The folder that is mounted under its own path, and is HOME; None for none."""

    def check(self) -> None:
        """Refuse what would have other bytes run than the verdict is about.

        Raises:
            UsageError: an option would, or is malformed (code ``run/refused-option``).
            InputError: an engine would take the home's path for something else.
        """
        for volume in self.all_volumes:
            refuse_root(volume_target(volume), f"--volume {volume}")
        for name in self.gpus:
            if not _GPU.fullmatch(name):
                raise UsageError(
                    f"--gpus {name!a} is no name of a device",
                    hint="--gpus all, or --gpus 0,1; other kinds by --device VENDOR/CLASS=NAME",
                    code=REFUSED,
                )

    @property
    def all_volumes(self) -> tuple[str, ...]:
        """The volumes, that of the home included."""
        if self.home is None:
            return self.volumes
        home = plain(self.home, "the home")
        return (f"{home}:{home}", *self.volumes)

    @property
    def all_env(self) -> tuple[str, ...]:
        """The variables, HOME included; one that was chosen comes after it."""
        return self.env if self.home is None else (f"HOME={self.home}", *self.env)

    @property
    def all_devices(self) -> tuple[str, ...]:
        """The devices, those of CDI included."""
        return (*self.devices, *(f"{_GPU_KIND}={name}" for name in self.gpus))

    def remarks(self) -> Iterator[str]:
        """Yield what the caller should know: what of the image is covered."""
        covered = [target for volume in self.all_volumes if covers(target := volume_target(volume))]
        if covered:
            yield f"volumes cover {', '.join(covered)}: what runs from there was not judged"


def volume_target(volume: str) -> str:
    """Return where in the container a volume is mounted, without detours.

    Raises:
        UsageError: it is no ``SOURCE:TARGET[:OPTIONS]`` and no ``TARGET``.
    """
    parts = volume.split(":")
    target = parts[1] if len(parts) > 1 else parts[0]
    if len(parts) > _MOST_PARTS or not target.startswith("/"):
        raise UsageError(
            f"--volume {volume!a} has no path in the container",
            hint="-v HOST:CONTAINER[:ro]; it is --volume here, and --verbose has no short form",
            code=REFUSED,
        )
    return direct(target)


def direct(target: str) -> str:
    """Return a path in the container without detours: ``//`` and ``/x/..`` are the root."""
    return "/" + posixpath.normpath(target).lstrip("/")


def refuse_root(target: str, option: str) -> None:
    """Refuse what is mounted over the whole image.

    Raises:
        UsageError: it is.
    """
    if target == "/":
        raise UsageError(
            f"{option} covers the whole image: nothing of what was verified would run",
            hint="mount it below a folder of its own, such as /data",
            code=REFUSED,
        )


def covers(target: str) -> bool:
    """Return whether programs, libraries or their settings are read from a path."""
    return target.split("/")[1] in _SYSTEM
