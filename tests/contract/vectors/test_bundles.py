"""sigstore-conformance's bundles: what must verify does, and what must not does not.

https://github.com/sigstore/sigstore-conformance/tree/main/test/assets/bundle-verify
"""

from pathlib import Path

import pytest

from imagekit.oci.digest import Digest
from tests.contract.vectors import client
from tests.contract.vectors.place import DATA

BEACON = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/"
    ".github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ISSUER = "https://token.actions.githubusercontent.com"
MISSED = {
    "intoto-with-custom-trust-root": "an intoto 0.0.2 entry beside a certificate: sigstore-python "
    "takes no time from one, and reads Rekor v1's dsse and hashedrekord only",
}
"""What should verify, and does not; with the reason."""


CODES = {
    "bundle-empty-certificate-chain": "BAD_TLOG_ENTRY",
    "bundle-from-wrong-instance": "BAD_CERTIFICATE",
    "bundle-invalid-base64-signature": "BAD_BUNDLE",
    "bundle-malformed-json": "BAD_DOCUMENT",
    "checkpoint-bad-keyhint": "BAD_TLOG_ENTRY",
    "checkpoint-wrong-roothash": "BAD_TLOG_ENTRY",
    "dsse-invalid-sig": "BAD_SIGNATURE",
    "dsse-mismatch-envelope": "BAD_TLOG_ENTRY",
    "incorrect-public-key": "BAD_TLOG_ENTRY",
    "integrated-time-in-future": "BAD_CERTIFICATE",
    "intoto-missing-inclusion-proof": "BAD_TLOG_ENTRY",
    "invalid-checkpoint-signature": "BAD_TLOG_ENTRY",
    "managed-key-no-key": "BAD_BUNDLE",
    "rekor2-checkpoint-missing-log-signature": "BAD_TLOG_ENTRY",
    "rekor2-checkpoint-missing-origin": "BAD_TLOG_ENTRY",
    "rekor2-checkpoint-missing-root-hash": "BAD_TLOG_ENTRY",
    "rekor2-checkpoint-no-matching-signature": "BAD_TLOG_ENTRY",
    "rekor2-dsse-invalid-sig": "BAD_SIGNATURE",
    "rekor2-dsse-mismatch-sig": "BAD_TLOG_ENTRY",
    "rekor2-no-inclusion-proof": "BAD_TLOG_ENTRY",
    "rekor2-timestamp-outside-trust-root-tsa-validity": "NO_TRUSTED_TIME",
    "rekor2-timestamp-outside-tsa-cert-validity": "NO_TRUSTED_TIME",
    "rekor2-timestamp-untrusted-tsa-with-embedded-cert": "NO_TRUSTED_TIME",
    "rekor2-timestamp-untrusted-tsa-without-embedded-cert": "NO_TRUSTED_TIME",
    "rekor2-timestamp-with-incorrect-time": "BAD_CERTIFICATE",
    "set-invalid-signature": "BAD_TLOG_ENTRY",
    "signature-mismatch": "BAD_SIGNATURE",
    "trust-root-tlog-missing-validity-start": "BAD_TRUST_ROOT",
    "wrong-hashedrekord-artifact": "BAD_TLOG_ENTRY",
    "wrong-hashedrekord-entry": "BAD_TLOG_ENTRY",
}
"""What the refused ones are refused for. Those that are not here are refused for something else
than their README means, and earlier: the intoto cases for the kind of their entry, which is not
read beside certificates; others by the library's parser, or by an entry without a checkpoint."""


def _folders() -> list[Path]:
    if DATA is None:
        return []
    return sorted(each for each in (DATA / "sigstore-bundles").iterdir() if each.is_dir())


def _cases() -> list[object]:
    def marks(name: str) -> list[pytest.MarkDecorator]:
        missed = MISSED.get(name)
        return [pytest.mark.xfail(strict=True, reason=missed)] if missed else []

    return [pytest.param(each, id=each.name, marks=marks(each.name)) for each in _folders()]


