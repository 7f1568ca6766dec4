"""Verify, then lay out for nodes without a registry, with a signed receipt: ``imagekit stage``.

What must hold:

1. Nothing appears under the path that was not verified; it appears whole, with its receipt.
2. What is there already, as its receipt by the same signer says, is not made again; a receipt that
   has grown old is renewed after the bytes were compared.
3. A version that runs is not taken away but where ``keep`` says so.
"""

import os
import platform as machine
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from imagekit.adapters.clock import SystemClock
from imagekit.adapters.layout import LayoutRegistry
from imagekit.adapters.process import Runner
from imagekit.adapters.stagedigest import tree_digest
from imagekit.adapters.staging import Stager, remove_tree
from imagekit.adapters.store import RECEIPTS, Store, StoredImage, StoreWriter
from imagekit.errors import ImagekitError, IntegrityError
from imagekit.formats.intoto import statement_bytes
from imagekit.formats.oci import parse_config, parse_manifest
from imagekit.formats.runtimespec import MOUNT_POINTS, runtime_spec_bytes
from imagekit.model.digest import Digest
from imagekit.model.event import Done, Progress, Started, silent
from imagekit.model.oci import MANIFEST_TYPES, MAX_MANIFEST, ImageConfig, Manifest, RawManifest
from imagekit.model.reference import PinnedReference, Reference, Repository
from imagekit.model.staged import Kind, Receipt, Target
from imagekit.model.verdict import Verdict
from imagekit.pipeline.run import Judge, allowed
from imagekit.pipeline.staged import (
    SUFFIX,
    Shelf,
    read_receipt,
    receipt_path,
    staged_digest,
    write_receipt,
)
from imagekit.ports import Clock, RegistryReader, Signer
from imagekit.stage.closure import Closure, closure
from imagekit.stage.copy import copy
from imagekit.stage.receipt import receipt_statement

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}
_HALF = 16
_SOME = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOptions:
    """How an image is staged."""

    verifier: str
    """The URI that policies of nodes list, and receipts name."""
    platform: str = ""
    """Of an image of several: this host's by default, and all in a layout."""
    keep: int | None = None
    """How many versions stay, the newest; all by default."""
    renew: timedelta = timedelta(hours=24)
    """A receipt older than this is signed anew."""
    driver: str = "overlay"
    """Storage driver of a store."""
    compression: str = "gzip"
    """Of squashfs."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """The verdict, and what lies where, if the verdict allowed that."""

    verdict: Verdict
    path: Path | None = None
    receipt: Path | None = None
    digest: Digest | None = None
    """Of the staged bytes."""
    new: bool = False
    """Whether the image was laid out now."""
    renewed: bool = False
    """Whether its receipt was signed now."""
    removed: tuple[str, ...] = ()
    """Versions that were taken away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that staging works with."""

    judge: Judge
    reader: RegistryReader
    signer: Signer
    options: StageOptions
    progress: Progress = silent
    clock: Clock = field(default_factory=SystemClock)


def stage(reference: Reference, target: Target, bench: Bench) -> Staged:
    """Verify an image, and lay it out at a path with a signed receipt beside it.

    Args:
        reference: the image.
        target: where, and as what.
        bench: what to work with.

    Raises:
        InputError: something that was not staged is in the way, or a platform is missing.
        ToolError: a program failed or is missing.
        ImagekitError: there was no verdict, or something could not be read or written.
    """
    verdict = bench.judge(reference)
    pinned = allowed(reference, verdict)
    if pinned is None or bench.options.dry_run:
        return Staged(verdict=verdict)
    platform = bench.options.platform or ("" if target.kind is Kind.OCI else host_platform())
    found = closure(bench.reader, pinned, platforms=(platform,) if platform else ())
    work = _Work(bench=bench, target=target, verdict=verdict, found=found)
    if target.kind is Kind.STORE:
        return work.into_store()
    shelf = Shelf(path=target.path)
    shelf.prepare()
    with shelf.locked():
        return work.onto_shelf(shelf)


def host_platform() -> str:
    """Return this host's platform, in Go's words."""
    name = machine.machine()
    return f"linux/{_MACHINES.get(name, name)}"


def _mount_points(rootfs: Path) -> None:
    """Make the folders that config.json mounts over: a runtime would, and so alter the bytes."""
    for name in MOUNT_POINTS:
        point = rootfs / name.lstrip("/")
        if not os.path.lexists(point):
            point.mkdir(mode=0o755)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One image on its way to one place."""

    bench: Bench
    target: Target
    verdict: Verdict
    found: Closure

    @property
    def chosen(self) -> RawManifest:
        """The manifest of the platform that is unpacked."""
        return next(raw for raw in self.found.manifests if raw.media_type in MANIFEST_TYPES)

    @property
    def name(self) -> str:
        """What a version is called: by what is unpacked, or by all that is copied."""
        if self.target.kind is not Kind.OCI:
            return f"{self.chosen.digest.algorithm}-{self.chosen.digest.hex}"
        found = self.found
        raws = (*found.manifests, *found.attached, *(raw for _, raw in found.tags))
        parts = sorted([*(str(raw.digest) for raw in raws), str(found.image.tag)])
        digest = found.image.digest
        return f"{digest.algorithm}-{digest.hex}-{Digest.of(' '.join(parts).encode()).hex[:_HALF]}"

    def onto_shelf(self, shelf: Shelf) -> Staged:
        version = shelf.version(self.name)
        known = self._known(receipt_path(version), lambda: self._digest_of(version))
        if known is None:
            self._make(version)
        done = self._signed(receipt_path(version), known or self._digest_of(version), new=not known)
        shelf.point(version)
        removed = self._tidy(shelf)
        return replace(done, path=self.target.path, removed=removed)

    def into_store(self) -> Staged:
        folder = self.target.path
        digest = self.found.image.digest
        receipt = folder / RECEIPTS / f"{digest.algorithm}-{digest.hex}{SUFFIX}"
        known = self._known(receipt, self._digest_in_store)
        if known is None:
            self._fill(folder)
        done = self._signed(receipt, known or self._digest_in_store(), new=not known)
        return replace(done, path=folder, removed=self._tidy_store(receipt))

    def _known(self, file: Path, measure: Callable[[], Digest]) -> Digest | None:
        """Return the digest of what is staged, if it is what the signer's receipt says."""
        try:
            raw, receipt = read_receipt(file)
            if not self.bench.signer.made(raw) or not self._is_for(receipt):
                return None
            return receipt.staged if measure() == receipt.staged else None
        except ImagekitError:
            # Whatever is wrong with it: it is staged again.
            return None

    def _is_for(self, receipt: Receipt) -> bool:
        return receipt.kind is self.target.kind and receipt.image.digest == self.found.image.digest

    def _digest_of(self, version: Path) -> Digest:
        return staged_digest(version, self.target.kind)

    def _signed(self, file: Path, staged: Digest, *, new: bool) -> Staged:
        now = self.bench.clock.now()
        renewed = new or not self._still_good(file)
        if renewed:
            statement = receipt_statement(
                self.verdict,
                verifier=self.bench.options.verifier,
                kind=self.target.kind,
                staged=staged,
                time=now,
            )
            write_receipt(file, self.bench.signer.bundle(statement_bytes(statement)))
        return Staged(verdict=self.verdict, receipt=file, digest=staged, new=new, renewed=renewed)

    def _still_good(self, file: Path) -> bool:
        raw, receipt = read_receipt(file)
        same = receipt_statement(
            self.verdict,
            verifier=self.bench.options.verifier,
            kind=receipt.kind,
            staged=receipt.staged,
            time=receipt.time or self.bench.clock.now(),
        )
        from imagekit.formats.bundle import parse_bundle

        if parse_bundle(raw).envelope.payload != statement_bytes(same) or receipt.time is None:
            return False
        return self.bench.clock.now() - receipt.time < self.bench.options.renew

    def _make(self, version: Path) -> None:
        """Lay the image out beside the versions, and let it take its place when it is whole."""
        self.bench.progress(Started(stage="stage", detail=str(self.target)))
        began = time.monotonic()
        temporary = Path(tempfile.mkdtemp(prefix=".part-", dir=version.parent))
        try:
            product = temporary / "product"
            self._product(product, temporary, home=version)
            if version.exists():
                # What lies there is not what its receipt says; nobody can want it back.
                version.rename(temporary / "altered")
            product.rename(version)
        finally:
            remove_tree(Runner(progress=self.bench.progress), temporary)
        summary = f"{self.target.kind} {version.name[: _HALF + _SOME]}"
        seconds = time.monotonic() - began
        self.bench.progress(Done(stage="stage", summary=summary, seconds=seconds))

    def _product(self, product: Path, temporary: Path, *, home: Path) -> None:
        kind = self.target.kind
        if kind is Kind.OCI:
            self._layout(product)
            return
        image = self._layout(temporary / "layout").with_digest(self.chosen.digest)
        stager = Stager(
            programs=Runner(progress=self.bench.progress),
            compression=self.bench.options.compression,
        )
        if kind is Kind.SQUASHFS:
            stager.squashfs(image, product)
            product.chmod(0o644)
        elif kind is Kind.SIF:
            stager.sif(temporary / "layout", self._stored_name(), product)
        else:
            product.mkdir(mode=0o755)
            stager.folder(image, product / "rootfs")
            _mount_points(product / "rootfs")
            (product / "config.json").write_bytes(self._spec(product / "rootfs", home))

    def _layout(self, folder: Path) -> PinnedReference:
        """Copy the image into a layout; every byte is checked on the way."""
        named = self.found.image.repository
        place = Repository(named.host, named.path, folder)
        registry = LayoutRegistry()
        copied = copy(
            self.bench.reader,
            registry,
            self.found,
            to=place,
            put=registry.put_pieces,
            progress=self.bench.progress,
        )
        return copied.reference

    def _config(self) -> ImageConfig:
        manifest = parse_manifest(self.chosen.raw, self.chosen.media_type)
        if not isinstance(manifest, Manifest):
            raise IntegrityError(f"{self.chosen.digest} is no manifest")
        raw = self.bench.reader.blob(
            self.found.image.repository, manifest.config, limit=MAX_MANIFEST
        )
        return parse_config(raw)

    def _spec(self, rootfs: Path, home: Path) -> bytes:
        from imagekit.adapters.passwd import user_of

        config = self._config()
        uid, gid = user_of(config.user, rootfs)
        # runc takes no relative root below a link, and the path of a bundle is one.
        root = home.parent.resolve() / home.name / "rootfs"
        return runtime_spec_bytes(config, uid=uid, gid=gid, root=str(root))

    def _tidy(self, shelf: Shelf) -> tuple[str, ...]:
        keep = self.bench.options.keep
        if keep is None:
            return ()
        current = shelf.current()
        others = [version for version in shelf.versions() if version != current]
        gone = others[max(0, keep - 1) :]
        for version in gone:
            # Without its receipt nobody accepts it any more: so that goes first.
            receipt_path(version).unlink()
            remove_tree(Runner(progress=self.bench.progress), version)
        return tuple(version.name for version in gone)

    def _fill(self, folder: Path) -> None:
        self.bench.progress(Started(stage="stage", detail=str(self.target)))
        began = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="imagekit-stage-", dir=folder) as temporary:
            image = self._layout(Path(temporary) / "layout").with_digest(self.chosen.digest)
            self._writer(Path(temporary) / "run").add(image, self._stored_name())
        store = Store.find(folder)
        if store is None:
            raise IntegrityError(f"podman left no store in {folder}")
        store.open_to_all()
        summary, seconds = f"{self.target.kind} {self._stored_name()}", time.monotonic() - began
        self.bench.progress(Done(stage="stage", summary=summary, seconds=seconds))

    def _writer(self, runroot: Path) -> StoreWriter:
        store = Store.find(self.target.path)
        return StoreWriter(
            programs=Runner(progress=self.bench.progress),
            folder=self.target.path,
            runroot=runroot,
            driver=store.driver if store is not None else self.bench.options.driver,
        )

    def _stored_name(self) -> str:
        image = self.found.image
        tag = image.tag or f"{image.digest.algorithm}-{image.digest.hex}"
        return f"{image.repository.name}:{tag}"

    def _in_store(self) -> tuple[Store, StoredImage] | None:
        store = Store.find(self.target.path)
        if store is None:
            return None
        wanted = str(self.chosen.digest)
        for image in store.images():
            named = self._stored_name() in image.names
            if named and wanted in {str(image.digest), *image.digests}:
                return store, image
        return None

    def _digest_in_store(self) -> Digest:
        found = self._in_store()
        if found is None:
            raise IntegrityError(f"{self.target.path} does not hold {self.chosen.digest}")
        store, image = found
        return tree_digest(store.roots(image))

    def _tidy_store(self, current: Path) -> tuple[str, ...]:
        """Remove older versions of the same repository."""
        keep, store = self.bench.options.keep, Store.find(self.target.path)
        if keep is None or store is None:
            return ()
        receipts = sorted(
            current.parent.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns
        )
        name = self.found.image.repository.name
        others = []
        for file in receipts:
            receipt = read_receipt(file)[1]
            if file != current and receipt.image.repository.name == name:
                others.append((file, receipt))
        gone = others[: max(0, len(others) - (keep - 1))]
        for file, receipt in gone:
            file.unlink()
            self._remove(store, receipt)
        return tuple(str(receipt.image.digest) for _, receipt in gone)

    def _remove(self, store: Store, receipt: Receipt) -> None:
        with tempfile.TemporaryDirectory(prefix="imagekit-run-") as run:
            for image in store.images():
                known = {str(image.digest), *image.digests}
                if str(receipt.image.digest) in known:
                    self._writer(Path(run)).remove(image.image)
