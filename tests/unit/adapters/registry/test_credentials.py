"""Logins, found where podman and docker keep them."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from imagekit.adapters.registry.credentials import CredentialFinder, auth_files
from imagekit.errors import InputError, ToolError
from imagekit.model.reference import Repository
from imagekit.model.registry import Credential

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
