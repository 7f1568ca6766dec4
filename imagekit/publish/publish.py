"""From a recipe to a signed, attested and tagged image in a registry or layout.

The order is what protects users: nothing is tagged before everything else is there and holds.

1. The immutable tags are looked at. If they are there and belong to this very recipe, only what
   is missing is completed; if they belong to something else, publish refuses.
2. The image is built and tested.
3. It is pushed by digest, without a tag.
4. The SBOM is attached, SBOM and provenance are attested, the image is signed in both forms, and
   a release is signed, whose sequence is higher than that of any earlier one of these tags.
5. It is verified as a node would, for every tag.
6. The immutable tags are written, each only if nobody else has written it meanwhile, and read back;
   what they point to is verified again. Whoever lost stops here.
7. The moving tags are written.

Killed anywhere, the next run goes through the same steps and writes only what is missing.
"""

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from imagekit.build.build import BuildOptions
from imagekit.build.image import BuiltImage
from imagekit.check.check import build_tested
from imagekit.clock import Clock
from imagekit.errors import InputError
from imagekit.oci.reference import Destination, PinnedReference, Reference, TaggedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.oci.types import Descriptor, RawManifest
from imagekit.progress import Done, Progress, Started, silent
from imagekit.publish.check import own_policy, require
from imagekit.publish.push import claim_tags, move_tags, push
from imagekit.publish.release import find_release, missing_tags, refuse_other_recipe
from imagekit.publish.types import PublishedImage, Status
from imagekit.recipe.types import Recipe, Tags
from imagekit.sign.attach import Attached, attach_sbom
from imagekit.sign.provenance import provenance, recipe_digests
from imagekit.sign.release import release, release_sequence
from imagekit.sign.signing import attest, sign, subjects
from imagekit.signatures.intoto import CYCLONEDX, Statement
from imagekit.signatures.ports import Signer
from imagekit.verify.context import VerifyContext
from imagekit.verify.fresh import FrozenRollbackStore
from imagekit.verify.ports import RollbackStore


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOptions:
    """How publishing is done."""

    registry: RegistryOptions = field(default_factory=RegistryOptions)
    build: BuildOptions = field(default_factory=BuildOptions)
    builder: str = ""
    """URI that the provenance names as the builder; empty for this machine."""


