"""Which upstream a request means, and what its images are called there.

Policies and signatures speak of the upstream's name; the gate's own host takes part in nothing.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol, Self

from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from imagekit.errors import ImagekitError, InputError, InvalidReferenceError
from imagekit.gate.answers import RequestRefusedError, unavailable
from imagekit.gate.request_paths import Named
from imagekit.oci.hostname import canonical_host, is_canonical
from imagekit.oci.location import REGISTRY, LayoutLocation, Location, RegistryLocation
from imagekit.oci.reference import Repository, check_path
from imagekit.oci.registry import connect
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.registry.protocol import shown
from imagekit.oci.types import REF_NAME

_READER_SECONDS = 600.0
_HINT = "write [NAME=]HOST[:PORT], [NAME=]http://HOST:PORT or [NAME=]oci:FOLDER"


class Upstream(Struct, frozen=True, kw_only=True):
    """A registry, or a layout, that images are served from."""

    name: str = ""
    """First component of its repositories here; empty for the only one."""
    host: str = ""
    location: Location = REGISTRY
    options: RegistryOptions = field(default_factory=RegistryOptions)

    def __post_init__(self) -> None:
        """Give the host its one spelling.

        Raises:
            InputError: it is none, or one of HTTP without TLS at the port of HTTPS.
        """
        if not self.host:
            return
        force_setattr(self, "host", canonical_host(self.host, scheme=self.scheme))
        if not is_canonical(self.host):
            raise InputError(
                f"the upstream {self.host} would be asked without TLS at the port of HTTPS",
                hint="leave out plainHttp or http://, or serve it at another port",
                code="gate/upstream",
            )

    @property
    def scheme(self) -> str:
        """How the registry is spoken to."""
        return "http" if self.options.plain_http else "https"

    def is_meant(self, namespace: str) -> bool:
        """Return whether a client that names this registry means the upstream.

        Raises:
            InvalidReferenceError: the name is that of no registry.
        """
        return bool(self.host) and canonical_host(namespace, scheme=self.scheme) == self.host

    @classmethod
    def parse(cls, text: str, options: RegistryOptions) -> Self:
        """Read what ``--upstream`` was given.

        Raises:
            InputError: it is no upstream.
        """
        name, equals, place = text.partition("=")
        if not equals:
            name, place = "", text
        else:
            check_path(name, whole=text)
            if "/" in name:
                raise InputError(f"{text}: the name of an upstream has no slash", hint=_HINT)
        if place.startswith("oci:"):
            folder = Path(place.removeprefix("oci:"))
            if not (folder / "oci-layout").is_file():
                raise InputError(f"{folder} is no OCI layout", hint=_HINT, code="gate/upstream")
            location = LayoutLocation(folder.absolute())
            return cls(name=name, location=location, options=options)
        plain = place.startswith("http://")
        host = place.removeprefix("http://").removeprefix("https://").rstrip("/")
        if not host:
            raise InputError(f"{text} is no upstream", hint=_HINT, code="gate/upstream")
        try:
            # A name with neither dot nor port, too: `http://registry` in a container network.
            return cls(name=name, host=host, options=replace(options, plain_http=plain))
        except InvalidReferenceError as error:
            raise InputError(f"{text} is no upstream", hint=_HINT, code="gate/upstream") from error

    @property
    def shown(self) -> str:
        """The upstream for logs."""
        return self.host or str(self.location)


class Site(Struct, frozen=True):
    """Where something is: the repository by the upstream's name, and what it is called here."""

    upstream: Upstream
    repository: Repository
    path: str
    """Begins with the upstream's name, where it has one."""


class Chosen(Struct, frozen=True):
    """An upstream, a repository's name there, and what rights call it."""

    upstream: Upstream
    inner: str
    path: str


