"""``imagekit verify --vsa`` on a layout, from words to exit code."""

import json
import shutil
from pathlib import Path

import pytest

from imagekit.cli.main import main
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import Repository, TaggedReference
from imagekit.signatures.keys.key_files import generate
from tests.support.fakes import push_image

_POLICY = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {{name: site, version: 1, expires: 2999-01-01T00:00:00Z}}
images:
  - match: {{glob: "localhost/**"}}
    authorities: [{{name: {name}, key: {{path: {name}.pub}}}}]
"""
_RELYING = """\
    proof: vsa
    vsa: {verifierIds: ["https://gate.site"], maxAge: 1h}
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layout with a signed image, keys of publisher and gate, and the policies of two nodes."""
    place = tmp_path_factory.mktemp("ready")
    folder = place / "layout"
    registry = LayoutRegistry(LayoutStore.create(folder))
    repository = Repository("localhost", "app")
    image = push_image(registry, repository)
    registry.tag(TaggedReference(repository, "1"), registry.manifest(image))
    for name in ("release", "gate"):
        (place / name).mkdir()
        generate(place / name, lambda: "secret")
        (place / name / "imagekit.pub").rename(place / f"{name}.pub")
    (place / "gate.yaml").write_text(_POLICY.format(name="release"))
    (place / "node.yaml").write_text(_POLICY.format(name="gate") + _RELYING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEKIT_KEY_PASSWORD", "secret")
        key = str(place / "release" / "imagekit.key")
        assert main(["sign", _reference(place), "--key", key]) == 0
    return place


@pytest.fixture(autouse=True)
def _place(ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "secret")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shutil.copytree(ready, tmp_path, dirs_exist_ok=True)


def _reference(tmp_path: Path) -> str:
    return f"oci:{tmp_path / 'layout'}:app:1"


def _verify(tmp_path: Path, policy: str, *words: str) -> int:
    return main(
        ["verify", _reference(tmp_path), "--policy", str(tmp_path / policy), *words],
    )


def _vsa(tmp_path: Path, *words: str) -> int:
    key = str(tmp_path / "gate" / "imagekit.key")
    identity = ("--verifier-id", "https://gate.site")
    return _verify(tmp_path, "gate.yaml", "--vsa", "--key", key, *identity, *words)


def test_the_node_relies_on_the_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the gate has verified the image the node refuses it, and afterwards allows it."""
    assert _verify(tmp_path, "node.yaml") == 3

    assert _vsa(tmp_path) == 0

    assert "PASSED, signed as https://gate.site" in capsys.readouterr().out
    assert _verify(tmp_path, "node.yaml") == 0


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The document is that of the verdict, and says what was signed and where it is."""
    file = tmp_path / "vsa.json"
    capsys.readouterr()

    assert _vsa(tmp_path, "--vsa-out", str(file), "--json", "--level", "SITE_GATE") == 0

    document = json.loads(capsys.readouterr().out)
    assert document["decision"] == "allow"
    assert document["summary"] == {
        "verifier": "https://gate.site",
        "result": "PASSED",
        "levels": ["SLSA_BUILD_LEVEL_0", "SITE_GATE"],
        "statement": None,
        "file": str(file),
    }
    assert json.loads(file.read_bytes())["dsseEnvelope"]
    assert _verify(tmp_path, "node.yaml") == 3


def test_file_and_registry(tmp_path: Path) -> None:
    """With --attach it is in both places."""
    file = tmp_path / "vsa.json"

    assert _vsa(tmp_path, "--vsa-out", str(file), "--attach") == 0

    assert file.is_file()
    assert _verify(tmp_path, "node.yaml") == 0


def test_a_refusal_is_signed_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the exit code of the verdict."""
    policy = (tmp_path / "gate.yaml").read_text()
    (tmp_path / "gate.yaml").write_text(policy + "    attestations: [{type: cyclonedx}]\n")

    assert _vsa(tmp_path) == 3

    assert "FAILED" in capsys.readouterr().out
    assert _verify(tmp_path, "node.yaml") == 3


def test_several_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each gets a summary of its own."""
    capsys.readouterr()

    images = tmp_path / "images.txt"
    images.write_text(f"{_reference(tmp_path)}\n")

    assert _vsa(tmp_path, "--from-file", str(images), "--json") == 0

    verdicts = json.loads(capsys.readouterr().out)["verdicts"]
    assert [one["summary"]["result"] for one in verdicts] == ["PASSED", "PASSED"]


@pytest.mark.parametrize(
    "words",
    [
        ["--key", "x.key"],
        ["--verifier-id", "https://x.org"],
        ["--level", "x"],
        ["--attach"],
        ["--vsa"],
        ["--vsa", "--key", "x.key", "--verifier-id", "gate"],
        ["--vsa", "--key", "x.key", "--vsa-out", "f", "--from-file", "/dev/null"],
    ],
)
def test_words_that_do_not_fit(tmp_path: Path, words: list[str]) -> None:
    """Nothing is verified by a command that means something else."""
    assert _verify(tmp_path, "gate.yaml", *words) in {2, 64}


def test_a_key_without_vsa_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever knows cosign takes it for the key that is trusted."""
    assert _verify(tmp_path, "gate.yaml", "--key", "cosign.pub") == 64

    assert "policy new" in capsys.readouterr().err
