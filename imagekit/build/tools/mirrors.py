"""Where distributions come from: what the recipe or the command line says, else the host's apt."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from imagekit.errors import ToolError, ToolNotFoundError
from imagekit.inputs import read_regular
from imagekit.process import Runner
from imagekit.progress import Note

_APT = Path("/etc/apt")
_MAX_SOURCES = 1 << 20
_FROZEN = (
    "the mirror's state may be an old one: its date is not checked, as the mirror is that of a day "
    "or this host's own apt does not either (Acquire::Check-Valid-Until)"
)


class Distribution(Struct, frozen=True, kw_only=True):
    """What differs between the distributions that apt installs."""

    title: str
    keyring: Path
    """The keys of its archive, where its own package has them on every host."""
    package: str
    """The package that brings the keyring, on this distribution and on the others."""
    components: str
    path: str
    """Regular expression of the end of a mirror's URI."""
    rolling: frozenset[str]
    """Suites that are changed themselves, so that they have no updates beside them."""
    included: str = ""
    """What a minimal system has besides all that is essential or required."""
    security: str = ""
    """What the archive of its security fixes is called, where that is another one."""

    def keyring_of(self, host: Path = Path("/")) -> Path:
        """Return the keyring.

        Raises:
            ToolNotFoundError: the host has none, so no signature could be checked.
        """
        if not (host / self.keyring.relative_to("/")).exists():
            raise ToolNotFoundError(
                f"{self.title}'s keyring is not installed, so no signature could be checked",
                hint=f"apt-get install {self.package}, which brings {self.keyring}",
                code="build/no-keyring",
            )
        return self.keyring


DISTRIBUTIONS: Mapping[str, Distribution] = {
    "debian": Distribution(
        title="Debian",
        keyring=Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
        package="debian-archive-keyring",
        components="main",
        path=r"debian(-security)?(/\d{8}T\d{6}Z)?",
        rolling=frozenset({"sid", "unstable"}),
        security="debian-security",
    ),
    "ubuntu": Distribution(
        title="Ubuntu",
        keyring=Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
        package="ubuntu-keyring",
        # Half of what scientific programs need is in universe: Open MPI, HDF5, FFTW.
        components="main universe",
        path=r"ubuntu(-ports)?(/\d{8}T\d{6}Z)?",
        rolling=frozenset(),
        # There its priority is "important" only.
        included="apt",
    ),
}
MIRROR_NAMES = (
    *DISTRIBUTIONS,
    *(known.security for known in DISTRIBUTIONS.values() if known.security),
)
"""The archives whose mirrors the command line can name."""


class Mirrors(Struct, frozen=True):
    """Where a distribution is got from."""

    main: str
    security: str = ""
    """Where its security fixes are; empty where no such mirror is known."""
    frozen: bool = False
    """Whether they stay as they were on some day, so that their dates may be over."""

    def lacks_fixes(self, distribution: str, suite: str) -> bool:
        """Return whether the suite has security fixes of which no mirror is known."""
        return suite not in DISTRIBUTIONS[distribution].rolling and not self.security

    def lines(self, distribution: str, suite: str, *, keyring: str) -> str:
        """Return a sources.list for the suite, with its updates and security fixes."""
        known = DISTRIBUTIONS[distribution]
        # sources.list(5), Check-Valid-Until: of these sources only, and not of all that apt reads.
        dates = " check-valid-until=no" if self.frozen else ""
        head = f"deb [signed-by={keyring}{dates}]"
        sources = self.sources(distribution, suite)
        return "".join(
            f"{head} {source.uri} {source.suite} {known.components}\n" for source in sources
        )

    def sources(self, distribution: str, suite: str) -> "tuple[MirrorSource, ...]":
        """Return what the suite is got from: itself, its updates and its security fixes."""
        known = DISTRIBUTIONS[distribution]
        main = MirrorSource(archive=distribution, uri=self.main, suite=suite)
        if suite in known.rolling:
            return (main,)
        updates = MirrorSource(archive=distribution, uri=self.main, suite=f"{suite}-updates")
        security = MirrorSource(
            archive=known.security or distribution, uri=self.security, suite=f"{suite}-security"
        )
        return (main, updates, security) if self.security else (main, updates)


class MirrorSource(Struct, frozen=True, kw_only=True):
    """A suite of an archive, as one mirror has it."""

    archive: str
    """The archive's name, which all its mirrors share."""
    uri: str
    suite: str


def is_frozen(uri: str) -> bool:
    """Return whether an address is that of an archive as it was at a time, by snapshot's form."""
    return re.search(r"/\d{8}T\d{6}Z/?$", uri) is not None


def takes_old_dates(runner: Runner) -> bool:
    """Return whether the host's apt takes the state of its mirrors whatever its date is."""
    name = "Acquire::Check-Valid-Until"
    try:
        said = runner.run(["apt-config", "shell", "STATED", name, "CHECKED", f"{name}/b"]).stdout
    except ToolError:
        return False
    # What is not stated has no line of its own, and is false as well.
    return "STATED=" in said and "CHECKED='false'" in said


