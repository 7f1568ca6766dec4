"""Provenance as GitHub attests it: signed and attached by sigstore-js, as a workflow."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from imagekit.cli.main import main
from tests.support.sigstore.processes import fetch
from tests.support.sigstore_stack import Sigstore

pytestmark = pytest.mark.real

_BUILDER = "https://github.com/actions/runner/github-hosted"
_PREDICATE = {
    "buildDefinition": {
        "buildType": "https://actions.github.io/buildtypes/workflow/v1",
        "externalParameters": {"workflow": {"ref": "refs/heads/main"}},
    },
    "runDetails": {"builder": {"id": _BUILDER}},
}


def _run(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def image(bench: Path, registry: str, tmp_path: Path) -> str:
    """A small image in a repository of its own, by its digest."""
    with tarfile.open(tmp_path / "layer.tar", "w") as layer:
        layer.add(__file__, "hello")
    name = f"{registry}/{tmp_path.name.replace('_', '-').lower()}"
    return _push(bench, f"{name}:1", tmp_path)


def _push(bench: Path, name: str, folder: Path, /) -> str:
    layer = folder / "layer.tar"
    return _run(bench / "crane", "append", "--insecure", "-f", layer, "-t", name)


def _attest(bench: Path, sigstore: Sigstore, image: str, folder: Path, /) -> None:
    name, _, digest = image.partition("@")
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": _PREDICATE,
    }
    (folder / "statement.json").write_text(json.dumps(statement))
    _run(
        *(bench / "attest-js", folder / "statement.json", image),
        *("--fulcio", sigstore.at.fulcio, "--token", _workflow_token(sigstore)),
        # Rekor v2 takes no entries of the kind that sigstore-js still writes.
        *("--rekor", str(sigstore.at.rekor1)),
    )


def _workflow_token(sigstore: Sigstore) -> str:
    url = sigstore.github_environment()["ACTIONS_ID_TOKEN_REQUEST_URL"]
    return str(json.loads(fetch(url))["value"])


def _policy(folder: Path, image: str, root: Path, *, subject: str, issuer: str) -> Path:
    (folder / "root.json").write_bytes(root.read_bytes())
    keyless = {"identities": [{"issuer": issuer, "subject": subject}], "trustRoot": "site"}
    policy = {
        "apiVersion": "imagekit/v1",
        "kind": "ImagePolicy",
        "metadata": {"name": "site", "version": 1, "expires": "2036-01-01T00:00:00Z"},
        "trustRoots": {"site": {"path": "root.json"}},
        "images": [
            {
                "match": {"glob": f"{image.partition('/')[0]}/**"},
                "authorities": [{"name": "workflow", "keyless": keyless}],
                "proof": "attestations",
                "signedIdentity": "matchRepository",
                "attestations": [{"type": "slsaprovenance1", "builderIds": [_BUILDER]}],
            }
        ],
    }
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(policy))
    return file


def _codes(
    reference: str, policy: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, str]]:
    code = main(["verify", reference, "--policy", str(policy), "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    return code, {each["check"]: each["code"] for each in findings}


def test_a_workflows_provenance_is_proof_enough(
    sigstore: Sigstore,
    bench: Path,
    image: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where a rule says so: by tag and by digest, and for that workflow only."""
    who = {"subject": sigstore.github_identity(), "issuer": sigstore.ci_issuer}
    root = sigstore.trusted_root_v1
    policy = _policy(tmp_path, image, root, **who)
    tagged = image.partition("@")[0] + ":1"

    code, codes = _codes(image, policy, capsys)
    assert (code, codes["provenance"]) == (3, "MISSING_ATTESTATION")

    # The first entry of a log has no index in the bundle that sigstore-js writes, and
    # sigstore-python does not read one without; no log of the world is that young.
    _attest(bench, sigstore, _push(bench, f"{tagged[:-2]}-first:1", tmp_path), tmp_path)
    _attest(bench, sigstore, image, tmp_path)
    for reference in (image, tagged):
        code, codes = _codes(reference, policy, capsys)
        assert (code, codes["provenance"]) == (0, "OK")

    other = sigstore.github_identity(workflow=".github/workflows/test.yml")
    policy = _policy(tmp_path, image, root, subject=other, issuer=sigstore.ci_issuer)
    code, codes = _codes(image, policy, capsys)
    assert (code, codes["provenance"]) == (3, "IDENTITY_MISMATCH")
