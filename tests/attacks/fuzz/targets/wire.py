"""What registries say outside of documents: headers, lists, tokens, errors; and files of logins."""

import base64
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from imagekit.errors import ToolError
from imagekit.oci.reference import Repository
from imagekit.oci.registry import protocol
from imagekit.oci.registry.credentials import CredentialFinder
from imagekit.oci.registry.options import Credential
from tests.attacks.fuzz.target import BrokenRuleError, Target, documents, same, texts

_OWN = "https://registry.example.org/v2/apps/demo/tags/list"
_LOGIN = Credential(username="admin", password="secret")
_REPOSITORY = Repository.parse("registry.example.org/apps/demo")
_FOLDER = tempfile.TemporaryDirectory(prefix="imagekit-fuzz-")


def _header(raw: bytes) -> str:
    # As http.client reads headers; a line end ends one.
    return raw.decode("latin-1").replace("\r", "").replace("\n", "")


def _repositories(raw: bytes) -> None:
    if not all(isinstance(name, str) for name in protocol.parse_repositories(raw)):
        raise AssertionError("a name of a repository that is no text")


def _tags(raw: bytes) -> None:
    if not all(isinstance(tag, str) for tag in protocol.parse_tags(raw)):
        raise BrokenRuleError("a tag that is no text")


def _link(raw: bytes) -> None:
    following = protocol.next_page(_header(raw), _OWN)
    if following is not None:
        same(protocol.origin(following), protocol.origin(_OWN))
        _sendable(following)


def _redirect(raw: bytes) -> None:
    target = protocol.redirected(_OWN, _header(raw))
    same(urlsplit(target).scheme, "https")
    _sendable(target)


def _sendable(url: str) -> None:
    """Hold that a request can be made of it: http.client fails at anything else."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise BrokenRuleError(f"a URL that cannot be asked for: {url!r}")


def _challenge(raw: bytes) -> None:
    challenge = protocol.parse_challenge(_header(raw))
    for credential in (None, _LOGIN, Credential(identity_token="t")):
        asked = protocol.token_request(
            challenge, credential, registry="https://registry.example.org", wanted="x"
        )
        same(urlsplit(asked.url).scheme, "https")
        _sendable(asked.url)


def _token(raw: bytes) -> None:
    token = protocol.parse_token(raw)
    same(token.isprintable() and token.isascii(), second=True)


def _refusal(raw: bytes) -> None:
    status = int.from_bytes(raw[:2], "big") % 1000
    raise protocol.refusal(status, raw[2:], what="the blob")


def _credentials(raw: bytes) -> None:
    path = Path(_FOLDER.name) / "auth.json"
    path.write_bytes(raw)

    def helper(argv: Sequence[str], given: bytes) -> bytes:
        del given
        if argv[0].endswith("x"):
            raise ToolError("no helper", output="credentials not found in native keychain")
        return raw

    finder = CredentialFinder(helper, {"REGISTRY_AUTH_FILE": str(path)})
    found = finder.find(_REPOSITORY)
    if found is not None:
        protocol.basic(found)
        challenge = protocol.Challenge("bearer", {"realm": "https://t.example.org/t"})
        protocol.token_request(challenge, found, registry=_OWN, wanted="x")


_AUTH = base64.b64encode(b"admin:secret").decode()

TARGETS = {
    "repositories": Target(
        check=_repositories,
        seeds=documents({"repositories": ["a", "b/c"]}, {"repositories": None}),
        json=True,
    ),
    "tags": Target(
        check=_tags, seeds=documents({"name": "x", "tags": ["1", "2"]}, {"tags": None}), json=True
    ),
    "link": Target(
        check=_link,
        seeds=texts(
            '</v2/apps/demo/tags/list?n=1&last=x>; rel="next"',
            f'<{_OWN}>;rel="next"',
            '<//evil.org/x>; rel="next"',
            '<?last=\xe9>; rel="next"',
        ),
    ),
    "redirect": Target(
        check=_redirect,
        seeds=texts(
            "https://blobs.example.org/a?b=c", "/relative", "http://[::1%lo]/", "https://u:p@x:99"
        ),
    ),
    "challenge": Target(
        check=_challenge,
        seeds=texts(
            'Bearer realm="https://t.example.org/t?a=b",service="s",scope="r:x:pull"',
            'Basic realm="a, \\"b\\"", Bearer realm=https://t/x',
        ),
    ),
    "token": Target(
        check=_token, seeds=documents({"token": "a.b-c=="}, {"access_token": "x"}), json=True
    ),
    "refusal": Target(
        check=_refusal,
        seeds=tuple(
            bytes((1, 0x94)) + raw
            for raw in documents({"errors": [{"code": "X", "message": "\x1b[2J"}]}, {"errors": []})
        ),
    ),
    "credentials": Target(
        check=_credentials,
        seeds=documents(
            {"auths": {"registry.example.org": {"auth": _AUTH}}},
            {"auths": {"https://registry.example.org/v1/": {"identitytoken": "t"}}},
            {"credHelpers": {"registry.example.org": "x"}, "credsStore": "y"},
            {"credsStore": "y", "Username": "<token>", "Secret": "s"},
        ),
        json=True,
    ),
}
