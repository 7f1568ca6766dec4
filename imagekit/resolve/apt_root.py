"""apt in a root of its own, in which nothing is installed: it resolves, and that is all.

Nothing of the host's configuration is read, and nothing is trusted but the keys that are given. It
needs no privileges: indexes are fetched and read as the user who runs it.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from msgspec.structs import replace

from imagekit.build.apt_sources import signed_names
from imagekit.build.tools.mirrors import MirrorSource
from imagekit.errors import BuildError, ToolError, ToolNotFoundError
from imagekit.lock.lock import LockedArchive, LockedDeb
from imagekit.lock.lock_file import is_below
from imagekit.oci.digest import Digest
from imagekit.process import Runner, which
from imagekit.resolve.apt_index import AptIndex
from imagekit.resolve.dpkg_status import DpkgStatus, fields_of
from imagekit.resolve.printed import PrintedDeb, printed_debs, simulated

_UPDATE_LIMIT = 900.0
_LIMIT = 300.0
_MAX_RELEASE = 16 << 20
_SEEN = frozenset({"path", "http_proxy", "https_proxy", "no_proxy", "all_proxy", "tmpdir"})
_PINNED = 1001
"""A version with this priority is taken even where it is older (apt_preferences(5))."""
_CONFIGURATION = """\
Dir "{root}";
Dir::Etc "etc";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{sources}";
Dir::State "state";
Dir::State::status "{root}/status";
Dir::Cache "cache";
APT::Architecture "{architecture}";
APT::Architectures "{architecture}";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Get::AllowUnauthenticated "false";
Acquire::ForceHash "SHA256";
Acquire::GzipIndexes "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
"""


class AptRoot:
    """What apt resolves in: its configuration, sources and indexes, and the status of a system.

    Args:
        runner: runs apt.
        root: an empty folder.
        architecture: the system's, in Debian's words.
        archives: what is asked, with the names that locks call it.
        files: sources, and the keys that they name.
    """

    def __init__(
        self,
        runner: Runner,
        root: Path,
        *,
        architecture: str,
        archives: Sequence[MirrorSource],
        files: Mapping[str, bytes],
    ) -> None:
        here = os.environ if runner.env is None else runner.env
        own = {name: value for name, value in here.items() if name.lower() in _SEEN}
        env = {**own, "LC_ALL": "C.UTF-8", "APT_CONFIG": str(root / "apt.conf")}
        self._runner = replace(runner, env=env)
        self._root = root
        self._architecture = architecture
        self._archives = archives
        for name in ("etc/preferences.d", "state/lists/partial", "cache/archives/partial"):
            (root / name).mkdir(parents=True)
        for name, raw in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
        self._configure("sources")

    def update(self) -> None:
        """Fetch the indexes, signatures checked.

        Raises:
            ToolError: a source does not answer, or is signed by none of its keys.
        """
        if which("apt-get") is None:
            raise ToolNotFoundError(
                "apt-get is not installed",
                hint="apt resolves what is locked, as mmdebstrap does: on Debian it is there; "
                "elsewhere install the package apt",
            )
        argv = ["apt-get", "update", "--error-on=any"]
        try:
            self._runner.run(argv, stage="lock", limit=_UPDATE_LIMIT)
        except ToolError as error:
            raise _failed(
                error,
                "the indexes of packages cannot be had",
                hint="does each source answer, and is it signed by the key that the recipe, or the "
                "distribution, has for it?",
                code="lock/no-index",
            ) from error

    @cached_property
    def index(self) -> AptIndex:
        """What was fetched."""
        return AptIndex(self._root / "state/lists")

    def states(self) -> tuple[LockedArchive, ...]:
        """Return the state of each archive: the digest of its signed index of indexes.

        Raises:
            BuildError: apt kept no such file of one.
        """
        return tuple(self._state(source) for source in self._archives)

    def _state(self, source: MirrorSource) -> LockedArchive:
        for name, _ in signed_names(source.uri, source.suite):
            path = self._root / "state/lists" / name
            if path.is_file() and path.stat().st_size <= _MAX_RELEASE:
                digest = Digest.of(path.read_bytes())
                return LockedArchive(name=source.archive, suite=source.suite, release=digest)
        raise BuildError(
            f"apt kept no signed index of {source.archive} {source.suite}",
            hint="is it a repository of apt? see what apt said",
            code="lock/no-index",
        )

    def install(
        self,
        words: Sequence[str],
        status: DpkgStatus,
        *,
        pins: Mapping[str, str],
        asked: Iterable[str] = (),
        sources: str = "sources",
    ) -> tuple[tuple[LockedDeb, ...], DpkgStatus]:
        """Return what installing would download, by name, and the status behind it.

        Args:
            words: names and patterns, as apt-get install takes them.
            status: what is there.
            pins: versions that are preferred, by the packages' names.
            asked: the names that somebody asked for.
            sources: the folder of what is asked.

        Raises:
            BuildError: apt cannot resolve it, or in a way that is not understood.
            ToolError: apt took too long.
        """
        self._configure(sources)
        (self._root / "status").write_text(status.text())
        (self._root / "etc/preferences").write_text(_preferences(pins))
        options = ["--yes", "--no-install-recommends", "--", *words]
        steps = simulated(self._ask(["-q", "--simulate", "install", *options], words))
        printed = printed_debs(self._ask(["-qq", "--print-uris", "install", *options], words))
        if {name for name, _ in steps.installed} != {deb.name for deb in printed}:
            # What lies on this host already is not downloaded, and so has no address.
            raise BuildError(
                "apt does not name an address of each package that it would install",
                hint="a mirror must be of http or https",
                code="lock/not-resolved",
            )
        after = status.without(steps.removed, architecture=self._architecture)
        named = frozenset(asked)
        debs = tuple(sorted((self._locked(deb, named) for deb in printed), key=_order))
        for deb in debs:
            after = after.with_stanza(deb, self.index.stanza(deb.sha256))
        return debs, after

    def _configure(self, sources: str) -> None:
        text = _CONFIGURATION.format(
            root=self._root, sources=self._root / sources, architecture=self._architecture
        )
        (self._root / "apt.conf").write_text(text)
        (self._root / "status").touch()

    def _ask(self, words: Sequence[str], asked: Sequence[str]) -> str:
        try:
            return self._runner.run(["apt-get", *words], limit=_LIMIT).stdout
        except ToolError as error:
            raise _failed(
                error,
                f"apt cannot resolve {' '.join(asked)}",
                hint="is the name right, does a source have it, and does it fit the rest? "
                "(imagekit lock --update takes the newest of everything)",
                code="lock/not-resolved",
            ) from error

    def _locked(self, deb: PrintedDeb, asked: frozenset[str]) -> LockedDeb:
        fields = fields_of(self.index.stanza(deb.sha256) or "")
        archive, path = self._place(deb.uri)
        if fields.get("package") != deb.name or fields.get("version") != deb.version:
            raise BuildError(
                f"no index of the archives has {deb.name} {deb.version} with {deb.sha256}",
                hint="run it again; the mirror may have changed meanwhile",
                code="lock/not-resolved",
            )
        return LockedDeb(
            name=deb.name,
            version=deb.version,
            architecture=deb.architecture,
            sha256=deb.sha256,
            size=deb.size,
            path=path,
            archive=archive,
            priority=fields.get("priority", "optional"),
            automatic=deb.name not in asked,
        )

    def _place(self, uri: str) -> tuple[str, str]:
        """Return the name of an address's archive, and the path below its root."""
        plain = _plain(uri)
        roots = ((source.archive, f"{_plain(source.uri)}/") for source in self._archives)
        found = [(name, plain.removeprefix(root)) for name, root in roots if plain.startswith(root)]
        # The longest root: one archive may lie below another one's.
        archive, path = min(found, key=lambda place: len(place[1]), default=("", ""))
        path = path.replace("/./", "/").removeprefix("./")
        if not archive or not is_below(path):
            raise BuildError(
                f"apt would take {plain[:200]!r}, which is in none of the archives",
                hint="which source is it of? a mirror must be of http or https",
                code="lock/not-resolved",
            )
        return archive, path


def _order(deb: LockedDeb) -> tuple[str, str]:
    return deb.name, deb.architecture


def _preferences(pins: Mapping[str, str]) -> str:
    return "\n".join(
        f"Package: {name}\nPin: version {version}\nPin-Priority: {_PINNED}\n"
        for name, version in sorted(pins.items())
    )


def _plain(uri: str) -> str:
    """Return an address without a login and a slash at its end."""
    scheme, slashes, rest = uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}".rstrip("/")


def _failed(error: ToolError, message: str, *, hint: str, code: str) -> BuildError:
    return BuildError(
        message,
        hint=hint,
        code=code,
        argv=error.argv,
        status=error.status,
        output=error.output,
    )
