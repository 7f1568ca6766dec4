"""What a release changes is told, and stands beside the signed release."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.oci.codec import parse_manifest
from imagekit.oci.reference import TaggedReference
from imagekit.oci.types import PREDICATE_TYPE
from imagekit.publish.published import PublishedImage
from imagekit.publish.since_last import CHANGES, changes_annotation
from imagekit.recipe.recipe import Tags
from imagekit.sbom.contents import Component, Kind, Sbom, Subject
from imagekit.sbom.sbom_diff import diff_sboms
from imagekit.sbom.sbom_listing import ListedComponent, SbomListing
from imagekit.signatures.release import RELEASE
from tests.support.built import built_recipe
from tests.support.counting import CountingRegistry
from tests.support.fakes import MemorySigner
from tests.unit.publish.conftest import PublishTo


class Releases:
    """Publishes versions of an image that holds one package, to one registry."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch = folder, monkeypatch
        self.registry = CountingRegistry()

    def __call__(
        self, version: str, package: str, *, signer: MemorySigner, moving: bool = True
    ) -> PublishedImage:
        """Publish a version with a version of the package."""
        recipe, built = built_recipe(self._folder, version)
        tags = Tags(immutable=(version,), moving=("latest",) if moving else ())
        component = Component(
            ref=f"pkg:pypi/solver@{package}", kind=Kind.PYTHON, name="solver", version=package
        )
        sbom = Sbom(subject=Subject(name="hello", version=version), components=(component,))
        self._patch.setattr("imagekit.publish.publish.build_tested", lambda *_, **__: built)
        self._patch.setattr("imagekit.sbom.sbom.catalogue_image", lambda *_, **__: sbom)
        return PublishTo(signer)(self.registry, replace(recipe, tags=tags))

    def annotation(self, published: PublishedImage) -> str:
        """Return what the bundle of the release is annotated with."""
        found = []
        for referrer in self.registry.referrers(published.reference):
            raw = self.registry.manifest(published.reference.with_digest(referrer.digest))
            annotations = parse_manifest(raw.raw, raw.media_type).annotations
            if annotations.get(PREDICATE_TYPE) == RELEASE:
                found.append(annotations.get(CHANGES, ""))
        (text,) = found
        return text


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Releases:
    """Return what publishes releases."""
    return Releases(tmp_path, monkeypatch)


def test_a_release_says_what_it_changes(releases: Releases, signer: MemorySigner) -> None:
    """The first one changes nothing that is known; the second one is compared with it."""
    first = releases("1.0", "1", signer=signer)
    second = releases("1.1", "2", signer=signer)

    assert first.changes == ""
    assert releases.annotation(first) == ""
    assert second.changes == "since hello 1.0: 1 changed"
    assert "solver  1 -> 2" in releases.annotation(second)
    tag = TaggedReference(second.reference.repository, "latest")
    assert releases.registry.resolve(tag).digest == second.reference.digest


def test_what_somebody_else_attested_is_not_compared(
    releases: Releases, signer: MemorySigner
) -> None:
    """Another key's SBOM says nothing about what this one releases."""
    releases("1.0", "1", signer=MemorySigner())

    assert releases("1.1", "2", signer=signer).changes == ""


def test_without_moving_tags_nothing_is_compared(releases: Releases, signer: MemorySigner) -> None:
    """No tag says which release was the one before."""
    releases("1.0", "1", signer=signer, moving=False)

    assert releases("1.1", "2", signer=signer, moving=False).changes == ""


def test_the_annotation_is_bounded() -> None:
    """It stands in every list of referrers; what is left out is counted."""
    many = tuple(ListedComponent(type="deb", name=f"package-{n}") for n in range(1000))
    diff = diff_sboms(
        SbomListing(title="a", components=()), SbomListing(title="b", components=many)
    )
    text = changes_annotation(diff)[CHANGES]

    assert len(text) < 2100
    assert text.splitlines()[0] == "a -> b: 1000 added"
    shown = len(text.splitlines()) - 1
    assert text.splitlines()[-1] == f"... {1003 - shown} more lines"
