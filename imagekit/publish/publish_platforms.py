"""A recipe of several platforms: an image of each, and the index that names them (OCI image-spec).

Each image is published as one of a single platform is, with its own SBOM, provenance, tests and
signatures, under immutable tags that name the platform: ``1.0-linux-arm64``. They keep registries
from collecting it, and lead whoever makes the index to it, on whatever host it was built. The index
is made when all are there and verify: it is signed, attested and verified as an image is, and gets
the recipe's own tags last.
"""

import time
import uuid
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from imagekit.build.build import check_platform, lock_of
from imagekit.build.image import Material
from imagekit.build.inputs_digest import IndexInputs, Inputs, inputs_of
from imagekit.clock import Clock
from imagekit.errors import DocumentError, InputError
from imagekit.oci.codec import index_bytes, parse_config, parse_manifest
from imagekit.oci.destination import Destination
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.oci.registry.snapshot import RegistrySnapshot
from imagekit.oci.types import (
    INDEX,
    MAX_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    Platform,
    RawManifest,
)
from imagekit.progress import Done, Note, Progress, Started, silent
from imagekit.publish.known_release import find_release, refuse_other_recipe
from imagekit.publish.publish import Given, PublishOptions, PublishWork, publish_image
from imagekit.publish.published import PublishedImage
from imagekit.recipe.recipe import Recipe, Tags
from imagekit.sign.provenance import index_provenance, recipe_digests
from imagekit.sign.signing import SigningSession, subjects
from imagekit.sign.tested import passed_tests, result_statement
from imagekit.signatures.intoto import CYCLONEDX
from imagekit.signatures.ports import OpenedLater, Signer
from imagekit.verify.ports import RollbackStore
from imagekit.verify.rollback import ReadOnlyRollbackStore

_STAGE = "index"
_NONE = Tags(immutable=(), moving=())


def publish_recipe(
    recipe: Recipe,
    *,
    to: Destination | str,
    signer: Signer,
    progress: Progress = silent,
    options: PublishOptions | None = None,
    writer: RegistryWriter | None = None,
    clock: Clock | None = None,
    memory: RollbackStore | None = None,
) -> PublishedImage:
    """Publish a recipe, for all of its platforms.

    Args:
        recipe: what to publish.
        to: where; as text, ``HOST[:PORT]/PREFIX`` or ``oci:FOLDER``.
        signer: signs; verifiers need its key or identity in their policies.
        progress: told of everything that happens.
        options: how it is done, and for which platforms.
        writer: writes to the registry; made for the destination where it is not given.
        clock: the time of signatures; the machine's where it is not given.
        memory: what was released before; the user's where it is not given.

    Returns:
        The image; of several platforms their index, or the image of the one that was asked for.

    Raises:
        InputError: an immutable tag belongs to something else or was written meanwhile, or the
            image of a platform is not there that was to be put into the index.
        ToolNotFoundError: programs of a platform do not run on this host.
        BuildError: a step or a test failed; no image was pushed.
        RecipeError: the image contradicts what the recipe says of its needs, or has what its
            `check` does not except; no image was pushed.
        RegistryError: the registry refused or did not answer.
        VerificationError: what was pushed does not verify; nothing was tagged.
        ConsumerRefusedError: a consumer does not accept it; nothing was tagged.
    """
    options = (options or PublishOptions()).at(to)
    given = Given(writer=writer, clock=clock, memory=memory)

    def one(recipe: Recipe, platform: Platform | None, *, index: Tags = _NONE) -> PublishedImage:
        build = replace(options.build, platform=platform)
        return publish_image(
            recipe,
            to=to,
            signer=signer,
            progress=progress,
            # Who asks for the index by its tag wants each of its images signed for that one.
            options=replace(options, build=build, signed_for=index.all),
            given=given,
        )

    asked = options.build.platform
    if len(recipe.platforms) <= 1:
        _refuse_merge(recipe, options)
        return one(recipe, asked or next(iter(recipe.platforms), None))
    inputs = _inputs(recipe, options)
    recipe = replace(recipe, tags=recipe.tags.built(inputs.build))
    if asked is not None and not options.merge:
        _check(recipe, options, asked)
        return one(_part(recipe, asked), asked, index=recipe.tags)
    work = IndexWork.begin(
        recipe, inputs, to=to, signer=signer, progress=progress, options=options, given=given
    )
    return work.publish() if options.merge or work.is_there() else _all(recipe, work, one)