class Upstreams:
    """All upstreams of a gate.

    Raises:
        InputError: there is none, or their names do not tell them apart.
    """

    def __init__(self, upstreams: Iterable[Upstream]) -> None:
        self._by_name: Mapping[str, Upstream] = {
            upstream.name: upstream for upstream in (*upstreams,)
        }
        self.all = tuple(self._by_name.values())
        self._names = {upstream.name: _names_of(upstream) for upstream in self.all}

    @classmethod
    def of(cls, upstreams: Iterable[Upstream]) -> Self:
        """Check and return them.

        Raises:
            InputError: there is none, or their names do not tell them apart.
        """
        listed = tuple(upstreams)
        names = {upstream.name for upstream in listed}
        if not listed:
            raise InputError("no upstream", hint="name one with --upstream, or in --config")
        if len(names) != len(listed) or (len(listed) > 1 and "" in names):
            raise InputError(
                "several upstreams need a name each",
                hint="write --upstream hub=HOST --upstream site=HOST; images of the first are "
                "then GATE/hub/...",
            )
        places = [upstream.shown for upstream in listed]
        twice = next((place for place in places if places.count(place) > 1), None)
        if twice is not None:
            # Decisions are kept by the registry's name: by two ways to it, one would answer for
            # the other, without TLS for with it.
            raise InputError(
                f"two upstreams lead to {twice}",
                hint="name each registry once",
                code="gate/upstream",
            )
        return cls(listed)

    def choose(self, ask: Named) -> "Chosen":
        """Return which upstream a request means, and what the repository is called there.

        Raises:
            RequestRefusedError: there is no such upstream.
        """
        upstream, inner = self._choose(ask.path, ask.namespace)
        inner = self._names[upstream.name].known_as(inner)
        # By the name of the upstream that was chosen, whatever the request called it.
        return Chosen(upstream, inner, f"{upstream.name}/{inner}" if upstream.name else inner)

    def site(self, chosen: "Chosen") -> Site:
        """Return the repository that was chosen.

        Raises:
            RequestRefusedError: a layout has no such one.
        """
        upstream = chosen.upstream
        repository = self._names[upstream.name].repository(chosen.inner)
        return Site(upstream, repository, chosen.path)

    def catalog(self) -> tuple[str, ...] | None:
        """Return the repositories under their names here; None where an upstream is a registry."""
        names: list[str] = []
        for upstream in self.all:
            paths = self._names[upstream.name].paths()
            if paths is None:
                return None
            prefix = f"{upstream.name}/" if upstream.name else ""
            names += [f"{prefix}{path}" for path in paths]
        return tuple(sorted(set(names)))

    def _choose(self, path: str, namespace: str) -> tuple[Upstream, str]:
        first, _, rest = path.partition("/")
        only = self._by_name.get("")
        if namespace:
            # What containerd means when it asks a mirror; only what is configured is reachable.
            upstream = self._meant(namespace)
            return upstream, rest if upstream.name and first == upstream.name and rest else path
        if only is not None:
            return only, path
        named = self._by_name.get(first)
        if named is None or not rest:
            choices = ", ".join(sorted(self._by_name))
            raise _unknown(f"{path} is in none of this gate's upstreams: {choices}")
        return named, rest

    def _meant(self, namespace: str) -> Upstream:
        try:
            for upstream in self.all:
                if upstream.is_meant(namespace):
                    return upstream
        except InvalidReferenceError as error:
            raise _unknown(f"no upstream is meant: {error.message}") from error
        raise _unknown(f"{shown(namespace)} is none of this gate's upstreams")


def _unknown(message: str) -> RequestRefusedError:
    return RequestRefusedError(404, "NAME_UNKNOWN", f"imagekit gate: {message}")


class _Names(Protocol):
    """What repositories are called in an upstream."""

    def known_as(self, path: str) -> str:
        """Return the one path of a repository by which rights and policies know it."""
        ...

    def repository(self, path: str) -> Repository:
        """Return the repository by the upstream's name; RequestRefusedError where there is none."""
        ...

    def paths(self) -> Iterable[str] | None:
        """Return the paths of all repositories; None where they are not listed."""
        ...


def _names_of(upstream: Upstream) -> _Names:
    match upstream.location:
        case LayoutLocation(path=folder):
            return _LayoutNames(folder)
        case RegistryLocation():
            return _RegistryNames(upstream.host)


class _RegistryNames(Struct, frozen=True):
    """A registry's repositories are below its host, and are not listed."""

    host: str

    def known_as(self, path: str) -> str:
        # A repository may have several names, as Docker Hub's have.
        return Repository(self.host, path).path

    def repository(self, path: str) -> Repository:
        return Repository(self.host, path)

    def paths(self) -> None:
        return None


class _LayoutNames:
    """The names in a layout's index, read anew when it was replaced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: tuple[tuple[int, ...], frozenset[tuple[str, str]]] | None = None

    def known_as(self, path: str) -> str:
        """Return the path: the layout gives each image one name."""
        return path

    def repository(self, path: str) -> Repository:
        """Return the repository by the name that the layout gives it, without its host part.

        Raises:
            RequestRefusedError: there is none or several, or the layout cannot be read.
        """
        hosts = {host for host, name in self._all() if name == path}
        if len(hosts) != 1:
            amount = "several images" if hosts else "no image"
            raise _unknown(f"the layout has {amount} called {path}")
        return Repository(hosts.pop(), path)

    def paths(self) -> Iterable[str]:
        """Return the path of every image that the layout names.

        Raises:
            RequestRefusedError: the layout cannot be read.
        """
        return (path for _, path in self._all())

    def _all(self) -> frozenset[tuple[str, str]]:
        """Return host and path of every image that the layout names."""
        from imagekit.oci.layout import entries  # gates of layouts only

        try:
            status = (self._folder / "index.json").stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            cached = self._known
            if cached is not None and cached[0] == stamp:
                return cached[1]
            texts = [entry.annotations.get(REF_NAME, "") for entry in entries(self._folder)]
        except (OSError, ImagekitError) as error:
            raise unavailable(f"the layout cannot be read: {error}") from error
        names = (text.rpartition(":")[0].partition("/") for text in texts)
        # A name in another spelling is not looked up: its image would be one of another name.
        located = frozenset((host, path) for host, _, path in names if path and is_canonical(host))
        self._known = (stamp, located)
        return located


class Readers:
    """One reader for each upstream, made when it is first used; safe in several threads.

    Each is made anew after a while: it remembers logins, and what a registry cannot do.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._made: dict[str, tuple[float, RegistryReader]] = {}
        self._clock = clock

    def of(self, upstream: Upstream) -> RegistryReader:
        """Return the way to the upstream."""
        now = self._clock()
        entry = self._made.get(upstream.name)
        if entry is None or now - entry[0] > _READER_SECONDS:
            entry = (now, connect.reader(upstream.location, upstream.options))
            # Two threads may make one each at the same time: the later one stays, and both are
            # good.
            self._made[upstream.name] = entry
        return entry[1]
