"""Logins, found where podman and docker keep them."""

import base64
import json
import os
import pwd
from collections.abc import Sequence
from pathlib import Path

import pytest

from imagekit.errors import InputError, ToolError
from imagekit.oci.reference import Repository
from imagekit.oci.registry.credentials import CredentialFinder, auth_files
from imagekit.oci.registry.options import Credential

_REPOSITORY = Repository("registry.example.org", "team/apps/solver")


def _auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def _find(
    tmp_path: Path, document: object, answer: bytes | ToolError = b""
) -> tuple[Credential | None, list[tuple[str, ...]]]:
    file = tmp_path / "auth.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    ran: list[tuple[str, ...]] = []

    def run(argv: Sequence[str], given: bytes) -> bytes:
        ran.append((*argv, given.decode()))
        if isinstance(answer, ToolError):
            raise answer
        return answer

    finder = CredentialFinder(run, {"REGISTRY_AUTH_FILE": str(file)})
    return finder.find(_REPOSITORY), ran


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        {"auths": [1]},
        {"auths": {"registry.example.org": {"auth": "%"}}},
        {"auths": {"registry.example.org": {"auth": "\xe9\xe9"}}},
        {"auths": {"registry.example.org": {"identitytoken": "\ud800"}}},
    ],
)
def test_file_that_cannot_be_understood_is_an_error(tmp_path: Path, document: object) -> None:
    """A broken file is said, and not taken for one without logins."""
    with pytest.raises(InputError):
        _find(tmp_path, document)


def test_longest_key_wins(tmp_path: Path) -> None:
    """A login for a namespace comes before that of the whole registry; a name is no prefix."""
    auths = {
        "registry.example.org": _auth("host:1"),
        "registry.example.org/team": _auth("team:2"),
        "registry.example.org/team/app": _auth("other:3"),
        "registry.example.org.evil.example": _auth("evil:4"),
    }

    assert _find(tmp_path, {"auths": auths})[0] == Credential(username="team", password="2")


def test_old_docker_keys_and_tokens(tmp_path: Path) -> None:
    """Docker wrote URLs as keys, and identity tokens beside them."""
    auths = {"https://registry.example.org/v1/": {"identitytoken": "t"}}

    assert _find(tmp_path, {"auths": auths})[0] == Credential(identity_token="t")


def test_helper_is_asked_for_its_registry(tmp_path: Path) -> None:
    """A helper answers for the registry it was configured for."""
    document = {"credHelpers": {"registry.example.org": "pass"}}
    found, ran = _find(tmp_path, document, b'{"Username":"u","Secret":"s"}')

    assert found == Credential(username="u", password="s")
    assert ran == [("docker-credential-pass", "get", "registry.example.org")]


def test_helper_without_login_and_helper_that_fails(tmp_path: Path) -> None:
    """Only the protocol's own words mean that there is no login."""
    store = {"credsStore": "pass"}
    nothing = ToolError("x", output="credentials not found in native keychain")

    assert _find(tmp_path, store, nothing)[0] is None
    with pytest.raises(ToolError):
        _find(tmp_path, store, ToolError("x", output="locked"))
    with pytest.raises(InputError):
        _find(tmp_path, {"credsStore": "../evil"})


def test_secrets_are_not_shown() -> None:
    """A credential in a log or traceback tells the name only."""
    shown = repr(Credential(username="u", password="hidden", identity_token="hidden"))
    assert "hidden" not in shown


def test_order_of_files() -> None:
    """Podman's files come before docker's."""
    found = auth_files({"HOME": "/h", "XDG_RUNTIME_DIR": "/r"})

    assert [str(path) for path in found] == [
        "/r/containers/auth.json",
        "/h/.config/containers/auth.json",
        "/h/.docker/config.json",
    ]


