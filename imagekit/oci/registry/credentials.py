"""Logins as podman and docker keep them (containers-auth.json(5), docker's config.json).

The files are read in podman's order and the first that knows the repository wins: by a helper for
the registry, else by the longest key that is a prefix of the repository, else by the default
store. A key may spell its host in any way, and Docker Hub by any of its names.
"""

import base64
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagekit.documents import strictjson
from imagekit.errors import DocumentError, InputError, InvalidReferenceError, ToolError
from imagekit.inputs import read_input
from imagekit.oci.hostname import HUB, canonical_host, login_key, names_host
from imagekit.oci.reference import Repository
from imagekit.oci.registry.options import Credential
from imagekit.paths import home_of

RunHelper = Callable[[Sequence[str], bytes], bytes]
"""Runs a program with its standard input, and returns what it wrote; ToolError where it fails."""
_MAX_FILE = 1 << 20
_TOKEN_USER = "<token>"  # noqa: S105 - the name that helpers give to an identity token
_LINE_ENDS = dict.fromkeys(map(ord, "\r\n"))
_HELPER_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


class CredentialFinder:
    """Finds the login for a repository, each time anew: who logs in meanwhile is seen.

    Args:
        run_helper: runs ``docker-credential-NAME get``.
        environment: the variables that say where the files are.
    """

    def __init__(self, run_helper: RunHelper, environment: Mapping[str, str] | None = None) -> None:
        self._run_helper = run_helper
        self._environment = os.environ if environment is None else environment

    def find(self, repository: Repository) -> Credential | None:
        """Return the login, or None where there is none.

        Raises:
            InputError: a file is there and cannot be understood.
        """
        for path in auth_files(self._environment):
            document = _read(path)
            if document is None:
                continue
            credential = self._in_file(path, document, repository)
            if credential is not None:
                return credential
        return None

    def _in_file(
        self, path: Path, document: Mapping[str, Any], repository: Repository
    ) -> Credential | None:
        host = repository.host
        helpers = _by_key(_map(document, "credHelpers", path))
        if host in helpers:
            ((key, helper),) = helpers[host][:1]
            return self._from_helper(str(helper), _asked(key, host))
        auths = _by_key(_map(document, "auths", path))
        for name in _keys(repository):
            for key, entry in auths.get(name, ()):
                if _is_login(entry):
                    return _credential(entry, path, key)
        store = document.get("credsStore")
        if not isinstance(store, str):
            return None
        # docker leaves an empty entry behind for what its store knows, as it was spelled there.
        keys = [_asked(key, host) for key, _ in auths.get(host, ())]
        names = dict.fromkeys((*keys, login_key(host)))
        answers = (self._from_helper(store, key) for key in names)
        return next((credential for credential in answers if credential is not None), None)

    def _from_helper(self, name: str, host: str) -> Credential | None:
        # A slash in the name would lead to any program at all.
        if not name or not _HELPER_NAME.issuperset(name):
            raise InputError(f"{name[:60]!r} is not the name of a credential helper")
        program = f"docker-credential-{name}"
        try:
            raw = self._run_helper((program, "get"), host.encode())
        except ToolError as error:
            # The protocol has no other way to say that there is no login.
            if "not found in native keychain" in error.output:
                return None
            raise
        document = strictjson.loads_object(raw[:_MAX_FILE], what=f"the answer of {program}")
        user, secret = document.get("Username"), document.get("Secret")
        if not isinstance(user, str) or not isinstance(secret, str):
            raise InputError(f"{program} answered without a login for {host}")
        if user == _TOKEN_USER:
            return Credential(identity_token=secret)
        return Credential(username=user, password=secret)


def _home(environment: Mapping[str, str]) -> Path:
    """Return the user's home; whoever has none has it at ``/``, which only root may write."""
    try:
        return home_of(environment)
    except ToolError:
        return Path("/")


def auth_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that may hold logins, in the order in which podman asks them."""
    if explicit := environment.get("REGISTRY_AUTH_FILE"):
        return (Path(explicit),)
    home = _home(environment)
    runtime = environment.get("XDG_RUNTIME_DIR")
    running = Path(runtime) if runtime else Path(f"/run/containers/{os.getuid()}")
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    docker = Path(environment.get("DOCKER_CONFIG") or home / ".docker")
    first = running / "containers" / "auth.json" if runtime else running / "auth.json"
    return (first, config / "containers" / "auth.json", docker / "config.json")


def _keys(repository: Repository) -> Iterator[str]:
    """Yield the repository, its namespaces and its host: the longest key wins."""
    name = repository.name
    while "/" in name:
        yield name
        name = name.rpartition("/")[0]
    yield name


def _by_key(entries: Mapping[str, Any]) -> Mapping[str, Sequence[tuple[str, Any]]]:
    """Return entries by the names that they are for, those first that are spelled so."""
    by_name: dict[str, list[tuple[str, Any]]] = {}
    for key, value in entries.items():
        name = _normal(key)
        if name is None:
            continue
        entries_of = by_name.setdefault(name, [])
        entries_of.insert(0 if key == name else len(entries_of), (key, value))
    return by_name


def _normal(key: str) -> str | None:
    """Return the name that a key is for, without what docker used to write around the host.

    None is returned for what is no name: it is nobody's login.
    """
    scheme, mark, plain = key.rpartition("://")
    host, slash, rest = plain.rstrip("/").partition("/")
    if slash and rest in {"v1", "v2"}:
        slash = rest = ""
    if slash and not mark and not names_host(host):
        # As everywhere a name without a registry is one of Docker Hub's.
        host, rest = HUB, f"{host}/{rest}"
    try:
        host = canonical_host(host, scheme=scheme.lower() or "https")
    except InvalidReferenceError:
        return None
    return f"{host}{slash}{rest}"


def _asked(key: str, host: str) -> str:
    """Return what a helper knows a registry by: of Docker Hub it is an address, else its key."""
    return login_key(host) if host == HUB else key


def _is_login(entry: object) -> bool:
    return isinstance(entry, dict) and bool(entry.get("auth") or entry.get("identitytoken"))


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        raw = read_input(path, limit=_MAX_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if not raw.strip():
        return None
    try:
        return strictjson.loads_object(raw, what=str(path))
    except DocumentError as error:
        raise InputError(error.message, hint="log in again, by podman login") from error


def _map(document: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    value = document.get(key) or {}
    if not isinstance(value, dict):
        raise InputError(f"{path}: {key!r} is not an object")
    return value


def _credential(entry: Mapping[str, Any], path: Path, key: str) -> Credential:
    if token := entry.get("identitytoken"):
        return Credential(identity_token=str(token))
    try:
        # Go's reader takes no notice of line ends, which `base64` writes after 76 characters.
        text = str(entry["auth"]).translate(_LINE_ENDS)
        pair = base64.b64decode(text, validate=True).decode()
    except ValueError as error:
        raise InputError(
            f"{path}: the login for {key} is not base64", hint=f"podman login {key}"
        ) from error
    user, _, password = pair.partition(":")
    # Docker's reader takes no notice of zero bytes around a password.
    return Credential(username=user, password=password.rstrip("\0"))