def mirrors_here(runner: Runner, distribution: str, stated: Mapping[str, str]) -> Mirrors:
    """Return what ``mirrors_of`` does, frozen also where the host's apt takes old dates.

    Who is told of the runner's programs is told where they are frozen.

    Raises:
        ToolError: nothing names a mirror.
    """
    mirrors = mirrors_of(distribution, stated)
    if distribution not in stated and takes_old_dates(runner):
        mirrors = replace(mirrors, frozen=True)
    if mirrors.frozen:
        runner.progress(Note(message=_FROZEN))
    return mirrors


def mirrors_of(distribution: str, stated: Mapping[str, str], *, folder: Path = _APT) -> Mirrors:
    """Return the mirrors of a distribution: those that were stated, else the host's own.

    Args:
        distribution: its name.
        stated: what recipe and command line say, by the names of the archives.
        folder: where the host's apt keeps its configuration.

    Raises:
        ToolError: neither names a mirror.
    """
    known = DISTRIBUTIONS[distribution]
    main, security = stated.get(distribution, ""), stated.get(known.security, "")
    try:
        own = host_mirrors(distribution, folder)
    except ToolError:
        if not main:
            raise
        own = Mirrors(main)
    if main and not known.security:
        # One archive has the fixes too, so that a stated mirror is asked for everything.
        return Mirrors(main, main, is_frozen(main))
    main = main or own.main
    return Mirrors(main, security or own.security, is_frozen(main))


def archive_address(archive: str, stated: Mapping[str, str], *, folder: Path = _APT) -> str:
    """Return the mirror of an archive by the archive's name; empty where none is known.

    A login in it is left out: what is downloaded here shows its address where it fails.

    Args:
        archive: one of ``MIRROR_NAMES``.
        stated: what recipe and command line say, by the names of the archives.
        folder: where the host's apt keeps its configuration.
    """
    for name, known in DISTRIBUTIONS.items():
        if archive in {name, known.security}:
            try:
                mirrors = mirrors_of(name, stated, folder=folder)
            except ToolError:
                return stated.get(archive, "")
            address = mirrors.main if archive == name else mirrors.security
            scheme, slashes, rest = address.partition("://")
            host, slash, path = rest.partition("/")
            return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"
    return ""


def host_mirrors(distribution: str, folder: Path = _APT) -> Mirrors:
    """Return the mirrors of the host's apt configuration, in either of its forms.

    Args:
        distribution: whose mirrors.
        folder: where apt keeps it.

    Raises:
        ToolError: it names no mirror of the distribution.
    """
    known = DISTRIBUTIONS[distribution]
    main = security = ""
    for uri, suite in _sources(folder, re.compile(known.path + "$")):
        if suite.endswith("-security") or "/updates" in suite:
            security = security or uri
        elif "-" not in suite:
            main = main or uri
    if not main:
        raise ToolError(
            f"the host's apt configuration names no mirror of {known.title}",
            hint=f"give --mirror {distribution}=URL, or `mirror: URL` beside the recipe's `suite`; "
            f"or write `deb [signed-by={known.keyring}] URL SUITE main` into "
            f"/etc/apt/sources.list.d/{distribution}.list, or use `base: {{image: ...}}`",
            code="build/no-mirror",
        )
    return Mirrors(main, security)


def _sources(folder: Path, mirror: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Yield every URI and suite that has the main component of a mirror (sources.list(5))."""
    for path in (folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))):
        for line in _lines(path):
            yield from _one_line(line, mirror)
    for path in sorted(folder.glob("sources.list.d/*.sources")):
        yield from _deb822(_lines(path), mirror)


def _lines(path: Path) -> tuple[str, ...]:
    try:
        raw = read_regular(path, limit=_MAX_SOURCES)
    except OSError:
        return ()
    return tuple(raw.decode("utf-8", "replace").splitlines())


def _one_line(line: str, mirror: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    # sources.list(5), One-Line-Style Format: options stand in brackets behind the type.
    match re.sub(r"\[[^\]]*\]", " ", line.partition("#")[0]).split():
        case ["deb", uri, suite, *components] if "main" in components:
            if mirror.search(uri.rstrip("/")):
                yield uri.rstrip("/"), suite


def _deb822(lines: Iterable[str], mirror: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    # sources.list(5), deb822-Style Format: stanzas end with an empty line; a line that begins with
    # a blank continues the field above, of which only the first line is read.
    stanza: dict[str, str] = {}
    for line in (*lines, ""):
        if not line.strip():
            yield from _stanza(stanza, mirror)
            stanza = {}
        elif not line.startswith(("#", " ", "\t")):
            key, _, value = line.partition(":")
            stanza[key.strip().lower()] = value.strip()


def _stanza(stanza: dict[str, str], mirror: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    enabled = stanza.get("enabled", "yes").lower() not in {"no", "false", "0"}
    if not enabled or "deb" not in stanza.get("types", "").split():
        return
    if "main" not in stanza.get("components", "").split():
        return
    for uri in stanza.get("uris", "").split():
        if mirror.search(uri.rstrip("/")):
            for suite in stanza.get("suites", "").split():
                yield uri.rstrip("/"), suite
