"""Minimal systems by mmdebstrap, from the host's own mirrors, signatures checked."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.tools.isolation import CHROOT, MOUNT, READABLE, wrap_chroot
from imagekit.errors import ToolError, ToolNotFoundError
from imagekit.inputs import read_regular
from imagekit.process import Runner, which

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_APT = Path("/etc/apt")
_NO_POCKETS = frozenset({"sid", "unstable", "experimental"})
_MAX_SOURCES = 1 << 20
_SEEN = frozenset({"PATH", "http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"})
"""Variables, in either case, that scripts of packages see: no user, no home, no session."""


class Mirrors(Struct, frozen=True):
    """Where the host gets Debian from."""

    main: str
    security: str
    """Empty where the host has none."""

    def lines(self, suite: str, *, keyring: Path) -> str:
        """Return a sources.list for the suite, with its updates and security fixes."""
        signed = f"[signed-by={keyring}]"
        lines = [f"deb {signed} {self.main} {suite} main"]
        if suite not in _NO_POCKETS:
            lines.append(f"deb {signed} {self.main} {suite}-updates main")
            if self.security:
                lines.append(f"deb {signed} {self.security} {suite}-security main")
        return "\n".join(lines) + "\n"


def host_mirrors(folder: Path = _APT) -> Mirrors:
    """Return the mirrors of the host's apt configuration, in either of its forms.

    Args:
        folder: where apt keeps it.

    Raises:
        ToolError: it names no mirror of Debian.
    """
    main = security = ""
    for uri, suite in _sources(folder):
        if suite.endswith("-security") or "/updates" in suite:
            security = security or uri
        elif "-" not in suite:
            main = main or uri
    if not main:
        raise ToolError(
            "the host's apt configuration names no mirror of Debian",
            hint="bootstrap bases need one, also on Ubuntu: write `deb "
            f"[signed-by={KEYRING}] URL stable main` into /etc/apt/sources.list.d/debian.list, "
            "or use `base: {image: ...}`",
        )
    return Mirrors(main, security)


def bootstrap(runner: Runner, suite: str, root: Path, *, epoch: int, work: Path) -> None:
    """Fill an empty, mounted root with the minimal system of a suite.

    Scripts of packages are untrusted code: they run in a sandbox, with few capabilities.

    Args:
        runner: runs mmdebstrap.
        suite: such as ``bookworm``.
        root: the mounted root.
        epoch: the image's time.
        work: a folder for small files.

    Raises:
        ToolError: mmdebstrap or the keyring is missing, or the mirror does not answer.
    """
    if not KEYRING.exists():
        raise ToolNotFoundError(
            "Debian's keyring is not installed, so no signature could be checked",
            hint="apt-get install debian-archive-keyring",
        )
    if which("mmdebstrap") is None:
        raise ToolNotFoundError(
            "mmdebstrap is not installed", hint="on Debian: apt-get install mmdebstrap"
        )
    given = work / "bootstrap"
    given.mkdir(exist_ok=True)
    (given / "sources.list").write_text(host_mirrors().lines(suite, keyring=KEYRING))
    # The lists are needed for their digests, which name the state of the archive that was used.
    skip = "--skip=check/empty,cleanup/apt/lists"
    argv = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", skip]
    # NOTE: mmdebstrap cannot mount there itself, and warns of that.
    argv += [f"--extract-hook={MOUNT}", suite, CHROOT, f"{READABLE}/sources.list"]
    own = {"SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C"}
    env = _environment(os.environ if runner.env is None else runner.env) | own
    wrapped = wrap_chroot(argv, root=root, readable=given)
    try:
        replace(runner, env=env).run(wrapped, stage="base", limit=1800.0)
    except ToolNotFoundError:
        raise
    except ToolError as error:
        hint = (
            "the disk is full: make room and run it again"
            if "No space left on device" in error.output
            else "does the mirror of the host's apt configuration answer, and does it have "
            f"the suite {suite}? try: apt-get update"
        )
        raise ToolError(
            f"the bootstrap of debian {suite} failed",
            hint=hint,
            argv=error.argv,
            status=error.status,
            output=error.output,
        ) from error


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if {name, name.lower()} & _SEEN}


def _sources(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield every URI and suite that has Debian's main component (sources.list(5))."""
    for path in (folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))):
        for line in _lines(path):
            yield from _one_line(line)
    for path in sorted(folder.glob("sources.list.d/*.sources")):
        yield from _deb822(_lines(path))


def _lines(path: Path) -> tuple[str, ...]:
    try:
        raw = read_regular(path, limit=_MAX_SOURCES)
    except OSError:
        return ()
    return tuple(raw.decode("utf-8", "replace").splitlines())


def _one_line(line: str) -> Iterator[tuple[str, str]]:
    # sources.list(5), One-Line-Style Format: options stand in brackets behind the type.
    words = re.sub(r"\[[^\]]*\]", " ", line.partition("#")[0]).split()
    kind, uri, suite, *components = words if len(words) > 3 else ("", "", "")  # noqa: PLR2004 - deb URI SUITE COMPONENT
    if kind == "deb" and "main" in components and _is_debian(uri):
        yield uri.rstrip("/"), suite


def _deb822(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    # sources.list(5), deb822-Style Format: stanzas end with an empty line; a line that begins with
    # a blank continues the field above, of which only the first line is read.
    stanza: dict[str, str] = {}
    for line in (*lines, ""):
        if not line.strip():
            yield from _stanza(stanza)
            stanza = {}
        elif not line.startswith(("#", " ", "\t")):
            key, _, value = line.partition(":")
            stanza[key.strip().lower()] = value.strip()


def _stanza(stanza: dict[str, str]) -> Iterator[tuple[str, str]]:
    enabled = stanza.get("enabled", "yes").lower() not in {"no", "false", "0"}
    if not enabled or "deb" not in stanza.get("types", "").split():
        return
    if "main" not in stanza.get("components", "").split():
        return
    for uri in stanza.get("uris", "").split():
        if _is_debian(uri):
            for suite in stanza.get("suites", "").split():
                yield uri.rstrip("/"), suite


def _is_debian(uri: str) -> bool:
    """Return whether a URI is of a mirror of Debian, and of no other repository of the host."""
    path = uri.rstrip("/")
    return re.search(r"debian(-security)?(/\d{8}T\d{6}Z)?$", path) is not None
