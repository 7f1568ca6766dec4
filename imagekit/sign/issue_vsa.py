"""Issuing verification summaries: ``imagekit verify --vsa``."""

from pathlib import Path

from msgspec import Struct

from imagekit.clock import Clock
from imagekit.errors import AuthError, InputError, RegistryError
from imagekit.files import write_output
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.sign.attach import Attached
from imagekit.sign.own import own_statements
from imagekit.sign.sign_vsa import (
    LOCAL_VERIFIER,
    VsaVerifier,
    judged_digest,
    summarize,
    summary_bundle,
    young_summary,
)
from imagekit.sign.signing import attach_bundle
from imagekit.signatures.intoto import VSA
from imagekit.signatures.ports import Signer
from imagekit.signatures.vsa import Summary
from imagekit.verify.verdict import Verdict


class SummaryOptions(Struct, frozen=True, kw_only=True):
    """What a summary has besides the verdict, and where it goes."""

    verifier: str = LOCAL_VERIFIER
    """URI of this verifier; policies list it as ``verifierIds``."""
    levels: tuple[str, ...] = ()
    """What a passed verification also means, such as ``SLSA_BUILD_LEVEL_3``."""
    attach: bool = True
    """Whether to attach it to the image; one that says the same and is younger than an hour is
    kept instead."""
    file: Path | None = None
    """Where to write the Sigstore bundle; nowhere where it is left out."""


class IssuedSummary(Struct, frozen=True, kw_only=True):
    """A verification summary that was signed, and where it is."""

    summary: Summary
    attached: Attached | None = None
    """What is attached to the image now, if it was attached."""
    file: Path | None = None


def issue_summary(
    verdict: Verdict,
    *,
    signer: Signer,
    options: SummaryOptions | None = None,
    registry: RegistryOptions | None = None,
    writer: RegistryWriter | None = None,
    clock: Clock | None = None,
) -> IssuedSummary:
    """Sign a verdict as a summary, which is enough for nodes whose policy relies on this verifier.

    Args:
        verdict: what ``verify`` returned just now, whether it allows the image or not.
        signer: signs it.
        options: what the summary also has, and where it goes; attached where left out.
        registry: how the registry is reached.
        writer: writes to the registry; made from ``registry`` where it is left out.
        clock: the time; the system's where it is left out.

    Raises:
        InputError: no digest was judged, or the file cannot be written.
        SigningKeyError: the key refused.
        RegistryError: the registry refused or did not answer.
    """
    from imagekit.clock import SystemClock
    from imagekit.oci.registry.connect import light

    chosen, time = options or SummaryOptions(), clock or SystemClock()
    verifier = VsaVerifier(id=chosen.verifier, version=signing_version(), levels=chosen.levels)
    summary = summarize(verdict, verifier, time=time.now())
    if not chosen.attach:
        bundle = summary_bundle(verdict, summary, signer)
        return IssuedSummary(summary=summary, file=_write(chosen.file, bundle))
    place = _Place(
        writer=writer or light(verdict.location, registry or RegistryOptions()),
        image=PinnedReference(verdict.reference.repository, judged_digest(verdict)),
        clock=time,
    )
    try:
        # A file is written each time; what is attached is used again for a while.
        known = None if chosen.file else place.known(signer, summary)
        if known is not None:
            return IssuedSummary(summary=summary, attached=known)
        bundle = summary_bundle(verdict, summary, signer)
        attached = place.attach(bundle)
    except AuthError as error:
        shown = verdict.location.shown(str(place.image))
        raise _read_only(error, shown) from error
    return IssuedSummary(summary=summary, attached=attached, file=_write(chosen.file, bundle))


class _Place(Struct, frozen=True, kw_only=True):
    """Where summaries of one image are attached."""

    writer: RegistryWriter
    image: PinnedReference
    clock: Clock

    def known(self, signer: Signer, summary: Summary) -> Attached | None:
        return young_summary(own_statements(self.writer, self.image, signer), summary)

    def attach(self, bundle: bytes) -> Attached:
        return attach_bundle(
            self.writer,
            self.image,
            manifest=self.writer.manifest(self.image).descriptor,
            bundle=bundle,
            predicate_type=VSA,
            clock=self.clock,
        )


def _read_only(error: AuthError, image: str) -> RegistryError:
    return AuthError(
        f"the summary cannot be attached to {image}: {error.message}",
        hint="log in as a user who may push, or write it to a file: --vsa-out FILE",
        code=error.code,
        http_status=error.http_status,
        reason=error.reason,
    )


def _write(file: Path | None, bundle: bytes) -> Path | None:
    if file is None:
        return None
    try:
        write_output(file, bundle)
    except OSError as error:
        raise InputError(
            f"{file} cannot be written: {error.strerror or type(error).__name__}",
            hint="name a file in a folder that exists: --vsa-out FILE",
            code="BAD_OUTPUT",
        ) from error
    return file


def signing_version() -> str:
    """Return imagekit's version, as statements name it; empty where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("imagekit")
    except PackageNotFoundError:
        return ""
