"""Withdrawing an image: ``imagekit withdraw``."""

from imagekit.oci.location import LocatedReference
from imagekit.oci.reference import PinnedReference, TaggedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.sign.attach import Attached
from imagekit.sign.sign_release import withdrawal
from imagekit.sign.signing import attest
from imagekit.signatures.ports import Signer


def withdraw(
    wanted: LocatedReference, *, signer: Signer, reason: str, options: RegistryOptions
) -> tuple[PinnedReference, Attached]:
    """Sign and attach a statement that an image must not be used any more.

    A registry can hide it. Verifiers that cannot trust the registry to show it need the digest in
    their policy's deny list.

    Args:
        wanted: the image, and where it is.
        signer: signs it; verifiers obey those that their policy trusts for the image.
        reason: why, for people to read.
        options: how the registry is reached.

    Raises:
        RegistryError: the registry refused or did not answer.
        SigningKeyError: the key refused.
    """
    from imagekit.clock import SystemClock
    from imagekit.oci.registry.connect import light

    writer, clock = light(wanted.location, options), SystemClock()
    reference = wanted.reference
    image = writer.resolve(reference) if isinstance(reference, TaggedReference) else reference
    manifest = writer.manifest(image.with_digest(image.digest)).descriptor
    statement = withdrawal(image, reason=reason, time=clock.now())
    return image, attest(writer, signer, image, manifest=manifest, statement=statement, clock=clock)
