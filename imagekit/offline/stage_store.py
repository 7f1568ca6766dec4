"""Staging into a read-only additional image store of Podman, which holds many images."""

import tempfile
import time
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.tools.podman import clear_folder, run_folder
from imagekit.errors import IntegrityError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference
from imagekit.offline.image_store import RECEIPTS, ImageStore, StoredImage, StoreWriter
from imagekit.offline.stage_target import Receipt
from imagekit.offline.staged import SUFFIX, read_receipt
from imagekit.offline.stagework import Staged, Work
from imagekit.offline.storedigest import store_digest
from imagekit.process import Runner
from imagekit.progress import Done, Started


class StoreWork(Struct, frozen=True, kw_only=True):
    """Stages one image into a store."""

    work: Work

    def done(self) -> Staged:
        """Put the image into the store, unless it is there.

        Raises:
            ImagekitError: something could not be read or written, or Podman failed.
        """
        folder = self.work.target.path
        digest = self.work.closure.image.digest
        receipt = folder / RECEIPTS / f"{digest.algorithm}-{digest.hex}{SUFFIX}"
        known = self.work.known(receipt, self._digest_in_store)
        if known is None:
            self._fill(folder)
        done = self.work.signed(receipt, known or self._digest_in_store(), new=known is None)
        return replace(done, path=folder, removed=self._tidy_store(receipt))

    def _fill(self, folder: Path) -> None:
        self.work.context.progress(Started(stage="stage", detail=str(self.work.target)))
        began = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        fresh = ImageStore.find(folder) is None
        with (
            tempfile.TemporaryDirectory(prefix="imagekit-stage-", dir=folder) as temporary,
            run_folder() as run,
        ):
            layout = Path(temporary) / "layout"
            copied = self.work.layout(layout)
            image = copied.with_digest(self.work.chosen.digest)
            self._remove_old(run)
            self._writer(run).add(image, self.work.stored_name(), layout=layout)
            if not fresh:
                self._compare(image, layout, run)
        store = ImageStore.find(folder)
        if store is None:
            raise IntegrityError(f"podman left no store in {folder}")
        store.open_to_all()
        summary = f"{self.work.target.kind} {self.work.stored_name()}"
        seconds = time.monotonic() - began
        self.work.context.progress(Done(stage="stage", summary=summary, seconds=seconds))

    def _remove_old(self, run: Path) -> None:
        """Remove what is there of the image, as it does not agree with a receipt."""
        stored = self._in_store()
        if stored is not None:
            self._writer(run).remove(stored[1].image)

    def _compare(self, image: PinnedReference, layout: Path, run: Path) -> None:
        """Compare the layers in the store with those of a fresh one.

        Podman uses layers that are there already as they are, also where they were altered; a
        receipt would make altered layers valid.
        """
        writer = replace(self._writer(run), folder=layout.with_name("fresh"), runroot=run / "fresh")
        writer.folder.mkdir()
        try:
            altered = self._differs(writer, image, layout)
        finally:
            clear_folder(writer.programs, writer.folder)
        if altered:
            self._remove_old(run)
            raise IntegrityError(
                f"layers in the store {self.work.target.path} were altered; no receipt was signed",
                hint="stage all images of it into another folder, and check who may write there",
                code="CONTENT_DIGEST_MISMATCH",
            )

    def _differs(self, writer: StoreWriter, image: PinnedReference, layout: Path) -> bool:
        wanted = writer.add(image, self.work.stored_name(), layout=layout)
        fresh, stored = ImageStore.find(writer.folder), self._in_store()
        if fresh is None or stored is None:
            raise IntegrityError(f"podman stored nothing in {self.work.target.path}")
        (made,) = (image for image in fresh.images() if image.image == wanted)
        return _layers(fresh, made) != _layers(*stored)

    def _writer(self, runroot: Path) -> StoreWriter:
        store = ImageStore.find(self.work.target.path)
        return StoreWriter(
            programs=Runner(progress=self.work.context.progress),
            folder=self.work.target.path,
            runroot=runroot,
            driver=store.driver if store is not None else self.work.context.options.driver,
        )

    def _in_store(self) -> tuple[ImageStore, StoredImage] | None:
        store = ImageStore.find(self.work.target.path)
        if store is None:
            return None
        wanted = str(self.work.chosen.digest)
        for image in store.images():
            named = self.work.stored_name() in image.names
            if named and wanted in {str(image.digest), *image.digests}:
                return store, image
        return None

    def _digest_in_store(self) -> Digest:
        stored = self._in_store()
        if stored is None:
            raise IntegrityError(f"{self.work.target.path} does not hold {self.work.chosen.digest}")
        store, image = stored
        return store_digest(store.roots(image))

    def _tidy_store(self, current: Path) -> tuple[str, ...]:
        """Remove older versions of the same repository."""
        keep, store = self.work.context.options.keep, ImageStore.find(self.work.target.path)
        if keep is None or store is None:
            return ()
        receipts = sorted(
            current.parent.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns
        )
        name = self.work.closure.image.repository.name
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

    def _remove(self, store: ImageStore, receipt: Receipt) -> None:
        with run_folder() as run:
            for image in store.images():
                known = {str(image.digest), *image.digests}
                if str(receipt.image.digest) in known:
                    self._writer(run).remove(image.image)


def _layers(store: ImageStore, image: StoredImage) -> tuple[Digest, ...]:
    return tuple(store_digest([("", path)]) for path in store.layers(image))
