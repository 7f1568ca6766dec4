"""One thing that is put beside an image, for tests that need no more of a signing session."""

from collections.abc import Sequence

from imagekit.clock import Clock
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.oci.types import Descriptor
from imagekit.sign.attach import Attached, attach, sbom_artifact
from imagekit.sign.signing import SigningSession
from imagekit.signatures.ports import Signer


def sign(
    writer: RegistryWriter,
    signer: Signer,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    tags: Sequence[str],
    clock: Clock,
) -> tuple[Attached, ...]:
    """Sign an image for its tags."""
    session = SigningSession(writer, signer, image, manifest=manifest, clock=clock)
    session.sign(tags)
    return session.write()


def attach_sbom(
    writer: RegistryWriter, image: PinnedReference, *, manifest: Descriptor, sbom: bytes
) -> Attached:
    """Attach an SBOM."""
    return attach(writer, image, manifest=manifest, artifact=sbom_artifact(sbom))
