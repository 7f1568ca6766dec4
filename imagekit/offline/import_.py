"""Placing what ``imagekit export`` wrote, after verifying it again: ``imagekit import``."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from msgspec import Struct, field

from imagekit.build.tools.podman import Podman
from imagekit.documents.quantity import count, size
from imagekit.errors import (
    DocumentError,
    InputError,
    IntegrityError,
    InvalidReferenceError,
    NotFoundError,
    RegistryError,
    TagRaceError,
)
from imagekit.files import storage_errors
from imagekit.oci.archive import BAD_ARCHIVE, BLOBS, INDEX_FILE, LAYOUT_FILE, Archive, open_archive
from imagekit.oci.destination import Destination
from imagekit.oci.digest import Digest
from imagekit.oci.location import (
    REGISTRY,
    LayoutLocation,
    LocatedReference,
    LocatedRepository,
    Location,
    RegistryLocation,
    parse_layout,
)
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader, RegistryWriter
from imagekit.oci.types import Descriptor, RawManifest
from imagekit.offline.closure import Closure, find_closure
from imagekit.offline.copy import PutPieces, check_blobs, copy
from imagekit.offline.exported import MAX_RECORD, POLICY_FOLDER, RECORD, Exported, parse_record
from imagekit.progress import Note, Progress
from imagekit.publish.known_release import look
from imagekit.verify.verdict import Verdict, allowed

STORAGE = "containers-storage"
TAG_TAKEN = "import/tag-taken"
_MAX_POLICY_FILE = 8 << 20
_SPARE = 16 << 20
"""Bytes that must stay free beside what is written."""

Judge = Callable[[LocatedReference, RegistryReader], Verdict]


class Imported(Struct, frozen=True, kw_only=True):
    """The verdict, and where the image is now, if the verdict allowed it."""

    verdict: Verdict
    record: Exported
    closure: Closure | None = None
    reference: PinnedReference | None = None
    location: Location = REGISTRY
    sent: int = 0
    image: str = ""
    """The image's id in Podman's storage, where that was the destination."""

    @property
    def placed(self) -> str:
        """The image at its new place; empty where it was not placed."""
        return "" if self.reference is None else self.location.shown(str(self.reference))


class ImportOptions(Struct, frozen=True, kw_only=True):
    """How registries are reached, and whether anything is written."""

    registry: RegistryOptions = field(default_factory=RegistryOptions)
    dry_run: bool = False
    move_tag: bool = False
    """Whether a tag that points to another image at the destination is moved to this one."""


@contextmanager
def opened(file: Path) -> Iterator[tuple[Archive, Exported]]:
    """Open an exported file, whose record must agree with its table of contents.

    Raises:
        DocumentError: it is not one (code ``BAD_ARCHIVE``).
        IntegrityError: a small file in it is not what the record says.
        RegistryError: it cannot be read.
    """
    with open_archive(file) as archive:
        try:
            raw = archive.read(RECORD, limit=MAX_RECORD)
        except NotFoundError as error:
            raise DocumentError(
                f"{file} was not written by imagekit export: it has no {RECORD}",
                hint=f"other layouts can be verified: imagekit verify REFERENCE --from {file}",
                code=BAD_ARCHIVE,
            ) from error
        record = parse_record(raw)
        _compare(archive, record)
        yield archive, record


@contextmanager
def enclosed_policy(archive: Archive, record: Exported) -> Iterator[Path]:
    """Write the enclosed policy and its files into a folder that is gone afterwards.

    Raises:
        DocumentError: there is none.
    """
    folder = f"{POLICY_FOLDER}/"
    with tempfile.TemporaryDirectory(prefix="imagekit-policy-") as temporary:
        root = Path(temporary)
        for path in record.members:
            if path.startswith(folder):
                # The record's paths were checked: none leads out of the folder.
                target = root / path.removeprefix(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(path, limit=_MAX_POLICY_FILE))
        if f"{folder}{record.policy.file}" not in record.members:
            raise DocumentError(f"{archive.folder} encloses no policy", code=BAD_ARCHIVE)
        yield root / record.policy.file


def import_archive(
    archive: Archive,
    record: Exported,
    *,
    to: str,
    judge: Judge,
    make_podman: Callable[[], Podman],
    options: ImportOptions,
    progress: Progress,
) -> Imported:
    """Verify what an exported file holds, all of it, and only then place it.

    Args:
        archive: the open file.
        record: its record.
        to: ``oci:FOLDER``, ``HOST[/PREFIX]`` or ``containers-storage``.
        judge: judges a reference by a policy that the receiver trusts, with the given reader.
        make_podman: makes Podman, where the image goes into its storage.
        options: how registries are reached.
        progress: gets the events.

    Raises:
        IntegrityError: bytes differ from their digest; nothing was placed.
        DocumentError: the archive has blobs that do not belong to the image; nothing was placed.
        InputError: the tag is another image's at the destination, and was not to be moved.
        ImagekitError: there was no verdict, or the destination failed.
    """
    place = _destination(to, record)
    reader = archive.registry
    verdict = judge(LocatedReference(LayoutLocation(archive.folder), record.reference), reader)
    pinned = allowed(record.reference, verdict)
    if pinned is None:
        return Imported(verdict=verdict, record=record)
    if pinned.digest != record.digest:
        raise IntegrityError(
            f"the record of {archive.folder} is for {record.digest}, and it holds {pinned.digest}",
            code="CONTENT_DIGEST_MISMATCH",
        )
    closure = find_closure(reader, pinned, unread=verdict.unread)
    for left in closure.left_out:
        progress(Note(message=f"not there: {left}"))
    _no_more(archive, closure)
    check_blobs(reader, closure, progress=progress)
    done = Imported(verdict=verdict, record=record, closure=closure)
    if options.dry_run:
        return done
    if place is None:
        return _into_storage(done, reader, make_podman, progress=progress)
    return _into(done, reader, place, options=options, progress=progress)


def _compare(archive: Archive, record: Exported) -> None:
    there = set(archive.members) - {RECORD}
    wrong = there ^ set(record.members)
    if wrong:
        some = min(wrong)
        lacks = "lists" if some in record.members else "does not list"
        raise DocumentError(
            f"{archive.folder}: its record {lacks} {some[:100]!r}, and it is "
            f"{'not there' if some in record.members else 'there'}",
            hint="export the image again and copy the file whole",
            code=BAD_ARCHIVE,
        )
    for path, member in record.members.items():
        if archive.members[path].size != member.size:
            raise _altered(archive, path)
        if path.startswith(f"{BLOBS}/"):
            # image-spec image-layout.md, Blobs: the path is the digest, by which the bytes are
            # checked when they are read.
            if path != f"{BLOBS}/{member.digest.algorithm}/{member.digest.hex}":
                raise _altered(archive, path)
        elif path in {INDEX_FILE, LAYOUT_FILE} or path.startswith(f"{POLICY_FOLDER}/"):
            member.digest.check(archive.read(path, limit=64 << 20), what=f"{path} in the archive")
        else:
            raise DocumentError(
                f"{archive.folder} holds {path[:100]!r}, which no export has", code=BAD_ARCHIVE
            )


def _altered(archive: Archive, path: str) -> IntegrityError:
    return IntegrityError(
        f"{path[:100]} in {archive.folder} is not what the record says",
        hint="export the image again and copy the file whole",
        code="CONTENT_DIGEST_MISMATCH",
    )


def _no_more(archive: Archive, closure: Closure) -> None:
    """Refuse blobs that do not belong to the image: they would be copied unchecked."""
    raws = (*closure.manifests, *closure.attached, *(raw for _, raw in closure.tags))
    known = {raw.digest for raw in raws} | {blob.digest for blob in closure.blobs}
    paths = {f"{BLOBS}/{digest.algorithm}/{digest.hex}" for digest in known}
    more = {path for path in archive.members if path.startswith(f"{BLOBS}/")} - paths
    if more:
        raise DocumentError(
            f"{archive.folder} holds {count(len(more), 'blob')} beside those of the image, "
            f"such as {min(more)}",
            hint="export the image again",
            code=BAD_ARCHIVE,
        )


def _destination(to: str, record: Exported) -> LocatedRepository | None:
    """Return where the image goes; None for Podman's storage."""
    if to in {STORAGE, f"{STORAGE}:"}:
        return None
    named = record.reference.repository
    if to.startswith("oci:"):
        return LocatedRepository(parse_layout(to), named)
    if ":" in to.partition("/")[0] and to.startswith(("docker:", "oci-archive:", "dir:")):
        raise InvalidReferenceError(f"{to!r} is no place to import to")
    return Destination.parse(to).place(named.path)


