"""Signing an image in both forms, and attesting to it.

A session first reads what is there: what verifies with the signer's own public key and says the
same is kept, so that a publish that was killed completes without signing anything twice.

Reading and signing, which may fail, are apart from writing: where several images are signed at
once, all signatures are made before the first of them is in the registry.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from types import MappingProxyType

from msgspec.structs import replace

from imagekit.clock import Clock
from imagekit.errors import DocumentError
from imagekit.needs.needs import Needs
from imagekit.needs.predicate import needs_predicate
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.oci.registry.snapshot import RegistrySnapshot
from imagekit.oci.types import BUNDLE, NOTHING, PREDICATE_TYPE, Descriptor
from imagekit.sign.attach import (
    Artifact,
    Attached,
    attach,
    attach_all,
    needs_artifact,
    recipe_artifact,
    sbom_artifact,
)
from imagekit.sign.contained import same_check
from imagekit.sign.legacy import Merged, SignedLayers, merge, signed_layers
from imagekit.sign.own import OwnStatement, own_statements
from imagekit.sign.provenance import same_build
from imagekit.sign.tested import same_tests
from imagekit.signatures.bundle import MAX_BUNDLE
from imagekit.signatures.intoto import (
    COSIGN_SIGN,
    NEEDS,
    SELF_CONTAINED,
    SLSA_PROVENANCE,
    TEST_RESULT,
    Statement,
    StatementSubject,
    statement_bytes,
)
from imagekit.signatures.ports import Signer

_SAME: Mapping[str, Callable[[Statement, Statement], bool]] = MappingProxyType(
    {SLSA_PROVENANCE: same_build, TEST_RESULT: same_tests, SELF_CONTAINED: same_check}
)
_SIGNATURE = "signature"
LEGACY = "legacy signature"
"""The kind of what was attached in the legacy form."""
_CREATED = "org.opencontainers.image.created"


def identities(image: PinnedReference, tags: Sequence[str]) -> tuple[str, ...]:
    """Return the names that the image is signed for: ``HOST/PATH:TAG``, one for each tag.

    Without tags it is ``HOST/PATH``: valid wherever the image is named by its digest.
    """
    name = image.repository.name
    return tuple(f"{name}:{tag}" for tag in dict.fromkeys(tags)) or (name,)


def subjects(image: PinnedReference, tags: Sequence[str]) -> tuple[StatementSubject, ...]:
    """Return the subjects of statements about the image, one for each identity."""
    return tuple(
        StatementSubject(name=identity, digest=image.digest) for identity in identities(image, tags)
    )


class SigningSession:
    """Signs one image: what is attached is read once, and what is added is written at once.

    ``sign``, ``attest`` and those that attach read and sign, which may fail, and write nothing.

    Args:
        writer: where the image is.
        signer: signs it.
        image: the image; a tag in the reference is not used here.
        manifest: what points to the image's manifest or index.
        clock: for the time in annotations.
        look: what was read of the registry just now; a new snapshot where it is left out.
    """

    def __init__(
        self,
        writer: RegistryWriter,
        signer: Signer,
        image: PinnedReference,
        *,
        manifest: Descriptor,
        clock: Clock,
        look: RegistrySnapshot | None = None,
    ) -> None:
        self.signer = signer
        self.image = image
        self.clock = clock
        self.look = look or RegistrySnapshot(writer)
        self.listed: tuple[Descriptor, ...] | None = None
        """The referrers as they were read back after a write; None where nothing was written."""
        self._writer = writer
        self._manifest = manifest
        self._own: dict[Digest, tuple[OwnStatement, ...]] = {}
        self._added: list[Attached | Artifact | SignedLayers] = []

    @property
    def own(self) -> tuple[OwnStatement, ...]:
        """The signer's statements about the image that are there."""
        return self.statements(self.image)

    def statements(self, image: PinnedReference) -> tuple[OwnStatement, ...]:
        """Return the signer's statements about any image of the registry.

        Raises:
            RegistryError: the registry did not answer.
        """
        if image.digest not in self._own:
            self._own[image.digest] = own_statements(self.look, image, self.signer)
        return self._own[image.digest]

    def sign(self, tags: Sequence[str]) -> None:
        """Sign the image for its tags, as Sigstore bundle and in the legacy form.

        Args:
            tags: the tags to sign for, whether they exist yet or not.

        Raises:
            RegistryError: the registry refused or did not answer.
            DocumentError: the legacy tag holds something that is no manifest of signatures.
        """
        legacy = signed_layers(
            self.look, self.signer, self.image, identities=identities(self.image, tags)
        )
        self._sign_bundle(tags)
        if legacy.layers:
            self._added.append(legacy)

    def attest(self, statement: Statement, *, annotations: Mapping[str, str] = NOTHING) -> None:
        """Sign a statement about the image, unless one that says the same is there.

        The annotations stand beside it, unsigned.

        Two provenances or test results say the same where they differ only in the run and its
        times.

        Raises:
            RegistryError: the registry refused or did not answer.
            DocumentError: it is longer than verifiers read.
        """
        same = _SAME.get(statement.predicate_type, Statement.__eq__)
        for own in self.own:
            if same(own.statement, statement):
                self.keep(statement.predicate_type, own.reference)
                return
        self._add_bundle(statement, kind=statement.predicate_type, annotations=annotations)

    def attach_sbom(self, sbom: bytes) -> None:
        """Attach a CycloneDX document as an artifact of its own."""
        self._added.append(sbom_artifact(sbom))

    def attach_recipe(self, archive: bytes) -> None:
        """Attach what the image was built of; its digest stands in the provenance."""
        self._added.append(recipe_artifact(archive))

    def attach_needs(self, needs: Needs) -> None:
        """Attach what the image needs of its node, and attest to it.

        Raises:
            RegistryError: the registry refused or did not answer.
        """
        self._added.append(needs_artifact(needs))
        self.attest(
            Statement(
                subjects=subjects(self.image, ()),
                predicate_type=NEEDS,
                predicate=needs_predicate(needs),
            )
        )

    def keep(self, kind: str, reference: PinnedReference) -> None:
        """Count an artifact that is there already as one that was to be added."""
        self._added.append(Attached(kind=kind, reference=reference, new=False))

    def write(self) -> tuple[Attached, ...]:
        """Write what was added and is not there, and return all of it in its order.

        Raises:
            RegistryError: the registry refused or did not answer.
            DocumentError: the legacy tag holds something that is no manifest of signatures.
        """
        added, self._added = self._added, []
        legacy = next((entry for entry in added if isinstance(entry, SignedLayers)), None)
        first = None
        if legacy is not None and legacy.payloads:
            first = merge(self._writer, self.image, legacy)
        attached = iter(self._attach([entry for entry in added if isinstance(entry, Artifact)]))
        done: list[Attached] = []
        for entry in added:
            if isinstance(entry, Artifact):
                done.append(next(attached))
            elif isinstance(entry, SignedLayers):
                done.append(self._merged(entry, first))
            else:
                done.append(entry)
        return tuple(done)

    def _merged(self, legacy: SignedLayers, first: Merged | None) -> Attached:
        if first is None and legacy.there is not None:
            return Attached(kind=LEGACY, reference=legacy.there, new=False)
        # A process that read the tag before our write may have overwritten it after our read.
        second = merge(self._writer, self.image, replace(legacy, payloads=()))
        new = second.new or (first is not None and first.new)
        return Attached(kind=LEGACY, reference=second.reference, new=new)

    def _attach(self, artifacts: Sequence[Artifact]) -> tuple[Attached, ...]:
        if not artifacts:
            return ()
        attached, self.listed = attach_all(
            self._writer,
            self.image,
            manifest=self._manifest,
            artifacts=artifacts,
            before={referrer.digest for referrer in self.look.referrers(self.image)},
        )
        return attached

    def _sign_bundle(self, tags: Sequence[str]) -> None:
        mine = [own for own in self.own if own.statement.predicate_type == COSIGN_SIGN]
        there = {
            (subject.name, subject.digest) for own in mine for subject in own.statement.subjects
        }
        missing = tuple(
            subject
            for subject in subjects(self.image, tags)
            if (subject.name, subject.digest) not in there
        )
        if missing:
            statement = Statement(subjects=missing, predicate_type=COSIGN_SIGN)
            self._add_bundle(statement, kind=_SIGNATURE)
        else:
            self.keep(_SIGNATURE, mine[0].reference)

    def _add_bundle(
        self, statement: Statement, *, kind: str, annotations: Mapping[str, str] = NOTHING
    ) -> None:
        bundle = self.signer.bundle(statement_bytes(statement))
        if len(bundle) > MAX_BUNDLE:
            raise DocumentError(
                f"what is signed of {self.image} as {kind} has {len(bundle)} bytes; verifiers read "
                f"at most {MAX_BUNDLE}",
                code="TOO_LARGE",
            )
        predicate_type = statement.predicate_type
        artifact = _bundle_artifact(bundle, predicate_type, kind=kind, clock=self.clock)
        both = {**annotations, **artifact.annotations}
        self._added.append(replace(artifact, annotations=both))


