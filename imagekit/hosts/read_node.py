"""What this node has, as an image sees it; it is compared elsewhere.

Any user may ask: only what everybody may read is looked at. What cannot be read is not known, and
what is not known counts as lacking.
"""

import gzip
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from imagekit.build.tools.podman import Programs
from imagekit.errors import ToolError
from imagekit.inputs import read_regular
from imagekit.needs.compare import Lack, Node, lacks
from imagekit.needs.needs import Needs

_MAX_TEXT = 4 << 20
_MAX_FILES = 200
"""Most CDI files of one folder that are read."""
_RELEASE = re.compile(r"\d{1,5}(?:\.\d{1,5}){0,2}")
_OPTION = re.compile(rb"^CONFIG_([A-Z0-9_]{1,100})=[ym]$", re.MULTILINE)
_DRIVER = re.compile(r"Kernel Module(?: for \S+)?\s+(\d{3,4})\.\d")
_PLUGIN = re.compile(r"\b(pmix|pmi2)(?:_v\d+)?\b")
# CDI specification, "Spec directories": what the later one says replaces what the earlier one does.
_CDI = ("etc/cdi", "var/run/cdi")
_DRIVERS = (
    *((410, "10.0"), (418, "10.1"), (440, "10.2"), (450, "11.0"), (455, "11.1"), (460, "11.2")),
    *((465, "11.3"), (470, "11.4"), (495, "11.5"), (510, "11.6"), (515, "11.7"), (520, "11.8")),
    *((525, "12.0"), (530, "12.1"), (535, "12.2"), (545, "12.3"), (550, "12.4"), (555, "12.5")),
    *((560, "12.6"), (565, "12.7"), (570, "12.8"), (575, "12.9"), (580, "13.0")),
)
"""The first branch of NVIDIA's Linux drivers that supports each CUDA (CUDA Toolkit release notes,
"CUDA Toolkit and Corresponding Driver Versions"). A newer branch supports at least the last."""
_SECONDS = 10.0


def find_lacks_here(needs: Needs) -> tuple[Lack, ...]:
    """Return what this node lacks of what an image needs."""
    from imagekit.process import Runner

    return lacks(needs, read_node(Runner(), os.environ))


def read_node(programs: Programs, env: Mapping[str, str], root: Path = Path("/")) -> Node:
    """Return what this node has.

    Args:
        programs: runs Slurm's srun.
        env: says whether this is a job of Slurm's.
        root: where the node's files are.
    """
    system = os.uname()
    release = _RELEASE.match(system.release)
    return Node(
        machine=system.machine,
        flags=_flags(root),
        kernel=release[0] if release else "",
        config=_config(root, system.release),
        glibc=_glibc(),
        cuda=_cuda(root),
        devices=frozenset(_devices(root)),
        launches=_launches(programs, env),
    )


def _flags(root: Path) -> frozenset[str] | None:
    """Return the flags that all processors have: a rank may run on any."""
    lines = [
        line.partition(":")[2]
        for line in _text(root / "proc/cpuinfo").splitlines()
        if line.startswith("flags")
    ]
    return frozenset.intersection(*(frozenset(line.split()) for line in lines)) if lines else None


def _config(root: Path, release: str) -> frozenset[str] | None:
    places = ("proc/config.gz", f"boot/config-{release}", f"lib/modules/{release}/config")
    for place in places:
        raw = _bytes(root / place)
        if place.endswith(".gz"):
            raw = _unpacked(raw)
        options = frozenset(name.decode() for name in _OPTION.findall(raw))
        if options:
            return options
    return None


def _unpacked(raw: bytes) -> bytes:
    from io import BytesIO

    try:
        with gzip.open(BytesIO(raw)) as file:
            return file.read(_MAX_TEXT)
    except (OSError, EOFError):
        return b""


def _glibc() -> str:
    with suppress(OSError, ValueError):
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        if name == "glibc" and _RELEASE.fullmatch(version):
            return version
    return ""


def _cuda(root: Path) -> str:
    found = _DRIVER.search(_text(root / "proc/driver/nvidia/version"))
    branch = int(found[1]) if found else 0
    known = [cuda for first, cuda in _DRIVERS if first <= branch]
    return known[-1] if known else ""


def _devices(root: Path) -> Iterator[str]:
    """Yield the names of all devices that CDI files describe, and their kinds."""
    for folder in _CDI:
        files: list[Path] = []
        with suppress(OSError):
            files = sorted((root / folder).iterdir())[:_MAX_FILES]
        for file in files:
            if file.suffix in {".json", ".yaml"}:
                yield from _described(_bytes(file))


def _described(raw: bytes) -> Iterator[str]:
    import yaml

    try:
        # JSON is YAML, too. Such files are root's, and only their names are used.
        document = yaml.safe_load(raw)
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    kind = document.get("kind") if isinstance(document, dict) else None
    devices = document.get("devices") if isinstance(document, dict) else None
    if not isinstance(kind, str) or not isinstance(devices, list):
        return
    names = [device.get("name") for device in devices if isinstance(device, dict)]
    if names:
        yield kind
    yield from (f"{kind}={name}" for name in names if isinstance(name, str))


def _launches(programs: Programs, env: Mapping[str, str]) -> frozenset[str] | None:
    """Return how srun wires ranks up; None where there is no Slurm, or it is set up elsewhere."""
    if not shutil.which("srun", path=env.get("PATH")):
        return None
    try:
        outcome = programs.run(["srun", "--mpi=list"], limit=_SECONDS, check=False)
    except ToolError:
        return frozenset()
    if outcome.status != 0 and "SLURM_JOB_ID" not in env:
        return None
    # 22.05 writes the list to stdout, older versions to stderr.
    listed = f"{outcome.stdout}\n{outcome.stderr}" if outcome.status == 0 else ""
    return frozenset(_PLUGIN.findall(listed))


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", "replace")


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path, limit=_MAX_TEXT)
    except OSError:
        return b""
