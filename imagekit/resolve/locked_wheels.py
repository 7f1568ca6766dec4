"""Which wheels an image takes, where its Python is one of Debian's that is locked itself."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from imagekit.build.tools.wheel_download import download_wheels
from imagekit.build.wheels import ImagePython, applying, platforms
from imagekit.errors import BuildError
from imagekit.lock.lock import LockedWheel
from imagekit.oci.digest import Digest
from imagekit.oci.types import Platform
from imagekit.process import Runner
from imagekit.resolve.dpkg_status import DpkgStatus

_MACHINES: Mapping[str, str] = {"amd64": "x86_64", "arm64": "aarch64"}
_UPSTREAM = re.compile(r"(?:[0-9]+:)?([0-9]+(?:\.[0-9]+)+)(?:[-+].*)?")


def debian_python(status: DpkgStatus, platform: Platform) -> ImagePython | None:
    """Return the Python of a Debian system that was never started; None where it has none.

    Args:
        status: what is installed.
        platform: what it is for.
    """
    minor = ".".join(_upstream(status.version("python3")).split(".")[:2])
    version = _upstream(status.version(f"python{minor}")) if minor else ""
    libc = ".".join(_upstream(status.version("libc6")).split(".")[:2])
    machine = _MACHINES.get(platform.architecture)
    if not re.fullmatch(r"3\.[0-9]{1,3}\.[0-9]{1,3}", version) or not libc or machine is None:
        return None
    return ImagePython(
        version=version,
        abi=f"cp{minor.replace('.', '')}",
        platforms=platforms(f"glibc {libc}", machine),
        markers={
            "implementation_name": "cpython",
            "implementation_version": version,
            "os_name": "posix",
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            # Of the kernel, on which no package of an image should depend.
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": version,
            "python_version": minor,
            "sys_platform": "linux",
        },
    )


def locked_wheels(
    runner: Runner, requirements: Sequence[str], python: ImagePython
) -> tuple[LockedWheel, ...]:
    """Return the wheels that pip takes for pins with hashes.

    Args:
        runner: runs pip.
        requirements: as recipes have them.
        python: the image's.

    Raises:
        BuildError: there is no such wheel, or its bytes are others.
    """
    wanted = applying(requirements, python)
    with TemporaryDirectory(prefix="imagekit-wheels-") as name:
        folder = Path(name)
        (folder / "wheels").mkdir()
        if wanted:
            download_wheels(runner, wanted, python, folder=folder)
        return tuple(_wheel(path) for path in sorted((folder / "wheels").iterdir()))


def _wheel(path: Path) -> LockedWheel:
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise BuildError(
            f"pip downloaded {path.name[:100]!r}, which is no wheel", code="lock/not-resolved"
        ) from error
    with path.open("rb") as file:
        digest = Digest("sha256", hashlib.file_digest(file, "sha256").hexdigest())
    return LockedWheel(
        name=str(name),
        version=str(version),
        file=path.name,
        sha256=digest,
        size=path.stat().st_size,
    )


def _upstream(version: str) -> str:
    """Return the numbers of a Debian version (deb-version(7)); empty where it has others."""
    found = _UPSTREAM.fullmatch(version)
    return found[1] if found else ""
