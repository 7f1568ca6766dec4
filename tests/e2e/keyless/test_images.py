"""Images signed keyless by cosign, new and old, as the verifiers of sites see them."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.sigstore.issuer import EMAIL
from tests.support.sigstore_stack import Sigstore

pytestmark = pytest.mark.real


def _run(*words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def image(bench: Path, registry: str, tmp_path: Path) -> str:
    """A small image in a repository of its own, by its digest."""
    with tarfile.open(tmp_path / "layer.tar", "w") as layer:
        layer.add(__file__, "hello")
    name = f"{registry}/{tmp_path.name.replace('_', '-')}:1"
    done = _run(
        bench / "crane", "append", "--insecure", "-f", tmp_path / "layer.tar", "-t", name.lower()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _old_cosign(sigstore: Sigstore) -> dict[str, str]:
    return {
        "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": str(sigstore.ct_pub),
        "SIGSTORE_REKOR_PUBLIC_KEY": str(sigstore.rekor1_pub),
        "SIGSTORE_ROOT_FILE": str(sigstore.fulcio_pem),
    }


def test_cosign_3_signs_and_verifies_an_image(sigstore: Sigstore, bench: Path, image: str) -> None:
    """As a bundle on the registry; another person is refused."""
    done = _run(
        *(bench / "cosign", "sign", "--yes", "--allow-http-registry"),
        *("--signing-config", sigstore.signing_config, "--trusted-root", sigstore.trusted_root),
        *("--identity-token", sigstore.token(), image),
    )
    assert done.returncode == 0, done.stderr

    def verified(identity: str) -> bool:
        who = ("--certificate-identity", identity, "--certificate-oidc-issuer", sigstore.issuer)
        root = ("--trusted-root", sigstore.trusted_root, "--allow-http-registry")
        return _run(bench / "cosign", "verify", *root, *who, image).returncode == 0

    assert not verified("mallory@imagekit.test")
    assert verified(EMAIL)


def test_skopeo_of_debian_13_reads_the_legacy_form(
    sigstore: Sigstore, bench: Path, image: str, tmp_path: Path
) -> None:
    """Cosign 2.5 signs by Fulcio and Rekor v1; a fulcio policy accepts it, for that person only."""
    done = _run(
        *(bench / "cosign-trixie", "sign", "--yes", "--allow-http-registry"),
        *("--fulcio-url", sigstore.at.fulcio, "--rekor-url", str(sigstore.at.rekor1)),
        *("--identity-token", sigstore.token(), image),
        **_old_cosign(sigstore),
    )
    assert done.returncode == 0, done.stderr
    refused = _skopeo(sigstore, bench, image, tmp_path / "other", "mallory@imagekit.test")
    assert refused.returncode != 0
    assert "mallory@imagekit.test" in refused.stderr
    done = _skopeo(sigstore, bench, image, tmp_path / "right", EMAIL)
    assert done.returncode == 0, done.stderr


def _skopeo(
    sigstore: Sigstore, bench: Path, image: str, share: Path, email: str, /
) -> subprocess.CompletedProcess[str]:
    (share / "registries.d").mkdir(parents=True)
    host = image.partition("/")[0]
    (share / "registries.d/site.yaml").write_text(
        f"docker:\n  {host}:\n    use-sigstore-attachments: true\n"
    )
    for file in (sigstore.fulcio_pem, sigstore.rekor1_pub):
        (share / file.name).write_bytes(file.read_bytes())
    person = {"oidcIssuer": sigstore.issuer, "subjectEmail": email}
    signed = {
        "type": "sigstoreSigned",
        "fulcio": {"caPath": str(share / "fulcio.pem"), **person},
        "rekorPublicKeyPath": str(share / "rekor1.pub"),
        "signedIdentity": {"type": "matchRepository"},
    }
    policy = {"default": [{"type": "reject"}], "transports": {"docker": {host: [signed]}}}
    (share / "policy.json").write_text(json.dumps(policy))
    # A mount namespace of its own wants root.
    root = [] if os.geteuid() == 0 else ["sudo", "-n", "--preserve-env=BENCH_SHARE"]
    return _run(
        *root,
        *(bench / "skopeo-trixie", "--policy", share / "policy.json"),
        *("--registries.d", share / "registries.d", "copy", "--src-tls-verify=false"),
        *(f"docker://{image}", f"dir:{share / 'out'}"),
        BENCH_SHARE=str(share),
    )