def _into(
    done: Imported,
    reader: RegistryReader,
    place: LocatedRepository,
    *,
    options: ImportOptions,
    progress: Progress,
) -> Imported:
    from imagekit.oci.registry.connect import writer

    closure = done.closure
    if closure is None:
        return done
    target = writer(place, options.registry)
    tag = (
        None if closure.image.tag is None else TaggedReference(place.repository, closure.image.tag)
    )
    if tag is not None and not options.move_tag:
        held = look(target, place.repository, tag.tag)
        _refuse_taken(held, tag, closure.image.digest, location=place.location)
    put: PutPieces
    match place.location:
        case LayoutLocation(path=folder):
            from imagekit.oci.layout import LayoutRegistry, LayoutStore

            _room(folder, closure)
            put = LayoutRegistry(LayoutStore(folder)).put_pieces
        case RegistryLocation():
            put = spooled(target.put_blob)
    name = _move if options.move_tag else _claim
    copied = copy(
        reader,
        target,
        closure,
        to=place,
        put=put,
        progress=progress,
        name=partial(name, target=target, location=place.location, progress=progress),
    )
    return Imported(
        verdict=done.verdict,
        record=done.record,
        closure=closure,
        reference=copied.reference,
        location=place.location,
        sent=copied.sent,
    )