def attest(
    writer: RegistryWriter,
    signer: Signer,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    statement: Statement,
    clock: Clock,
) -> Attached:
    """Attest one statement about an image: see ``SigningSession.attest``.

    Raises:
        RegistryError: the registry refused or did not answer.
        DocumentError: it is longer than verifiers read.
    """
    session = SigningSession(writer, signer, image, manifest=manifest, clock=clock)
    session.attest(statement)
    (attached,) = session.write()
    return attached


def attach_bundle(
    writer: RegistryWriter,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    bundle: bytes,
    predicate_type: str,
    clock: Clock,
) -> Attached:
    """Attach a signed bundle to the image that it is about (cosign BUNDLE_SPEC, Publishing).

    Raises:
        RegistryError: the registry refused or did not answer.
    """
    artifact = _bundle_artifact(bundle, predicate_type, kind=predicate_type, clock=clock)
    return attach(writer, image, manifest=manifest, artifact=artifact)


def _bundle_artifact(bundle: bytes, predicate_type: str, *, kind: str, clock: Clock) -> Artifact:
    # cosign BUNDLE_SPEC, Annotations: they show readers of the listing which bundle is which.
    return Artifact(
        kind=kind,
        media_type=BUNDLE,
        raw=bundle,
        annotations={
            "dev.sigstore.bundle.content": "dsse-envelope",
            PREDICATE_TYPE: predicate_type,
            _CREATED: clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )
