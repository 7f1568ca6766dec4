"""Export and import: the same image at the other end, or nothing at all."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.errors import (
    DocumentError,
    ImagekitError,
    InputError,
    IntegrityError,
    NotFoundError,
    PolicyError,
)
from imagekit.oci.archive import open_archive
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.types import CONFIG, MANIFEST, RawManifest
from imagekit.offline import import_
from imagekit.offline.copy import copy
from imagekit.offline.export import ExportOptions
from imagekit.offline.import_ import ImportOptions, enclosed_policy, opened
from imagekit.policy.findings import Finding
from imagekit.verify.policies import load_unsigned
from imagekit.verify.sources import source
from tests.support.exports import Member, Site, member

RECORD = "imagekit/export.json"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A registry with one signed image."""
    return Site.make(tmp_path)


def _nothing_placed(site: Site) -> bool:
    return not (site.folder / "images").exists()


def test_what_is_exported_is_allowed_at_the_other_end(site: Site) -> None:
    """Image, signatures of both forms and attestations arrive."""
    exported = site.export()
    imported = site.import_()

    assert exported.new
    assert imported.reference is not None
    registry = LayoutRegistry(LayoutStore(site.folder / "images"))
    placed = Repository("r.site", "apps/demo")
    again = site.judge(TaggedReference(placed, "1"), registry)
    assert again.allowed, again.findings
    assert again.digest == site.world.image.digest
    assert len(registry.referrers(imported.reference)) == 3
    assert f"sha256-{site.world.image.digest.hex}.sig" in registry.tags(placed)


def test_an_import_may_be_repeated(site: Site) -> None:
    """The second sends nothing and changes nothing."""
    site.export()
    site.import_()
    before = (site.folder / "images/index.json").read_bytes()

    assert site.import_().sent == 0
    assert (site.folder / "images/index.json").read_bytes() == before


def test_the_same_image_gives_the_same_bytes(site: Site) -> None:
    """Whatever the time and the file's name."""
    site.export("a.tar")
    site.export("b.tar")

    assert (site.folder / "a.tar").read_bytes() == (site.folder / "b.tar").read_bytes()


def test_a_second_export_finds_the_file(site: Site) -> None:
    """It says that nothing is new."""
    site.export()

    assert not site.export().new


def test_a_denied_image_is_not_exported(site: Site) -> None:
    """No verdict, no file."""
    site.world.reference = TaggedReference(site.world.repository, "2")
    site.world.tag("2", site.world.image)

    done = site.export()

    assert not done.verdict.allowed
    assert not (site.folder / "image.tar").exists()


def test_a_dry_run_writes_nothing(site: Site) -> None:
    """It finds everything all the same."""
    done = site.export(options=ExportOptions(dry_run=True))

    assert done.closure is not None
    assert len(done.closure.attached) == 3
    assert not (site.folder / "image.tar").exists()


def test_a_dry_import_places_nothing(site: Site) -> None:
    """It verifies everything all the same."""
    site.export()

    assert site.import_(options=ImportOptions(dry_run=True)).closure is not None
    assert _nothing_placed(site)


def test_an_import_takes_no_tag_from_another_image(site: Site) -> None:
    """A layout's 1.0.0 is not replaced in silence; nothing is placed, and --move-tag moves it."""
    site.export()
    layout = LayoutRegistry(LayoutStore(site.folder / "images"))
    place = site.world.repository
    other = _other_image(layout, place)
    tag = TaggedReference(place, "1")
    layout.tag(tag, other)

    with pytest.raises(InputError) as caught:
        site.import_()
    before = layout.resolve(tag)
    with pytest.raises(NotFoundError):
        layout.manifest(PinnedReference(place, site.world.image.digest))
    site.import_(options=ImportOptions(move_tag=True))

    assert caught.value.code == "import/tag-taken"
    assert "--move-tag" in caught.value.hint
    assert before.digest == other.digest
    assert layout.resolve(tag).digest == site.world.image.digest
    assert site.import_().reference is not None


def _other_image(layout: LayoutRegistry, place: Repository) -> RawManifest:
    config = layout.put_bytes(place, CONFIG, b"{}")
    entry = {"mediaType": CONFIG, "digest": str(config.digest), "size": config.size}
    raw = json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": entry, "layers": []}
    ).encode()
    layout.put_manifest(place, MANIFEST, raw)
    return RawManifest(media_type=MANIFEST, digest=Digest.of(raw), raw=raw)


