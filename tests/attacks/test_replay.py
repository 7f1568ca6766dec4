"""One honest image, replayed by a registry that misbehaves in one way at a time.

The image is signed and has an SBOM and a provenance, which the policy demands. Each lie ends in one
of three ways: the image is allowed, because the lie changes nothing; it is denied, with a code that
says why; or there is no verdict, because the registry did not answer. Every time within a deadline,
in bounded memory, and without a character that could steer the reader's terminal.
"""

from collections.abc import Iterator

import pytest

from tests.support.hostile import Answer
from tests.support.misbehaviours import (
    DENIED,
    INDEX_CHUNKED,
    NO_VERDICT,
    OK,
    PIECE,
    Change,
    Where,
    at,
    body,
    bomb,
    bundle,
    config,
    cut_off,
    declaring,
    dripping,
    endless,
    error,
    manifest,
    raw,
    redirect,
    referrer,
    referrers,
    repeated,
    sbom,
    silent,
    zipped,
)
from tests.support.replay import Lie, Stage, hold

pytestmark = pytest.mark.real

# What can be done to each answer, and how it ends for the manifest by its tag, the configuration,
# the list of referrers, a referrer's manifest, the signature, and the SBOM.
_PARTS: dict[str, Where] = {
    "manifest": manifest,
    "config": config,
    "referrers": referrers,
    "referrer": referrer,
    "signature": bundle,
    "sbom": sbom,
}
_ALTERED = {
    "manifest": "image: CONTENT_DIGEST_MISMATCH",
    "config": "image: CONTENT_DIGEST_MISMATCH",
    "referrers": "referrers: REFERRERS_LOST",
    # The SBOM's signer is trusted: that it is no signature is told first, what was lost besides.
    "referrer": "signature: WRONG_PREDICATE_TYPE",
    "signature": "signature: WRONG_PREDICATE_TYPE",
    "sbom": "sbom: MISSING_ATTESTATION",
}
_TOO_LARGE = dict.fromkeys(("manifest", "referrers", "referrer"), "TOO_LARGE")
# Only blobs may lie elsewhere: for a manifest, a redirect is no answer.
_NOT_FOLLOWED = dict.fromkeys(("manifest", "referrers", "referrer"), "REGISTRY_ERROR")
_EVERYWHERE: dict[str, tuple[Change | Answer, dict[str, str], str]] = {
    "truncated": (body(lambda raw: raw[:-1]), _ALTERED, ""),
    "extended": (body(lambda raw: raw + b"x"), _ALTERED, ""),
    "emptied": (body(lambda _: b""), _ALTERED, ""),
    "zipped": (zipped, _ALTERED, ""),
    "zip-bomb": (bomb, _ALTERED, ""),
    "cut-off": (cut_off, _ALTERED, ""),
    "endless": (endless, _ALTERED | _TOO_LARGE, ""),
    "dripping": (dripping, {}, "TIMEOUT"),
    "silent": (silent, {}, "TIMEOUT"),
    "ten-gigabytes": (declaring("10737418240"), {}, "TIMEOUT"),
    "status-500": (error(500), {}, "REGISTRY_ERROR"),
    "status-403": (error(403), {}, "UNAUTHORIZED"),
    "status-429": (error(429, Retry_After="1"), {}, "REGISTRY_ERROR"),
    "status-204": (error(204), {}, "REGISTRY_ERROR"),
    "status-206": (error(206), {}, "REGISTRY_ERROR"),
    "not-http": (raw(b"\x1b[2J220 smtp.example.org ESMTP\r\n"), {}, "CONNECTION"),
    "hung-up": (raw(), {}, "CONNECTION"),
    "bad-chunks": (raw(INDEX_CHUNKED, b"zz\r\nxxxx\r\n"), {}, "CONNECTION"),
    "slow-headers": (repeated(OK, b"X-A: b\r\n", 90, pause=0.1), {}, "TIMEOUT"),
    "endless-headers": (repeated(OK, b"X-A: b\r\n", 100_000), {}, "CONNECTION"),
    "endless-header": (repeated(OK + b"X-A: ", PIECE, 1000), {}, "CONNECTION"),
    "endless-continue": (repeated(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 1 << 22), {}, "TIMEOUT"),
    "redirect-to-file": (redirect("file:///etc/passwd"), _NOT_FOLLOWED, "FOREIGN_REDIRECT"),
    "redirect-to-metadata": (
        redirect("http://169.254.169.254/latest/"),
        _NOT_FOLLOWED,
        "FOREIGN_REDIRECT",
    ),
    "redirect-to-no-url": (redirect("/v2/caf\xe9"), _NOT_FOLLOWED, "BAD_ANSWER"),
    "redirect-to-itself": (redirect(""), _NOT_FOLLOWED, "FOREIGN_REDIRECT"),
}


def _cases() -> Iterator[tuple[str, Lie, int, str]]:
    for name, (change, codes, otherwise) in _EVERYWHERE.items():
        for part, where in _PARTS.items():
            code = codes.get(part, otherwise)
            exit_code = DENIED if ": " in code else NO_VERDICT
            yield f"{part}-{name}", at(where, change), exit_code, code


@pytest.mark.parametrize(
    ("lie", "exit_code", "code"), [pytest.param(*rest, id=name) for name, *rest in _cases()]
)
def test_any_answer(stage: Stage, lie: Lie, exit_code: int, code: str) -> None:
    """What can be done to every answer alike."""
    shown = hold(stage, lie, exit_code, code)

    if code in {_ALTERED["signature"], _ALTERED["sbom"]}:
        assert "CONTENT_DIGEST_MISMATCH" in shown
