"""What apt-get prints of an installation that it would do: addresses and digests, and what goes."""

import re
from urllib.parse import unquote

from msgspec import Struct

from imagekit.errors import BuildError
from imagekit.oci.digest import Digest

_URI = re.compile(r"'([^']+)' ([^ ]+)_([^_ ]+)_([^_ ]+)\.deb ([0-9]{1,15}) SHA256:([0-9a-f]{64})")
# apt-get(8), --simulate: NAME[:ARCHITECTURE], and the version that is there in brackets.
_STEP = re.compile(r"(Inst|Remv) ([a-z0-9][a-z0-9+.-]*)(?::([a-z0-9-]+))? .*")


class PrintedDeb(Struct, frozen=True, kw_only=True):
    """One package that apt would download."""

    uri: str
    """Its address, percent signs resolved."""
    name: str
    version: str
    architecture: str
    size: int
    sha256: Digest


def printed_debs(output: str) -> tuple[PrintedDeb, ...]:
    """Return what ``apt-get --print-uris`` printed.

    Raises:
        BuildError: a line is not understood, such as one without a SHA-256.
    """
    return tuple(_printed(line) for line in output.splitlines() if line.strip())


def _printed(line: str) -> PrintedDeb:
    found = _URI.fullmatch(line.strip())
    if found is None:
        raise BuildError(
            f"apt names a package in a way that is not understood: {line[:200]!r}",
            hint="the index of its archive must have its SHA256, and it must come by http or https",
            code="lock/not-resolved",
        )
    uri, name, version, architecture, size, digest = found.groups()
    # apt-pkg/acquire-item.cc, pkgAcqArchive: the name of the file is made of these three, quoted.
    return PrintedDeb(
        uri=unquote(uri),
        name=unquote(name),
        version=unquote(version),
        architecture=architecture,
        size=int(size),
        sha256=Digest("sha256", digest),
    )


class SimulatedSteps(Struct, frozen=True, kw_only=True):
    """What apt would do to a system; architectures are left out where they are the system's."""

    installed: frozenset[tuple[str, str]]
    removed: frozenset[tuple[str, str]]


def simulated(output: str) -> SimulatedSteps:
    """Return what ``apt-get --simulate`` printed."""
    steps = [found for line in output.splitlines() if (found := _STEP.fullmatch(line))]

    def of(word: str) -> frozenset[tuple[str, str]]:
        return frozenset((step[2], step[3] or "") for step in steps if step[1] == word)

    return SimulatedSteps(installed=of("Inst"), removed=of("Remv"))