def test_who_comes_second_to_an_imports_tag_loses(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes it after the first look keeps it, and the import says so."""
    site.export()
    place = site.world.repository
    layout = LayoutRegistry(LayoutStore(site.folder / "images"))

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        layout.tag(TaggedReference(place, "1"), _other_image(layout, place))
        return copy(*args, **kwargs)

    monkeypatch.setattr(import_, "copy", meanwhile)

    with pytest.raises(InputError) as caught:
        site.import_()

    assert caught.value.code == "import/tag-taken"
    assert layout.resolve(TaggedReference(place, "1")).digest != site.world.image.digest


def test_a_file_outside_of_the_policys_folder_cannot_go_along(site: Site) -> None:
    """The receiver could not read the policy without it."""
    policy = site.folder / "inner/policy.yaml"
    policy.parent.mkdir()
    (site.folder / "policy.yaml").rename(policy)
    policy.write_text(policy.read_text().replace("keys/release.pub", "../keys/release.pub"))
    policy.rename(site.folder / "inner/p.yaml")
    site.folder = site.folder / "inner"
    (site.folder / "p.yaml").rename(site.folder / "policy.yaml")

    with pytest.raises(PolicyError, match="outside of its folder"):
        site.export()


def test_the_policy_and_its_keys_go_along(site: Site) -> None:
    """The enclosed policy judges as the sender's did."""
    site.export()

    with (
        opened(site.folder / "image.tar") as (archive, record),
        enclosed_policy(archive, record) as path,
    ):
        policy = load_unsigned(path)

    assert policy == site.policy.policy
    assert record.policy.version == 3


def test_an_exported_file_is_judged_under_its_own_name(site: Site) -> None:
    """`--from FILE.tar` reads there and judges HOST/PATH:TAG."""
    site.export()
    text = str(site.folder / "image.tar")

    with source(site.world.located, text, ImportOptions().registry) as (reference, reader):
        verdict = site.judge(reference, reader)

    assert verdict.allowed, verdict.findings


def test_another_name_for_the_file_is_refused(site: Site) -> None:
    """Who changes the record's reference needs a signature for that name."""
    site.rewrite(_record(lambda record: record | {"reference": "r.site/apps/other:1"}))

    with pytest.raises(ImagekitError):
        site.import_()
    assert _nothing_placed(site)


def _record(
    change: Callable[[dict[str, object]], dict[str, object]],
) -> Callable[[list[Member]], Iterable[Member]]:
    """Return what changes the record and nothing else."""

    def rewritten(members: list[Member]) -> Iterable[Member]:
        for header, raw in members:
            if header.name == RECORD:
                yield header, json.dumps(change(json.loads(raw))).encode()
            else:
                yield header, raw

    return rewritten


def _flipped(raw: bytes) -> bytes:
    return bytes([raw[0] ^ 1]) + raw[1:]


@pytest.mark.parametrize("position", range(16))
def test_a_flipped_bit_anywhere_is_refused(site: Site, position: int) -> None:
    """In a layer, a signature, the policy, the index: nothing is placed."""

    def change(members: list[Member]) -> Iterable[Member]:
        for number, (header, raw) in enumerate(members):
            yield header, _flipped(raw) if number == position % len(members) else raw

    site.rewrite(change)

    try:
        done = site.import_()
    except ImagekitError as error:
        assert isinstance(error, DocumentError | IntegrityError)  # noqa: PT017 - two kinds
    else:
        assert not done.verdict.allowed
    assert _nothing_placed(site)


def test_a_flipped_bit_in_the_layer_is_found_before_anything_is_placed(site: Site) -> None:
    """The verdict does not read layers; the import does."""
    layer = site.world.registry.manifest(site.world.image)
    digest = json.loads(layer.raw)["layers"][0]["digest"].removeprefix("sha256:")

    def change(members: list[Member]) -> Iterable[Member]:
        for header, raw in members:
            yield header, _flipped(raw) if header.name.endswith(digest) else raw

    site.rewrite(change)

    with pytest.raises(IntegrityError):
        site.import_()
    assert _nothing_placed(site)


@pytest.mark.parametrize(
    "extra",
    [
        member("blobs/sha256/" + "0" * 64, b"x"),
        member("imagekit/policy/more.yaml", b"x"),
        member("etc/passwd", b"x"),
        member("imagekit/export.json.sig", b"x"),
    ],
    ids=lambda one: one[0].name,
)
def test_a_file_that_the_record_does_not_list_is_refused(site: Site, extra: Member) -> None:
    """Nothing travels unseen."""
    site.rewrite(lambda members: [*members, extra])

    with pytest.raises(DocumentError, match="does not list"):
        site.import_()
    assert _nothing_placed(site)


def test_a_listed_blob_that_belongs_to_nothing_is_refused(site: Site) -> None:
    """Even where the record lists it with its right digest."""
    path = "blobs/sha256/2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    digest = "sha256:" + path.rpartition("/")[2]

    def lists(record: dict[str, object]) -> dict[str, object]:
        files = record["files"]
        assert isinstance(files, dict)
        return record | {"files": files | {path: {"digest": digest, "size": 1}}}

    site.rewrite(lambda members: [*_record(lists)(members), member(path, b"x")])

    with pytest.raises(DocumentError, match="beside those of the image"):
        site.import_()
    assert _nothing_placed(site)


@pytest.mark.parametrize("path", ["imagekit/../../x", "/etc/x", "imagekit/policy/../x", "a//b", ""])
def test_a_path_in_the_record_that_leads_out_is_refused(site: Site, path: str) -> None:
    """The policy's files are laid out in a folder: no path of them leaves it."""

    def lists(record: dict[str, object]) -> dict[str, object]:
        files = record["files"]
        assert isinstance(files, dict)
        return record | {"files": files | {path: {"digest": "sha256:" + "0" * 64, "size": 1}}}

    site.rewrite(_record(lists))

    with pytest.raises(DocumentError):
        site.import_()
    assert _nothing_placed(site)


def test_a_missing_file_is_refused(site: Site) -> None:
    """Each that the record lists is there."""
    site.rewrite(lambda members: members[:-1])

    with pytest.raises(DocumentError, match="not there"):
        site.import_()
    assert _nothing_placed(site)


def test_a_wrong_size_in_the_record_is_refused(site: Site) -> None:
    """Sizes are compared before anything is read."""

    def grown(record: dict[str, object]) -> dict[str, object]:
        files = record["files"]
        assert isinstance(files, dict)
        path = max(files)
        return record | {"files": files | {path: files[path] | {"size": 1 << 40}}}

    site.rewrite(_record(grown))

    with pytest.raises(IntegrityError):
        site.import_()


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"schema": 2},
        {"more": 1},
        {"digest": "sha256:0"},
        {"reference": "oci:x:y:1"},
        {"reference": 1},
        {"policy": {}},
        {"files": []},
    ],
    ids=str,
)
def test_a_broken_record_is_refused(site: Site, change: dict[str, object]) -> None:
    """It is read strictly."""
    site.rewrite(_record(lambda record: record | change))

    with pytest.raises(DocumentError):
        site.import_()
    assert _nothing_placed(site)


