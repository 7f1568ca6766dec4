"""A person whom a policy names, exported for Podman and Skopeo: one e-mail address, Rekor v1."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from imagekit.cli.main import main
from imagekit.oci.registry.options import RegistryOptions
from imagekit.verify.policies import load_unsigned
from imagekit.verify.verify import verify
from tests.support.sigstore.issuer import EMAIL
from tests.support.sigstore_stack import Sigstore

pytestmark = pytest.mark.real


def _run(*words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def image(sigstore: Sigstore, bench: Path, registry: str, tmp_path: Path) -> str:
    """A small image that cosign 2.5 signed in the legacy form, by its digest."""
    with tarfile.open(tmp_path / "layer.tar", "w") as layer:
        layer.add(__file__, "hello")
    name = f"{registry}/export/{tmp_path.name.replace('_', '-').lower()}:1"
    done = _run(bench / "crane", "append", "--insecure", "-f", tmp_path / "layer.tar", "-t", name)
    assert done.returncode == 0, done.stderr
    reference = done.stdout.strip()
    done = _run(
        *(bench / "cosign-trixie", "sign", "--yes", "--allow-http-registry"),
        *("--fulcio-url", sigstore.at.fulcio, "--rekor-url", str(sigstore.at.rekor1)),
        *("--identity-token", sigstore.token(), reference),
        SIGSTORE_CT_LOG_PUBLIC_KEY_FILE=str(sigstore.ct_pub),
        SIGSTORE_REKOR_PUBLIC_KEY=str(sigstore.rekor1_pub),
        SIGSTORE_ROOT_FILE=str(sigstore.fulcio_pem),
    )
    assert done.returncode == 0, done.stderr
    return reference


@pytest.mark.parametrize(("person", "allowed"), [(EMAIL, True), ("mallory@imagekit.test", False)])
def test_skopeo_decides_alike(
    sigstore: Sigstore, bench: Path, image: str, tmp_path: Path, person: str, *, allowed: bool
) -> None:
    """The certificate's e-mail address decides there as it does here."""
    policy = _policy(sigstore, image.partition("/")[0], tmp_path, person)
    verdict = verify(image, policy=load_unsigned(policy), options=RegistryOptions(plain_http=True))
    words = ["policy", "export", "--policy", str(policy), "--format", "containers-policy:5.4"]
    assert main([*words, "--to", str(tmp_path / "etc"), "--allow-loss", "expiry,sct"]) == 0
    # A mount namespace of its own wants root.
    root = [] if os.geteuid() == 0 else ["sudo", "-n", "--preserve-env=BENCH_SHARE"]
    done = _run(
        *root,
        *(bench / "skopeo-trixie", "--policy", tmp_path / "etc/policy.json"),
        *("--registries.d", tmp_path / "etc/registries.d", "copy", "--src-tls-verify=false"),
        *(f"docker://{image}", f"dir:{tmp_path / 'out'}"),
        BENCH_SHARE=str(tmp_path),
    )

    assert verdict.allowed is allowed, verdict
    assert (done.returncode == 0) is allowed, done.stderr
    assert allowed or person in done.stderr


def _policy(sigstore: Sigstore, host: str, folder: Path, person: str) -> Path:
    identity = {"issuer": sigstore.issuer, "subject": person}
    (folder / "root.json").write_bytes(sigstore.trusted_root_v1.read_bytes())
    file = folder / "policy.yaml"
    file.write_text(
        json.dumps(
            {
                "apiVersion": "imagekit/v1",
                "kind": "ImagePolicy",
                "metadata": {"name": "site", "version": 1, "expires": "2036-01-01T00:00:00Z"},
                "trustRoots": {"site": {"path": "root.json"}},
                "images": [
                    {
                        "match": {"glob": f"{host}/**"},
                        "authorities": [
                            {
                                "name": "person",
                                "keyless": {"identities": [identity], "trustRoot": "site"},
                            }
                        ],
                        # Cosign signs for the repository, without a tag.
                        "signedIdentity": "matchRepository",
                    }
                ],
            }
        )
    )
    return file
