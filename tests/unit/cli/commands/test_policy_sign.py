"""``imagekit policy sign``, and the commands that then want a signed policy."""

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imagekit.cli.main import main
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import Repository, TaggedReference
from imagekit.policy.new import new_policy
from imagekit.signatures.keys.key_files import generate, read_public_key
from tests.support.fakes import push_image

_AUTHORITY = """\
apiVersion: imagekit/v1
kind: PolicyAuthority
policies: [{name}]
authorities: [{{name: admin, key: {{path: admin/imagekit.pub}}}}]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed image in a layout, a signed policy for it, and an admin's key."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("IMAGEKIT_KEY_PASSWORD", "secret")
        registry = LayoutRegistry(LayoutStore.create(Path("layout")))
        repository = Repository("localhost", "app")
        image = push_image(registry, repository)
        registry.tag(TaggedReference(repository, "1"), registry.manifest(image))
        for name in ("release", "admin"):
            Path(name).mkdir()
            generate(Path(name), lambda: "secret")
        assert main(["sign", "oci:layout:app:1", "--key", "release/imagekit.key"]) == 0
        key = read_public_key(Path("release/imagekit.pub"))
        Path("policy.yaml").write_text(new_policy("localhost/**", key, now=datetime.now(UTC)))
        assert main(["policy", "sign", "policy.yaml", "--key", "admin/imagekit.key"]) == 0
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, for one test."""
    folder = tmp_path / "folder"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "secret")
    return folder


def _verify(*words: str) -> int:
    return main(["verify", "oci:layout:app:1", "--policy", "policy.yaml", *words])


def _authority(name: str) -> str:
    Path("authority.yaml").write_text(_AUTHORITY.format(name=name))
    return "authority.yaml"


def test_by_the_right_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict says who signed the policy."""
    assert _verify("--policy-key", "admin/imagekit.pub") == 0
    assert "is signed by imagekit (key SHA256:" in capsys.readouterr().out


def test_ways_to_say_who_may_sign(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By option, several of them, by the environment, or by a file that names policies, too."""
    release, admin = "release/imagekit.pub", "admin/imagekit.pub"
    assert _verify() == 0
    assert _verify("--policy-key", release) == 3
    assert _verify("--policy-key", release, "--policy-key", admin) == 0
    assert _verify("--policy-authority", _authority("site")) == 0
    assert _verify("--policy-authority", _authority("other")) == 3
    monkeypatch.setenv("IMAGEKIT_POLICY_KEY", release)
    assert _verify() == 3
    monkeypatch.setenv("IMAGEKIT_POLICY_KEY", os.pathsep.join((release, admin)))
    assert _verify() == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--policy-key", "nowhere.pub"], 2),
        (["--policy-authority", "nowhere.yaml"], 2),
        (["--policy-authority", "policy.yaml"], 2),
        (["--policy-key", "admin/imagekit.pub", "--policy-authority", "x"], 64),
    ],
)
def test_bad_words(folder: Path, words: list[str], code: int) -> None:
    """A signer that cannot be read is never as good as none."""
    assert _verify(*words) == code


def test_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was signed stands in the document; the second time nothing is new."""
    words = ["policy", "sign", "policy.yaml", "--key", "admin/imagekit.key", "--json"]
    assert main(words) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["new"] is False
    assert (document["file"], document["name"]) == ("policy.yaml.sigstore.json", "site")
    assert document["files"] == []


def test_pull_refuses_before_anything_is_pulled(folder: Path) -> None:
    """What holds for verify holds for pull, which has the same options."""
    words = ["oci:layout:app:1", "--policy", "policy.yaml", "--policy-key", "release/imagekit.pub"]

    assert main(["pull", *words]) == 3


@pytest.mark.parametrize(("value", "code"), [("", 0), (":", 64), (" ", 2)])
def test_a_variable_that_names_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch, value: str, code: int
) -> None:
    """A slip in the environment does not let everybody's policies in; an empty one is as unset."""
    monkeypatch.setenv("IMAGEKIT_POLICY_KEY", value)

    assert _verify() == code