def test_a_record_of_another_digest_is_refused(site: Site) -> None:
    """The record and the image must agree."""
    site.rewrite(_record(lambda record: record | {"digest": "sha256:" + "1" * 64}))

    with pytest.raises(IntegrityError, match="and it holds"):
        site.import_()
    assert _nothing_placed(site)


def test_an_archive_without_a_record_is_refused(site: Site) -> None:
    """An ordinary oci-archive is no export, and the message says what can be done with it."""
    site.rewrite(lambda members: [one for one in members if one[0].name != RECORD])

    with pytest.raises(DocumentError, match="not written by imagekit export"):
        site.import_()


def test_signatures_that_are_stripped_are_missed(site: Site) -> None:
    """An archive with a good record but without signatures is denied, and nothing placed."""
    for key in [k for k, raw in site.world.registry.manifests.items() if b"subject" in raw.raw]:
        del site.world.registry.manifests[key]
    del site.world.registry.tagged[
        site.world.repository.name, f"sha256-{site.world.image.digest.hex}.sig"
    ]
    allowed = Finding(check="signature", code="OK", message="a lie", severity="ok")
    verdict = site.judge(site.world.reference, site.world.registry)
    assert not verdict.allowed
    site.export(judge=lambda _: replace(verdict, findings=(allowed,)))

    done = site.import_()

    assert not done.verdict.allowed
    assert _nothing_placed(site)


def test_tampering_with_the_enclosed_policy_is_found(site: Site) -> None:
    """Its digest stands in the record."""

    def change(members: list[Member]) -> Iterable[Member]:
        for header, raw in members:
            evil = raw.replace(b"site", b"evil")
            yield header, evil if header.name.endswith("policy.yaml") else raw

    site.rewrite(change)

    with pytest.raises(IntegrityError):
        site.import_()


def test_an_expired_policy_of_the_receiver_denies(site: Site) -> None:
    """The receiver's policy and clock decide, not the sender's."""
    site.export()
    policy = site.folder / "policy.yaml"
    policy.write_text(policy.read_text().replace("2027-06-30", "2026-01-01"))

    assert not site.import_().verdict.allowed
    assert _nothing_placed(site)


def test_the_archive_is_an_image_layout(site: Site) -> None:
    """index.json names the image as skopeo and podman look for it."""
    site.export()

    with open_archive(site.folder / "image.tar") as archive:
        index = json.loads(archive.index() or b"")

    names = [
        entry["annotations"]["org.opencontainers.image.ref.name"]
        for entry in index["manifests"]
        if "org.opencontainers.image.ref.name" in entry.get("annotations", {})
    ]
    assert names == [
        "r.site/apps/demo:1",
        f"r.site/apps/demo:sha256-{site.world.image.digest.hex}.sig",
    ]
