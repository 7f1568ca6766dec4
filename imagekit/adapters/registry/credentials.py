"""Logins as podman and docker keep them (containers-auth.json(5), docker's config.json).

The files are read in podman's order and the first that knows the repository wins: by a helper for
the registry, else by the longest key that is a prefix of the repository, else by the default
store.
"""

import base64
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagekit.errors import DocumentError, InputError, ToolError
from imagekit.formats import strictjson
from imagekit.model.reference import Repository
from imagekit.model.registry import Credential

RunHelper = Callable[[Sequence[str], bytes], bytes]
"""Runs a program with its standard input, and returns what it wrote; ToolError where it fails."""
_MAX_FILE = 1 << 20
_TOKEN_USER = "<token>"  # noqa: S105 - the name that helpers give to an identity token
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
            found = self._in_file(path, document, repository)
            if found is not None:
                return found
        return None

    def _in_file(
        self, path: Path, document: Mapping[str, Any], repository: Repository
    ) -> Credential | None:
        helpers = _map(document, "credHelpers", path)
        if repository.host in helpers:
            return self._from_helper(str(helpers[repository.host]), repository.host)
        auths = {_normal(key): value for key, value in _map(document, "auths", path).items()}
        for key in _keys(repository):
            entry = auths.get(key)
            if isinstance(entry, dict) and (entry.get("auth") or entry.get("identitytoken")):
                return _credential(entry, path, key)
        store = document.get("credsStore")
        return self._from_helper(store, repository.host) if isinstance(store, str) else None

    def _from_helper(self, name: str, host: str) -> Credential | None:
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


def auth_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that may hold logins, in the order in which podman asks them."""
    if named := environment.get("REGISTRY_AUTH_FILE"):
        return (Path(named),)
    home = Path(environment.get("HOME") or "/")
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


def _normal(key: str) -> str:
    """Return the key without what docker used to write around the host."""
    plain = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, slash, rest = plain.partition("/")
    return host if slash and rest in {"v1", "v2"} else plain


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE)
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
    found = document.get(key) or {}
    if not isinstance(found, dict):
        raise InputError(f"{path}: {key!r} is not an object")
    return found


def _credential(entry: Mapping[str, Any], path: Path, key: str) -> Credential:
    if token := entry.get("identitytoken"):
        return Credential(identity_token=str(token))
    try:
        pair = base64.b64decode(str(entry["auth"]), validate=True).decode()
    except ValueError as error:
        raise InputError(
            f"{path}: the login for {key} is not base64", hint=f"podman login {key}"
        ) from error
    user, _, password = pair.partition(":")
    return Credential(username=user, password=password.rstrip("\0"))
