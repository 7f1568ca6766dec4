"""Staging: whole, once, with a receipt; and checking it as a node does."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.errors import DocumentError, InputError, InvalidReferenceError, NotFoundError
from imagekit.locks import folder_held
from imagekit.oci.digest import Digest
from imagekit.oci.reference import TaggedReference, parse_reference
from imagekit.offline.check_receipt import Asked, Checked, check
from imagekit.offline.stage import StageContext, Staged, StageOptions, stage
from imagekit.offline.stage_target import StageKind, Target
from imagekit.signatures.publickey import public_key_pem
from imagekit.verify.policies import load_unsigned
from tests.support.exports import Site
from tests.support.fakes import FixedClock, MemorySigner, push_image
from tests.support.signed import NOW

NODES = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: nodes, version: 1, expires: 2027-06-30T00:00:00Z}
images:
  - match: {glob: "r.site/apps/**"}
    proof: vsa
    authorities: [{name: staging, key: {path: keys/staging.pub}}]
    vsa: {verifierIds: ["urn:imagekit:stage"], maxAge: 7d}
"""


class Yard:
    """A site that stages into ``srv/image``, and a node that checks."""

    def __init__(self, folder: Path) -> None:
        """Sign an image and make the staging key."""
        self.site = Site.make(folder)
        self.signer = MemorySigner()
        self.clock = FixedClock(NOW)
        (folder / "keys/staging.pub").write_bytes(public_key_pem(self.signer.public_key))
        (folder / "nodes.yaml").write_text(NODES)
        self.folder = folder
        self.path = folder / "srv/image"

    def stage(self, **options: object) -> Staged:
        """Stage the image as a layout."""
        made = StageOptions(verifier="urn:imagekit:stage")
        registry = self.site.world.registry
        return stage(
            self.site.world.reference,
            Target(kind=StageKind.OCI, path=self.path),
            StageContext(
                judge=lambda reference: self.site.judge(reference, registry),
                reader=registry,
                signer=self.signer,
                options=replace(made, **options),
                clock=self.clock,
            ),
        )

    def check(self, path: Path | None = None, *, asked: Asked | None = None) -> Checked:
        """Check what is staged."""
        policy = load_unsigned(self.folder / "nodes.yaml")
        (one,) = check(path or self.path, policy=policy, asked=asked, clock=self.clock)
        return one

    def publish_next(self) -> None:
        """Push and sign another image under the tag 1."""
        world = self.site.world
        world.image = push_image(world.registry, world.repository, content=b"next")
        world.tag("1", world.image)
        world.sign()
        world.attach("https://cyclonedx.org/bom", {"bomFormat": "CycloneDX", "specVersion": "1.6"})


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    """A site and a node."""
    return Yard(tmp_path)


def _codes(checked: Checked) -> list[str]:
    return [f.code for f in checked.verdict.findings if f.severity == "error"]


def test_what_is_staged_is_allowed_on_a_node(yard: Yard) -> None:
    """The receipt is good for the bytes beside it."""
    done = yard.stage()

    assert done.new
    assert yard.check().verdict.allowed
    assert yard.check().verdict.digest == yard.site.world.image.digest


def test_staging_again_does_nothing(yard: Yard) -> None:
    """Neither bytes nor receipt are made anew."""
    yard.stage()
    signed = yard.signer.signed
    again = yard.stage()

    assert (again.new, again.renewed, yard.signer.signed) == (False, False, signed)


def test_one_process_stages_at_a_time(yard: Yard) -> None:
    """On all nodes that share the folder, by NFS too."""
    yard.path.with_name("image.d").mkdir(parents=True)

    with ThreadPoolExecutor(1) as pool:
        with folder_held(yard.path.with_name("image.d")):
            done = pool.submit(yard.stage)
            with pytest.raises(TimeoutError):
                done.result(1)
        assert done.result(30).new


def test_an_old_receipt_is_renewed(yard: Yard) -> None:
    """The image stays; only the receipt is signed."""
    yard.stage()
    yard.clock.time += timedelta(days=6)
    again = yard.stage()

    assert (again.new, again.renewed) == (False, True)
    yard.clock.time += timedelta(days=6)
    assert yard.check().verdict.allowed


def test_an_altered_image_is_staged_again(yard: Yard) -> None:
    """What lies there is compared with the receipt before it is kept."""
    yard.stage()
    (yard.path / "index.json").write_text("{}")
    assert _codes(yard.check()) == ["CONTENT_DIGEST_MISMATCH"]

    assert yard.stage().new
    assert yard.check().verdict.allowed


def test_a_strangers_receipt_is_replaced(yard: Yard) -> None:
    """Only one's own receipts count for having staged it."""
    yard.stage()
    yard.signer = MemorySigner()

    assert yard.stage().new


