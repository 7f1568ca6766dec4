"""Which wheels an image's own Python takes: it is run and reports that itself.

A wheel for an older C library runs on a newer one (PEP 600, PEP 656): every tag from the image's
own version of glibc or musl downwards is taken.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement

from imagekit.errors import BuildError

_COMPILE = "`uv pip compile --generate-hashes --python-version {short} --only-binary :all:`"
# pip tells these in words alone.
_FAULTS = (
    (
        re.compile(r"ERROR: No matching distribution found for (\S+)"),
        "{pin} has no wheel for {where}; it may come as source only, and no source is built here",
        f"pin a version that has wheels ({_COMPILE} takes no other), or compile it by a step",
    ),
    (
        re.compile(r" {4}(\S+) from \S+"),
        "{pin}: what the index has is none of the files that its hashes are of",
        f"find out why before you trust it; {_COMPILE} writes the hashes that hold now",
    ),
)


class ImagePython(Struct, frozen=True, kw_only=True):
    """Which wheels a CPython takes, and the values of its environment markers."""

    version: str
    """Three numbers: ``3.11.2``."""
    abi: str
    """``cp311``, or ``cp313t`` without a global lock."""
    platforms: tuple[str, ...]
    """Platform tags of wheels, the best first."""
    markers: Mapping[str, str]
    """The values of environment markers (PEP 508, Environment Markers)."""


PROBE = """
import glob, json, os, platform, struct, subprocess, sys, sysconfig
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION")
except (AttributeError, OSError, ValueError):
    libc = None
if not libc:
    for loader in sorted(glob.glob("/lib/ld-musl-*.so.1")):
        said = subprocess.run([loader], stderr=subprocess.PIPE).stderr.decode("ascii", "replace")
        libc = "musl " + said.partition("Version ")[2].partition("\\n")[0]
full = sys.version_info
number = "%d.%d.%d" % full[:3]
implementation = sys.implementation.name
kind = full.releaselevel
print(json.dumps({
    "implementation": implementation,
    "version": number,
    "threads": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "machine": platform.machine(),
    "bits": struct.calcsize("P") * 8,
    "libc": libc or "",
    "markers": {
        "implementation_name": implementation,
        "implementation_version": number if kind == "final" else number + kind[0] + str(full[4]),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": "%d.%d" % full[:2],
        "sys_platform": sys.platform,
    },
}))
"""
"""What the image's Python runs: it prints what it is, in one line of JSON."""

_MARKERS = frozenset(
    {
        "implementation_name", "implementation_version", "os_name", "platform_machine",
        "platform_python_implementation", "platform_release", "platform_system",
        "platform_version", "python_full_version", "python_version", "sys_platform",
    }
)  # fmt: skip
_VERSION = re.compile(r"3\.[0-9]{1,3}\.[0-9]{1,3}")
_LIBC = re.compile(r"(glibc|musl) ([0-9]{1,2})\.([0-9]{1,3})(?:\.[0-9]{1,3})?")
_MACHINE = re.compile(r"[a-z0-9_]{1,20}")
_LONGEST = 300
_WIDE = 64
"""Bits of a pointer where the machine's name is that of the Python too."""
# Of a 32-bit Python under a 64-bit kernel the machine is the kernel's.
_NARROW = {"x86_64": "i686", "aarch64": "armv7l", "armv8l": "armv7l"}
# PEP 600, Legacy manylinux tags: the older names of three of its tags.
_OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST, _OLDEST_X86 = 17, 5
_GLIBC_MAJOR, _MUSL_MAJOR = 2, 1


def image_python(output: str) -> ImagePython:
    """Return what the image's Python reported about itself.

    Args:
        output: what ``PROBE`` printed, maybe among other lines; the image may be hostile.

    Raises:
        BuildError: it is no CPython that wheels are made for, or its report is malformed.
    """
    line = next((text for text in reversed(output.splitlines()) if text.startswith("{")), "")
    try:
        answer = json.loads(line)
        markers = {str(key): str(value)[:_LONGEST] for key, value in answer["markers"].items()}
        facts = {key: str(answer[key]) for key in ("implementation", "version", "machine", "libc")}
        wide, threads = answer["bits"] == _WIDE, answer["threads"] is True
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _unfit("does not say what it is") from error
    if facts["implementation"] != "cpython":
        raise _unfit(f"is {facts['implementation']!r:.40}, and wheels are taken for CPython only")
    if not _VERSION.fullmatch(facts["version"]) or set(markers) != _MARKERS:
        raise _unfit("does not say its version")
    machine = facts["machine"]
    if not _MACHINE.fullmatch(machine):
        raise _unfit(f"runs on {machine!r:.40}")
    major, minor, _ = facts["version"].split(".")
    return ImagePython(
        version=facts["version"],
        abi=f"cp{major}{minor}{'t' if threads else ''}",
        platforms=platforms(facts["libc"], machine if wide else _NARROW.get(machine, machine)),
        markers=markers,
    )