def publish(
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
    """Publish a recipe.

    Args:
        recipe: what to publish.
        to: where; as text, ``HOST[:PORT]/PREFIX`` or ``oci:FOLDER``.
        signer: signs; the same key is asked again by whoever verifies.
        progress: told of everything that happens.
        options: how it is done.
        writer: the way to the registry; made for the destination where it is not given.
        clock: the time of signatures; the machine's where it is not given.
        memory: what was released before; the user's where it is not given.

    Raises:
        InputError: an immutable tag belongs to something else, or somebody else wrote it meanwhile.
        BuildError: a step or a test failed; nothing was pushed.
        RegistryError: the registry refused or did not answer.
        VerificationError: what was pushed does not verify; nothing was tagged.
    """
    from imagekit.clock import SystemClock
    from imagekit.oci.registry.connect import writer as make_writer
    from imagekit.verify.rollback import SqliteRollbackStore, default_path

    options = options or PublishOptions()
    to = Destination.parse(to) if isinstance(to, str) else to
    repository = to.repository(recipe.name)
    work = _Work(
        recipe=recipe,
        signer=signer,
        writer=writer or make_writer(repository, options.registry),
        clock=clock or SystemClock(),
        memory=memory or SqliteRollbackStore(default_path()),
        progress=progress,
        options=options,
    )
    if not recipe.tags.immutable:
        raise InputError(
            f"{recipe.file}: the recipe has no immutable tag",
            hint='write: tags: {immutable: ["{version}"]}',
            code="publish/no-immutable-tag",
        )
    existing = find_release(work.writer, repository, recipe.tags)
    if existing is not None:
        return work.complete(existing)
    return work.release(to)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One recipe on its way."""

    recipe: Recipe
    signer: Signer
    writer: RegistryWriter
    clock: Clock
    memory: RollbackStore
    progress: Progress
    options: PublishOptions

    def release(self, to: Destination) -> PublishedImage:
        """Build, push, attest, sign, verify and tag."""
        from imagekit.oci.layout import LayoutStore

        image = build_tested(self.recipe, progress=self.progress, options=self.options.build)
        sbom = self._sbom(image)
        repository = to.repository(self.recipe.name)
        store = LayoutStore(image.layout)
        pushed = push(self.writer, store, image, repository=repository, progress=self.progress)
        written = self._attest(pushed.reference, pushed.manifest, image, sbom=sbom)
        written += self._sign(pushed.reference, pushed.manifest)
        tags = self.recipe.tags
        return self._finish(
            pushed.reference, pushed.manifest, written, tags=tags, status="published"
        )

    def complete(self, existing: PinnedReference) -> PublishedImage:
        """Write what is missing of a release that is there, if it is this recipe's."""
        began = time.monotonic()
        found = recipe_digests(self.writer, existing, self.signer)
        own = self.recipe.digest
        published = own if own in found else next(iter(found), None)
        refuse_other_recipe(existing, published=published, recipe=own)
        image = PinnedReference(existing.repository, existing.digest)
        manifest = self.writer.manifest(image)
        written = self._sbom_again(image, manifest)
        written += self._sign(image, manifest, quiet=True)
        new = tuple(one.what for one in written if one.new)
        missing = missing_tags(
            self.writer,
            image,
            self.recipe.tags,
            sequence=lambda there, tag: release_sequence(self.writer, self.signer, there, tag=tag),
        )
        if missing.all or new:
            return self._finish(image, manifest, written, tags=missing, status="completed")
        self._verify(image, self.memory)
        name = f"{self.recipe.name} {self.recipe.version}"
        summary = f"{name} is published already: same recipe, signatures good"
        self.progress(Done(stage="release", summary=summary, seconds=time.monotonic() - began))
        return self._published(image, (), status="unchanged")

    def _sbom(self, image: BuiltImage) -> bytes:
        from imagekit.sbom.sbom import catalogue_image, render

        self.progress(Started(stage="sbom"))
        began = time.monotonic()
        sbom = catalogue_image(image, self.recipe)
        raw = render(sbom)
        self.progress(Done(stage="sbom", summary=sbom.summary, seconds=time.monotonic() - began))
        return raw

    def _sbom_again(self, image: PinnedReference, manifest: RawManifest) -> list[Attached]:
        """Attach the SBOM again where it or its attestation was lost."""
        from imagekit.sign.own import own_statements

        statements = [own.statement for own in own_statements(self.writer, image, self.signer)]
        found = [entry for entry in statements if entry.predicate_type == CYCLONEDX]
        if found:
            return []
        from imagekit.sbom.sbom import sbom_of_reference

        return self._attest_sbom(image, manifest, sbom_of_reference(self.writer, image))

    def _attest(
        self, image: PinnedReference, manifest: RawManifest, built: BuiltImage, *, sbom: bytes
    ) -> list[Attached]:
        self.progress(Started(stage="attest"))
        began = time.monotonic()
        written = self._attest_sbom(image, manifest, sbom)
        statement = provenance(
            self.recipe,
            built,
            subjects=subjects(image, ()),
            invocation=uuid.uuid4().urn,
            **({"builder": self.options.builder} if self.options.builder else {}),
        )
        written.append(self._attested(image, manifest.descriptor, statement))
        self.progress(
            Done(
                stage="attest",
                summary="CycloneDX SBOM, SLSA provenance",
                seconds=time.monotonic() - began,
            )
        )
        return written

    def _attest_sbom(
        self, image: PinnedReference, manifest: RawManifest, sbom: bytes
    ) -> list[Attached]:
        from imagekit.documents.strictjson import loads_object

        descriptor = manifest.descriptor
        attached = attach_sbom(self.writer, image, manifest=descriptor, sbom=sbom)
        statement = Statement(
            subjects=subjects(image, ()),
            predicate_type=CYCLONEDX,
            predicate=loads_object(sbom, what="the SBOM"),
        )
        return [attached, self._attested(image, descriptor, statement)]

    def _attested(
        self, image: PinnedReference, descriptor: Descriptor, statement: Statement
    ) -> Attached:
        return attest(
            self.writer,
            self.signer,
            image,
            manifest=descriptor,
            statement=statement,
            clock=self.clock,
        )

    def _sign(
        self, image: PinnedReference, manifest: RawManifest, *, quiet: bool = False
    ) -> list[Attached]:
        began = time.monotonic()
        written = sign(
            self.writer,
            self.signer,
            image,
            manifest=manifest.descriptor,
            tags=self.recipe.tags.all,
            clock=self.clock,
        )
        if not quiet:
            forms = "bundle and legacy form" if len(written) > 1 else "bundle"
            summary = f"{self.signer}: {forms}, release"
            self.progress(Done(stage="sign", summary=summary, seconds=time.monotonic() - began))
        return [*written, self._release(image, manifest)]

    def _release(self, image: PinnedReference, manifest: RawManifest) -> Attached:
        return release(
            self.writer,
            self.signer,
            image,
            manifest=manifest.descriptor,
            tags=self.recipe.tags.all,
            clock=self.clock,
            memory=self.memory,
        )

    def _finish(
        self,
        image: PinnedReference,
        manifest: RawManifest,
        written: Sequence[Attached],
        *,
        tags: Tags,
        status: Status,
    ) -> PublishedImage:
        # Nothing is remembered of tags that somebody else may still get.
        self._verify(image, FrozenRollbackStore(self.memory))
        began = time.monotonic()
        claim_tags(self.writer, image, manifest=manifest, tags=tags.immutable)
        self._judge((TaggedReference(image.repository, tag) for tag in tags.immutable), self.memory)
        moving = [tag for tag in tags.moving if tag not in tags.immutable]
        self._judge((replace(image, tag=tag) for tag in moving), self.memory)
        move_tags(self.writer, image, manifest=manifest, tags=moving)
        self.progress(
            Done(stage="tag", summary=", ".join(tags.all), seconds=time.monotonic() - began)
        )
        new = tuple(one.what for one in written if one.new)
        return self._published(image, new, status=status)

    def _verify(self, image: PinnedReference, memory: RollbackStore) -> None:
        """Judge the image as a node would, for every tag that it is to have."""
        self.progress(Started(stage="verify"))
        began = time.monotonic()
        self._judge((replace(image, tag=tag) for tag in self.recipe.tags.all), memory)
        self.progress(
            Done(
                stage="verify",
                summary="as a node would: allowed",
                seconds=time.monotonic() - began,
            )
        )

    def _judge(self, references: Iterable[Reference], memory: RollbackStore) -> None:
        from imagekit.verify.judge import judge

        for reference in references:
            name = reference.repository.name
            policy = own_policy(name, self.signer.authority, self.clock.now())
            require(judge(reference, policy, self._bench(memory)), reference)

    def _bench(self, memory: RollbackStore) -> VerifyContext:
        from imagekit.signatures.sigstore.verifier import SigstoreVerifier

        return VerifyContext(
            now=self.clock.now(),
            open_reader=lambda: self.writer,
            certificates=SigstoreVerifier(),
            memory=memory,
        )

    def _published(
        self, image: PinnedReference, written: tuple[str, ...], *, status: Status
    ) -> PublishedImage:
        return PublishedImage(
            reference=image,
            name=self.recipe.name,
            version=self.recipe.version,
            tags=self.recipe.tags.all,
            status=status,
            written=written,
        )
