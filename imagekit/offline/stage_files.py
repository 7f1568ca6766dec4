"""Staging what has a path of its own: a layout, a bundle, squashfs or SIF."""

import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from imagekit import rooted
from imagekit.errors import IntegrityError
from imagekit.files import storage_errors
from imagekit.oci.codec import parse_config, parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.types import MAX_MANIFEST, Manifest
from imagekit.offline.runtimespec import MOUNT_POINTS, runtime_spec_bytes
from imagekit.offline.stage_target import StageKind
from imagekit.offline.staged import StageDirectory, receipt_path, staged_digest
from imagekit.offline.stagework import Staged, Work
from imagekit.offline.staging import Stager, remove_tree
from imagekit.process import Runner
from imagekit.progress import Done, Started

_HALF = 16
_SHOWN = 24


class FileStaging(Struct, frozen=True, kw_only=True):
    """Stages one image into a directory of versions."""

    work: Work
    directory: StageDirectory

    def done(self) -> Staged:
        """Write the image, unless it is there, and make the path lead to it.

        Raises:
            ImagekitError: something could not be read or written, or a program failed.
        """
        version = self.directory.version(self._name())
        known = self.work.known(receipt_path(version), lambda: self._digest_of(version))
        if known is None:
            self._make(version)
        done = self.work.signed(
            receipt_path(version), known or self._digest_of(version), new=not known
        )
        self.directory.point(version)
        removed = self._tidy()
        return replace(done, path=self.work.target.path, removed=removed)

    def _name(self) -> str:
        """Return the name of a version: made of what is unpacked, or of all that is copied."""
        if self.work.target.kind is not StageKind.OCI:
            chosen = self.work.chosen.digest
            binds = repr(self.work.context.options.binds).encode()
            # Other folders make another config.json, and so another version.
            more = f"-{Digest.of(binds).hex[:_HALF]}" if self.work.context.options.binds else ""
            return f"{chosen.algorithm}-{chosen.hex}{more}"
        closure = self.work.closure
        raws = (*closure.manifests, *closure.attached, *(raw for _, raw in closure.tags))
        parts = sorted([*(str(raw.digest) for raw in raws), str(closure.image.tag)])
        digest = closure.image.digest
        return f"{digest.algorithm}-{digest.hex}-{Digest.of(' '.join(parts).encode()).hex[:_HALF]}"

    def _digest_of(self, version: Path) -> Digest:
        return staged_digest(version, self.work.target.kind)

    def _make(self, version: Path) -> None:
        """Write the image beside the versions, and rename it when it is complete."""
        self.work.context.progress(Started(stage="stage", detail=str(self.work.target)))
        began = time.monotonic()
        temporary = Path(tempfile.mkdtemp(prefix=".part-", dir=version.parent))
        try:
            product = temporary / "product"
            self._product(product, temporary, home=version)
            if version.exists():
                # What is there does not agree with its receipt, so it is of no use.
                version.rename(temporary / "altered")
            product.rename(version)
        finally:
            remove_tree(Runner(progress=self.work.context.progress), temporary)
        summary = f"{self.work.target.kind} {version.name[:_SHOWN]}"
        seconds = time.monotonic() - began
        self.work.context.progress(Done(stage="stage", summary=summary, seconds=seconds))

    def _product(self, product: Path, temporary: Path, *, home: Path) -> None:
        kind = self.work.target.kind
        if kind is StageKind.OCI:
            self.work.layout(product)
            return
        layout = temporary / "layout"
        image = self.work.layout(layout).with_digest(self.work.chosen.digest)
        stager = Stager(
            programs=Runner(progress=self.work.context.progress),
            layout=layout,
            compression=self.work.context.options.compression,
        )
        if kind is StageKind.SQUASHFS:
            stager.squashfs(image, product, configuration=self._configuration())
            product.chmod(0o644)
        elif kind is StageKind.SIF:
            stager.sif(image, product)
        else:
            product.mkdir(mode=0o755)
            stager.folder(image, product / "rootfs")
            binds = self.work.context.options.binds
            _mount_points(product / "rootfs", [bind.destination for bind in binds])
            (product / "config.json").write_bytes(self._spec(product / "rootfs", home))

    def _configuration(self) -> bytes:
        manifest = parse_manifest(self.work.chosen.raw, self.work.chosen.media_type)
        if not isinstance(manifest, Manifest):
            raise IntegrityError(f"{self.work.chosen.digest} is no manifest")
        return self.work.context.reader.blob(
            self.work.closure.image.repository, manifest.config, limit=MAX_MANIFEST
        )

    def _spec(self, rootfs: Path, home: Path) -> bytes:
        from imagekit.build.passwd import user_of

        config = parse_config(self._configuration())
        uid, gid = user_of(config.user, rootfs)
        # runc accepts no relative root below a link, and the path of a bundle is one.
        root = home.parent.resolve() / home.name / "rootfs"
        binds = self.work.context.options.binds
        return runtime_spec_bytes(config, uid=uid, gid=gid, root=str(root), binds=binds)

    def _tidy(self) -> tuple[str, ...]:
        keep = self.work.context.options.keep
        if keep is None:
            return ()
        current = self.directory.current()
        others = [version for version in self.directory.versions() if version != current]
        gone = others[max(0, keep - 1) :]
        for version in gone:
            # Without its receipt no node accepts it any more, so that is removed first.
            receipt_path(version).unlink()
            remove_tree(Runner(progress=self.work.context.progress), version)
        return tuple(version.name for version in gone)


def _mount_points(rootfs: Path, more: Iterable[str]) -> None:
    """Make the folders that config.json mounts over: a runtime would, and so alter the bytes.

    What the image has there instead of a folder stays; the runtime decides whether to use it.
    """
    for name in (*MOUNT_POINTS, *more):
        with (
            storage_errors(f"the folder {name} of the bundle"),
            suppress(FileExistsError, FileNotFoundError, NotADirectoryError),
        ):
            rooted.make_folder(rootfs, name)
