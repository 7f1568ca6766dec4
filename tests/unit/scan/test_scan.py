"""Images are scanned platform by platform, and a report is one image's only."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from imagekit.errors import InputError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, TaggedReference
from imagekit.oci.types import CONFIG, IN_TOTO, INDEX, MANIFEST
from imagekit.scan.advisory_index import open_index
from imagekit.scan.foreign_reports import ForeignReport, parse_report
from imagekit.scan.image_packages import ImagePackage
from imagekit.scan.scan import ScannedImage, attest_scan, reported, scan_reference
from imagekit.signatures.bundle import parse_bundle
from imagekit.signatures.intoto import statement_of
from imagekit.verify.collect import gather
from tests.support.advisories import export, fixed, osv
from tests.support.fakes import FixedClock, push_image
from tests.support.signed import NOW, World

REPORTS = Path(__file__).parent / "reports"


def plain(world: World, image: PinnedReference, architecture: str = "") -> dict[str, object]:
    """Return the entry of an image in an index."""
    entry = world.registry.manifest(image).descriptor
    platform = {"platform": {"os": "linux", "architecture": architecture}} if architecture else {}
    return {
        "mediaType": entry.media_type,
        "digest": str(entry.digest),
        "size": entry.size,
        **platform,
    }


def index_of(world: World, *entries: dict[str, object]) -> TaggedReference:
    """Push an index under the tag 2."""
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)}
    image = world.registry.put_manifest(world.repository, INDEX, json.dumps(document).encode())
    return world.tag("2", image)


def attestation_manifest(world: World) -> PinnedReference:
    """Push what BuildKit puts beside the images of an index."""
    config = world.registry.put_bytes(world.repository, CONFIG, b"{}")
    layer = world.registry.put_bytes(world.repository, IN_TOTO, b"{}")
    blobs = [
        {"mediaType": blob.media_type, "digest": str(blob.digest), "size": blob.size}
        for blob in (config, layer)
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blobs[0],
        "layers": blobs[1:],
    }
    return world.registry.put_manifest(world.repository, MANIFEST, json.dumps(document).encode())


def scanned(world: World, reference: TaggedReference, folder: Path) -> tuple[ScannedImage, ...]:
    """Scan an image that has one package."""
    with closing(open_index(folder)) as index:
        return scan_reference(
            world.registry,
            reference,
            index,
            clock=FixedClock(NOW),
            find_packages=lambda _: (ImagePackage(purl="pkg:pypi/a@1"),),
        )


def test_each_platform_of_an_index_is_scanned(tmp_path: Path) -> None:
    """And nothing that only lies beside its images."""
    export(tmp_path, "PyPI", [osv("A", "PyPI", "a", *fixed("2"))])
    world = World()
    arm = push_image(world.registry, world.repository, content=b"arm")
    entries = (plain(world, world.image, "amd64"), plain(world, arm, "arm64"))
    reference = index_of(world, *entries, plain(world, attestation_manifest(world)))

    images = scanned(world, reference, tmp_path)

    assert [(each.image.digest, each.platform) for each in images] == [
        (world.image.digest, "linux/amd64"),
        (arm.digest, "linux/arm64"),
    ]
    assert [len(each.result.vulnerabilities) for each in images] == [1, 1]


def test_a_scan_that_looks_at_nothing_is_refused(tmp_path: Path) -> None:
    """It would say that there are no vulnerabilities."""
    export(tmp_path, "npm", [osv("A", "npm", "a", *fixed("2"))])
    world = World()

    with pytest.raises(InputError, match="nothing on PyPI") as refused:
        scanned(world, world.reference, tmp_path)

    assert refused.value.code == "scan/nothing-known"


def test_what_was_found_is_signed_for_the_tag_that_was_asked_for(tmp_path: Path) -> None:
    """With the data that it was compared with."""
    export(tmp_path, "PyPI", [osv("A", "PyPI", "a", *fixed("2"))])
    world = World()
    (each,) = scanned(world, world.reference, tmp_path)

    attest_scan(world.registry, world.signer, each, tags=("1",), clock=FixedClock(NOW))

    (candidate,) = gather(world.registry, world.image).candidates
    statement = statement_of(parse_bundle(candidate.raw).envelope)
    assert [subject.name for subject in statement.subjects] == ["r.site/apps/demo:1"]
    scanner = cast("dict[str, Any]", statement.predicate["scanner"])
    database = scanner["db"]
    assert database["version"].startswith("sha256:")
    assert database["lastUpdate"] == "2026-11-20T00:00:00Z"


def report(*digests: str) -> ForeignReport:
    """Return a report of what has these digests."""
    found = parse_report((REPORTS / "trivy-debian.json").read_bytes())
    return replace(found, digests=frozenset(digests))


def test_a_report_is_of_the_image_that_it_names() -> None:
    """By its manifest, or by its configuration."""
    world = World()
    manifest = json.loads(world.registry.manifest(world.image).raw)

    for digest in (str(world.image.digest), manifest["config"]["digest"]):
        (each,) = reported(world.registry, world.reference, report(digest))
        assert each.image.digest == world.image.digest


def test_a_report_of_an_index_must_say_of_which_image_it_is() -> None:
    """Where it has one only, there is no question."""
    world = World()
    arm = push_image(world.registry, world.repository, content=b"arm")
    one = index_of(world, plain(world, world.image, "amd64"))
    digest = str(world.registry.resolve(one).digest)
    assert len(reported(world.registry, one, report(digest))) == 1

    both = index_of(world, plain(world, world.image, "amd64"), plain(world, arm, "arm64"))
    digest = str(world.registry.resolve(both).digest)
    (each,) = reported(world.registry, both, report(digest, str(arm.digest)))
    assert each.platform == "linux/arm64"
    with pytest.raises(InputError, match="not of"):
        reported(world.registry, both, report(digest))


@pytest.mark.parametrize("digests", [(), (str(Digest.of(b"other")),)], ids=["none", "other"])
def test_a_report_of_another_image_is_refused(digests: tuple[str, ...]) -> None:
    """Also where it says nothing."""
    world = World()

    with pytest.raises(InputError) as refused:
        reported(world.registry, world.reference, report(*digests))

    assert refused.value.code == "scan/other-image"
