"""The private Sigstore serves the clients of others: what every test of ours builds on."""

import json
import subprocess
from pathlib import Path

import pytest
from cryptography.x509 import ObjectIdentifier, SubjectAlternativeName
from sigstore.errors import VerificationError
from sigstore.models import Bundle, ClientTrustConfig
from sigstore.oidc import IdentityError, IdentityToken, detect_credential
from sigstore.sign import SigningContext
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity

from tests.support.sigstore.issuer import EMAIL
from tests.support.sigstore_stack import Sigstore

pytestmark = [
    pytest.mark.real,
    # sigstore-python says of itself that Rekor v2 is young.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

ARTIFACT = b"what is signed"


def _sign(config: Path, token: str) -> Bundle:
    trust = ClientTrustConfig.from_json(config.read_text())
    with SigningContext.from_trust_config(trust).signer(IdentityToken(token)) as signer:
        return signer.sign_artifact(ARTIFACT)


def _verify(config: Path, bundle: Bundle, identity: str, issuer: str) -> None:
    trust = ClientTrustConfig.from_json(config.read_text())
    verifier = Verifier(trusted_root=trust.trusted_root)
    verifier.verify_artifact(ARTIFACT, bundle, Identity(identity=identity, issuer=issuer))


def _config(stack: Sigstore, version: int) -> Path:
    return stack.trust_config if version == 2 else stack.trust_config_v1


@pytest.mark.parametrize("version", [1, 2])
def test_sigstore_python_refuses_another_identity(sigstore: Sigstore, version: int) -> None:
    """Neither another person nor another issuer passes, by either Rekor."""
    config = _config(sigstore, version)
    bundle = _sign(config, sigstore.token())
    for identity, issuer in (
        ("mallory@imagekit.test", sigstore.issuer),
        (EMAIL, sigstore.ci_issuer),
    ):
        with pytest.raises(VerificationError):
            _verify(config, bundle, identity, issuer)


@pytest.mark.parametrize("version", [1, 2])
def test_a_log_that_is_not_trusted_is_refused(sigstore: Sigstore, version: int) -> None:
    """What one Rekor recorded is not accepted under a root that names the other."""
    bundle = _sign(_config(sigstore, version), sigstore.token())
    with pytest.raises(VerificationError):
        _verify(_config(sigstore, 3 - version), bundle, EMAIL, sigstore.issuer)


@pytest.mark.parametrize("version", [1, 2])
def test_sigstore_python_signs_and_verifies(sigstore: Sigstore, version: int) -> None:
    """A bundle by each Rekor verifies for the person that the token names."""
    config = _config(sigstore, version)
    bundle = _sign(config, sigstore.token("someone@imagekit.test"))
    _verify(config, bundle, "someone@imagekit.test", sigstore.issuer)


@pytest.mark.parametrize("choices", [{"seconds": "-60"}, {"aud": "somebody-else"}])
def test_a_token_that_does_not_hold_is_refused(sigstore: Sigstore, choices: dict[str, str]) -> None:
    """Expired, or for somebody else: the client itself refuses it."""
    with pytest.raises(IdentityError):
        _sign(sigstore.trust_config, sigstore.token(**choices))


def test_an_address_that_is_not_verified_gets_no_certificate(sigstore: Sigstore) -> None:
    """Fulcio itself refuses a person whose issuer has not verified the address."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its own class is private
        _sign(sigstore.trust_config, sigstore.token(email_verified="false"))
    assert "400 Client Error" in str(caught.value.__cause__)


def test_a_workflow_signs_by_its_ambient_identity(
    sigstore: Sigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables of GitHub Actions give a token, and its claims stand in the certificate."""
    for name, value in sigstore.github_environment(repository="acme/other").items():
        monkeypatch.setenv(name, value)
    token = detect_credential()
    assert token is not None
    bundle = _sign(sigstore.trust_config, token)
    identity = sigstore.github_identity("acme/other")
    _verify(sigstore.trust_config, bundle, identity, sigstore.ci_issuer)
    extensions = bundle.signing_certificate.extensions
    assert extensions.get_extension_for_class(SubjectAlternativeName).critical
    repository = extensions.get_extension_for_oid(ObjectIdentifier("1.3.6.1.4.1.57264.1.12"))
    assert repository.value.public_bytes().endswith(b"https://github.com/acme/other")


def test_a_gitlab_job_has_its_token(sigstore: Sigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of GitLab give a token that the authority takes."""
    for name, value in sigstore.gitlab_environment("job@imagekit.test").items():
        monkeypatch.setenv(name, value)
    token = detect_credential()
    assert token is not None
    bundle = _sign(sigstore.trust_config, token)
    _verify(sigstore.trust_config, bundle, "job@imagekit.test", sigstore.issuer)


def _cosign(bench: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [bench / "cosign", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _cosign_verify(
    sigstore: Sigstore, bench: Path, folder: Path, identity: str
) -> subprocess.CompletedProcess[str]:
    return _cosign(
        bench,
        folder,
        *("verify-blob", "--bundle", "bundle.json"),
        *("--trusted-root", str(sigstore.trusted_root)),
        *("--certificate-identity", identity),
        *("--certificate-oidc-issuer", sigstore.issuer, "artifact"),
    )


def test_cosign_signs_keyless_and_sigstore_python_agrees(
    sigstore: Sigstore, bench: Path, tmp_path: Path
) -> None:
    """Cosign 3 signs by our files; it and sigstore-python verify it, and refuse another person."""
    (tmp_path / "artifact").write_bytes(ARTIFACT)
    done = _cosign(
        bench,
        tmp_path,
        *("sign-blob", "--yes", "--bundle", "bundle.json"),
        *("--signing-config", str(sigstore.signing_config)),
        *("--trusted-root", str(sigstore.trusted_root)),
        *("--identity-token", sigstore.token(), "artifact"),
    )
    assert done.returncode == 0, done.stderr
    assert _cosign_verify(sigstore, bench, tmp_path, "mallory@imagekit.test").returncode != 0
    done = _cosign_verify(sigstore, bench, tmp_path, EMAIL)
    assert done.returncode == 0, done.stderr
    bundle = Bundle.from_json((tmp_path / "bundle.json").read_text())
    _verify(sigstore.trust_config, bundle, EMAIL, sigstore.issuer)


def test_cosign_verifies_what_sigstore_python_signed(
    sigstore: Sigstore, bench: Path, tmp_path: Path
) -> None:
    """The trusted root that we write is one that cosign reads: the log's host is its name."""
    (tmp_path / "artifact").write_bytes(ARTIFACT)
    bundle = _sign(sigstore.trust_config, sigstore.token())
    (tmp_path / "bundle.json").write_text(bundle.to_json())
    done = _cosign_verify(sigstore, bench, tmp_path, EMAIL)
    assert done.returncode == 0, done.stderr
    assert _cosign_verify(sigstore, bench, tmp_path, "mallory@imagekit.test").returncode != 0


def test_the_files_belong_together(sigstore: Sigstore) -> None:
    """The client's file holds the same root and configuration as the separate ones."""
    both = json.loads(sigstore.trust_config.read_text())
    assert both["trustedRoot"] == json.loads(sigstore.trusted_root.read_text())
    assert both["signingConfig"] == json.loads(sigstore.signing_config.read_text())
