"""What is kept beside an image is built only as a provenance names it that the policy trusts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.errors import DeniedError, NotFoundError
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, LocatedReference
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.types import RECIPE
from imagekit.policy.ruleset import Freshness, OpenedPolicy
from imagekit.publish.own_policy import own_policy
from imagekit.rebuild.proven_recipe import proven_recipe
from imagekit.sign.attach import attach, recipe_artifact
from imagekit.sign.signing import attest
from imagekit.signatures.intoto import SLSA_PROVENANCE, Statement, StatementSubject
from imagekit.verify.rollback import NoRollbackStore
from tests.support.built import built_recipe
from tests.support.counting import CountingRegistry
from tests.support.fakes import FixedClock, MemorySigner
from tests.unit.publish.conftest import PublishTo

REPOSITORY = Repository("r.site", "apps/hello")


class _Site:
    """A registry with a published image, and what is believed there."""

    def __init__(self, publish: Callable[[CountingRegistry], PinnedReference]) -> None:
        self.registry, self.signer = CountingRegistry(), MemorySigner()
        self._publish = publish
        self.image = publish(self.registry)

    def publish(self) -> None:
        """Publish it once more."""
        self._publish(self.registry)

    def digest(self, policy: OpenedPolicy | None = None) -> Digest:
        """Return the digest of the recipe that is found."""
        with proven_recipe(
            LocatedReference(REGISTRY, TaggedReference(REPOSITORY, "1.0")),
            reader=self.registry,
            policy=policy or self.policy(self.signer),
            memory=NoRollbackStore(),
            clock=FixedClock(),
        ) as (recipe, _):
            return recipe.digest

    def policy(self, *signers: MemorySigner) -> OpenedPolicy:
        """Return a policy that trusts these signers, and asks for nothing else."""
        made = own_policy(REPOSITORY.name, signers[0].authority, FixedClock().now())
        authorities = tuple(signer.authority for signer in signers)
        rule = replace(
            made.images[0], authorities=authorities, attestations=(), freshness=Freshness()
        )
        return replace(made, images=(rule,))

    def kept(self) -> list[Digest]:
        """Return the recipes that are attached."""
        listed = self.registry.referrers(self.image)
        return [entry.digest for entry in listed if entry.artifact_type == RECIPE]

    def lose(self) -> None:
        """Remove the recipe."""
        (kept,) = self.kept()
        del self.registry.manifests[REPOSITORY.name, kept]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Site:
    """An image that was published with its recipe."""
    signer = MemorySigner()

    def publish(registry: CountingRegistry) -> PinnedReference:
        recipe, built = built_recipe(tmp_path, "1.0")
        monkeypatch.setattr("imagekit.publish.publish.build_tested", lambda *_, **__: built)
        return PublishTo(signer)(registry, recipe).reference

    made = _Site(publish)
    made.signer = signer
    return made


def test_the_recipe_is_the_one_that_was_published(site: _Site, tmp_path: Path) -> None:
    """By its digest."""
    recipe, _ = built_recipe(tmp_path, "1.0")

    assert site.digest() == recipe.digest


def test_another_one_beside_it_is_passed_over(site: _Site) -> None:
    """Anybody who may push can attach one."""
    before = site.digest()
    manifest = site.registry.manifest(site.image).descriptor
    for raw in (b"exchanged", b""):
        artifact = recipe_artifact(raw)
        attach(site.registry, site.image, manifest=manifest, artifact=artifact)

    assert len(site.kept()) == 3
    assert site.digest() == before


def test_what_was_lost_is_said_and_attached_again(site: _Site) -> None:
    """By the next publish, and only once."""
    before = site.digest()
    site.lose()
    with pytest.raises(NotFoundError, match="is not there any more"):
        site.digest()

    site.publish()
    assert site.digest() == before
    site.publish()
    assert len(site.kept()) == 1


def test_what_a_stranger_says_of_the_recipe_is_not_believed(site: _Site) -> None:
    """A policy that trusts only the stranger denies the image."""
    stranger = MemorySigner()
    with pytest.raises(DeniedError, match="nothing that is said of its recipe is believed"):
        site.digest(site.policy(stranger))

    site.lose()
    _name_another(site, stranger)
    with pytest.raises(NotFoundError, match="is not there any more"):
        site.digest()


def _name_another(site: _Site, signer: MemorySigner) -> None:
    """Attach an archive and a provenance that names it."""
    manifest = site.registry.manifest(site.image).descriptor
    attach(site.registry, site.image, manifest=manifest, artifact=recipe_artifact(b"other"))
    recipe = {"digest": {"sha256": "0" * 64}}
    dependency = {"uri": "recipe-archive:a", "digest": {"sha256": Digest.of(b"other").hex}}
    statement = Statement(
        subjects=(StatementSubject(name="", digest=site.image.digest),),
        predicate_type=SLSA_PROVENANCE,
        predicate={
            "buildDefinition": {
                "buildType": "https://imagekit.dev/build/recipe/v1",
                "externalParameters": {"recipe": recipe},
                "resolvedDependencies": [dependency],
            },
            "runDetails": {"builder": {"id": "urn:x"}},
        },
    )
    attest(
        site.registry,
        signer,
        site.image,
        manifest=manifest,
        statement=statement,
        clock=FixedClock(),
    )


def test_an_image_without_a_kept_recipe(site: _Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked for then, and the remedy is said."""
    monkeypatch.setattr("imagekit.rebuild.proven_recipe.recipe_archive_of", lambda _: None)

    with pytest.raises(NotFoundError, match="no provenance that the policy trusts") as caught:
        site.digest()
    assert "--recipe" in caught.value.hint
