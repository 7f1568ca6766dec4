"""From a recipe to a signed, attested and tagged image in a registry or layout.

The order protects users: nothing is tagged before everything else is there and verifies.

1. The immutable tags are read. If they are there and belong to the same recipe, only what is
   missing is completed; if they belong to something else, publish refuses. Where a base, the lock
   or the compressor moved since, that is told, and what is there stays.
2. The image is built and tested. While its tests run it is catalogued and checked to be
   self-contained, and its blobs are sent, which nothing names yet: where a test fails, the
   registry's garbage collection removes them.
3. It is pushed by digest, without a tag.
4. The SBOM, a locked recipe, and what a recipe says of its needs, are attached; SBOM and needs, the
   provenance, which names the recipe by its digest, and the results of the tests and of the check
   are attested, the image is signed in both forms, and a release is signed, whose sequence is
   higher than that of any earlier one of these tags. All of it is signed first, and then written
   and listed at once.
5. It is verified as a node would, for every tag; then the consumers that were named are asked for
   it by digest, and each must accept it.
6. The immutable tags are written, each only if no other process has written it meanwhile, and read
   back; what they point to is verified again. Of two that publish one version, one stops here.
7. The moving tags are written.

Wherever it is killed, the next run goes through the same steps and writes only what is missing.

The registry is asked once: what was read is used until the next write. What is judged after a write
is read again, the list of referrers as it was read back. Only content that a digest names is kept
from run to run, and it is not used to judge what this run has written.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.build.build import BuildOptions, lock_of
from imagekit.build.image import BuiltImage
from imagekit.build.inputs_digest import IndexInputs, Inputs, inputs_of
from imagekit.build.local_store import record_published, store_in_use
from imagekit.build.tools.storage import Folders
from imagekit.check.check import build_tested
from imagekit.clock import Clock
from imagekit.errors import ImagekitError, InputError
from imagekit.needs.needs import Needs
from imagekit.oci.destination import Destination
from imagekit.oci.location import LocatedReference, LocatedRepository
from imagekit.oci.reference import PinnedReference, Reference, Repository, TaggedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.oci.registry.snapshot import RegistrySnapshot
from imagekit.oci.types import RECIPE, RawManifest
from imagekit.progress import Advanced, Done, Note, Progress, Started
from imagekit.publish.check_stage import (
    TimedCheck,
    attest_check,
    check_again,
    check_built,
    tell_check,
)
from imagekit.publish.consumers import Consumer, ask_consumers, check_consumers
from imagekit.publish.known_release import (
    find_release,
    missing_tags,
    moved_since,
    refuse_other_recipe,
    tell_stale,
)
from imagekit.publish.own_policy import own_policy, require
from imagekit.publish.published import PublishedImage, Status
from imagekit.publish.push import Uploaded, claim_tags, move_tags, push, upload
from imagekit.publish.since_last import changes_annotation, changes_since_last, told_changes
from imagekit.recipe.recipe import Recipe, Tags
from imagekit.sbom.complete_needs import complete_needs
from imagekit.sbom.sbom_options import SbomOptions
from imagekit.sign.attach import Attached
from imagekit.sign.provenance import provenance, recipe_archive_of, recipe_digests
from imagekit.sign.sign_release import release, release_sequence
from imagekit.sign.signing import LEGACY, SigningSession, subjects
from imagekit.sign.tested import result_statement
from imagekit.signatures.intoto import CYCLONEDX, NEEDS, Statement
from imagekit.signatures.ports import OpenedLater, Signer
from imagekit.verify.context import VerifyContext
from imagekit.verify.ports import RollbackStore
from imagekit.verify.rollback import ReadOnlyRollbackStore, users_store

if TYPE_CHECKING:
    from imagekit.lock.recipe_archive import RecipeArchive
    from imagekit.oci.registry.kept import KeptContent
    from imagekit.publish.ahead import Proceed
    from imagekit.sbom.contents import Sbom
    from imagekit.sbom.sbom_diff import SbomDiff


class PublishOptions(Struct, frozen=True, kw_only=True):
    """How publishing is done."""

    registry: RegistryOptions = field(default_factory=RegistryOptions)
    build: BuildOptions = field(default_factory=BuildOptions)
    builder: str = ""
    """URI that the provenance names as the builder; empty for this machine."""
    merge: bool = False
    """Of a recipe of several platforms only the index is made, of images that are there."""
    signed_for: tuple[str, ...] = ()
    """Tags that the image is signed for beside its own: those of the index that names it."""
    sbom: SbomOptions = field(default_factory=SbomOptions)
    """In whose name SBOMs are written."""
    keep_recipe: bool = True
    """Whether a locked recipe, what it stands on and their locks are kept beside the image."""
    consumers: tuple[Consumer, ...] = ()
    """Who must accept the image before any of its tags is written."""

    def at(self, to: Destination | str) -> Self:
        """Return them for a destination, where published bases are, too."""
        to = Destination.parse(to) if isinstance(to, str) else to
        return replace(self, build=replace(self.build, published=to))


class Given(Struct, frozen=True, kw_only=True):
    """What a caller brings along; each is made where it is not given."""

    writer: RegistryWriter | None = None
    clock: Clock | None = None
    memory: RollbackStore | None = None


def publish_image(
    recipe: Recipe,
    *,
    to: Destination | str,
    signer: Signer,
    progress: Progress,
    options: PublishOptions,
    given: Given,
) -> PublishedImage:
    """Publish the image of one platform.

    Args:
        recipe: what to publish.
        to: where; as text, ``HOST[:PORT]/PREFIX`` or ``oci:FOLDER``.
        signer: signs.
        progress: told of everything that happens.
        options: how it is done, with the destination.
        given: what the caller brings along.

    Raises:
        ImagekitError: see ``publish_recipe``, which publishes all platforms.
    """
    build = options.build
    inputs = inputs_of(
        recipe,
        build.target,
        recipes=build.recipes,
        lock_of=lambda each: lock_of(each, build),
    )
    recipe = replace(recipe, tags=recipe.tags.built(inputs.build))
    work = PublishWork.begin(
        recipe,
        inputs,
        to=to,
        signer=signer,
        progress=progress,
        options=options,
        given=given,
    )
    published = work.publish()
    work.remember(published)
    return published


class PublishWork(Struct, frozen=True, kw_only=True):
    """Publishes one image of a recipe."""

    recipe: Recipe
    inputs: Inputs | IndexInputs
    signer: Signer
    place: LocatedRepository
    writer: RegistryWriter
    kept: "KeptContent | None"
    clock: Clock
    memory: RollbackStore
    progress: Progress
    options: PublishOptions

    @classmethod
    def begin(
        cls,
        recipe: Recipe,
        inputs: Inputs | IndexInputs,
        *,
        to: Destination | str,
        signer: Signer,
        progress: Progress,
        options: PublishOptions,
        given: Given,
    ) -> Self:
        """Return what publishes a recipe: see ``publish_image``.

        Args:
            recipe: what to publish, with its tags as they will be.
            inputs: what decides the image.
            to: where.
            signer: signs.
            progress: told of everything that happens.
            options: how it is done.
            given: what the caller brings along.

        Raises:
            InputError: the recipe has no immutable tag, or a consumer cannot be asked.
        """
        from imagekit.clock import SystemClock
        from imagekit.oci.registry.connect import writer as make_writer
        from imagekit.oci.registry.kept import kept_content

        to = Destination.parse(to) if isinstance(to, str) else to
        place = to.place(recipe.name)
        if not recipe.tags.immutable:
            raise InputError(
                f"{recipe.file}: the recipe has no immutable tag",
                hint='write: tags: {immutable: ["{version}"]}',
                code="publish/no-immutable-tag",
            )
        check_consumers(options.consumers, place.location)
        return cls(
            recipe=recipe,
            inputs=inputs,
            signer=signer,
            place=place,
            writer=given.writer or make_writer(place, options.registry),
            kept=kept_content(place.location),
            clock=given.clock or SystemClock(),
            memory=given.memory or users_store(),
            progress=progress,
            options=options,
        )

    @property
    def says_needs(self) -> bool:
        """Whether the image says what it needs of its node."""
        return self.recipe.needs is not None

    def publish(self) -> PublishedImage:
        """Publish it, or complete what is there."""
        look = self.snapshot()
        existing = find_release(look, self.place, self.recipe.tags)
        return self.release() if existing is None else self.complete(existing, look)

    def snapshot(self) -> RegistrySnapshot:
        """Return what is read of the registry before anything is written."""
        return RegistrySnapshot(self.writer, kept=self.kept)

    def release(self) -> PublishedImage:
        """Build, push, attest, sign, verify and tag."""
        if isinstance(self.signer, OpenedLater):
            self.signer.open()
        # What was built is read until it is pushed.
        with store_in_use(Folders.of(self.options.build.env)):
            return self._release()

    def _release(self) -> PublishedImage:
        from imagekit.oci.layout import LayoutStore
        from imagekit.publish.ahead import Ahead

        with Ahead(self._catalogue, self._upload) as ahead:
            image = build_tested(
                self.recipe,
                built=ahead.begin,
                progress=self.progress,
                options=self.options.build,
            )
            sbom, checked = self._sbom(lambda: ahead.catalogued(image))
            tell_check(checked, self.recipe, self.progress)
            # Before the manifest is: a recipe that its image contradicts is not published.
            needs = complete_needs(self.recipe, sbom)
            pushed = push(
                self.writer,
                LayoutStore(image.layout),
                image,
                place=self.place,
                uploaded=lambda: ahead.sent(image),
                progress=self.progress,
            )
        # The build took a while: what was read before it may have changed.
        look = RegistrySnapshot(self.writer, kept=self.kept)
        session = self.session(pushed.reference, pushed.manifest, look)
        changes = self._attest(session, image, sbom=sbom, needs=needs)
        attest_check(session, checked.checked, self.clock)
        written = self.sign(session, changes=changes)
        finished = self.finish(
            session, pushed.manifest, written, tags=self.recipe.tags, status="published"
        )
        return replace(finished, changes=told_changes(changes))

    def complete(self, existing: PinnedReference, look: RegistrySnapshot) -> PublishedImage:
        """Write what is missing of a release that is there, if it is of this recipe."""
        began = time.monotonic()
        image = PinnedReference(existing.repository, existing.digest)
        manifest = look.manifest(image)
        session = self.session(image, manifest, look)
        digests = recipe_digests(own.statement for own in session.own)
        own = self.recipe.digest
        published = own if own in digests else next(iter(digests), None)
        refuse_other_recipe(existing, self.place.location, published=published, recipe=own)
        moved = moved_since((own.statement for own in session.own), self.inputs)
        if moved:
            self.progress(Note(message=tell_stale(str(existing.tag), moved)))
        self.attest_again(session)
        written = self.sign(session, quiet=True)
        missing = missing_tags(
            look,
            image,
            self.recipe.tags,
            sequence=lambda there, tag: release_sequence(session, there, tag=tag),
        )
        if missing.all or any(artifact.new for artifact in written):
            status: Status = "stale" if moved else "completed"
            finished = self.finish(session, manifest, written, tags=missing, status=status)
            return replace(finished, moved=moved)
        self.verify(image, look, self.memory)
        name = f"{self.recipe.name} {self.recipe.version}"
        summary = f"{name} is published already: same recipe, signatures valid"
        self.progress(Done(stage="release", summary=summary, seconds=time.monotonic() - began))
        found = self.published(image, (), status="stale" if moved else "unchanged")
        return replace(found, moved=moved)

    def session(
        self, image: PinnedReference, manifest: RawManifest, look: RegistrySnapshot
    ) -> SigningSession:
        """Return what signs an image and attaches to it."""
        return SigningSession(
            self.writer,
            self.signer,
            image,
            manifest=manifest.descriptor,
            clock=self.clock,
            look=look,
        )

    def _catalogue(self, image: BuiltImage) -> "tuple[Sbom, TimedCheck]":
        from imagekit.sbom.catalogue_cache import CatalogueCache
        from imagekit.sbom.sbom import catalogue_image

        cache = CatalogueCache(Folders.of(self.options.build.env).cache / "catalogues")
        sbom = catalogue_image(image, self.recipe, cache=cache)
        return sbom, check_built(image, self.recipe)

    def _upload(self, image: BuiltImage, proceed: "Proceed") -> Uploaded:
        from imagekit.oci.layout import LayoutStore

        total = image.config.size + sum(layer.descriptor.size for layer in image.layers)

        def told(done: int) -> None:
            if proceed():
                self.progress(Advanced(stage="push", done=done, total=total))

        return upload(
            self.writer,
            LayoutStore(image.layout),
            image,
            repository=self.place.repository,
            below=self._below(),
            count=told,
        )

    def _below(self) -> tuple[Repository, ...]:
        """Return the repositories of this registry where what the recipe builds on may be."""
        mine = self.place.repository
        prefix = mine.path.removesuffix(self.recipe.name)
        recipes = (Repository(mine.host, prefix + base.name) for base in self.recipe.recipes_below)
        images = (
            base.reference.repository
            for base in self.recipe.images_below
            if base.location == self.place.location and base.reference.repository.host == mine.host
        )
        return tuple(dict.fromkeys((*recipes, *images)))

    def _sbom(
        self, catalogued: "Callable[[], tuple[Sbom, TimedCheck]]"
    ) -> "tuple[Sbom, TimedCheck]":
        self.progress(Started(stage="sbom"))
        began = time.monotonic()
        sbom, checked = catalogued()
        self.progress(Done(stage="sbom", summary=sbom.summary, seconds=time.monotonic() - began))
        return sbom, checked

    def attest_again(self, session: SigningSession) -> None:
        """Attach again what was lost and can be told from the image itself, or from the recipe."""
        self._sbom_again(session)
        self._needs_again(session)
        self._recipe_again(session)
        check_again(session, self.recipe, self.clock)

    def _sbom_again(self, session: SigningSession) -> None:
        """Attach the SBOM again where it or its attestation was lost."""
        if any(own.statement.predicate_type == CYCLONEDX for own in session.own):
            return
        from imagekit.sbom.sbom import catalogue_reference, render

        sbom = catalogue_reference(session.look, session.image)
        self.attest_sbom(session, render(sbom, self.options.sbom))

    def _needs_again(self, session: SigningSession) -> None:
        """Attach what the image needs where it was lost, or was never said."""
        attested = any(own.statement.predicate_type == NEEDS for own in session.own)
        if self.recipe.needs is None or attested:
            return
        from imagekit.sbom.sbom import catalogue_reference

        needs = complete_needs(self.recipe, catalogue_reference(session.look, session.image))
        if needs is not None:
            session.attach_needs(needs)

    def _recipe_again(self, session: SigningSession) -> None:
        """Attach the recipe again where it was lost, and is still the one that was attached."""
        from imagekit.publish.kept_recipe import attached_archives

        named = [recipe_archive_of(own.statement) for own in session.own]
        digests = {archive.digest for archive in named if archive is not None}
        listed = {entry.artifact_type for entry in session.look.referrers(session.image)}
        # Where the listing says it, nothing more is asked for.
        if not digests or RECIPE in listed:
            return
        there = attached_archives(session.look, session.image)
        if any(layer.digest in digests for layer in there):
            return
        kept = self._kept_recipe()
        if kept is not None and kept[0] in named:
            session.attach_recipe(kept[1])

    def _kept_recipe(self) -> "tuple[RecipeArchive, bytes] | None":
        if not self.options.keep_recipe:
            return None
        from imagekit.publish.kept_recipe import kept_recipe

        return kept_recipe(self.recipe, self.options.build, progress=self.progress)

    def _attest(
        self, session: SigningSession, built: BuiltImage, *, sbom: "Sbom", needs: Needs | None
    ) -> "SbomDiff | None":
        """Attach and attest what the image is, and return what it changes."""
        from imagekit.sbom.sbom import render

        self.progress(Started(stage="attest"))
        began = time.monotonic()
        raw = render(sbom, self.options.sbom)
        self.attest_sbom(session, raw)
        if needs is not None:
            session.attach_needs(needs)
        kept = self._kept_recipe()
        if kept is not None:
            session.attach_recipe(kept[1])
        statement = provenance(
            self.recipe,
            built,
            subjects=subjects(session.image, ()),
            invocation=uuid.uuid4().urn,
            inputs=self.inputs,
            archive=None if kept is None else kept[0],
            **({"builder": self.options.builder} if self.options.builder else {}),
        )
        session.attest(statement)
        if built.passed_tests:
            session.attest(
                result_statement(
                    self.recipe,
                    built.passed_tests,
                    subjects=subjects(session.image, ()),
                    finished=self.clock.now(),
                )
            )
        more = {"recipe": kept, "needs": needs, "test result": built.passed_tests, "check": True}
        said = "".join(f", {name}" for name, there in more.items() if there)
        self.progress(
            Done(
                stage="attest",
                summary=f"CycloneDX SBOM, SLSA provenance{said}",
                seconds=time.monotonic() - began,
            )
        )
        changes = changes_since_last(session, self.recipe.tags, raw)
        if changes is not None:
            self.progress(Note(message=told_changes(changes)))
        return changes

    def attest_sbom(self, session: SigningSession, sbom: bytes) -> None:
        """Attach an SBOM and attest to it."""
        from imagekit.documents.strictjson import loads_object

        session.attach_sbom(sbom)
        session.attest(
            Statement(
                subjects=subjects(session.image, ()),
                predicate_type=CYCLONEDX,
                predicate=loads_object(sbom, what="the SBOM"),
            )
        )

    def sign(
        self, session: SigningSession, *, quiet: bool = False, changes: "SbomDiff | None" = None
    ) -> tuple[Attached, ...]:
        """Sign image and release, and write all that is attached to the image."""
        began = time.monotonic()
        if not quiet:
            self.progress(Started(stage="sign", detail=str(self.signer)))
        tags = self.recipe.tags.all
        session.sign((*tags, *self.options.signed_for))
        told = changes_annotation(changes)
        release(session, tags=tags, memory=self.memory, annotations=told)
        written = session.write()
        if not quiet:
            two = any(artifact.kind == LEGACY for artifact in written)
            forms = "bundle and legacy form" if two else "bundle"
            summary = f"{self.signer}: {forms}, release"
            self.progress(Done(stage="sign", summary=summary, seconds=time.monotonic() - began))
        return written

    def finish(
        self,
        session: SigningSession,
        manifest: RawManifest,
        written: Sequence[Attached],
        *,
        tags: Tags,
        status: Status,
    ) -> PublishedImage:
        """Verify what is written, ask the consumers, and only then write the tags."""
        image = session.image
        # Nothing is recorded of tags that another publisher may still get.
        self.verify(image, self._look_again(session), ReadOnlyRollbackStore(self.memory))
        ask_consumers(self.options.consumers, image, progress=self.progress)
        self.progress(Started(stage="tag", detail=", ".join(tags.all)))
        began = time.monotonic()
        claim_tags(
            self.writer,
            image,
            manifest=manifest,
            tags=tags.immutable,
            location=self.place.location,
        )
        look = self._look_again()
        claimed = (TaggedReference(image.repository, tag) for tag in tags.immutable)
        self.judge(claimed, look, self.memory)
        moving = [tag for tag in tags.moving if tag not in tags.immutable]
        self.judge((replace(image, tag=tag) for tag in moving), look, self.memory)
        move_tags(self.writer, image, manifest=manifest, tags=moving)
        self.progress(
            Done(stage="tag", summary=", ".join(tags.all), seconds=time.monotonic() - began)
        )
        new = tuple(artifact.kind for artifact in written if artifact.new)
        return self.published(image, new, status=status)

    def _look_again(self, session: SigningSession | None = None) -> RegistrySnapshot:
        """Return a new snapshot of the registry, for after a write.

        Args:
            session: has the list of referrers, if it has just read it back.
        """
        look = RegistrySnapshot(self.writer, kept=self.kept, reread=True)
        if session is not None and session.listed is not None:
            look.listed(session.image, session.listed)
        return look

    def verify(self, image: PinnedReference, look: RegistrySnapshot, memory: RollbackStore) -> None:
        """Judge the image as a node would, for every tag that it is to have."""
        self.progress(Started(stage="verify"))
        began = time.monotonic()
        self.judge((replace(image, tag=tag) for tag in self.recipe.tags.all), look, memory)
        self.progress(
            Done(
                stage="verify",
                summary="as a node would: allowed",
                seconds=time.monotonic() - began,
            )
        )

    def judge(
        self, references: Iterable[Reference], look: RegistrySnapshot, memory: RollbackStore, /
    ) -> None:
        """Refuse what a node would refuse."""
        from imagekit.verify.judge import judge

        context = self._context(look, memory)
        for reference in references:
            name = reference.repository.name
            policy = own_policy(name, self.signer.authority, context.now, needs=self.says_needs)
            require(judge(reference, policy, context))

    def _context(self, look: RegistrySnapshot, memory: RollbackStore) -> VerifyContext:
        from imagekit.signatures.sigstore.verifier import SigstoreVerifier

        return VerifyContext(
            now=self.clock.now(),
            open_reader=lambda: look,
            location=self.place.location,
            certificates=SigstoreVerifier(),
            memory=memory,
        )

    def remember(self, published: PublishedImage) -> None:
        """Note in the local image store where the image is; where it cannot, that ends nothing."""
        folders = Folders.of(self.options.build.env)
        name = TaggedReference(published.reference.repository, published.tags[0])
        place = str(LocatedReference(published.location.below(Path.cwd()), name))
        try:
            record_published(folders, published.reference.digest, place)
        except ImagekitError as error:
            message = f"the local image store does not say where it was published: {error.message}"
            self.progress(Note(message=message))

    def published(
        self, image: PinnedReference, written: tuple[str, ...], *, status: Status
    ) -> PublishedImage:
        """Return the image as a value."""
        return PublishedImage(
            reference=image,
            location=self.place.location,
            name=self.recipe.name,
            version=self.recipe.version,
            tags=self.recipe.tags.all,
            status=status,
            written=written,
        )