def _move(
    tag: TaggedReference,
    image: RawManifest,
    *,
    target: RegistryWriter,
    location: Location,
    progress: Progress,
) -> None:
    before = look(target, tag.repository, tag.tag)
    if before is not None and before.digest != image.digest:
        progress(Note(message=f"moved: {location.shown(str(tag))} was {before.digest}"))
    target.tag(tag, image)


def _claim(
    tag: TaggedReference,
    image: RawManifest,
    *,
    target: RegistryWriter,
    location: Location,
    progress: Progress,
) -> None:
    """Make the tag point to the image, as a publish does: only if no other process wrote it.

    Raises:
        InputError: it is another image's, or that is not known; it was not moved.
    """
    del progress
    try:
        held = target.tag_once(tag, image)
    except TagRaceError as error:
        raise InputError(error.message, hint=error.hint, code=TAG_TAKEN) from error
    _refuse_taken(held, tag, image.digest, location=location)


def _refuse_taken(
    held: PinnedReference | None, tag: TaggedReference, mine: Digest, *, location: Location
) -> None:
    """Refuse to move a tag from another image: no file shows which tags are immutable."""
    if held is None or held.digest == mine:
        return
    raise InputError(
        f"{location.shown(str(tag))} is {held.digest.short} there, and not {mine.short}",
        hint="a tag of a version is never moved: import it elsewhere; if this one moves, as "
        "`latest` does, use --move-tag",
        code=TAG_TAKEN,
    )


def _into_storage(
    done: Imported,
    reader: RegistryReader,
    make_podman: Callable[[], Podman],
    *,
    progress: Progress,
) -> Imported:
    """Have Podman pull from a layout that is gone afterwards; its storage keeps no signatures."""
    closure = done.closure
    if closure is None:
        return done
    with tempfile.TemporaryDirectory(prefix="imagekit-import-") as temporary:
        named = closure.image.repository
        place = LocatedRepository(LayoutLocation(Path(temporary) / "layout"), named)
        podman = make_podman().pulling(place.location)
        placed = _into(done, reader, place, options=ImportOptions(), progress=progress)
        if placed.reference is None:
            return done
        image = podman.pull(placed.reference)
        if closure.image.tag is not None:
            podman.name(image, f"{named.name}:{closure.image.tag}")
    plain = PinnedReference(named, closure.image.digest)
    return Imported(
        verdict=done.verdict, record=done.record, closure=closure, reference=plain, image=image
    )


def spooled(put_blob: Callable[[Repository, Descriptor, Path], object]) -> PutPieces:
    """Return what stores pieces by a temporary file: an upload may have to be sent again."""

    def put(repository: Repository, descriptor: Descriptor, pieces: Iterator[bytes]) -> None:
        with storage_errors("the temporary folder"), tempfile.NamedTemporaryFile() as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            put_blob(repository, descriptor, Path(file.name))

    return put


def _room(folder: Path, closure: Closure) -> None:
    """Refuse to begin where the disk has no room for all of it."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    with storage_errors(f"the layout {folder}"):
        free = shutil.disk_usage(there).free
    if free < closure.size + _SPARE:
        raise RegistryError(
            f"{there} has {size(free)} free; the image needs {size(closure.size)}",
            hint="make room, or choose another folder; nothing was written",
        )