def _good(*, keys: bool = True) -> list[object]:
    good = [each for each in _folders() if not each.name.endswith("_fail")]
    wanted = [each for each in good if keys or not (each / "key.pub").exists()]
    return [pytest.param(each, id=each.name) for each in wanted if each.name not in MISSED]


def _status(case: Path, artifact: str, **changes: str) -> int:
    """Run the client on a case; keywords replace identity, issuer, key or trusted root."""

    def text(name: str, default: str) -> str:
        file = case / name
        return changes.get(name) or (file.read_text().strip() if file.exists() else default)

    words = ["verify-bundle", "--bundle", str(case / "bundle.sigstore.json")]
    if (case / "key.pub").exists():
        words += ["--key", changes.get("key", str(case / "key.pub"))]
    else:
        words += ["--certificate-identity", text("identity", BEACON)]
        words += ["--certificate-oidc-issuer", text("issuer", ISSUER)]
    if "root" in changes or (case / "trusted_root.json").exists():
        words += ["--trusted-root", changes.get("root", str(case / "trusted_root.json"))]
    return client.main([*words, artifact])


def _artifact(case: Path) -> Path:
    own = case / "artifact"
    return own if own.exists() else case.parent / "a.txt"


def _code(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the code of the refusal that was written last."""
    return capsys.readouterr().err.splitlines()[-1].partition(":")[0]


@pytest.mark.parametrize("case", _cases())
def test_case(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The name says the verdict: ``_fail`` is refused, for what it means, and all others verify."""
    name = case.name.removesuffix("_fail")

    assert _status(case, str(_artifact(case))) == (1 if case.name != name else 0)
    if name in CODES:
        assert _code(capsys) == CODES[name]


@pytest.mark.parametrize("case", _good())
def test_each_good_one_of_somebody_else(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What verifies does not for another identity, issuer or key."""
    artifact = str(_artifact(case))
    if (case / "key.pub").exists():
        assert _status(case, artifact, key=str(case.parents[1] / "containers-image/cosign.pub"))
        assert _code(capsys) == "UNTRUSTED_KEY"
        return
    assert _status(case, artifact, identity="https://example.org/somebody-else")
    assert _code(capsys) == "IDENTITY_MISMATCH"
    assert _status(case, artifact, issuer="https://issuer.example.org")
    assert _code(capsys) == "ISSUER_MISMATCH"


@pytest.mark.parametrize("case", _good())
def test_each_good_one_of_something_else(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What verifies does not for another artifact, nor under a root without its log."""
    other = tmp_path / "artifact"
    other.write_bytes(b"something else")
    assert _status(case, str(other))
    assert _code(capsys) in {"DIGEST_MISMATCH", "BAD_BUNDLE", "BAD_SIGNATURE"}
    root = tmp_path / "root.json"
    root.write_text('{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}')
    assert _status(case, str(_artifact(case)), root=str(root))


@pytest.mark.parametrize("case", _good(keys=False))
def test_digest_instead_of_the_artifact(case: Path) -> None:
    """A digest is as good as the bytes, but for keys over bare bytes."""
    digest = Digest.of(_artifact(case).read_bytes())
    wrong = Digest.of(b"something else")

    assert _status(case, str(digest)) == 0
    assert _status(case, str(wrong)) == 1


def test_the_data_is_whole(data: Path) -> None:
    """There are cases of both kinds, each with its bundle, and the missed ones are among them."""
    folders = _folders()
    names = {each.name for each in folders}

    assert len(names) >= len(CODES) + len(MISSED)
    assert names >= set(MISSED)
    assert names >= {f"{name}_fail" for name in CODES}
    assert all((each / "bundle.sigstore.json").exists() for each in folders)
    assert (data / "sigstore-bundles/a.txt").exists()