def test_what_was_not_judged_is_not_staged(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform that an index lists, and that the verdict does not speak for."""
    judge = yard.site.judge
    monkeypatch.setattr(yard.site, "judge", lambda *asked: replace(judge(*asked), judged=()))

    with pytest.raises(InputError, match="was not judged"):
        yard.stage(platform="linux/amd64")

    assert not yard.path.exists()


def test_a_denied_image_changes_nothing(yard: Yard) -> None:
    """What was staged before stays."""
    yard.stage()
    before = yard.path.readlink()
    yard.site.world.image = push_image(
        yard.site.world.registry, yard.site.world.repository, content=b"unsigned"
    )
    yard.site.world.tag("1", yard.site.world.image)

    done = yard.stage()

    assert not done.verdict.allowed
    assert yard.path.readlink() == before


def test_a_dry_run_stages_nothing(yard: Yard) -> None:
    """It only judges."""
    assert yard.stage(dry_run=True).verdict.allowed
    assert not yard.path.parent.exists()


def test_a_new_version_takes_over_and_the_old_one_stays(yard: Yard) -> None:
    """Jobs that run on it go on."""
    first = yard.stage()
    yard.publish_next()
    second = yard.stage()

    assert second.removed == ()
    assert first.receipt is not None
    old = first.receipt.with_name(first.receipt.name.removesuffix(".receipt.json"))
    assert yard.check(old).verdict.allowed
    assert yard.check().verdict.digest == yard.site.world.image.digest


def test_old_versions_go_where_few_are_kept(yard: Yard) -> None:
    """The newest stay, and no receipt without its image."""
    for _ in range(2):
        yard.stage()
        yard.publish_next()
    first = yard.path.resolve()
    done = yard.stage(keep=1)

    assert first.name in done.removed
    assert len(done.removed) == 2
    assert len(list(yard.path.with_name("image.d").iterdir())) == 2
    assert yard.check().verdict.allowed


@pytest.mark.parametrize("where", ["/dev/null", "somebodys", "image.d.old/1"])
def test_a_link_of_somebody_is_not_replaced(yard: Yard, where: str) -> None:
    """It leads elsewhere than to a version, or to nothing."""
    yard.path.parent.mkdir(parents=True, exist_ok=True)
    yard.path.symlink_to(where)

    with pytest.raises(InputError, match="was not staged"):
        yard.stage()
    assert str(yard.path.readlink()) == where


def test_what_was_not_staged_is_not_replaced(yard: Yard) -> None:
    """Somebody's folder is in the way."""
    yard.path.mkdir(parents=True)

    with pytest.raises(InputError, match="not staged by imagekit"):
        yard.stage()


def test_a_failure_leaves_nothing(yard: Yard) -> None:
    """Neither half an image nor a link to one."""
    world = yard.site.world
    del world.registry.blobs[world.repository.name, Digest.of(b"layer")]

    with pytest.raises(NotFoundError):
        yard.stage()

    assert not yard.path.is_symlink()
    assert list(yard.path.with_name("image.d").iterdir()) == []


def test_the_image_must_be_the_one_that_is_asked_for(yard: Yard) -> None:
    """A job that wants another image is not served this one."""
    yard.stage()
    right, wrong = yard.site.world.reference, TaggedReference(yard.site.world.repository, "2")

    assert yard.check(asked=Asked(reference=right)).verdict.allowed
    assert _codes(yard.check(asked=Asked(reference=wrong))) == ["REFERENCE_MISMATCH"]
    other = parse_reference(f"r.site/apps/demo@sha256:{'1' * 64}")
    assert _codes(yard.check(asked=Asked(reference=other))) == ["REFERENCE_MISMATCH"]


def test_what_others_may_write_to_is_refused(yard: Yard) -> None:
    """They could exchange it after the check."""
    yard.stage()
    yard.path.parent.chmod(0o777)

    assert _codes(yard.check()) == ["NOT_OURS"]


def test_without_a_receipt_nothing_is_allowed(yard: Yard) -> None:
    """It is an error with its remedy."""
    done = yard.stage()
    assert done.receipt is not None
    done.receipt.unlink()

    with pytest.raises(NotFoundError, match="no receipt"):
        yard.check()


def test_a_broken_receipt_is_an_error(yard: Yard) -> None:
    """It is never read as half a receipt."""
    done = yard.stage()
    assert done.receipt is not None
    done.receipt.write_bytes(done.receipt.read_bytes()[:-9])

    with pytest.raises(DocumentError):
        yard.check()


def test_another_images_receipt_is_refused(yard: Yard) -> None:
    """It binds other bytes."""
    first = yard.stage()
    yard.publish_next()
    second = yard.stage()
    assert first.receipt is not None
    assert second.receipt is not None
    second.receipt.write_bytes(first.receipt.read_bytes())

    assert _codes(yard.check()) == ["CONTENT_DIGEST_MISMATCH"]


@pytest.mark.parametrize("text", ["", "oci", "oci:", "tar:x", "OCI:x", "oci:\0", "/a\0", "x:/y"])
def test_what_is_no_target_is_refused(text: str) -> None:
    """A misspelt kind is not taken for a folder."""
    with pytest.raises(InvalidReferenceError):
        Target.parse(text)


@pytest.mark.parametrize("text", ["srv", "/srv/images", "./oci", "/srv/a:b"])
def test_without_a_kind_it_is_a_folder_for_squashfs(text: str) -> None:
    """That is what nodes of a cluster read best."""
    assert Target.parse(text) == Target(kind=StageKind.SQUASHFS, path=Path(text), folder=True)
