"""What an image needs of its node is published with it: for others to find, and signed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from imagekit.errors import RecipeError, VerificationError
from imagekit.needs.compatibility import SPEC, compatibility
from imagekit.needs.needs import Kernel, Needs
from imagekit.needs.predicate import parse_needs
from imagekit.oci.codec import parse_manifest
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.types import BUNDLE, COMPATIBILITY, EMPTY, Descriptor, Manifest, RawManifest
from imagekit.publish.published import PublishedImage
from imagekit.sbom.contents import Sbom
from imagekit.sign.own import own_statements
from imagekit.signatures.intoto import NEEDS
from tests.support.built import built_recipe
from tests.support.counting import CountingRegistry
from tests.support.fakes import MemorySigner
from tests.unit.publish.conftest import PublishTo

REPOSITORY = Repository("r.site", "apps/hello")
SAID = 'needs: {cpu: x86-64-v3, kernel: {minimum: "5.15"}}\n'
WANTED = Needs(cpu="x86-64-v3", kernel=Kernel(minimum="5.15"))
Publish = Callable[..., PublishedImage]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publish_to: PublishTo) -> Publish:
    """Publishes a recipe with one key."""

    def publish_it(registry: CountingRegistry, more: str = SAID) -> PublishedImage:
        recipe, built = built_recipe(tmp_path, "1.0", more=more)
        monkeypatch.setattr("imagekit.publish.publish.build_tested", lambda *_, **__: built)
        return publish_to(registry, recipe)

    return publish_it


def artifact(registry: CountingRegistry, image: PublishedImage) -> tuple[Descriptor, Manifest]:
    """Return the artifact of Node Feature Discovery, as it is listed and as it is."""
    (listed,) = [
        entry
        for entry in registry.referrers(image.reference)
        if entry.artifact_type == COMPATIBILITY
    ]
    raw = registry.manifest(image.reference.with_digest(listed.digest))
    manifest = parse_manifest(raw.raw, raw.media_type)
    assert isinstance(manifest, Manifest)
    return listed, manifest


def test_the_artifact_is_that_of_node_feature_discovery(run: Publish) -> None:
    """Its type, an empty configuration, one layer of YAML, and the image as its subject."""
    registry = CountingRegistry()

    image = run(registry)

    _, manifest = artifact(registry, image)
    (layer,) = manifest.layers
    raw = registry.blob(REPOSITORY, layer, limit=1 << 20)
    assert manifest.artifact_type == COMPATIBILITY
    assert manifest.config.media_type == EMPTY
    assert manifest.subject is not None
    assert manifest.subject.digest == image.reference.digest
    assert layer.media_type == SPEC
    assert yaml.safe_load(raw) == compatibility(WANTED)
    assert manifest.annotations == {"io.archspec.cpu.target": "x86_64_v3"}


def test_the_artifact_is_not_looked_at_for_signatures(run: Publish, signer: MemorySigner) -> None:
    """It is a document, as SBOM and recipe are: whoever verifies asks for bundles only."""
    registry = CountingRegistry()
    image = run(registry)
    listed = registry.referrers(image.reference)
    registry.asked.clear()

    own_statements(registry, image.reference, signer)

    bundles = [entry for entry in listed if entry.artifact_type == BUNDLE]
    assert registry.asked["manifests"] == len(bundles) == len(listed) - 3


def test_it_is_signed_as_the_sbom_is(run: Publish, signer: MemorySigner) -> None:
    """By a statement about the image."""
    registry = CountingRegistry()

    image = run(registry)

    (signed,) = [
        own.statement
        for own in own_statements(registry, image.reference, signer)
        if own.statement.predicate_type == NEEDS
    ]
    assert parse_needs(signed.predicate) == WANTED
    assert "needs" in image.written


def test_a_second_publish_writes_nothing(run: Publish) -> None:
    """The same needs are the same bytes."""
    registry = CountingRegistry()
    run(registry)

    assert run(registry).status == "unchanged"


def test_what_was_lost_is_attached_again(run: Publish, signer: MemorySigner) -> None:
    """It is made of the recipe and of the image that is there."""
    registry = CountingRegistry()
    image = run(registry)
    listed, _ = artifact(registry, image)
    (statement,) = [
        own.reference
        for own in own_statements(registry, image.reference, signer)
        if own.statement.predicate_type == NEEDS
    ]
    for digest in (listed.digest, statement.digest):
        del registry.manifests[REPOSITORY.name, digest]

    assert run(registry).status == "completed"
    artifact(registry, image)


@dataclass
class _Losing(CountingRegistry):
    """A registry that loses the statement of needs, after it has listed it once."""

    def put_referrers(
        self, subject: PinnedReference, manifests: Sequence[RawManifest]
    ) -> tuple[Descriptor, ...]:
        """List them, and lose that one."""
        listed = super().put_referrers(subject, manifests)
        for manifest in manifests:
            if NEEDS.encode() in manifest.raw:
                del self.manifests[REPOSITORY.name, manifest.digest]
        return listed


def test_nothing_is_tagged_without_it(run: Publish) -> None:
    """It is read back as a node would read it."""
    registry = _Losing()

    with pytest.raises(VerificationError, match="needs"):
        run(registry)

    assert not set(registry.tags(REPOSITORY)) & {"1.0", "latest"}


def test_a_recipe_without_needs_attaches_none(run: Publish) -> None:
    """Nobody asked for it."""
    registry = CountingRegistry()

    image = run(registry, more="")

    assert "needs" not in image.written
    assert NEEDS not in image.written


def test_a_contradiction_pushes_no_image(run: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found before anything names what was sent."""

    def refuse(*_: object) -> Needs:
        raise RecipeError("said otherwise", code="recipe/needs-contradiction")

    monkeypatch.setattr("imagekit.publish.publish.complete_needs", refuse)
    registry = CountingRegistry()

    with pytest.raises(RecipeError):
        run(registry)

    assert all(write.startswith("blob ") for write in registry.writes)


def test_the_statement_is_completed_by_the_image(
    run: Publish, signer: MemorySigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is signed is what the recipe and the image's files say together."""
    seen: list[Sbom] = []

    def complete(_: object, sbom: Sbom) -> Needs:
        seen.append(sbom)
        return Needs(cuda="12.0")

    monkeypatch.setattr("imagekit.publish.publish.complete_needs", complete)
    registry = CountingRegistry()

    image = run(registry, more="needs: {}\n")

    signed = [
        parse_needs(own.statement.predicate)
        for own in own_statements(registry, image.reference, signer)
        if own.statement.predicate_type == NEEDS
    ]
    assert signed == [Needs(cuda="12.0")]
    assert [component.name for component in seen[0].components] == ["a"]
