"""``imagekit sign`` on a layout, from words to exit code."""

import json
from pathlib import Path

import pytest

from imagekit.cli.main import main
from imagekit.oci.layout import LayoutReader, LayoutRegistry, LayoutStore
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.signatures.keys.key_files import generate
from tests.support.fakes import push_image


@pytest.fixture
def image(tmp_path: Path) -> PinnedReference:
    """An image in a layout, with the tag ``1``, and a key beside it."""
    folder = tmp_path / "layout"
    registry = LayoutRegistry(LayoutStore.create(folder))
    repository = Repository("localhost", "app")
    image = push_image(registry, repository)
    registry.tag(TaggedReference(repository, "1"), registry.manifest(image))
    generate(tmp_path, lambda: "secret")
    return image


def _sign(tmp_path: Path, *words: str) -> int:
    key = str(tmp_path / "imagekit.key")
    return main(["sign", f"oci:{tmp_path / 'layout'}:app:1", "--key", key, *words])


def test_a_wrong_password_ends_with_2_and_nothing_signed(
    tmp_path: Path,
    image: PinnedReference,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The message names the key and the remedy."""
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "wrong")

    assert _sign(tmp_path) == 2

    assert "the password does not open" in capsys.readouterr().err
    assert LayoutReader(LayoutStore(tmp_path / "layout")).referrers(image) == ()


def test_an_image_that_is_not_there_ends_with_6(
    tmp_path: Path, image: PinnedReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing image is no verdict and no bad input."""
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "secret")
    key = str(tmp_path / "imagekit.key")

    assert main(["sign", f"oci:{tmp_path / 'layout'}:app:2", "--key", key]) == 6


def test_the_result_is_the_pinned_reference(
    tmp_path: Path,
    image: PinnedReference,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Stdout is what a script goes on with; the second time nothing is new."""
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "secret")

    assert _sign(tmp_path) == 0
    text = capsys.readouterr().out
    assert _sign(tmp_path, "--json") == 0
    document = json.loads(capsys.readouterr().out)

    assert text == f"oci:{tmp_path / 'layout'}:app@{image.digest}\n"
    assert set(document) == {"schema", "reference", "digest", "attached"}
    assert [set(one) for one in document["attached"]] == [{"image", "what", "digest", "new"}] * 2
    assert [one["new"] for one in document["attached"]] == [False, False]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--provenance"], "needs --builder"),
        (["--builder", "https://ci.example"], "belong to --provenance"),
        (["--provenance", "--builder", "no uri"], "not a URI"),
    ],
)
def test_a_provenance_says_who_built(
    tmp_path: Path,
    image: PinnedReference,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    """Half a statement is wrong usage, before any key is opened."""
    assert _sign(tmp_path, *words) == 64
    assert said in capsys.readouterr().err


def test_a_material_has_its_digest(
    tmp_path: Path,
    image: PinnedReference,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """URI@DIGEST is parted at the digest; the attestation is listed."""
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "secret")
    material = f"git+ssh://git@example.org/x@sha256:{'a' * 64}"
    words = ["--provenance", "--builder", "https://ci.example", "--material", material, "--json"]

    assert _sign(tmp_path, *words) == 0

    attached = json.loads(capsys.readouterr().out)["attached"]
    assert "https://slsa.dev/provenance/v1" in {one["what"] for one in attached}