def _all(recipe: Recipe, work: "IndexWork", one: Callable[..., PublishedImage]) -> PublishedImage:
    """Publish the image of each platform, and then the index."""
    # Before the first is built, which takes a while.
    for platform in recipe.platforms:
        _check(recipe, work.options, platform)
    for platform in recipe.platforms:
        work.progress(Note(message=f"{recipe.name} {recipe.version} for {platform}"))
        one(_part(recipe, platform), platform, index=recipe.tags)
    return work.publish()


def _check(recipe: Recipe, options: PublishOptions, platform: Platform) -> None:
    build = replace(options.build, platform=platform)
    check_platform(tuple(build.recipes.with_bases(recipe)), build)


def platform_tag(tag: str, platform: Platform) -> str:
    """Return the tag of the image of one platform, beside the index's: ``1.0-linux-arm64``."""
    return f"{tag}-{str(platform).replace('/', '-')}"


def _part(recipe: Recipe, platform: Platform) -> Recipe:
    """Return the recipe as the image of one platform is tagged: it has no moving tags."""
    tags = tuple(platform_tag(tag, platform) for tag in recipe.tags.immutable)
    return replace(recipe, tags=Tags(immutable=tags, moving=()))


def _inputs(recipe: Recipe, options: PublishOptions) -> IndexInputs:
    build = options.build

    def of(platform: Platform) -> Inputs:
        own = replace(build, platform=platform)
        return inputs_of(
            recipe, platform, recipes=build.recipes, lock_of=lambda each: lock_of(each, own)
        )

    return IndexInputs(
        recipe=recipe.digest,
        platforms={str(platform): of(platform) for platform in recipe.platforms},
    )


def _refuse_merge(recipe: Recipe, options: PublishOptions) -> None:
    if options.merge:
        raise InputError(
            f"{recipe.file}: the recipe has one platform: there is nothing to merge",
            hint="write: platforms: [linux/amd64, linux/arm64]",
            code="publish/one-platform",
        )