def platforms(libc: str, machine: str) -> tuple[str, ...]:
    """Return the platform tags of wheels that run there, the best first.

    Args:
        libc: ``glibc 2.36`` or ``musl 1.2.3``.
        machine: what the image's Python is compiled for, such as ``x86_64``.

    Raises:
        BuildError: the C library is unknown: any tag could be of a wheel that does not start.
    """
    parsed = _LIBC.fullmatch(libc)
    kind, major, minor = (parsed[1], int(parsed[2]), int(parsed[3])) if parsed else ("", 0, 0)
    if kind == "glibc" and major == _GLIBC_MAJOR:
        tags = _manylinux(minor, machine)
    elif kind == "musl" and major == _MUSL_MAJOR:
        tags = (f"musllinux_1_{number}_{machine}" for number in range(minor, -1, -1))
    else:
        raise _unfit(f"has the C library {libc!r:.60}, of which no wheels are known")
    # PEP 425, Platform Tag: of a wheel that was built locally, for such a machine.
    return (*tags, f"linux_{machine}")


def _manylinux(minor: int, machine: str) -> Iterator[str]:
    oldest = _OLDEST_X86 if machine in {"x86_64", "i686"} else _OLDEST
    for number in range(minor, oldest - 1, -1):
        yield f"manylinux_2_{number}_{machine}"
        if number in _OLD_NAMES:
            yield f"{_OLD_NAMES[number]}_{machine}"


def applying(requirements: Sequence[str], python: ImagePython) -> tuple[str, ...]:
    """Return the requirements whose markers hold in the image, without their markers.

    So pip, which runs under another Python here, has nothing to judge.

    Args:
        requirements: ``NAME==VERSION[ ; MARKER] --hash=...``, as recipes have them.
        python: the image's Python.

    Raises:
        BuildError: a marker cannot be judged.
    """
    return tuple(line for text in requirements for line in _applying(text, python))


def _applying(text: str, python: ImagePython) -> Iterator[str]:
    stated, _, hashes = text.partition(" --hash=")
    try:
        requirement = Requirement(stated)
        holds = requirement.marker is None or requirement.marker.evaluate(dict(python.markers))
    except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName) as error:
        raise BuildError(
            f"{stated!r:.120} cannot be judged for the image's Python: {error}",
            hint="write NAME==VERSION, and a marker as in a requirements file",
            code="build/bad-requirement",
        ) from error
    if holds:
        requirement.marker = None
        yield f"{requirement} --hash={hashes}"


def no_wheels(said: str, wanted: Sequence[str], python: ImagePython) -> tuple[str, str]:
    """Return what to say, and what to do, where pip got none of the wheels that were wanted.

    Args:
        said: the last lines that pip printed; they name the requirement, and decide nothing else.
        wanted: the requirements, as ``applying`` returns them.
        python: the image's Python.
    """
    pins = {text.partition(" --hash=")[0] for text in wanted}
    short = ".".join(python.version.split(".")[:2])
    for pattern, fault, remedy in _FAULTS:
        named = (match[1] for match in map(pattern.match, said.splitlines()) if match)
        pin = next((name for name in named if name in pins), None)
        if pin is not None:
            where = f"CPython {python.version} on {python.platforms[0]}"
            return fault.format(pin=pin, where=where), remedy.format(short=short)
    return (
        "pip cannot get the wheels that the recipe asks for",
        f"only wheels for Python {short} with these hashes are taken: see what pip said",
    )


def _unfit(fault: str) -> BuildError:
    return BuildError(
        f"the image's python3 {fault}",
        hint="install python3 of the base's distribution in an entry before this one",
        code="build/no-python",
    )
