"""Headers of archives: the bytes of Python's tarfile, whatever an entry is."""

import io
import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagekit.build import tar_header
from imagekit.build.tar_header import EntryHeader, header

_KINDS = {
    tar_header.FILE: tarfile.REGTYPE,
    tar_header.HARD_LINK: tarfile.LNKTYPE,
    tar_header.LINK: tarfile.SYMTYPE,
    tar_header.FOLDER: tarfile.DIRTYPE,
    tar_header.FIFO: tarfile.FIFOTYPE,
}
_CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
# As os.fsdecode has bytes that are no UTF-8.
_BYTES = st.binary(min_size=1, max_size=150).map(
    lambda raw: raw.replace(b"\0", b"x").decode("utf-8", "surrogateescape")
)
_TEXTS = st.one_of(
    st.text("ab/.", min_size=1, max_size=120), st.text(_CHARACTERS, min_size=1), _BYTES
)
_LONG = st.integers(90, 260).map(lambda length: "n" * length)
_NUMBERS = st.one_of(st.integers(0, 1 << 36), st.sampled_from([8**7 - 1, 8**7, 8**11 - 1, 8**11]))
_TIMES = st.one_of(_NUMBERS, st.integers(-(1 << 40), 0))
_RECORDS = st.dictionaries(
    st.sampled_from(["SCHILY.xattr.user.a", "SCHILY.xattr.security.capability", "mtime"]), _TEXTS
)


def _tarfile_header(path: str, kind: bytes, **fields: object) -> bytes:
    info = tarfile.TarInfo(path)
    info.type = _KINDS[kind]
    info.linkname = str(fields.pop("link"))
    info.pax_headers = dict(fields.pop("records"))  # type: ignore[call-overload]  # a mapping
    for name, value in fields.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


@given(
    path=_TEXTS | _LONG,
    kind=st.sampled_from(list(_KINDS)),
    mode=st.integers(0, 0o7777),
    uid=_NUMBERS,
    gid=_NUMBERS,
    size=_NUMBERS,
    mtime=_TIMES,
    link=st.just("") | _TEXTS | _LONG,
    records=_RECORDS,
)
@example(
    path="d" * 100, kind=b"5", mode=0o755, uid=0, gid=8**7, size=0, mtime=0, link="", records={}
)
def test_the_bytes_are_those_of_tarfile(path: str, kind: bytes, **fields: object) -> None:
    """Long names, other characters and bytes, large numbers, links, attributes, odd times."""
    ours = header(EntryHeader(path=path, kind=kind, **fields))  # type: ignore[arg-type]  # as they are drawn

    assert ours == _tarfile_header(path, kind, **fields)


@pytest.mark.parametrize("length", range(1, 1200, 7))
def test_a_record_counts_its_own_digits(length: int) -> None:
    """Also where the count gets a digit more by that."""
    records = {"SCHILY.xattr.user.x": "v" * length}
    raw = header(EntryHeader(path="a", kind=b"0", mode=0, mtime=0, records=records))

    with tarfile.open(fileobj=io.BytesIO(raw + bytes(1024))) as archive:
        assert archive.next().pax_headers["SCHILY.xattr.user.x"] == "v" * length  # type: ignore[union-attr]  # it has an entry


@pytest.mark.parametrize(("size", "zeros"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
def test_content_ends_with_a_whole_block(size: int, zeros: int) -> None:
    """What follows begins at a multiple of 512."""
    assert tar_header.padded(size) == zeros
