"""What apt gets while packages are installed: mirrors, repositories of others, and their keys.

All of it lies in one folder that is mounted for that time, and nothing else is read: the sources of
an image itself are not asked, so that what a layer is made of stands in the recipe, and no source
is configured twice.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from imagekit.build import inside
from imagekit.build.image import Material
from imagekit.errors import BuildError
from imagekit.lock.lock import LockedArchive
from imagekit.oci.digest import Digest
from imagekit.recipe.recipe import AptSource

FOLDER = "/run/imagekit"
OPTIONS = (
    "-o Dir::Etc::sourcelist=/dev/null "
    f"-o Dir::Etc::sourceparts={FOLDER}/sources "
    # Whatever an image's own configuration says.
    "-o Acquire::AllowInsecureRepositories=false "
    "-o Acquire::AllowWeakRepositories=false "
    "-o Acquire::AllowDowngradeToInsecureRepositories=false "
    "-o APT::Get::AllowUnauthenticated=false"
)
"""Options of apt-get: only what is in the folder, and nothing without a good signature."""
LOCKED = f"deb [trusted=yes] copy:{FOLDER}/repository ./\n"
"""The sources.list of a repository of locked packages, each of which was checked."""
_LISTS = "var/lib/apt/lists"
_MAX_RELEASE = 16 << 20
_MAX_LISTS = 100
_QUOTED = frozenset('\\|{}[]<>"^~_=!@#$%&*')
"""What apt writes as %xx in the names of its lists (apt-pkg/contrib/strutl.cc, URItoFileName)."""


def files(
    mirrors: str, sources: Sequence[AptSource], *, folder: str = FOLDER
) -> Mapping[str, bytes]:
    """Return the files of the folder.

    Args:
        mirrors: a sources.list of the distribution's mirrors; empty where none is known.
        sources: the repositories of others.
        folder: where it is when apt runs.
    """
    written = {"sources/mirrors.list": mirrors.encode()}
    for number, source in enumerate(sources, 1):
        key = f"keys/{number}.gpg"
        written[key] = base64.b64decode(source.key)
        text = _stanza(source, key=f"{folder}/{key}")
        written[f"sources/{number}.sources"] = text.encode()
    return written


def _stanza(source: AptSource, *, key: str) -> str:
    # sources.list(5), deb822-Style Format: fields are words, of which none can hold a blank here.
    lines = ["Types: deb", f"URIs: {source.uri}", f"Suites: {source.suite}"]
    if source.components:
        lines.append(f"Components: {' '.join(source.components)}")
    return "\n".join([*lines, f"Signed-By: {key}", ""])


def materials(
    root: Path, distribution: str, sources: Sequence[AptSource] = ()
) -> tuple[Material, ...]:
    """Return the state of the archives that packages came from: their signed Release files.

    Args:
        root: the mounted root, with the lists that apt fetched.
        distribution: whose mirrors were used; their addresses are this host's, and not told.
        sources: the repositories of others, which are named as the recipe does.

    Raises:
        BuildError: apt kept no signed file of a source.
    """
    named = {
        name: uri for source in sources for name, uri in signed_names(source.uri, source.suite)
    }
    found = []
    lists = inside.files(root, _LISTS)
    others = [n for n in lists if n.endswith("_InRelease") and n not in named]
    for name in [*others[:_MAX_LISTS], *(name for name in named if name in lists)]:
        raw = inside.read(root, f"{_LISTS}/{name}", limit=_MAX_RELEASE)
        if raw is not None:
            suite = name.removesuffix("_InRelease").rpartition("_dists_")[2]
            uri = named.get(name, f"pkg:generic/{distribution}/{suite}")
            kind = name.rpartition("_")[2]
            found.append(Material(uri=uri, name=kind, digest=Digest.of(raw)))
    for source in sources:
        if not any(
            uri in {m.uri for m in found} for _, uri in signed_names(source.uri, source.suite)
        ):
            raise BuildError(
                f"apt kept no signed Release file of {source.uri} {source.suite}",
                hint="is it a repository of apt? see what apt said",
                code="build/packages-failed",
            )
    return tuple(found)


def archive_materials(archives: Sequence[LockedArchive]) -> Iterator[Material]:
    """Yield the states of archives that a lock was made from, named as ``materials`` does."""
    for archive in archives:
        if "://" in archive.name:
            uri = f"{_folder(archive.name, archive.suite)}InRelease"
        else:
            uri = f"pkg:generic/{archive.name.removesuffix('-security')}/{archive.suite}"
        yield Material(uri=uri, name="InRelease", digest=archive.release)


def _signed(source: AptSource) -> Iterator[tuple[str, str]]:
    return signed_names(source.uri, source.suite)


def signed_names(uri: str, suite: str) -> Iterator[tuple[str, str]]:
    """Yield the files that may hold a source's signed state: as apt calls them, and their URIs."""
    uri = _folder(uri, suite)
    for name in ("InRelease", "Release"):
        yield list_name(uri + name), uri + name


def _folder(uri: str, suite: str) -> str:
    # apt-pkg/deb/debmetaindex.cc, MetaIndexURI: a path stands for itself, and "/" for none.
    below = suite if suite.endswith("/") else f"dists/{suite}/"
    return f"{uri.rstrip('/')}/{'' if below == '/' else below}"


def list_name(uri: str) -> str:
    """Return the name under which apt keeps a file that it fetched."""
    # A login is no part of the name (URItoFileName removes it).
    host, slash, path = uri.partition("://")[2].partition("/")
    plain = f"{host.rpartition('@')[2]}{slash}{path}"
    quoted = "".join(f"%{ord(c):02x}" if c in _QUOTED else c for c in plain)
    return quoted.replace("/", "_")
