"""An OCI image layout in a folder (image-spec image-layout.md), as a registry.

Tags are entries of index.json whose ``org.opencontainers.image.ref.name`` is the full name
``HOST/PATH:TAG``; manifests without a tag, referrers among them, are entries without one, as oras
writes them too. index.json is replaced whole, under a lock, so that a reader or a killed writer
never leaves half of it.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, BinaryIO, Protocol

from msgspec import Struct
from msgspec.structs import replace

from imagekit.documents import strictjson
from imagekit.errors import (
    DocumentError,
    IntegrityError,
    InvalidReferenceError,
    NotFoundError,
    RegistryError,
)
from imagekit.files import storage_errors
from imagekit.inputs import read_regular
from imagekit.locks import folder_held
from imagekit.oci.codec import as_referrer, index_bytes, parse_descriptor, parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.hostname import names_host
from imagekit.oci.reference import (
    LAYOUT_HOST,
    PinnedReference,
    Reference,
    Repository,
    TaggedReference,
    parse_reference,
    quoted,
)
from imagekit.oci.types import (
    INDEX,
    INDEX_TYPES,
    MANIFEST,
    MANIFEST_TYPES,
    MAX_MANIFEST,
    NOTHING,
    REF_NAME,
    Descriptor,
    Index,
    RawManifest,
)

if TYPE_CHECKING:
    from imagekit.progress import Count

# image-layout.md, "oci-layout file".
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_PIECE = 1 << 20
_MOST_NAMES = 5
# More than a manifest's limit: all images and referrers of a folder stand in it.
_MAX_INDEX = 64 << 20
# As many as are read of a registry.
_MAX_REFERRERS = 1000


class Readable(Protocol):
    """Bytes from a beginning to an end."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""
        ...


class ReadStore(Protocol):
    """What holds a layout: a folder, or an archive of one."""

    @property
    def folder(self) -> Path:
        """Where it lies, for messages."""
        ...

    def open(self, digest: Digest) -> AbstractContextManager[Readable]:
        """Open a blob; NotFoundError where there is none."""
        ...

    def index(self) -> bytes | None:
        """Return the bytes of index.json; None where there is none."""
        ...


