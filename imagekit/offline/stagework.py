"""What staging needs, whatever an image is staged as."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from msgspec import Struct, field

from imagekit.clock import Clock, SystemClock
from imagekit.errors import ImagekitError
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.location import LayoutLocation, LocatedRepository
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import MANIFEST_TYPES, RawManifest
from imagekit.offline.closure import Closure
from imagekit.offline.copy import copy
from imagekit.offline.receipt import receipt_statement
from imagekit.offline.stage_target import Bind, Receipt, Target
from imagekit.offline.staged import read_receipt, write_receipt
from imagekit.progress import Progress, silent
from imagekit.signatures.bundle import parse_bundle
from imagekit.signatures.intoto import statement_bytes
from imagekit.signatures.ports import Signer
from imagekit.verify.verdict import Judge, Verdict


class StageOptions(Struct, frozen=True, kw_only=True):
    """How an image is staged."""

    verifier: str
    """The URI that policies of nodes list, and receipts name."""
    platform: str = ""
    """Of an image of several platforms: this host's by default, and all in a layout."""
    keep: int | None = None
    """How many versions stay, the newest; all by default."""
    renew: timedelta = timedelta(hours=24)
    """A receipt older than this is signed anew."""
    driver: str = "overlay"
    """Storage driver of a store."""
    binds: tuple[Bind, ...] = ()
    """Folders of the nodes that containers of a bundle see."""
    compression: str = "gzip"
    """Of squashfs."""
    dry_run: bool = False


class Staged(Struct, frozen=True, kw_only=True):
    """The verdict, and what was staged where, if the verdict allowed it."""

    verdict: Verdict
    path: Path | None = None
    receipt: Path | None = None
    digest: Digest | None = None
    """Of the staged bytes."""
    new: bool = False
    """Whether the image was written now."""
    renewed: bool = False
    """Whether its receipt was signed now."""
    removed: tuple[str, ...] = ()
    """Versions that were removed."""


class StageContext(Struct, frozen=True, kw_only=True):
    """Everything that staging needs."""

    judge: Judge
    reader: RegistryReader
    signer: Signer
    options: StageOptions
    progress: Progress = silent
    clock: Clock = field(default_factory=SystemClock)


class Work(Struct, frozen=True, kw_only=True):
    """One image that is staged at one place."""

    context: StageContext
    target: Target
    verdict: Verdict
    closure: Closure

    @property
    def chosen(self) -> RawManifest:
        """The manifest of the platform that is unpacked."""
        return next(raw for raw in self.closure.manifests if raw.media_type in MANIFEST_TYPES)

    def stored_name(self) -> str:
        """Return the name that the image has in storages."""
        image = self.closure.image
        tag = image.tag or f"{image.digest.algorithm}-{image.digest.hex}"
        return f"{image.repository.name}:{tag}"

    def known(self, file: Path, measure: Callable[[], Digest]) -> Digest | None:
        """Return the digest of what is staged, if it agrees with the signer's receipt."""
        try:
            raw, receipt = read_receipt(file)
            if not self.context.signer.made(raw) or not self._is_for(receipt):
                return None
            return receipt.staged if measure() == receipt.staged else None
        except ImagekitError:
            # Whatever is wrong with it: it is staged again.
            return None

    def _is_for(self, receipt: Receipt) -> bool:
        return (
            receipt.kind is self.target.kind and receipt.image.digest == self.closure.image.digest
        )

    def signed(self, file: Path, staged: Digest, *, new: bool) -> Staged:
        """Sign the receipt, unless the one that is there says the same and is new enough.

        Args:
            file: the receipt's.
            staged: of the staged bytes.
            new: whether they were written now.

        Raises:
            SigningKeyError: the key refused.
            RegistryError: the receipt cannot be written.
        """
        now = self.context.clock.now()
        renewed = new or not self._still_good(file)
        if renewed:
            statement = receipt_statement(
                self.verdict,
                verifier=self.context.options.verifier,
                kind=self.target.kind,
                staged=staged,
                time=now,
            )
            write_receipt(file, self.context.signer.bundle(statement_bytes(statement)))
        return Staged(verdict=self.verdict, receipt=file, digest=staged, new=new, renewed=renewed)

    def _still_good(self, file: Path) -> bool:
        raw, receipt = read_receipt(file)
        same = receipt_statement(
            self.verdict,
            verifier=self.context.options.verifier,
            kind=receipt.kind,
            staged=receipt.staged,
            time=receipt.time or self.context.clock.now(),
        )
        if parse_bundle(raw).envelope.payload != statement_bytes(same) or receipt.time is None:
            return False
        return self.context.clock.now() - receipt.time < self.context.options.renew

    def layout(self, folder: Path) -> PinnedReference:
        """Copy the image into a layout; every byte is checked on the way."""
        place = LocatedRepository(LayoutLocation(folder), self.closure.image.repository)
        registry = LayoutRegistry(LayoutStore(folder))
        copied = copy(
            self.context.reader,
            registry,
            self.closure,
            to=place,
            put=registry.put_pieces,
            progress=self.context.progress,
        )
        return copied.reference
