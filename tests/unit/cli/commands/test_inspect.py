"""``imagekit inspect``: one screen about an image, and nothing believed."""

import json
from pathlib import Path

import pytest

from imagekit.cli.main import main
from imagekit.oci.codec import config_bytes, manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.types import (
    BUNDLE,
    CONFIG,
    CYCLONEDX,
    EMPTY,
    LAYER_GZIP,
    MANIFEST,
    ImageConfig,
    Manifest,
    Platform,
)
from imagekit.signatures.bundle import key_bundle_bytes
from imagekit.signatures.intoto import COSIGN_SIGN, Statement, StatementSubject, statement_bytes
from tests.support.fakes import MemorySigner


@pytest.fixture
def layout(tmp_path: Path) -> str:
    """A layout with an image that has a signature, and an SBOM with a hostile label beside it."""
    registry = LayoutRegistry(LayoutStore(tmp_path / "layout"))
    repository = Repository("localhost", "demo")
    config = ImageConfig(
        platform=Platform(os="linux", architecture="amd64"),
        created="2026-05-04T03:02:01Z",
        diff_ids=(),
        labels={"title": "a\x1b[2Jb"},
    )
    manifest = Manifest(
        media_type=MANIFEST,
        config=registry.put_bytes(repository, CONFIG, config_bytes(config)),
        layers=(registry.put_bytes(repository, LAYER_GZIP, b"layer"),),
    )
    image = registry.put_manifest(repository, MANIFEST, manifest_bytes(manifest))
    registry.tag(TaggedReference(repository, "1"), registry.manifest(image))
    signer = MemorySigner()
    subject = StatementSubject(digest=image.digest, name="localhost/demo:1")
    statement = statement_bytes(Statement(subjects=(subject,), predicate_type=COSIGN_SIGN))
    bundle = key_bundle_bytes(statement, signer.sign(statement), signer.public_key)
    _attach(registry, image, BUNDLE, bundle)
    sbom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{}, {}]}
    _attach(registry, image, CYCLONEDX, json.dumps(sbom).encode())
    return f"oci:{tmp_path / 'layout'}:demo:1"


def _attach(registry: LayoutRegistry, image: PinnedReference, kind: str, raw: bytes) -> Digest:
    manifest = Manifest(
        media_type=MANIFEST,
        artifact_type=kind,
        config=registry.put_bytes(image.repository, EMPTY, b"{}"),
        layers=(registry.put_bytes(image.repository, kind, raw),),
        subject=registry.manifest(image).descriptor,
    )
    return registry.put_manifest(image.repository, MANIFEST, manifest_bytes(manifest)).digest


def test_missing_image_is_an_error(layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A tag that is not there ends with the registry's exit code."""
    assert main(["inspect", f"{layout}2"]) == 6
    assert capsys.readouterr().out == ""


def test_screen_is_plain_and_says_unverified(
    layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What strangers wrote cannot move the cursor, and no signature looks verified."""
    assert main(["inspect", layout]) == 0
    shown = capsys.readouterr().out

    assert "\x1b" not in shown
    assert "unverified" in shown
    assert "for 1" in shown
    assert "CycloneDX 1.6, 2 components" in shown


def test_document(layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The shape of ``--json``."""
    assert main(["inspect", layout, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert found["schema"] == 1
    assert found["platforms"] == [{"platform": "linux/amd64", "digest": found["digest"]}]
    assert found["reference"].endswith(f"demo@{found['digest']}")
    assert [one["size"] for one in found["layers"]] == [5]
    assert found["signatures"][0]["identities"] == ["localhost/demo:1"]
    assert found["signatures"][0]["verified"] is False
    assert found["attestations"] == []
    assert found["sboms"][0]["components"] == 2
    assert set(found) == {
        "schema",
        "reference",
        "digest",
        "media_type",
        "platforms",
        "layers",
        "created",
        "labels",
        "signatures",
        "attestations",
        "sboms",
        "notes",
    }
