"""Whether this host runs programs of another platform: by binfmt_misc and QEMU's user mode.

The kernel hands them to the interpreter that is registered for their machine (Linux kernel,
Documentation/admin-guide/binfmt-misc.rst). Inside a container it is found only where it was opened
when it was registered: flag F.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from imagekit.errors import ToolNotFoundError
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.types import Platform
from imagekit.process import which

REGISTERED = Path("/proc/sys/fs/binfmt_misc")
_MACHINES = {"amd64": 62, "arm64": 183, "ppc64le": 21, "riscv64": 243, "s390x": 22}
"""e_machine of ELF files (System V gABI, "ELF Header"), by Go's names."""
DEBIAN: Mapping[str, str] = MappingProxyType({"ppc64le": "ppc64el"})
"""What Debian calls an architecture, where Go has another name."""
_E_MACHINE = 18
_REMEDY = (
    "on Debian: apt-get install qemu-user-static binfmt-support arch-test; or publish it on a host "
    "of that platform: imagekit publish --platform {}, and put both together: --merge"
)


def check_runs(platform: Platform, *, registered: Path = REGISTERED) -> None:
    """Refuse a platform whose programs do not run on this host.

    Args:
        platform: the platform.
        registered: where binfmt_misc is mounted.

    Raises:
        ToolNotFoundError: they do not run here, or mmdebstrap could not see that they do.
    """
    fault = emulation_fault(platform, registered=registered)
    if fault:
        raise ToolNotFoundError(
            f"programs of {platform} do not run on this host: {fault}",
            hint=_REMEDY.format(platform),
            code="build/no-emulation",
        )


def emulation_fault(platform: Platform, *, registered: Path = REGISTERED) -> str:
    """Return what is missing to run programs of a platform here; nothing where they run."""
    if platform == host_platform():
        return ""
    if platform.architecture not in _MACHINES:
        return f"{platform.architecture} is not emulated"
    if not _is_registered(_MACHINES[platform.architecture], registered):
        return "no interpreter is registered for them with binfmt_misc (with flag F)"
    # mmdebstrap asks it, and refuses another architecture without.
    return "" if which("arch-test") else "arch-test is not installed"


def other_platforms(registered: Path = REGISTERED) -> Mapping[Platform, str]:
    """Return the platforms of other hosts, and why no images are built for each of them here."""
    others = (Platform(os="linux", architecture=name) for name in _MACHINES)
    return {
        platform: emulation_fault(platform, registered=registered)
        for platform in others
        if platform != host_platform()
    }


def debian_architecture(platform: Platform) -> str:
    """Return what Debian calls the architecture of a platform."""
    return DEBIAN.get(platform.architecture, platform.architecture)


def _is_registered(machine: int, registered: Path) -> bool:
    try:
        names = sorted(registered.iterdir())
    except OSError:
        return False
    # Two of them take what is registered, and tell whether any of it is used.
    entries = (name for name in names if name.name not in {"register", "status"})
    return any(_interprets(entry.read_text(), machine) for entry in entries)


def _interprets(entry: str, machine: int) -> bool:
    """Return whether an entry is enabled, held open, and for ELF files of a machine."""
    lines = [line.partition(" ") for line in entry.splitlines()]
    stated = {key.rstrip(":"): value for key, _, value in lines}
    try:
        magic = bytes.fromhex(stated.get("magic", ""))
    except ValueError:
        return False
    wanted = machine.to_bytes(2, "big" if magic[5:6] == b"\2" else "little")
    at = _E_MACHINE
    return (
        "enabled" in stated
        and "F" in stated.get("flags", "")
        and magic[:4] == b"\x7fELF"
        and magic[at : at + 2] == wanted
    )