def _found(tmp_path: Path, name: str, document: object) -> tuple[Credential | None, list[str]]:
    file = tmp_path / "auth.json"
    file.write_text(json.dumps(document))
    asked: list[str] = []

    def run(_argv: Sequence[str], given: bytes) -> bytes:
        asked.append(given.decode())
        return b'{"Username":"u","Secret":"s"}'

    finder = CredentialFinder(run, {"REGISTRY_AUTH_FILE": str(file)})
    return finder.find(Repository.parse(name)), asked


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("https://index.docker.io/v1/", "docker.io/library/debian"),
        ("https://index.docker.io/v1/", "registry-1.docker.io/library/debian"),
        ("index.docker.io", "docker.io/org/app"),
        ("docker.io", "index.docker.io/org/app"),
        ("registry-1.docker.io", "docker.io/org/app"),
        ("org/app", "docker.io/org/app"),
        ("docker.io/org", "index.docker.io/org/app"),
        ("registry.example.org:443", "registry.example.org/a"),
        ("registry.example.org", "registry.example.org:443/a"),
        ("Registry.Example.ORG", "registry.example.org/a"),
        ("https://Registry.Example.ORG:443/v2/", "registry.example.org/a"),
        ("http://registry.example.org:80/v1/", "registry.example.org/a"),
        ("registry.example.org./team", "registry.example.org/team/a"),
        ("[0::1]:5000", "[::1]:5000/a"),
    ],
)
def test_a_key_in_any_spelling(tmp_path: Path, key: str, name: str) -> None:
    """What was logged in to is found, however it was spelled then and is now."""
    found, _ = _found(tmp_path, name, {"auths": {key: _auth("me:1")}})

    assert found == Credential(username="me", password="1")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("registry.example.org:80", "registry.example.org/a"),
        ("org", "docker.io/org/app"),
        ("index.docker.io:5000", "docker.io/org/app"),
        ("docker.io.evil.site", "docker.io/org/app"),
        ("127.1:5000", "127.0.0.1:5000/a"),
    ],
)
def test_a_key_of_another_registry(tmp_path: Path, key: str, name: str) -> None:
    """No login goes to a registry that it is not for."""
    assert _found(tmp_path, name, {"auths": {key: _auth("me:1")}})[0] is None


def test_the_key_that_is_spelled_so_goes_first(tmp_path: Path) -> None:
    """Where several keys are for one registry."""
    auths = {"r.site.": _auth("other:1"), "r.site": _auth("me:2"), "r.site:443": _auth("old:3")}

    found, _ = _found(tmp_path, "r.site/a", {"auths": auths})

    assert found == Credential(username="me", password="2")


def test_wrapped_base64(tmp_path: Path) -> None:
    """`base64` without -w0 writes lines, which podman and docker read."""
    text = base64.encodebytes(b"me:" + b"x" * 90).decode().replace("\n", "\r\n")

    found, _ = _found(tmp_path, "r.site/a", {"auths": {"r.site": {"auth": text}}})

    assert found == Credential(username="me", password="x" * 90)


@pytest.mark.parametrize(
    ("document", "name", "given"),
    [
        ({"credsStore": "pass"}, "docker.io/org/a", "https://index.docker.io/v1/"),
        ({"credHelpers": {"docker.io": "pass"}}, "docker.io/a", "https://index.docker.io/v1/"),
        (
            {"credHelpers": {"https://index.docker.io/v1/": "pass"}},
            "index.docker.io/org/a",
            "https://index.docker.io/v1/",
        ),
        ({"credHelpers": {"R.site:443": "pass"}}, "r.site/a", "R.site:443"),
        ({"credsStore": "pass", "auths": {"r.site:443": {}}}, "r.site/a", "r.site:443"),
        ({"credsStore": "pass"}, "r.site:443/a", "r.site"),
    ],
)
def test_helpers_are_asked_as_they_know_it(
    tmp_path: Path, document: object, name: str, given: str
) -> None:
    """Docker Hub by its address, every other registry as it was spelled at the login."""
    found, asked = _found(tmp_path, name, document)

    assert found == Credential(username="u", password="s")
    assert asked == [given]


def test_an_empty_home_is_none() -> None:
    """HOME="" counts as unset: logins are those of the home that the system knows."""
    home = pwd.getpwuid(os.getuid()).pw_dir

    assert auth_files({"HOME": ""}) == auth_files({})
    assert auth_files({})[-1] == Path(home) / ".docker/config.json"
