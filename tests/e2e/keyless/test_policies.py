"""Policies signed keyless: obeyed by whoever lists the identity, and nobody else's are."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from imagekit.cli.main import main
from imagekit.policy.new import new_policy
from imagekit.policy.signers import load_signers
from imagekit.verify.policies import open_policy
from imagekit.verify.rollback import ScratchRollbackStore
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.sigstore.issuer import EMAIL
from tests.support.sigstore_stack import Sigstore

pytestmark = [
    pytest.mark.real,
    # sigstore-python says of itself that Rekor v2 is young.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(params=["rekor-v2", "rekor-v1"])
def folder(request: pytest.FixtureRequest, sigstore: Sigstore, tmp_path: Path) -> Path:
    """A policy that an identity signed, and the trusted root."""
    first = request.param == "rekor-v1"
    config = sigstore.trust_config_v1 if first else sigstore.trust_config
    root = sigstore.trusted_root_v1 if first else sigstore.trusted_root
    file = tmp_path / "policy.yaml"
    file.write_text(new_policy("r.site/**", MemorySigner().public_key, now=datetime.now(UTC)))
    words = ["--identity-token", sigstore.token(), "--trust-config", str(config)]
    assert main(["policy", "sign", str(file), *words]) == 0
    (tmp_path / "root.json").write_bytes(root.read_bytes())
    return tmp_path


def _codes(folder: Path, *, days: int = 0, **identity: str) -> list[str]:
    document = {
        "apiVersion": "imagekit/v1",
        "kind": "PolicyAuthority",
        "trustRoots": {"own": {"path": "root.json"}},
        "authorities": [
            {"name": "admin", "keyless": {"identities": [identity], "trustRoot": "own"}}
        ],
    }
    (folder / "authority.yaml").write_text(yaml.safe_dump(document))
    policy = open_policy(
        folder / "policy.yaml",
        signers=load_signers(folder / "authority.yaml"),
        memory=ScratchRollbackStore(),
        clock=FixedClock(datetime.now(UTC) + timedelta(days=days)),
    )
    return [finding.code for finding in policy.standing]


def test_by_the_identity(folder: Path, sigstore: Sigstore) -> None:
    """Also long after the certificate has ended."""
    assert _codes(folder, issuer=sigstore.issuer, subject=EMAIL) == ["OK"]
    assert _codes(folder, issuer=sigstore.issuer, subject=EMAIL, days=200) == ["OK"]


def test_by_somebody_else(folder: Path, sigstore: Sigstore) -> None:
    """Another subject, and another issuer for the same one."""
    bad = ["BAD_POLICY_SIGNATURE"]
    assert _codes(folder, issuer=sigstore.issuer, subject="admin@other.example") == bad
    assert _codes(folder, issuer=sigstore.ci_issuer, subject=EMAIL) == bad


def test_changed(folder: Path, sigstore: Sigstore) -> None:
    """One byte more is another policy."""
    file = folder / "policy.yaml"
    file.write_text(file.read_text() + "\n")

    assert _codes(folder, issuer=sigstore.issuer, subject=EMAIL) == ["BAD_POLICY_SIGNATURE"]
