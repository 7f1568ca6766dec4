"""Whatever a registry writes into headers and lists leads to the registry, or nowhere."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import AuthError, DocumentError, RegistryError
from imagekit.oci.registry import protocol
from imagekit.oci.registry.options import Credential

_OWN = "https://registry.example.org/v2/apps/demo/tags/list?n=1"
_LOGIN = Credential(username="admin", password="secret")
_PARTS = st.lists(
    st.sampled_from(
        [
            "http:",
            "https:",
            "file:",
            "//",
            "/",
            "?",
            "#",
            "@",
            ":",
            "[",
            "]",
            "::1",
            "127.0.0.1",
            "registry.example.org",
            "evil.example.org",
            "169.254.169.254",
            "80",
            "443",
            "\\",
            "%",
            "..",
        ]
    )
    | st.characters(max_codepoint=0x17F).map(str),
    max_size=8,
).map("".join)


def _sendable(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url


@given(_PARTS)
def test_a_next_page_is_of_the_same_origin(target: str) -> None:
    """Pages come from where the first came from."""
    try:
        following = protocol.next_page(f'<{target}>; rel="next"', _OWN)
    except RegistryError:
        return
    if following is not None:
        assert protocol.origin(following) == protocol.origin(_OWN)
        assert _sendable(following)


@given(_PARTS)
def test_a_redirect_keeps_tls_and_stays_out_of_this_machine(target: str) -> None:
    """Where blobs lie, there is TLS, no login in the URL, and none of this machine's addresses."""
    try:
        followed = protocol.redirected(_OWN, target)
    except RegistryError:
        return
    parts = urlsplit(followed)
    assert parts.scheme == "https"
    assert parts.hostname
    assert not protocol.is_inner_address(parts.hostname)
    assert _sendable(followed)


@given(_PARTS, st.sampled_from((None, _LOGIN, Credential(identity_token="t"))))
def test_a_login_goes_by_tls_only(realm: str, credential: Credential | None) -> None:
    """Of a registry with TLS, the token server has TLS, too."""
    challenge = protocol.Challenge("bearer", {"realm": realm})
    try:
        asked = protocol.token_request(
            challenge, credential, registry="https://registry.example.org", wanted="x"
        )
    except (AuthError, RegistryError):
        return
    assert urlsplit(asked.url).scheme == "https"
    assert _sendable(asked.url)


@given(st.binary(max_size=100))
def test_any_list_of_tags_and_any_token(raw: bytes) -> None:
    """Bytes that are no list or token are refused in one way."""
    try:
        tags = protocol.parse_tags(raw)
    except DocumentError:
        tags = []
    assert all(isinstance(tag, str) for tag in tags)
    with pytest.raises(AuthError):
        protocol.parse_token(raw)
