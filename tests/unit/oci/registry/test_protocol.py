"""The registry protocol's hostile corners, without a registry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import AuthError, InvalidReferenceError, RegistryError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository, TaggedReference
from imagekit.oci.registry import protocol
from imagekit.oci.registry.options import Credential

_LOGIN = Credential(username="admin", password="secret")
_OWN = "https://registry.example.org"


@pytest.mark.parametrize("header", ["", "Negotiate", "Digest realm=x", "Bearer " + "a" * 9000])
def test_unknown_challenge_is_refused(header: str) -> None:
    """Only Basic and Bearer are known."""
    with pytest.raises(AuthError):
        protocol.parse_challenge(header)


def test_bearer_is_chosen_and_commas_in_quotes_kept() -> None:
    """Both schemes in one header, as some registries write them."""
    header = 'Basic realm="a, b", Bearer realm="https://t/x",service="s",scope="r:pull,push"'
    found = protocol.parse_challenge(header)

    assert found.scheme == "bearer"
    assert found.parameters == {"realm": "https://t/x", "service": "s", "scope": "r:pull,push"}


@given(st.text(max_size=200))
def test_any_challenge_is_read_or_refused(header: str) -> None:
    """No header makes anything else happen."""
    try:
        found = protocol.parse_challenge(header)
    except AuthError:
        return
    assert found.scheme in {"basic", "bearer"}


@pytest.mark.parametrize(
    "realm", ["http://registry.example.org/t", "http://t", "https://u@t/", "https://127.0.0.1/t"]
)
def test_realm_of_a_tls_registry_must_be_tls(realm: str) -> None:
    """No login ever goes over plain HTTP because of what a TLS registry answered."""
    challenge = protocol.Challenge("bearer", {"realm": realm})
    with pytest.raises(AuthError) as caught:
        protocol.token_request(challenge, _LOGIN, registry=_OWN, wanted="x")
    assert caught.value.code == "UNTRUSTED_REALM"


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"token":1}', b'{"token":"a\\r\\nX: y"}'])
def test_token_that_is_none_is_refused(raw: bytes) -> None:
    """A token that would break the header is no token."""
    with pytest.raises(AuthError):
        protocol.parse_token(raw)


@pytest.mark.parametrize(
    "target",
    [
        "http://cdn.example.org/x",
        "https://169.254.169.254/",
        "https://[::ffff:169.254.169.254]/",
        "https://localhost/",
        "https://[::1]/",
        "https://0.0.0.0/",
        "file:///x",
        "//[bad",
        "https://host:99999/",
    ],
)
def test_redirect_where_none_may_go(target: str) -> None:
    """Not from TLS to none, not to this machine, not to what is no URL."""
    with pytest.raises(RegistryError):
        protocol.redirected(f"{_OWN}/v2/x", target)


@pytest.mark.parametrize(
    "target", ["/v2/caf\xe9", "?last=a b", "/\x7f", "https://\xfc.example.org/"]
)
def test_what_no_request_can_be_made_of_is_no_url(target: str) -> None:
    """Such a target is the registry's fault, and no traceback of the HTTP library's."""
    with pytest.raises(RegistryError):
        protocol.redirected(f"{_OWN}/v2/x", target)
    with pytest.raises(RegistryError):
        protocol.next_page(f'<{target}>; rel="next"', f"{_OWN}/v2/x")
    challenge = protocol.Challenge("bearer", {"realm": f"https://t.example.org/{target}"})
    with pytest.raises(AuthError) as caught:
        protocol.token_request(challenge, _LOGIN, registry=_OWN, wanted="x")
    assert caught.value.code == "UNTRUSTED_REALM"


def test_redirect_from_loopback_stays_off_the_link() -> None:
    """A registry on loopback may name loopback, and still not the link-local addresses."""
    own = "http://localhost:5000/v2/x"

    assert protocol.redirected(own, "http://127.0.0.1:9/y") == "http://127.0.0.1:9/y"
    with pytest.raises(RegistryError):
        protocol.redirected(own, "http://169.254.169.254/")


@given(st.binary(max_size=200), st.sampled_from([400, 401, 404, 500]))
def test_any_error_body_is_shown_harmlessly(raw: bytes, status: int) -> None:
    """What the registry says is bounded and cannot move the cursor."""
    error = protocol.refusal(status, raw, what="x")

    assert error.message.isprintable()
    assert error.http_status == status


@pytest.mark.parametrize(
    ("name", "plain", "url"),
    [
        ("docker.io/library/debian", False, "https://registry-1.docker.io"),
        ("R.site:443/a", False, "https://r.site"),
        ("r.site:80/a", False, "https://r.site:80"),
        ("r.site:5000/a", True, "http://r.site:5000"),
        ("localhost:5000/a", False, "http://localhost:5000"),
    ],
)
def test_base_url(name: str, *, plain: bool, url: str) -> None:
    """Docker Hub is asked where its registry is."""
    repository = Repository.parse(name)

    assert protocol.base_url(repository, plain_http=plain, has_ca=False) == url


@pytest.mark.parametrize(("name", "plain"), [("r.site:80/a", True), ("127.0.0.1:80/a", False)])
def test_the_port_of_http_would_be_a_second_name(name: str, *, plain: bool) -> None:
    """Without TLS `HOST:80` is the registry that `HOST` is."""
    with pytest.raises(InvalidReferenceError) as caught:
        protocol.base_url(Repository.parse(name), plain_http=plain, has_ca=False)
    assert "write" in caught.value.hint


@pytest.mark.parametrize(
    "host",
    ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[fe80::1%1]", "LOCALHOST.", "127.0.0.1."],
)
def test_odd_addresses_of_this_machine_are_not_gone_to(host: str) -> None:
    """A registry may not send its clients here, however it spells the place."""
    with pytest.raises(RegistryError):
        protocol.redirected(f"{_OWN}/v2/a/blobs/x", f"https://{host}/x")
    challenge = protocol.Challenge("bearer", {"realm": f"https://{host}/t"})
    with pytest.raises(RegistryError):
        protocol.token_request(challenge, _LOGIN, registry=_OWN, wanted="x")


def test_media_types_are_compared_without_case_and_parameters() -> None:
    """RFC 9110 section 8.3.1."""
    assert protocol.media_type(" Application/JSON ; charset=UTF-8") == "application/json"


@pytest.mark.parametrize(
    ("registry", "realm", "sent"),
    [
        ("registry.example.org", "registry.example.org", True),
        ("registry.example.org", "registry.example.org:8443", True),
        ("registry.example.org", "auth.registry.example.org", True),
        ("registry-1.docker.io", "auth.docker.io", True),
        ("registry.example.org", "Listed.example.net", True),
        ("registry.example.org", "example.org", False),
        ("registry.example.org", "auth.example.org", False),
        ("registry.example.org", "evilregistry.example.org", False),
        ("registry.example.org", "registry.example.org.evil.net", False),
        ("registry.example.org", "auth.docker.io", False),
        ("registry-1.docker.io", "evil.docker.io", False),
        ("10.0.0.5", "evil.10.0.0.5", False),
        ("registry", "evil.registry", False),
    ],
)
def test_logins_of_a_service_go_to_its_own_domain(registry: str, realm: str, *, sent: bool) -> None:
    """To the registry's host, below it, Docker Hub's token server, and what is listed."""
    challenge = protocol.Challenge("bearer", {"realm": f"https://{realm}/token"})

    def ask() -> protocol.TokenRequest:
        return protocol.token_request(
            challenge,
            Credential(username="u", password="p"),
            registry=f"https://{registry}",
            wanted="repository:x:pull",
            realms=("LISTED.example.net",),
        )

    if sent:
        assert ask().url.startswith(f"https://{realm}/token?")
        return
    with pytest.raises(AuthError) as caught:
        ask()
    assert caught.value.code == "UNTRUSTED_REALM"


def test_a_token_without_a_login_may_come_from_elsewhere() -> None:
    """Who has no login sends none: public images of registries whose tokens another host gives."""
    challenge = protocol.Challenge("bearer", {"realm": "https://gitlab.com/jwt/auth"})
    registry = "https://registry.gitlab.com"

    asked = protocol.token_request(challenge, None, registry=registry, wanted="x")

    assert not asked.headers
    with pytest.raises(AuthError):
        protocol.token_request(challenge, _LOGIN, registry=registry, wanted="x")


@pytest.mark.parametrize(("algorithm", "length"), [("sha256", 64), ("sha512", 128)])
def test_the_tag_of_referrers_has_64_characters_of_a_digest(algorithm: str, length: int) -> None:
    """distribution-spec, "Referrers Tag Schema"; a tag has at most 128 characters."""
    tag = protocol.fallback_tag(Digest(algorithm, "ab" * (length // 2)))

    assert tag == f"{algorithm}-{'ab' * 32}"
    assert TaggedReference(Repository.parse("r.site/a"), tag).tag == tag
