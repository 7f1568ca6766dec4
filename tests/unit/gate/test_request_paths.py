"""The grammar of targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.gate.answers import RequestRefusedError
from imagekit.gate.request_paths import (
    AskBlob,
    AskCatalog,
    AskHealth,
    AskManifest,
    AskReferrers,
    AskTags,
    Ping,
    parse,
)
from imagekit.oci.digest import Digest

DIGEST = Digest.of(b"x")


@pytest.mark.parametrize(
    ("target", "ask"),
    [
        ("/v2/", Ping()),
        ("/v2", Ping()),
        ("/v2/a/manifests/1", AskManifest("a", "1")),
        ("/v2/a/b/c/manifests/v1.0_x-y", AskManifest("a/b/c", "v1.0_x-y")),
        (f"/v2/a/manifests/{DIGEST}", AskManifest("a", DIGEST)),
        ("/v2/a/manifests/1?ns=docker.io", AskManifest("a", "1", "docker.io")),
        (f"/v2/a/blobs/{DIGEST}", AskBlob("a", DIGEST)),
        ("/v2/manifests/blobs/manifests/manifests", AskManifest("manifests/blobs", "manifests")),
        ("/v2/tags/list/tags/list", AskTags("tags/list")),
        ("/v2/a/tags/list?n=5&last=x", AskTags("a", 5, "x")),
        ("/v2/a/tags/list?n=99999999999999999999", AskTags("a", 1000)),
        (
            f"/v2/a/referrers/{DIGEST}?artifactType=a/b+json&artifactType=c%2Fd",
            AskReferrers("a", DIGEST, ("a/b+json", "c/d")),
        ),
        ("/v2/_catalog?n=3", AskCatalog(3)),
        ("/healthz", AskHealth("healthz")),
        ("/metrics", AskHealth("metrics")),
    ],
)
def test_parse(target: str, ask: object) -> None:
    """What the specification knows."""
    assert parse(target) == ask


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/v2/a%2Fb/manifests/1", 400, "NAME_INVALID"),
        ("/v2/A/manifests/1", 400, "NAME_INVALID"),
        ("/v2/a//manifests/1", 400, "NAME_INVALID"),
        ("/v2/a/../manifests/1", 400, "NAME_INVALID"),
        ("/v2/a\n/manifests/1", 400, "NAME_INVALID"),
        ("/v2/a\0/manifests/1", 400, "NAME_INVALID"),
        ("/v2/a;b/manifests/1", 400, "NAME_INVALID"),
        (f"/v2/{'a' * 256}/manifests/1", 400, "NAME_INVALID"),
        ("/v2/" + "a" * 5000, 400, "NAME_INVALID"),
        ("/v2/a/manifests/.x", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/a/manifests/{'a' * 129}", 404, "MANIFEST_UNKNOWN"),
        ("/v2/a/blobs/1", 400, "DIGEST_INVALID"),
        ("/v2/a/blobs/sha256:xyz", 400, "DIGEST_INVALID"),
        ("/v2/a/blobs/uploads/", 404, "UNSUPPORTED"),
        ("/v2/a/things/1", 404, "UNSUPPORTED"),
        ("/v2/a/tags/1", 404, "UNSUPPORTED"),
        ("/v2/a", 404, "UNSUPPORTED"),
        ("/v1/a/manifests/1", 404, "UNSUPPORTED"),
        ("/v2/a/tags/list?n=x", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/a/tags/list?" + "a=b&" * 50, 400, "UNSUPPORTED"),
    ],
)
def test_refuse(target: str, status: int, code: str) -> None:
    """Everything else, with the code of the specification."""
    with pytest.raises(RequestRefusedError) as caught:
        parse(target)

    assert (caught.value.status, caught.value.code) == (status, code)


@given(st.text())
def test_any_text(text: str) -> None:
    """No text leads to anything but a question or a refusal, and none with a percent sign."""
    for target in (text, f"/v2/{text}", f"/v2/a/manifests/{text}", f"/v2/{text}/manifests/1"):
        try:
            parse(target)
        except RequestRefusedError:
            continue
        assert "%" not in target.partition("?")[0]
        assert ".." not in target.partition("?")[0].split("/")
