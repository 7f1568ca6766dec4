"""Reading how the engines of a host are set up; it is judged elsewhere."""

import os
import pwd
import shutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from imagekit.documents import strictjson
from imagekit.errors import ImagekitError
from imagekit.hosts.engines.install import show
from imagekit.hosts.host import EngineFile, EngineSetup, last_text
from imagekit.hosts.hostfiles import HOME, HostFiles
from imagekit.hosts.mount_table import on_network
from imagekit.inputs import read_regular
from imagekit.paths import home_of

_MAX_FILE = 1 << 20
_MAX_USERS = 10_000
_MAX_POLICIES = 1000
_FIRST_USER = 1000
_NOBODY = 65_534
_UNVERIFYING = ("apptainer", "singularity", "ch-image", "enroot", "shifter", "docker")
_DAEMON_STORES = (Path("/var/lib/docker"), Path("/var/lib/containerd"))
_OVERRIDES = ("policy.json", "registries.conf", "registries.conf.d", "registries.d")


def read_engines(
    env: Mapping[str, str], root: Path = Path("/"), storage: Path | None = None
) -> EngineSetup:
    """Return the files that engines read.

    Args:
        env: for HOME.
        root: where the host's files are.
        storage: where Podman's storage of this user is, if Podman said so; else its default place.
    """
    podman = storage or home_of(env) / ".local/share/containers"
    crio = tuple(_crio(root))
    return EngineSetup(
        overrides=tuple(_overrides(env)),
        registries=tuple(_registries(root)),
        containerd=tuple(_containerd(root)),
        crio=crio,
        crio_policies=_crio_policies(root, crio),
        docker=_json(root / "etc/docker/daemon.json"),
        policy=_json(root / "etc/containers/policy.json"),
        unverifying=tuple(name for name in _UNVERIFYING if shutil.which(name)),
        network_stores=tuple(on_network((*_DAEMON_STORES, podman), root)),
    )


def _overrides(env: Mapping[str, str]) -> Iterator[Path]:
    """Yield users' files that override the site's; for root, those of all users."""
    ours = _sent_to_the_gate(env)
    for home in _homes(env):
        folder = home / ".config/containers"
        for name in _OVERRIDES:
            try:
                files = _below(folder / name)
            except OSError:
                continue
            if not ours.issuperset(files):
                yield folder / name


def _below(path: Path) -> list[Path]:
    """Return the file, or what is in the folder; nothing where there is none."""
    if path.is_dir():
        return sorted(path.iterdir())
    return [path] if path.exists() else []


def _sent_to_the_gate(env: Mapping[str, str]) -> frozenset[Path]:
    """Return what ``trust install --user`` wrote for the calling user, where it is unchanged.

    Root believes no user's record: whose files they are can write it, too.
    """
    home = home_of(env)
    if os.geteuid() == 0 or not home.is_absolute():
        return frozenset()
    try:
        states = show(HostFiles(home, HOME))
    except ImagekitError:
        return frozenset()
    return frozenset(
        home / str(state.file.path).lstrip("/") for state in states if state.state == "installed"
    )


def _homes(env: Mapping[str, str]) -> Iterable[Path]:
    own = home_of(env)
    if os.geteuid() != 0:
        return [own] if own.is_absolute() else []
    users = [entry for entry in pwd.getpwall() if _FIRST_USER <= entry.pw_uid != _NOBODY]
    homes = [own, *(Path(entry.pw_dir) for entry in users[:_MAX_USERS])]
    return [home for home in dict.fromkeys(homes) if home.is_absolute()]


def _registries(root: Path) -> Iterator[EngineFile]:
    folder = root / "etc/containers"
    drop_ins = sorted((folder / "registries.conf.d").glob("*.conf"), key=lambda path: path.name)
    for path in (folder / "registries.conf", *drop_ins):
        file = _toml(path)
        if file is not None:
            yield file


def _containerd(root: Path) -> Iterator[EngineFile]:
    for path in sorted((root / "etc/containerd/certs.d").glob("*/hosts.toml")):
        file = _toml(path)
        if file is not None:
            yield file


def _crio(root: Path) -> Iterator[EngineFile]:
    """Yield CRI-O's files: a later drop-in overrides what is before it (crio.conf.d(5))."""
    folder = root / "etc/crio"
    for path in (folder / "crio.conf", *sorted((folder / "crio.conf.d").glob("*"))):
        file = _toml(path)
        if file is not None:
            yield file


def _crio_policies(root: Path, files: Iterable[EngineFile]) -> tuple[Path, ...]:
    """Return the policies of namespaces, which come before policy.json (crio.conf(5))."""
    folder = last_text(files, "crio", "image", "signature_policy_dir") or "/etc/crio/policies"
    return tuple(sorted((root / folder.lstrip("/")).glob("*.json"))[:_MAX_POLICIES])


def _toml(path: Path) -> EngineFile | None:
    raw = _bytes(path)
    if raw is None:
        return None
    try:
        return EngineFile(path=path, document=tomllib.loads(raw.decode()))
    except (ValueError, RecursionError) as error:
        return EngineFile(path=path, document={}, fault=f"{error}"[:200])


def _json(path: Path) -> EngineFile | None:
    raw = _bytes(path)
    if raw is None:
        return None
    try:
        document: dict[str, Any] = strictjson.loads_object(raw, what=str(path))
    except ImagekitError as error:
        return EngineFile(path=path, document={}, fault=error.message)
    return EngineFile(path=path, document=document)


def _bytes(path: Path) -> bytes | None:
    try:
        return read_regular(path, limit=_MAX_FILE)
    except OSError:
        return None