class IndexWork(PublishWork, frozen=True, kw_only=True):
    """Publishes the index of a recipe's images, which are there."""

    @property
    def says_needs(self) -> bool:
        """Whether the index says what it needs of a node: it differs, and each image says it."""
        return False

    def is_there(self) -> bool:
        """Return whether the index is published, complete or not."""
        return find_release(self.snapshot(), self.place, self.recipe.tags) is not None

    def release(self) -> PublishedImage:
        """Make the index, push, attest, sign, verify and tag it."""
        if isinstance(self.signer, OpenedLater):
            self.signer.open()
        self.progress(Started(stage=_STAGE))
        began = time.monotonic()
        entries = self._images(self.snapshot())
        raw = index_bytes(Index(media_type=INDEX, manifests=entries))
        reference = self.writer.put_manifest(self.place.repository, INDEX, raw)
        manifest = RawManifest(media_type=INDEX, digest=reference.digest, raw=raw)
        names = ", ".join(str(entry.platform) for entry in entries)
        self.progress(Done(stage=_STAGE, summary=names, seconds=time.monotonic() - began))
        look = self.snapshot()
        session = self.session(reference, manifest, look)
        self._attest_index(session, entries)
        written = self.sign(session)
        return self.finish(session, manifest, written, tags=self.recipe.tags, status="published")

    def remember(self, published: PublishedImage) -> None:
        """Note nothing: the local image store has the images, and no index of them."""

    def attest_again(self, session: SigningSession) -> None:
        """Attach again what was lost: the SBOM."""
        if not any(own.statement.predicate_type == CYCLONEDX for own in session.own):
            manifest = session.look.manifest(session.image)
            parsed = parse_manifest(manifest.raw, manifest.media_type)
            entries = parsed.manifests if isinstance(parsed, Index) else ()
            self._attest_sbom_of(session, entries)

    def _images(self, look: RegistrySnapshot) -> tuple[Descriptor, ...]:
        """Return the image of each platform, verified, in the order of the recipe.

        Raises:
            InputError: one is not there, or of another state of the recipe.
            VerificationError: one does not verify.
        """
        tags = {platform: _part(self.recipe, platform).tags for platform in self.recipe.platforms}
        found = {platform: find_release(look, self.place, own) for platform, own in tags.items()}
        missing = [str(platform) for platform, image in found.items() if image is None]
        if missing:
            raise InputError(
                f"{self.recipe.name} {self.recipe.version} is not published yet for "
                f"{', '.join(missing)}",
                hint=f"on a host of it: imagekit publish --platform {missing[0]} ...",
                code="publish/missing-platform",
            )
        return tuple(
            self._image(look, image, platform)
            for platform, image in found.items()
            if image is not None
        )

    def _image(
        self, look: RegistrySnapshot, image: PinnedReference, platform: Platform
    ) -> Descriptor:
        """Return what points to the image of a platform, after judging it as a node would."""
        manifest = look.manifest(image)
        parsed = parse_manifest(manifest.raw, manifest.media_type)
        if not isinstance(parsed, Manifest):
            raise DocumentError(f"{image} is no image of one platform", code="BAD_DOCUMENT")
        config = parse_config(look.blob(image.repository, parsed.config, limit=MAX_MANIFEST))
        if config.platform != platform:
            raise InputError(
                f"{image} is for {config.platform}, and its tag says {platform}",
                hint="raise `version` in the recipe; the tag was written by another tool",
                code="publish/other-platform",
            )
        session = self.session(image, manifest, look)
        digests = recipe_digests(own.statement for own in session.own)
        own = self.recipe.digest
        published = own if own in digests else next(iter(digests), None)
        refuse_other_recipe(image, self.place.location, published=published, recipe=own)
        self.judge((image,), look, ReadOnlyRollbackStore(self.memory))
        return Descriptor(
            media_type=manifest.media_type,
            digest=image.digest,
            size=len(manifest.raw),
            platform=platform,
        )

    def _attest_index(self, session: SigningSession, entries: Sequence[Descriptor]) -> None:
        self._attest_sbom_of(session, entries)
        own, inputs = subjects(session.image, ()), self.inputs
        if not isinstance(inputs, IndexInputs):
            raise TypeError(type(inputs).__name__)
        name = session.image.repository.name
        session.attest(
            index_provenance(
                self.recipe,
                [
                    Material(uri=f"{name}@{e.digest}", name=str(e.platform), digest=e.digest)
                    for e in entries
                ],
                subjects=own,
                invocation=uuid.uuid4().urn,
                finished=self.clock.now(),
                inputs=inputs,
                **({"builder": self.options.builder} if self.options.builder else {}),
            )
        )
        passed = self._passed(session, entries)
        if passed:
            session.attest(
                result_statement(self.recipe, passed, subjects=own, finished=self.clock.now())
            )

    def _passed(self, session: SigningSession, entries: Sequence[Descriptor]) -> tuple[str, ...]:
        """Return the tests that passed in all images; none where one was not tested."""
        names: list[str] = []
        for entry in entries:
            image = PinnedReference(session.image.repository, entry.digest)
            passed = passed_tests(own.statement for own in session.statements(image))
            if not passed:
                return ()
            names += [f"{entry.platform}: {name}" for name in passed]
        return tuple(names)

    def _attest_sbom_of(self, session: SigningSession, entries: Sequence[Descriptor]) -> None:
        from imagekit.sbom.sbom import index_sbom, render

        sbom = index_sbom(
            self.recipe.name, self.recipe.version, digest=session.image.digest, images=entries
        )
        self.attest_sbom(session, render(sbom, self.options.sbom))
