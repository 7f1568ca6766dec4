"""What a layer says of each path, so that two layers can be compared in flat memory."""

import hashlib
from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from imagekit.oci.digest import Digest
from imagekit.oci.layer_stream import MAX_UNPACKED, Stream
from imagekit.oci.tar import EntryKind, TarEntry, entries, time_of

MAX_ENTRIES = 2_000_000
"""Most entries of a layer that is compared."""
MAX_TEXT = 256 << 20
"""Most characters of names, links and attributes of a layer that is compared."""
MAX_SHOWN = 1 << 20
"""Most bytes of a file that are looked into for what differs."""
_PIECE = 1 << 20
_OF_NAMES = frozenset({"path", "linkpath", "size", "uid", "gid", "mtime", "hdrcharset", "comment"})
"""Pax records that other fields have, or that say nothing about the file."""


class EntryState(Struct, frozen=True, kw_only=True):
    """What a layer says of a path."""

    kind: str
    mode: int
    owner: str
    """``UID:GID``."""
    mtime: str
    target: str
    size: int
    content: str
    """SHA-256 of what is in a file, in hexadecimal; empty for all else."""
    records: tuple[tuple[str, str], ...]
    """Further pax records: extended attributes, parts of a second."""


def layer_states(pieces: Iterable[bytes], *, layer: str) -> Mapping[str, EntryState]:
    """Return what a layer says of each of its paths; of one that it has twice, the last.

    Args:
        pieces: the layer as it lies in a registry.
        layer: its name, for messages.

    Raises:
        DocumentError: it is no layer that can be read (``BAD_LAYER``, ``UNSUPPORTED_LAYER``).
    """
    stream = Stream(pieces, where=f"layer {layer}", limit=MAX_UNPACKED)
    states: dict[str, EntryState] = {}
    text = 0
    for count, entry in enumerate(entries(stream, all_records=True)):
        # Names and records are held: many of great length would take all memory.
        text += len(entry.path) + len(entry.target)
        text += sum(len(key) + len(value) for key, value in entry.records.items())
        if count == MAX_ENTRIES or text > MAX_TEXT:
            raise stream.broken(
                f"it has more than {MAX_ENTRIES} entries, or names and attributes of over "
                f"{MAX_TEXT} characters, which are not compared"
            )
        states[entry.path] = _state(entry, stream)
    stream.drain()
    return states


def unpacked_digest(pieces: Iterable[bytes], *, layer: str) -> Digest:
    """Return the digest of an unpacked layer (OCI image-spec, config.md, "Layer DiffID").

    Args:
        pieces: the layer as it lies in a registry.
        layer: its name, for messages.

    Raises:
        DocumentError: as ``layer_states``.
    """
    stream = Stream(pieces, where=f"layer {layer}", limit=MAX_UNPACKED)
    hasher = hashlib.sha256()
    for piece in stream.rest():
        hasher.update(piece)
    return Digest("sha256", hasher.hexdigest())


def file_contents(
    pieces: Iterable[bytes], paths: Collection[str], *, layer: str
) -> Mapping[str, bytes]:
    """Return the first bytes of some files of a layer.

    Args:
        pieces: the layer as it lies in a registry.
        paths: which of its files; few of them, since all are held.
        layer: its name, for messages.

    Raises:
        DocumentError: as ``layer_states``.
    """
    stream = Stream(pieces, where=f"layer {layer}", limit=MAX_UNPACKED)
    found: dict[str, bytes] = {}
    for entry in entries(stream):
        size = min(entry.size, MAX_SHOWN) if entry.path in paths else 0
        if size:
            found[entry.path] = stream.exactly(size)
        stream.skip(entry.size - size)
    stream.drain()
    return found


def _state(entry: TarEntry, stream: Stream) -> EntryState:
    time = time_of(entry, stream)
    content = ""
    if entry.kind is EntryKind.FILE:
        content = _digest(stream, entry.size)
    else:
        stream.skip(entry.size)
    linked = entry.kind in {EntryKind.SYMLINK, EntryKind.HARDLINK}
    return EntryState(
        kind=entry.kind.name.lower(),
        mode=entry.mode,
        owner=f"{entry.uid}:{entry.gid}",
        mtime=time,
        target=entry.target if linked else "",
        size=entry.size,
        content=content,
        records=tuple(
            sorted((key, text) for key, text in entry.records.items() if key not in _OF_NAMES)
        ),
    )


def _digest(stream: Stream, size: int) -> str:
    hasher = hashlib.sha256()
    while size:
        piece = stream.some(min(size, _PIECE))
        hasher.update(piece)
        size -= len(piece)
    return hasher.hexdigest()
