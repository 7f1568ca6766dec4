"""Images published keyless, judged by policies that name identities, and by other verifiers."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from imagekit.build.build import BuildOptions
from imagekit.cli.main import main
from imagekit.oci.destination import Destination
from imagekit.oci.reference import PinnedReference
from imagekit.publish.publish import PublishOptions
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.recipe import load
from imagekit.sign.open_signer import KeylessOptions, keyless_signer
from tests.support.servers import RegistryServer
from tests.support.sigstore.issuer import EMAIL
from tests.support.sigstore_stack import Sigstore

pytestmark = [
    pytest.mark.real,
    # sigstore-python says of itself that Rekor v2 is young.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

RECIPE = """\
schema: 1
name: apps/hello
version: 1.0.0
base: scratch
steps:
  - copy: {from: hello.txt, to: /hello.txt}
tags: {immutable: ["{version}"], moving: [latest]}
"""


@dataclass(frozen=True)
class Published:
    """An image that an identity signed."""

    reference: PinnedReference
    stack: Sigstore
    root: Path

    @property
    def tagged(self) -> str:
        """The image by its tag."""
        return f"{self.reference.repository}:1.0.0"

    def verdict(
        self, folder: Path, capsys: pytest.CaptureFixture[str], **identity: str
    ) -> tuple[int, str]:
        """Return exit code and the signature's code, by a policy that lists this identity."""
        (folder / "root.json").write_bytes(self.root.read_bytes())
        keyless = {"identities": [identity], "trustRoot": "site"}
        policy = {
            "apiVersion": "imagekit/v1",
            "kind": "ImagePolicy",
            "metadata": {"name": "site", "version": 1, "expires": "2036-01-01T00:00:00Z"},
            "trustRoots": {"site": {"path": "root.json"}},
            "images": [
                {
                    "match": {"glob": f"{self.reference.repository.host}/**"},
                    "authorities": [{"name": "ci", "keyless": keyless}],
                    "freshness": {"monotonic": True, "maxAge": "1d"},
                    "attestations": [{"type": "cyclonedx"}, {"type": "slsaprovenance1"}],
                }
            ],
        }
        file = folder / "policy.yaml"
        file.write_text(yaml.safe_dump(policy))
        code = main(["verify", self.tagged, "--policy", str(file), "--json"])
        document = json.loads(capsys.readouterr().out)
        if "findings" not in document:
            return code, str(document)
        return code, next(f["code"] for f in document["findings"] if f["check"] == "signature")


@pytest.fixture(scope="module", params=["v1", "v2"])
def published(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    sigstore: Sigstore,
) -> Iterator[Published]:
    """Publish a small image as a person, by either Rekor."""
    tmp_path = tmp_path_factory.mktemp("published")
    folder = tmp_path / "recipe"
    folder.mkdir()
    (tmp_path / "server").mkdir()
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "hello.txt").write_text("hello\n")
    config = sigstore.trust_config_v1 if request.param == "v1" else sigstore.trust_config
    options = KeylessOptions(identity_token=sigstore.token(), trust_config=config)
    with RegistryServer.docker_registry(tmp_path / "server") as registry:
        image = publish_recipe(
            load(folder),
            to=Destination.parse(registry.host),
            signer=keyless_signer(options),
            options=PublishOptions(build=BuildOptions()),
        )
        root = sigstore.trusted_root_v1 if request.param == "v1" else sigstore.trusted_root
        yield Published(image.reference, sigstore, root)


def test_identity(published: Published, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Issuer and subject allow it, with SBOM, provenance and release signed by the same."""
    issuer = published.stack.issuer

    assert published.verdict(tmp_path, capsys, issuer=issuer, subject=EMAIL) == (0, "OK")
    pattern = published.verdict(tmp_path, capsys, issuer=issuer, subjectRegExp="admin@imagekit.*")
    assert pattern == (0, "OK")


def test_others(published: Published, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another subject, another issuer, and a pattern that only begins alike deny."""
    issuer = published.stack.issuer

    assert published.verdict(tmp_path, capsys, issuer=issuer, subject="eve@imagekit.test") == (
        3,
        "IDENTITY_MISMATCH",
    )
    assert published.verdict(tmp_path, capsys, issuer=published.stack.ci_issuer, subject=EMAIL) == (
        3,
        "ISSUER_MISMATCH",
    )
    assert published.verdict(tmp_path, capsys, issuer=issuer, subjectRegExp="admin") == (
        3,
        "IDENTITY_MISMATCH",
    )


@pytest.mark.parametrize("published", ["v2"], indirect=True)
def test_cosign_accepts_it(published: Published, bench: Path) -> None:
    """The bundle is what cosign 3 expects, and another identity is refused there as well."""
    stack = published.stack

    def cosign(identity: str) -> int:
        words: list[str | Path] = [
            bench / "cosign",
            "verify",
            "--trusted-root",
            stack.trusted_root,
            "--allow-http-registry",
        ]
        words += ["--certificate-identity", identity]
        words += ["--certificate-oidc-issuer", stack.issuer, published.tagged]
        return subprocess.run(words, capture_output=True, check=False, timeout=60).returncode

    assert cosign(EMAIL) == 0
    assert cosign("eve@imagekit.test") != 0


def test_sign_as_a_workflow(
    published: Published, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The identity of a job of GitHub Actions is found without a word."""
    for name, value in published.stack.github_environment().items():
        monkeypatch.setenv(name, value)
    config = str(published.stack.trust_config)

    assert main(["sign", published.tagged, "--trust-config", config, "--json"]) == 0
    signed = json.loads(capsys.readouterr().out)
    assert [each["new"] for each in signed["attached"]] == [True]
    assert main(["sign", published.tagged, "--trust-config", config, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [each["new"] for each in again["attached"]] == [False]


@pytest.mark.parametrize(
    ("choices", "code"), [({"seconds": "-60"}, "BAD_TOKEN"), ({"aud": "other"}, "BAD_TOKEN")]
)
def test_bad_tokens(
    published: Published,
    capsys: pytest.CaptureFixture[str],
    choices: dict[str, str],
    code: str,
) -> None:
    """A token that Fulcio would refuse is told, and nothing is signed."""
    token = published.stack.token(EMAIL, **choices)
    words = ["sign", published.tagged, "--identity-token", token, "--json"]

    assert main([*words, "--trust-config", str(published.stack.trust_config)]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code
