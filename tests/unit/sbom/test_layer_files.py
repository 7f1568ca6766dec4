"""Layers are read strictly: hostile archives are refused, and honest ones lose nothing."""

import gzip
import hashlib
import io
import sys
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.sbom.cataloguers import dpkg
from imagekit.sbom.cataloguers.catalogue_rule import CatalogueRule
from imagekit.sbom.contents import LayerFiles
from imagekit.sbom.layer_files import read_layer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STATUS = "var/lib/dpkg/status"
LAYER = "sha256:" + "a" * 64


def read(raw: bytes, *, limit: int = 1 << 30, digest_programs: bool = True) -> LayerFiles:
    """Read a layer that comes in odd pieces."""
    pieces = [raw[at : at + 1013] for at in range(0, len(raw), 1013)]
    return read_layer(pieces, layer=LAYER, digest_programs=digest_programs, limit=limit)


def archive(fill: Callable[[tarfile.TarFile], None], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return an archive that the standard library wrote."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as tar:
        fill(tar)
    return raw.getvalue()


def member(name: str, content: bytes = b"", **fields: object) -> Callable[[tarfile.TarFile], None]:
    """Return what adds one entry."""

    def fill(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for key, value in fields.items():
            setattr(info, key, value)
        tar.addfile(info, io.BytesIO(content))

    return fill


@pytest.mark.parametrize("name", ["../etc/passwd", "a/../../b", "/.."])
def test_a_path_out_of_the_root_is_refused(name: str) -> None:
    """No entry may lie outside of the image."""
    with pytest.raises(DocumentError, match="leads out"):
        read(archive(member(name, b"x")))


def test_a_hard_link_out_of_the_root_is_refused() -> None:
    """Nor may a hard link lead there."""
    with pytest.raises(DocumentError, match="leads out"):
        read(archive(member("a", type=tarfile.LNKTYPE, linkname="../host")))


def test_a_wrong_checksum_is_refused() -> None:
    """A damaged header ends the reading."""
    raw = bytearray(archive(member("a", b"x")))
    raw[0] ^= 1

    with pytest.raises(DocumentError, match="checksum"):
        read(bytes(raw))


@pytest.mark.parametrize("cut", [100, 512, 700])
def test_a_layer_that_is_cut_short_is_refused(cut: int) -> None:
    """A layer without its end is not taken for a whole one."""
    with pytest.raises(DocumentError, match="middle of an entry"):
        read(archive(member("a", b"x" * 600))[:cut])


def test_a_gzip_stream_that_is_cut_short_is_refused() -> None:
    """The same holds for the compressed stream, though the archive in it be whole."""
    raw = gzip.compress(archive(member("a", b"x")))

    with pytest.raises(DocumentError, match=r"cut short|gzip"):
        read(raw[:-6])


def test_damaged_gzip_is_refused() -> None:
    """Bytes that only begin like gzip are refused with their reason."""
    with pytest.raises(DocumentError, match="gzip"):
        read(b"\x1f\x8b\x08\x00" + b"garbage" * 50)


def test_zstd_is_read_frame_by_frame() -> None:
    """Also those that hold no file: zstd:chunked has its table of contents in one at the end."""
    whole = archive(member("a", b"x" * 3000))
    passed_over = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    frames = zstd.compress(whole[:700]) + passed_over + zstd.compress(whole[700:]) + passed_over

    plain, packed, led = read(whole), read(frames), read(passed_over + frames)

    assert plain.files
    assert packed.files == led.files == plain.files


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_zstd_that_is_cut_short_or_damaged_is_refused(cut: int) -> None:
    """With the reason."""
    raw = zstd.compress(archive(member("a", b"x" * 3000)))

    with pytest.raises(DocumentError, match=r"zstd|ends in the middle"):
        read(raw[:-cut])
    with pytest.raises(DocumentError, match="zstd"):
        read(raw[:4] + bytes(cut) + raw[4 + cut :])


def test_a_zstd_bomb_ends_at_its_limit() -> None:
    """It makes more of each byte than gzip."""
    bomb = zstd.compress(archive(member("zeros", bytes(40 << 20))))

    with pytest.raises(DocumentError, match="unpacks to more"):
        read(bomb, limit=10 << 20)


def test_a_zstd_frame_that_wants_much_memory_is_refused() -> None:
    """Its header says how much: RFC 8878 lets a decoder refuse it."""
    named = zstd.CompressionParameter
    wide: dict[int, int] = {named.window_log: 28, named.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=wide)
    raw = packer.compress(archive(member("a", b"x"))) + packer.flush()

    with pytest.raises(DocumentError, match="zstd"):
        read(raw)


def test_a_bomb_ends_at_its_limit() -> None:
    """A layer that unpacks to more than allowed is refused on the way, not afterwards."""
    bomb = gzip.compress(archive(member("zeros", bytes(40 << 20))))

    with pytest.raises(DocumentError, match="unpacks to more"):
        read(bomb, limit=10 << 20)


def test_an_endless_pax_header_is_refused() -> None:
    """An extended header is not read into memory by the size it claims."""
    with pytest.raises(DocumentError, match="extended header"):
        read(archive(member("a", b"x", pax_headers={"path": "a" * (2 << 20)})))


def test_a_pax_size_that_is_no_number_is_refused() -> None:
    """The size in an extended header is a number or the end."""
    raw = archive(member("a", b"x", pax_headers={"comment": "15", "mtime": "1.5"}))

    with pytest.raises(DocumentError, match="malformed"):
        read(raw.replace(b"comment=15", b"comment 15"))


def test_a_status_file_over_the_bound_loses_whole_entries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is over is left out with a note, and no half entry gives a wrong version."""
    rule = CatalogueRule(50, "cut", border=b"\n\n")
    monkeypatch.setattr(dpkg, "_WHOLE_STATUS", rule)
    one = b"Package: %s\nVersion: 1.0\n\n"

    found = read(archive(member(STATUS, one % b"a" + one % b"b" + one % b"c")))

    assert found.documents[STATUS] == one % b"a" + one % b"b"
    assert f"only the first 50 bytes of /{STATUS} were read" in found.notes


def test_a_path_of_a_hundred_thousand_levels_is_a_note() -> None:
    """It is no place of any package, and hides nothing of the rest."""
    raw = [member(name, b"x") for name in ("d/" * 100_000 + "f", "n" * 5000, "etc/os-release")]

    def fill(tar: tarfile.TarFile) -> None:
        for each in raw:
            each(tar)

    found = read(archive(fill))

    assert found.documents["etc/os-release"] == b"x"
    assert "1 paths of more than 250 levels are not looked at" in found.notes
    assert "1 paths of more than 4096 characters are not looked at" in found.notes


def test_metadata_of_many_megabytes_is_cut_and_said() -> None:
    """The headers of METADATA stand in front; the rest is left out with a note."""
    path = "x/a-1.dist-info/METADATA"

    layer = read(gzip.compress(archive(member(path, b"Name: a\n" + b"x" * (5 << 20)))))

    assert len(layer.documents[path]) == 1 << 20
    assert "only the first" in layer.notes[0]


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_database_that_is_no_file_is_noted(kind: bytes) -> None:
    """A device where a database should be hides the lower one and is not passed over silently."""
    layer = read(archive(member(STATUS, type=kind)))

    assert {STATUS} == layer.removed
    assert "no regular file" in layer.notes[0]


def test_hard_links_carry_what_they_link_to() -> None:
    """A licence text or program that is a hard link is there all the same."""
    doc, other = "usr/share/doc/a/copyright", "usr/share/doc/b/copyright"

    def fill(tar: tarfile.TarFile) -> None:
        member(doc, b"text")(tar)
        member(other, type=tarfile.LNKTYPE, linkname=doc)(tar)
        member("bin/x", b"\x7fELF", mode=0o755)(tar)
        member("bin/y", type=tarfile.LNKTYPE, linkname="./bin/x")(tar)

    layer = read(archive(fill))

    assert layer.documents[other] == b"text"
    assert layer.files["bin/x"].sha256 == layer.files["bin/y"].sha256 != ""


def test_a_database_linked_to_unread_content_is_noted() -> None:
    """A hard link cannot smuggle a database past the cataloguer."""

    def fill(tar: tarfile.TarFile) -> None:
        member("innocent", b"Package: x\n")(tar)
        member(STATUS, type=tarfile.LNKTYPE, linkname="innocent")(tar)

    assert "hard link" in read(archive(fill)).notes[0]


def test_whiteouts_are_kept_apart_from_files() -> None:
    """What a layer takes away is known by path, and a folder that it empties as well."""

    def fill(tar: tarfile.TarFile) -> None:
        member("a/.wh.b")(tar)
        member("c/.wh..wh..opq")(tar)
        member("d/x.wh.y", b"")(tar)

    layer = read(archive(fill))

    assert {"a/b"} == layer.removed
    assert {"c"} == layer.emptied
    assert list(layer.files) == ["d/x.wh.y"]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_kind_of_archive_is_read(form: int, pack: Callable[[bytes], bytes]) -> None:
    """Long names of all three formats, plain and compressed, say the same."""
    name = "/".join(["a" * 60] * 2) + "/b-1.dist-info/METADATA"

    layer = read(pack(archive(member(f"./{name}", b"Name: b\n"), form)))

    assert {name: b"Name: b\n"} == dict(layer.documents)


def test_gzip_members_follow_each_other() -> None:
    """Compressors that write several members (stargz, pigz -i) are read to the end."""
    raw = archive(member(STATUS, b"Package: a\n"))

    layer = read(gzip.compress(raw[:300]) + gzip.compress(raw[300:]) + bytes(100))

    assert STATUS in layer.documents


def outcome(raw: bytes) -> str:
    """Return what came of reading: any other exception goes through and fails the test."""
    try:
        read(raw)
    except DocumentError as error:
        return error.code
    return "read"


@given(st.binary(max_size=3000))
def test_random_bytes_are_a_layer_or_a_clear_error(raw: bytes) -> None:
    """Nothing but DocumentError ever comes out of hostile bytes."""
    assert outcome(raw) in {"read", "BAD_LAYER", "UNSUPPORTED_LAYER"}


@given(st.integers(0, 1535), st.integers(0, 255))
def test_one_changed_byte_is_a_layer_or_a_clear_error(at: int, value: int) -> None:
    """The same holds for an honest layer with one byte changed."""
    raw = bytearray(archive(member("bin/x", b"\x7fELF" * 30, mode=0o755)))
    raw[at] = value

    assert outcome(bytes(raw)) in {"read", "BAD_LAYER"}


@pytest.mark.parametrize("kind", [tarfile.AREGTYPE, tarfile.REGTYPE])
def test_content_of_a_name_that_ends_with_a_slash_is_no_entry(kind: bytes) -> None:
    """An old archive's folder has content where a file has: Go, which unpacks images, skips it.

    Python's tarfile does not; by that, an SBOM would list what no runtime sees.
    """
    hidden = archive(member(STATUS, b"Package: hidden\n"))[:1024]
    old = archive(member("old/", hidden, type=kind), form=tarfile.USTAR_FORMAT)
    raw = old[: 512 + len(hidden)] + archive(member(STATUS, b"Package: real\n"))
    found = read(raw)

    assert found.documents == {STATUS: b"Package: real\n"}
    assert ("old" in found.files) == (kind == tarfile.REGTYPE)


def test_a_program_under_the_name_of_a_document_is_listed() -> None:
    """Otherwise a name would be enough to keep it out of the SBOM."""
    content = b"\x7fELF" + bytes(2 << 20)
    path = "x/a-1.dist-info/METADATA"

    layer = read(archive(member(path, content)))

    assert layer.files[path].sha256 == hashlib.sha256(content).hexdigest()
    assert layer.files[path].elf
