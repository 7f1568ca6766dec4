"""Four verifiers of other people read what a private Sigstore made, and refuse what is wrong."""

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sigstore.dsse import DigestSet, StatementBuilder, Subject
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from tests.support.sigstore.issuer import EMAIL
from tests.support.sigstore_stack import Sigstore

pytestmark = [
    pytest.mark.real,
    # sigstore-python says of itself that Rekor v2 is young.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

ARTIFACT = b"what is signed"


def _cosign(bench: Path, root: Path, identity: str, issuer: str, /) -> list[str | Path]:
    who = ("--certificate-identity", identity, "--certificate-oidc-issuer", issuer)
    return [
        *(bench / "cosign", "verify-blob-attestation", "--bundle", "bundle.json"),
        *("--trusted-root", root, "--type", "https://imagekit.test/p/v1", *who, "artifact"),
    ]


def _sigstore_go(bench: Path, root: Path, identity: str, issuer: str, /) -> list[str | Path]:
    return [
        *(bench / "sigstore-go-verification", "-artifact", "artifact"),
        *("-trustedrootJSONpath", root, "-expectedSAN", identity, "-expectedIssuer", issuer),
        "bundle.json",
    ]


def _sigstore_js(bench: Path, root: Path, identity: str, issuer: str, /) -> list[str | Path]:
    who = ("--identity", identity, "--issuer", issuer)
    return [bench / "sigstore-js", "bundle.json", root, *who]


def _sigstore_python(bench: Path, root: Path, identity: str, issuer: str, /) -> list[str | Path]:
    who = ("--cert-identity", identity, "--cert-oidc-issuer", issuer)
    config = root.with_name(root.name.replace("trusted_root", "trust_config"))
    return [
        *(sys.executable, "-P", "-m", "sigstore", "--trust-config", config, "verify", "identity"),
        *("--offline", "--bundle", "bundle.json", *who, "artifact"),
    ]


VERIFIERS = {
    "cosign": _cosign,
    "sigstore-go": _sigstore_go,
    "sigstore-js": _sigstore_js,
    "sigstore-python": _sigstore_python,
}


def _signed(config: Path, token: str, folder: Path) -> None:
    """Write a statement's bundle about the file that is written beside it."""
    (folder / "artifact").write_bytes(ARTIFACT)
    digest = DigestSet({"sha256": hashlib.sha256(ARTIFACT).hexdigest()})
    statement = (
        StatementBuilder()
        .subjects([Subject(name="artifact", digest=digest)])
        .predicate_type("https://imagekit.test/p/v1")
        .predicate({})
        .build()
    )
    trust = ClientTrustConfig.from_json(config.read_text())
    with SigningContext.from_trust_config(trust).signer(IdentityToken(token)) as signer:
        (folder / "bundle.json").write_text(signer.sign_dsse(statement).to_json())


def _accepts(argv: list[str | Path], folder: Path) -> bool:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert "node:internal" not in said, said
    return done.returncode == 0


@pytest.fixture(params=[1, 2])
def roots(sigstore: Sigstore, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """A signed statement by one Rekor: the root that names its log, and the one that does not."""
    both = [
        (sigstore.trust_config_v1, sigstore.trusted_root_v1),
        (sigstore.trust_config, sigstore.trusted_root),
    ]
    config, root = both[request.param - 1]
    _signed(config, sigstore.token(), tmp_path)
    return root, both[2 - request.param][1]


@pytest.mark.parametrize("name", VERIFIERS)
def test_every_verifier_agrees(
    sigstore: Sigstore, bench: Path, tmp_path: Path, roots: tuple[Path, Path], name: str
) -> None:
    """Right: accepted. Another person, issuer or log, or a payload that was changed: refused."""
    right, wrong = roots
    argv = VERIFIERS[name]
    assert not _accepts(argv(bench, right, "mallory@imagekit.test", sigstore.issuer), tmp_path)
    assert not _accepts(argv(bench, right, EMAIL, sigstore.ci_issuer), tmp_path)
    assert not _accepts(argv(bench, wrong, EMAIL, sigstore.issuer), tmp_path)
    assert _accepts(argv(bench, right, EMAIL, sigstore.issuer), tmp_path)
    _change_payload(tmp_path / "bundle.json")
    assert not _accepts(argv(bench, right, EMAIL, sigstore.issuer), tmp_path)


def _change_payload(path: Path) -> None:
    bundle = json.loads(path.read_text())
    envelope = bundle["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"] = {"changed": True}
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(bundle))
