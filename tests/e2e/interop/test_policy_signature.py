"""cosign reads the signature of a policy, and refuses what it does not cover."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imagekit.policy.new import new_policy
from imagekit.sign.open_signer import open_signer
from imagekit.signatures.keys.key_files import generate, read_public_key
from imagekit.verify.policies import sign_policy

pytestmark = pytest.mark.real

_TYPE = "https://imagekit.dev/policy/v1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A signed policy that names the key that signed it, and another file."""
    generate(tmp_path, lambda: "secret")
    text = new_policy(
        "r.site/**", read_public_key(tmp_path / "imagekit.pub"), now=datetime.now(UTC)
    )
    listed = "    authorities:\n      - {name: b, key: {path: other.pub}}\n"
    (tmp_path / "policy.yaml").write_text(text.replace("    authorities:\n", listed))
    (tmp_path / "other").mkdir()
    generate(tmp_path / "other", lambda: "other")
    (tmp_path / "other/imagekit.pub").rename(tmp_path / "other.pub")
    signer = open_signer(tmp_path / "imagekit.key", lambda: "secret")
    sign_policy(tmp_path / "policy.yaml", signer)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "key", "kind", "good"),
    [
        ("policy.yaml", "imagekit.pub", _TYPE, True),
        ("other.pub", "imagekit.pub", _TYPE, True),
        ("imagekit.pub", "imagekit.pub", _TYPE, False),
        ("policy.yaml", "other.pub", _TYPE, False),
        ("policy.yaml", "imagekit.pub", "https://imagekit.dev/release/v1", False),
    ],
)
def test_cosign(bench: Path, folder: Path, file: str, key: str, kind: str, *, good: bool) -> None:
    """The policy and what it names are covered: by this key, as this type, and nothing else."""
    words = ["--bundle", "policy.yaml.sigstore.json", "--key", key, "--type", kind]
    outcome = subprocess.run(
        [bench / "cosign", "verify-blob-attestation", *words, "--insecure-ignore-tlog", file],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (outcome.returncode == 0) is good, outcome.stderr
