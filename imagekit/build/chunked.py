"""zstd:chunked: a layer of which a runtime fetches only the files that it does not have.

The format is that of containers/storage, pkg/chunked: each content is a zstd frame of its own, so
that it can be fetched and unpacked alone. Behind all frames stand, each in a skippable frame (RFC
8878 section 3.1.2), the table of contents; tar-split, which is the archive without the contents,
so that the diffID can be checked by who fetches a part; and where the two stand. Annotations of
the layer's descriptor name their places and the digest of the table, which has that of tar-split.
To whom this means nothing, it is a layer of zstd.

Contents are not cut into chunks by a rolling checksum: what a runtime has is found by whole files.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO

from fastcrc import crc64
from msgspec import json

from imagekit.build import attributes, tar_header
from imagekit.build.tar_header import EntryHeader, HeaderPlace
from imagekit.oci.digest import Digest
from imagekit.oci.types import NOTHING
from imagekit.oci.zstandard import zstd

_ANNOTATION = "io.github.containers.zstd-chunked."
CHECKSUM, POSITION = f"{_ANNOTATION}manifest-checksum", f"{_ANNOTATION}manifest-position"
TAR_SPLIT = f"{_ANNOTATION}tarsplit-position"

_VERSION = 1
_CRFS = 1
"""The only kind of table that there is (ManifestTypeCRFS)."""
_SKIPPABLE = struct.Struct("<4sI")
_SKIPPABLE_MAGIC = b"\x50\x2a\x4d\x18"
_FOOTER = struct.Struct("<7Q8s")
_FOOTER_MAGIC = b"GNUlInUx"
_KINDS = {
    tar_header.FILE: "reg",
    tar_header.HARD_LINK: "hardlink",
    tar_header.LINK: "symlink",
    tar_header.FOLDER: "dir",
    tar_header.FIFO: "fifo",
}
# vbatts/tar-split, tar/storage: the kinds of its entries.
_CONTENT, _SEGMENT = 1, 2


class ChunkedPacker:
    """Compresses an archive, and writes the table of its contents behind it.

    Args:
        level: that of zstd.
    """

    def __init__(self, level: int) -> None:
        self._zstd = zstd.ZstdCompressor(level=level)
        self._position = 0
        self._table: _Table | None = _Table(level)
        self._split = _TarSplit(level)
        self._open: _OpenContent | None = None
        self._padding = b""

    def take(self, piece: bytes, headers: Sequence[HeaderPlace]) -> bytes:
        """Return what comes of the next bytes so far."""
        out, view, at = BytesIO(), memoryview(piece), 0
        for start, end, entry in headers:
            self._behind(view[at:start], out)
            self._header(entry, view[start:end], out)
            at = end
        self._behind(view[at:], out)
        return out.getvalue()

    def end(self) -> tuple[bytes, Mapping[str, str]]:
        """Return the last bytes, and the annotations of the layer.

        There are none where the table cannot hold an entry as it is: then nobody looks for it.
        """
        out = BytesIO()
        self._split.segment(self._padding)
        self._put(self._zstd.flush(), out)
        if self._table is None:
            return out.getvalue(), NOTHING
        split, split_size = self._split.end()
        table, table_size = self._table.end(Digest.of(split))
        at = self._position + _SKIPPABLE.size
        split_at = at + len(table) + _SKIPPABLE.size
        footer = _FOOTER.pack(
            *(at, len(table), table_size, _CRFS),
            *(split_at, len(split), split_size),
            _FOOTER_MAGIC,
        )
        for frame in (table, split, footer):
            self._put(_SKIPPABLE.pack(_SKIPPABLE_MAGIC, len(frame)) + frame, out)
        return out.getvalue(), {
            CHECKSUM: str(Digest.of(table)),
            POSITION: f"{at}:{len(table)}:{table_size}:{_CRFS}",
            TAR_SPLIT: f"{split_at}:{len(split)}:{split_size}",
        }

    def _put(self, packed: bytes, out: BytesIO) -> None:
        self._position += len(packed)
        out.write(packed)

    def _header(self, entry: EntryHeader, raw: memoryview, out: BytesIO) -> None:
        # tar-split, tar/asm: a segment is the padding of the content before, and one header.
        self._split.segment(self._padding + raw)
        self._padding = b""
        self._put(self._zstd.compress(raw), out)
        if not entry.size:
            self._listed(entry, None)
            return
        self._put(self._zstd.flush(), out)
        # With the size in its header, a frame does not depend on how the content is cut here.
        self._zstd.set_pledged_input_size(entry.size)
        self._open = _OpenContent(entry, self._position)

    def _behind(self, raw: memoryview, out: BytesIO) -> None:
        """Take what stands behind a header: the rest of its content, and padding."""
        content = self._open
        if content is not None and raw:
            part, raw = raw[: content.left], raw[content.left :]
            content.take(part)
            self._put(self._zstd.compress(part), out)
            if not content.left:
                self._put(self._zstd.flush(), out)
                content.end = self._position
                self._listed(content.entry, content)
                self._open = None
        if raw:
            self._padding += raw
            self._put(self._zstd.compress(raw), out)

    def _listed(self, entry: EntryHeader, content: "_OpenContent | None") -> None:
        try:
            self._split.content(entry, content)
            if self._table is not None:
                self._table.add(entry, content)
        except (UnicodeEncodeError, ValueError, OverflowError):
            # A name that is no UTF-8, or a time before the year 1: JSON has neither.
            self._table = None


class _OpenContent:
    """A content that is being compressed."""

    def __init__(self, entry: EntryHeader, start: int) -> None:
        self.entry, self.start, self.end = entry, start, start
        self.left = entry.size
        self._sha256 = hashlib.sha256()
        self.crc = 0

    def take(self, part: memoryview) -> None:
        self.left -= len(part)
        self._sha256.update(part)
        self.crc = crc64.go_iso(part, self.crc)

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha256.hexdigest()}"


class _Document:
    """A document that is compressed while it is made, as it may be large."""

    def __init__(self, level: int) -> None:
        self._zstd = zstd.ZstdCompressor(level=level)
        self._packed, self._size = BytesIO(), 0

    def add(self, raw: bytes) -> None:
        self._size += len(raw)
        self._packed.write(self._zstd.compress(raw))

    def end(self) -> tuple[bytes, int]:
        """Return it compressed, and its size without."""
        self._packed.write(self._zstd.flush())
        return self._packed.getvalue(), self._size


class _Table:
    """The table of contents (containers/storage, pkg/chunked/internal/minimal: TOC)."""

    def __init__(self, level: int) -> None:
        self._document = _Document(level)
        self._before = b'{"version":%d,"entries":[' % _VERSION

    def add(self, entry: EntryHeader, content: _OpenContent | None) -> None:
        self._document.add(self._before + json.encode(_metadata(entry, content)))
        self._before = b","

    def end(self, split: Digest) -> tuple[bytes, int]:
        first = b"" if self._before == b"," else self._before
        self._document.add(first + b'],"tarSplitDigest":"%b"}' % str(split).encode())
        return self._document.end()


def _metadata(entry: EntryHeader, content: _OpenContent | None) -> dict[str, object]:
    """Return an entry of the table (FileMetadata); what is empty may be left out."""
    document: dict[str, object] = {
        "type": _KINDS[entry.kind],
        "name": tar_header.full_name(entry),
        "mode": entry.mode & 0o7777,
        "uid": entry.uid,
        "gid": entry.gid,
        "modtime": datetime.fromtimestamp(entry.mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if entry.link:
        document["linkName"] = entry.link
    found = attributes.of_records(entry.records)
    if found:
        document["xattrs"] = found
    if content is not None:
        document |= {
            "size": entry.size,
            "digest": content.digest,
            "offset": content.start,
            "endOffset": content.end,
        }
    return document


class _TarSplit:
    """An archive without its contents (vbatts/tar-split, tar/storage), one entry a line."""

    def __init__(self, level: int) -> None:
        self._document = _Document(level)
        self._number = 0

    def segment(self, raw: bytes) -> None:
        self._add({"type": _SEGMENT, "payload": raw})

    def content(self, entry: EntryHeader, content: _OpenContent | None) -> None:
        document: dict[str, object] = {"type": _CONTENT, "name": tar_header.full_name(entry)}
        if content is not None:
            document |= {"size": entry.size, "payload": content.crc.to_bytes(8, "big")}
        self._add({"payload": None, **document})

    def end(self) -> tuple[bytes, int]:
        return self._document.end()

    def _add(self, document: dict[str, object]) -> None:
        self._document.add(json.encode({**document, "position": self._number}) + b"\n")
        self._number += 1
