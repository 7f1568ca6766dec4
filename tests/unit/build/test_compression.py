"""Layers by each compressor: the same archive, and of zstd:chunked each content alone."""

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastcrc import crc64

from imagekit.build import layer, tree_snapshot
from imagekit.build.chunked import CHECKSUM, POSITION, TAR_SPLIT, ChunkedPacker
from imagekit.build.compression import WrittenLayer, compressor
from imagekit.build.tar_header import FILE, EntryHeader, HeaderPlace, header, padded
from imagekit.oci.digest import Digest
from imagekit.oci.layer_stream import Stream
from imagekit.oci.types import LAYER_GZIP, LAYER_ZSTD
from imagekit.oci.zstandard import zstd
from imagekit.recipe.recipe import COMPRESSIONS, GZIP, ZSTD, ZSTD_CHUNKED, Compression

EPOCH = 1_000_000_000
LARGE = b"".join(b"%d\n" % number for number in range(400_000))
FILES = {
    "etc/empty": b"",
    "etc/hosts": b"127.0.0.1 localhost\n",
    "etc/block": b"x" * 512,
    "usr/large": LARGE,
    "usr/" + "long" * 40: b"a long name",
    "usr/\N{SNOWMAN}": b"snow",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with every kind of entry."""
    root = tmp_path / "root"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "usr/large").chmod(0o4755)
    (root / "usr/same").hardlink_to(root / "etc/hosts")
    (root / "lib").symlink_to("usr")
    return root


def _write(root: Path, compression: Compression) -> tuple[WrittenLayer, bytes]:
    blobs = root.parent / "blobs"
    blobs.mkdir(exist_ok=True)
    changes = tree_snapshot.changes(tree_snapshot.EMPTY, tree_snapshot.take(root))
    written = layer.write(root, changes, blobs, epoch=EPOCH, compression=compression)
    return written, (blobs / written.descriptor.digest.hex).read_bytes()


def _unpacked(packed: bytes) -> bytes:
    return b"".join(bytes(piece) for piece in Stream([packed], where="a layer").rest())


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_each_compressor_keeps_the_archive(root: Path, compression: Compression) -> None:
    """Only the compressed digest depends on it, and that is the same each time."""
    plain, _ = _write(root, GZIP)
    written, packed = _write(root, compression)

    assert written.diff_id == plain.diff_id == Digest.of(_unpacked(packed))
    assert written == _write(root, compression)[0]
    assert written.descriptor.media_type == (LAYER_GZIP if compression == GZIP else LAYER_ZSTD)
    assert bool(written.descriptor.annotations) is (compression == ZSTD_CHUNKED)


def test_each_compressor_has_a_name() -> None:
    """It is in locks and in what decides an image, with its version."""
    assert compressor()[0] == "isal"
    assert compressor(ZSTD) == ("zstd", f"{zstd.zstd_version} level 3")
    assert compressor(ZSTD_CHUNKED)[0] == "zstd:chunked"


def _frame(written: WrittenLayer, packed: bytes, name: str) -> bytes:
    """Return a document behind the layer's frames, as the annotation says where it stands."""
    at, length, size = map(int, written.descriptor.annotations[name].split(":")[:3])
    # RFC 8878 section 3.1.2: magic number and size of a skippable frame.
    assert packed[at - 8 : at] == b"\x50\x2a\x4d\x18" + length.to_bytes(4, "little")
    raw = zstd.decompress(packed[at : at + length])
    assert len(raw) == size
    return raw


def _table(written: WrittenLayer, packed: bytes) -> dict[str, Any]:
    raw = _frame(written, packed, POSITION)
    table: dict[str, Any] = json.loads(raw)
    return table


def test_each_content_can_be_fetched_alone(root: Path) -> None:
    """The table has every entry of the archive as tarfile reads it, and where its content is."""
    written, packed = _write(root, ZSTD_CHUNKED)

    table = _table(written, packed)

    with tarfile.open(fileobj=io.BytesIO(_unpacked(packed))) as archive:
        for entry, member in zip(table["entries"], archive, strict=True):
            assert entry["name"] == member.name + "/" * member.isdir()
            assert (entry["mode"], entry["uid"], entry["gid"]) == (
                member.mode,
                member.uid,
                member.gid,
            )
            assert entry.get("linkName", "") == member.linkname
            assert entry["modtime"].endswith("Z")
    found = {entry["name"]: entry for entry in table["entries"]}
    for name, content in FILES.items():
        entry = found[name]
        if content:
            alone = packed[entry["offset"] : entry["endOffset"]]
            assert zstd.decompress(alone) == content
            assert entry["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
            assert entry["size"] == len(content)
        else:
            assert "digest" not in entry


def test_the_annotations_have_the_digests(root: Path) -> None:
    """That of the table is in the signed manifest, and the table has that of tar-split."""
    written, packed = _write(root, ZSTD_CHUNKED)
    annotations = written.descriptor.annotations
    at, length, _, kind = map(int, annotations[POSITION].split(":"))
    split_at, split_length, split_size = map(int, annotations[TAR_SPLIT].split(":"))

    assert annotations[CHECKSUM] == str(Digest.of(packed[at : at + length]))
    split = packed[split_at : split_at + split_length]
    assert _table(written, packed)["tarSplitDigest"] == str(Digest.of(split))
    assert kind == 1
    numbers = [int.from_bytes(packed[-64 + 8 * n : -56 + 8 * n], "little") for n in range(7)]
    assert numbers[:3] == [at, length, len(_frame(written, packed, POSITION))]
    assert numbers[4:] == [split_at, split_length, split_size]
    assert packed.endswith(b"GNUlInUx")


def test_the_archive_comes_back_from_tar_split(root: Path) -> None:
    """A runtime that fetched some contents checks the diffID so, and each content by its CRC."""
    written, packed = _write(root, ZSTD_CHUNKED)
    split = [json.loads(line) for line in _frame(written, packed, TAR_SPLIT).splitlines()]
    out = io.BytesIO()

    for number, entry in enumerate(split):
        assert entry["position"] == number
        if entry["type"] == 2:
            out.write(base64.b64decode(entry["payload"]))
        elif "size" in entry:
            content = FILES[entry["name"]]
            assert base64.b64decode(entry["payload"]) == crc64.go_iso(content).to_bytes(8, "big")
            out.write(content)

    assert Digest.of(out.getvalue()) == written.diff_id


def _entries(*entries: EntryHeader) -> Iterator[tuple[bytes, EntryHeader, bytes]]:
    for entry in entries:
        content = LARGE[: entry.size]
        yield header(entry), entry, content + b"\0" * padded(entry.size)


def _packed(cut: Callable[[bytes], Sequence[bytes]], *entries: EntryHeader) -> tuple[bytes, int]:
    """Return a compressed archive, whose contents came in pieces, and how many annotations."""
    packer, out = ChunkedPacker(3), b""
    for raw, entry, content in _entries(*entries):
        out += packer.take(raw, [HeaderPlace(0, len(raw), entry)])
        out += b"".join(packer.take(piece, ()) for piece in cut(content))
    last, annotations = packer.end()
    return out + last, len(annotations)


def _file(path: str, size: int, *, mtime: int = EPOCH) -> EntryHeader:
    return EntryHeader(path=path, kind=FILE, mode=0o644, mtime=mtime, size=size)


def test_how_contents_are_read_decides_no_byte() -> None:
    """A read may return less than was asked for."""
    files = (_file("one", 1_000_000), _file("two", 300), _file("three", 512))

    whole = _packed(lambda content: [content], *files)
    cut = _packed(lambda raw: [raw[at : at + 777] for at in range(0, len(raw), 777)], *files)

    assert whole == cut
    assert whole[1] == 3


@pytest.mark.parametrize(
    "odd", [_file("name\udcff", 3), _file("old", 3, mtime=-(10**12))], ids=["bytes", "year"]
)
def test_what_json_cannot_say_has_no_table(odd: EntryHeader) -> None:
    """Then it is a layer of zstd, all of which is fetched."""
    packed, annotations = _packed(lambda content: [content], _file("one", 3), odd)

    assert annotations == 0
    assert b"GNUlInUx" not in packed
    assert _unpacked(packed) == b"".join(
        raw + content for raw, _, content in _entries(_file("one", 3), odd)
    )