class LayoutStore(Struct, frozen=True):
    """Content by digest in a layout folder."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> "LayoutStore":
        """Return the store of the folder, made where it is not there yet.

        Raises:
            RegistryError: the folder cannot be made, or is something else.
        """
        store = cls(folder)
        with storage_errors(f"the layout {folder}"):
            (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
            marker = folder / "oci-layout"
            if not marker.exists():
                write_whole(marker, _VERSION)
        return store

    def path(self, digest: Digest) -> Path:
        """Return where the blob lies or would lie."""
        return self.folder / "blobs" / digest.algorithm / digest.hex

    @contextmanager
    def open(self, digest: Digest) -> Iterator[BinaryIO]:
        """Open a blob for reading; only a regular file is one.

        Raises:
            NotFoundError: the layout has no such blob.
        """
        try:
            # A link would lead out of the layout, and opening a FIFO would wait for a writer.
            handle = os.open(self.path(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise NotFoundError(f"the layout {self.folder} has no blob {digest}") from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise NotFoundError(f"the layout {self.folder} has no blob {digest}")
        with os.fdopen(handle, "rb") as file:
            yield file

    def index(self) -> bytes | None:
        """Return the bytes of index.json; None where there is none.

        Raises:
            RegistryError: it cannot be read, or is no regular file.
        """
        path = self.folder / "index.json"
        try:
            # A link would lead out of the folder.
            return read_regular(path, limit=_MAX_INDEX, follow=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RegistryError(f"cannot read {path}: {error.strerror}") from error

    def add(self, digest: Digest, pieces: Iterator[bytes]) -> None:
        """Store a blob, unless it is there; it appears whole or not at all.

        Raises:
            IntegrityError: the bytes do not have the digest.
            RegistryError: the disk is full or cannot be written.
        """
        target = self.path(digest)
        # Its bytes are not looked at here: whoever reads them compares them with the digest.
        if target.exists():
            return
        hasher = hashlib.new(digest.algorithm)
        with storage_errors(f"the layout {self.folder}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as part:
                try:
                    for piece in pieces:
                        hasher.update(piece)
                        part.write(piece)
                    part.flush()
                    # image-layout.md, "Blobs": the content has to match the digest that it is named
                    # by, so that nothing has the name before.
                    _check(hasher.hexdigest(), digest)
                    # Temporary files are for their owner only; a layout is for all who may read the
                    # folder.
                    Path(part.name).chmod(0o644)
                    Path(part.name).rename(target)
                finally:
                    Path(part.name).unlink(missing_ok=True)


class LayoutReader(Struct, frozen=True):
    """The pull half of the registry ports over a layout: ``ports.RegistryReader``."""

    store: ReadStore

    def resolve(self, reference: TaggedReference) -> PinnedReference:
        """Return what the tag points to."""
        return reference.pin(self.manifest(reference).digest)

    def manifest(self, reference: Reference) -> RawManifest:
        """Return the exact bytes of a manifest."""
        if isinstance(reference, TaggedReference):
            digest = _tagged(self.store, reference).digest
        else:
            digest = reference.digest
        return _read_manifest(self.store, digest)

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Return a small blob whole."""
        if descriptor.size > limit:
            raise IntegrityError(
                f"{descriptor.digest} has {descriptor.size} bytes, more than {limit}"
            )
        with self.stream(repository, descriptor) as pieces:
            return b"".join(pieces)

    @contextmanager
    def stream(self, repository: Repository, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        """Yield a blob in pieces; the last one only when size and digest were right."""
        del repository
        with self.store.open(descriptor.digest) as file:
            yield _checked(file, descriptor)

    def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        """Return all that name the manifest as their subject."""
        referrers = []
        for entry in _read_index(self.store).manifests:
            if REF_NAME in entry.annotations or entry.media_type not in MANIFEST_TYPES:
                continue
            # image-layout.md has no list of referrers: what a manifest refers to stands in itself
            # only.
            described = _referrer_of(self.store, entry, reference.digest)
            if described is not None:
                referrers.append(described)
        if len(referrers) > _MAX_REFERRERS:
            raise RegistryError(
                f"{reference} in the layout {self.store.folder} has over {_MAX_REFERRERS} referrers"
            )
        return tuple(referrers)

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the tags of a repository."""
        prefix = f"{repository.name}:"
        names = (entry.annotations.get(REF_NAME, "") for entry in _read_index(self.store).manifests)
        return tuple(sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix)))

    def repositories(self, host: str) -> tuple[Repository, ...]:
        """Return all repositories of which images are named in full, whatever their host."""
        del host
        found = set()
        for entry in _read_index(self.store).manifests:
            # Other tools write a tag only.
            with suppress(InvalidReferenceError):
                found.add(parse_reference(entry.annotations.get(REF_NAME, "")).repository)
        return tuple(sorted(found))


class LayoutRegistry(LayoutReader, frozen=True):
    """Both halves over a layout folder, made where something is written."""

    store: LayoutStore

    def has_blob(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Return whether the blob is there."""
        del repository
        path = self.store.path(descriptor.digest)
        return path.is_file() and path.stat().st_size == descriptor.size

    def put_blob(
        self,
        repository: Repository,
        descriptor: Descriptor,
        source: Path,
        *,
        known_in: Sequence[Repository] = (),
        count: "Count | None" = None,
    ) -> bool:
        """Store a file as a blob, unless it is there: a layout has each once."""
        del known_in
        if self.has_blob(repository, descriptor):
            return False
        with source.open("rb") as file:
            pieces = _checked(file, descriptor)
            if count is not None:
                from imagekit.progress import counted

                pieces = counted(pieces, count)
            self.put_pieces(repository, descriptor, pieces)
        return True

    def put_pieces(
        self, repository: Repository, descriptor: Descriptor, pieces: Iterator[bytes]
    ) -> None:
        """Store a blob that comes in pieces, without a file between."""
        del repository
        self._made().add(descriptor.digest, pieces)

    def put_bytes(self, repository: Repository, media_type: str, raw: bytes) -> Descriptor:
        """Store a small blob."""
        del repository
        digest = Digest.of(raw)
        self._made().add(digest, iter((raw,)))
        return Descriptor(media_type=media_type, digest=digest, size=len(raw))

    def put_manifest(self, repository: Repository, media_type: str, raw: bytes) -> PinnedReference:
        """Store a manifest without a tag; one with a subject is a referrer from now on."""
        parsed = parse_manifest(raw, media_type)
        descriptor = self.put_bytes(repository, media_type, raw)
        if parsed.artifact_type:
            descriptor = replace(
                descriptor, artifact_type=parsed.artifact_type, annotations=parsed.annotations
            )

        def add(entries: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
            listed = any(entry.digest == descriptor.digest for entry in entries)
            return entries if listed else (*entries, descriptor)

        change_index(self.store, add)
        return PinnedReference(repository, descriptor.digest)

    def put_referrers(
        self, subject: PinnedReference, manifests: Sequence[RawManifest]
    ) -> tuple[Descriptor, ...]:
        """Store manifests that name one subject."""
        for manifest in manifests:
            self.put_manifest(subject.repository, manifest.media_type, manifest.raw)
        return self.referrers(subject)

    def tag(self, reference: TaggedReference, manifest: RawManifest) -> None:
        """Let the tag point to the manifest."""
        # annotations.md, "Pre-Defined Annotation Keys": its grammar has the colons and slashes of
        # full names.
        tagged = replace(manifest.descriptor, annotations={REF_NAME: reference.identity})

        def move(entries: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
            same = [
                entry for entry in entries if entry.annotations.get(REF_NAME) == reference.identity
            ]
            if same == [tagged]:
                return entries
            others = [
                entry
                for entry in entries
                if entry.annotations.get(REF_NAME) != reference.identity
                and not (entry.digest == tagged.digest and REF_NAME not in entry.annotations)
            ]
            # The image that the tag pointed to stays listed without a name: it can still be asked
            # for by its digest.
            lost = [
                replace(entry, annotations=NOTHING)
                for entry in entries
                if entry.annotations.get(REF_NAME) == reference.identity
                and entry.digest != tagged.digest
            ]
            digests = {entry.digest for entry in others}
            return (*others, *(entry for entry in lost if entry.digest not in digests), tagged)

        change_index(self.store, move)

    def tag_once(self, reference: TaggedReference, manifest: RawManifest) -> PinnedReference:
        """Let the tag point to the manifest if it is not there, and return what it points to."""
        tagged = replace(manifest.descriptor, annotations={REF_NAME: reference.identity})

        def add(entries: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
            # The index is locked from this look to the write.
            if any(entry.annotations.get(REF_NAME) == reference.identity for entry in entries):
                return entries
            others = (
                entry
                for entry in entries
                if entry.digest != tagged.digest or REF_NAME in entry.annotations
            )
            return (*others, tagged)

        change_index(self.store, add)
        return self.resolve(reference)

    def _made(self) -> LayoutStore:
        return LayoutStore.create(self.store.folder)


def entries(layout: Path | ReadStore) -> tuple[Descriptor, ...]:
    """Return what the index of a layout lists, with the names it gives.

    Raises:
        RegistryError: the index cannot be read.
        DocumentError: it is none.
    """
    store = LayoutStore(layout) if isinstance(layout, Path) else layout
    return _read_index(store).manifests


def change_index(
    store: LayoutStore,
    change: Callable[[tuple[Descriptor, ...]], tuple[Descriptor, ...]],
    *,
    make: bool = False,
) -> None:
    """Replace index.json by what becomes of its entries; nobody else writes it meanwhile.

    Args:
        store: the layout.
        change: returns the new entries of the ones that are there.
        make: whether the file is written also where there is none and nothing changed.

    Raises:
        RegistryError: it cannot be read or written.
        DocumentError: it is malformed.
    """
    with storage_errors(f"the layout {store.folder}"), folder_held(store.folder):
        entries = _read_index(store).manifests
        changed = change(entries)
        if changed != entries or (make and store.index() is None):
            raw = index_bytes(Index(media_type=INDEX, manifests=changed))
            write_whole(store.folder / "index.json", raw)


def write_whole(path: Path, raw: bytes) -> None:
    """Replace a file so that it has the old bytes or the new ones, whatever happens.

    Raises:
        OSError: it cannot be written.
    """
    with NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as part:
        try:
            part.write(raw)
            part.flush()
            # Without it, a crash of the machine could leave the new name without its bytes.
            os.fsync(part.fileno())
            Path(part.name).chmod(0o644)
            Path(part.name).rename(path)
        finally:
            Path(part.name).unlink(missing_ok=True)


def _tagged(store: ReadStore, reference: TaggedReference) -> Descriptor:
    entries = _read_index(store).manifests
    for name in _spellings(reference):
        for entry in entries:
            if entry.annotations.get(REF_NAME) == name:
                return entry
    raise _not_there(store, reference, entries)


def _spellings(reference: TaggedReference) -> Iterator[str]:
    """Yield the names that an image may have in the list, the full one first.

    Other tools write ``NAME:TAG``, and so does the local image store; it means ``localhost``, as in
    what users type.
    """
    yield reference.identity
    short = reference.identity.removeprefix(f"{LAYOUT_HOST}/")
    first, slash, _ = short.partition("/")
    if short != reference.identity and not (slash and names_host(first)):
        yield short


def _not_there(
    store: ReadStore, reference: TaggedReference, entries: Sequence[Descriptor]
) -> NotFoundError:
    if store.index() is None:
        why = "it has no index.json" if store.folder.exists() else "it does not exist"
        return NotFoundError(
            f"{store.folder} is no OCI layout: {why}",
            hint="imagekit publish RECIPE --to oci:FOLDER makes one, and so does skopeo copy",
        )
    named = [entry.annotations[REF_NAME] for entry in entries if REF_NAME in entry.annotations]
    # Tags that hold signatures and referrers of an image are nobody's images.
    names = [name for name in named if ":sha256-" not in name]
    listed = ", ".join(quoted(name)[1:-1] for name in names[:_MOST_NAMES])
    more = ", ..." if len(names) > _MOST_NAMES else ""
    known = f"it has {listed}{more}" if names else "none of its images has a name"
    return NotFoundError(
        f"the layout {store.folder} has no image {reference.identity}",
        hint=f"{known}; a name in a layout is HOST/NAME:TAG, or localhost/NAME:TAG",
    )


def _read_manifest(store: ReadStore, digest: Digest) -> RawManifest:
    with store.open(digest) as file:
        raw = file.read(MAX_MANIFEST + 1)
    if len(raw) > MAX_MANIFEST:
        raise IntegrityError(f"the manifest {digest} is larger than {MAX_MANIFEST} bytes")
    # Anybody may have written the folder: its content is verified as a registry's is.
    digest.check(raw, what="the manifest in the layout")
    document = strictjson.loads_object(raw, what="the manifest")
    # manifest.md and image-index.md: mediaType may be left out. Then a field that only one of them
    # requires says which it is; ``parse_manifest`` refuses what has both.
    guess = INDEX if "manifests" in document else MANIFEST
    media_type = document.get("mediaType", guess)
    if not isinstance(media_type, str) or media_type not in MANIFEST_TYPES | INDEX_TYPES:
        raise DocumentError(f"{digest} is no manifest", code="BAD_MEDIA_TYPE")
    return RawManifest(media_type=media_type, digest=digest, raw=raw)


def _referrer_of(store: ReadStore, entry: Descriptor, subject: Digest) -> Descriptor | None:
    """Return the entry as a referrer of the subject, or None where it is not one."""
    manifest = _read_manifest(store, entry.digest)
    parsed = parse_manifest(manifest.raw, manifest.media_type)
    if parsed.subject is None or parsed.subject.digest != subject:
        return None
    return as_referrer(manifest, parsed)


def _read_index(store: ReadStore) -> Index:
    path = store.folder / "index.json"
    raw = store.index()
    if raw is None:
        return Index(media_type=INDEX, manifests=())
    document: Mapping[str, object] = strictjson.loads_object(raw, what=str(path))
    entries = document.get("manifests")
    if not isinstance(entries, list):
        raise DocumentError(f"{path} lists no manifests", code="BAD_DOCUMENT")
    return Index(
        media_type=INDEX,
        manifests=tuple(parse_descriptor(entry, what=f"an entry of {path}") for entry in entries),
    )


def _checked(file: Readable, descriptor: Descriptor) -> Iterator[bytes]:
    """Yield the file in pieces, the last one held back until size and digest are known."""
    hasher = hashlib.new(descriptor.digest.algorithm)
    held = b""
    size = 0
    while piece := file.read(_PIECE):
        size += len(piece)
        # descriptor.md, "Verification": the size is verified before the digest.
        if size > descriptor.size:
            break
        hasher.update(piece)
        if held:
            yield held
        held = piece
    if size != descriptor.size:
        raise IntegrityError(
            f"{descriptor.digest} has not the promised {descriptor.size} bytes",
            code="CONTENT_DIGEST_MISMATCH",
        )
    _check(hasher.hexdigest(), descriptor.digest)
    yield held


def _check(actual: str, digest: Digest) -> None:
    if actual != digest.hex:
        raise IntegrityError(
            f"the bytes of {digest} have the digest {digest.algorithm}:{actual}",
            code="CONTENT_DIGEST_MISMATCH",
        )
