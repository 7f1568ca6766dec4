"""A repository of a registry that keeps what locks name: packages that may leave their mirrors.

Each is a blob by the digest that the lock states, so that nothing of the registry is believed. One
manifest a lock names them all, under a tag of the lock's digest, so that the registry keeps them.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from msgspec import Struct

from imagekit.build.tools.package_cache import PackageCache, WantedFile
from imagekit.documents.quantity import count, size
from imagekit.errors import NotFoundError
from imagekit.oci.codec import manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry.ports import RegistryReader, RegistryWriter
from imagekit.oci.types import (
    EMPTY,
    EMPTY_JSON,
    MANIFEST,
    Descriptor,
    Manifest,
    RawManifest,
)
from imagekit.progress import Advanced, Done, Progress, Started

KIND = "application/vnd.imagekit.packages.v1"
"""The artifactType of the manifest."""
_FILE = "application/octet-stream"
_TITLE = "org.opencontainers.image.title"


class PackageRegistry(Struct, frozen=True):
    """Reads packages; an ``Elsewhere`` of the cache."""

    reader: RegistryReader
    repository: Repository

    def get(self, wanted: WantedFile, target: Path) -> bool:
        """Write a package, whose digest is checked on the way; false where it is not there.

        Raises:
            RegistryError: there was no good answer.
            IntegrityError: it is another file.
            OSError: it cannot be written.
        """
        with NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as part:
            try:
                with self.reader.stream(self.repository, _descriptor(wanted)) as pieces:
                    for piece in pieces:
                        part.write(piece)
                part.flush()
                Path(part.name).rename(target)
            except NotFoundError:
                return False
            finally:
                Path(part.name).unlink(missing_ok=True)
        return True


def push_packages(
    wanted: Sequence[WantedFile],
    lock: Digest,
    *,
    cache: PackageCache,
    writer: RegistryWriter,
    repository: Repository,
    progress: Progress,
) -> PinnedReference:
    """Send what a lock names, and the manifest that keeps it.

    Args:
        wanted: the files of the lock, all of which the cache has.
        lock: the lock's digest.
        cache: has the files.
        writer: writes to the registry.
        repository: where.
        progress: told of the bytes.

    Raises:
        RegistryError: the registry refused or did not answer.
        IntegrityError: a file of the cache was altered.
    """
    progress(Started(stage="push", detail=str(repository)))
    began, before, sent = time.monotonic(), 0, 0
    total = sum(file.size for file in wanted)

    def told(done: int) -> None:
        progress(Advanced(stage="push", done=before + done, total=total))

    for file in wanted:
        path = cache.path(file.digest)
        sent += writer.put_blob(repository, _descriptor(file), path, count=told)
        before += file.size
    config = writer.put_bytes(repository, EMPTY, EMPTY_JSON)
    raw = manifest_bytes(
        Manifest(
            media_type=MANIFEST,
            config=config,
            layers=tuple(_descriptor(file) for file in wanted),
            artifact_type=KIND,
        )
    )
    reference = writer.put_manifest(repository, MANIFEST, raw)
    tagged = TaggedReference(repository, f"lock-{lock.hex}")
    writer.tag(tagged, RawManifest(media_type=MANIFEST, digest=Digest.of(raw), raw=raw))
    summary = f"{count(len(wanted), 'package')}, {sent} new, {size(total)}"
    progress(Done(stage="push", summary=summary, seconds=time.monotonic() - began))
    return reference


def _descriptor(wanted: WantedFile) -> Descriptor:
    return Descriptor(
        media_type=_FILE,
        digest=wanted.digest,
        size=wanted.size,
        annotations={_TITLE: wanted.title},
    )
