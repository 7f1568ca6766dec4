"""The document of a lock: one form for one lock, and nothing in it that was not checked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from imagekit.errors import DocumentError, InputError
from imagekit.lock import lock_file as module
from imagekit.lock.lock import Lock, LockedDeb, LockedInstall, LockedPlatform, LockedTree
from imagekit.lock.lock_file import (
    lock_bytes,
    lock_digest,
    lock_schema,
    parse_lock,
    read_lock,
)
from imagekit.oci.digest import Digest
from tests.support.locks import deb, lock_of

_Change = Callable[[dict[str, Any]], object]


def _image(document: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = document["platforms"]["linux/amd64"]["image"]
    return tree


def _first(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _image(document)["bootstrap"][0]
    return found


def _changed(change: _Change) -> bytes:
    document = json.loads(lock_bytes(lock_of()))
    change(document)
    return json.dumps(document).encode()


def test_a_lock_is_read_as_it_was_written() -> None:
    """Every field of it."""
    assert parse_lock(lock_bytes(lock_of())) == lock_of()


def test_each_package_has_one_line_with_sorted_keys() -> None:
    """So that a diff shows the packages that changed, and nothing else."""
    raw = lock_bytes(lock_of())
    changed = lock_bytes(
        replace(
            lock_of(),
            platforms={
                "linux/amd64": replace(
                    lock_of().platforms["linux/amd64"],
                    image=replace(
                        lock_of().platforms["linux/amd64"].image,
                        bootstrap=(deb("base-files", "12.5"), deb("libc6", "2.36-9")),
                    ),
                )
            },
        )
    )
    before, after = raw.decode().splitlines(), changed.decode().splitlines()

    assert len(before) == len(after)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1
    assert raw.endswith(b"}\n")
    assert json.loads(raw) == json.loads(json.dumps(json.loads(raw), sort_keys=True))
    line = next(line for line in before if "base-files" in line).strip().rstrip(",")
    assert list(json.loads(line)) == sorted(json.loads(line))


def test_the_digest_is_of_the_lock_and_not_of_its_file(tmp_path: Path) -> None:
    """Another indentation is no other lock."""
    (tmp_path / "recipe.lock").write_bytes(json.dumps(json.loads(lock_bytes(lock_of()))).encode())
    read = read_lock(tmp_path)

    assert read is not None
    assert lock_digest(read) == Digest.of(lock_bytes(lock_of()))


def test_a_recipe_without_a_lock_has_none(tmp_path: Path) -> None:
    """That is no fault by itself."""
    assert read_lock(tmp_path) is None


def test_a_lock_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """It would never end, or is somebody's device."""
    (tmp_path / "recipe.lock").mkdir()

    with pytest.raises(InputError):
        read_lock(tmp_path)


_REFUSED: tuple[tuple[_Change, str], ...] = (
    (lambda d: d.update(format=2), "format"),
    (lambda d: d.pop("recipe"), "recipe"),
    (lambda d: d.update(mirror="x"), "mirror"),
    (lambda d: d.update(source_date=-1), "source_date"),
    (lambda d: d.update(layers=True), "layers"),
    (lambda d: d.update(platforms={}), "platforms"),
    (lambda d: _image(d).update(more=1), r"platforms\[\.\.\.\]\.image"),
    (lambda d: _image(d).update(base="a\nb"), r"image\.base"),
    (lambda d: _first(d).update(name="../x"), r"bootstrap\[0\]\.name"),
    (lambda d: _first(d).update(name="a\n"), r"bootstrap\[0\]\.name"),
    (lambda d: _first(d).update(version="1 2"), r"bootstrap\[0\]\.version"),
    (lambda d: _first(d).update(architecture="am/d"), "architecture"),
    (lambda d: _first(d).update(sha256="sha256:" + "A" * 64), "sha256"),
    (lambda d: _first(d).update(sha256="sha512:" + "a" * 128), "sha256"),
    (lambda d: _first(d).update(size=-1), "size"),
    (lambda d: _first(d).update(size=1.5), "size"),
    (lambda d: _first(d).update(automatic="yes"), "automatic"),
    (lambda d: _first(d).update(path="pool/../../etc/x.deb"), "leads out"),
    (lambda d: _first(d).update(path="/pool/x.deb"), "leads out"),
    (lambda d: _first(d).update(path="pool//x.deb"), "leads out"),
    (lambda d: _first(d).update(path="./x.deb"), "leads out"),
    (lambda d: _first(d).update(path="pool\\x.deb"), "leads out"),
    (lambda d: _first(d).update(path=""), "path"),
    (lambda d: _first(d).update(path="pool/\x1b.deb"), "control character"),
    (lambda d: _first(d).update(archive="ftp://example.org/x"), "none of http"),
    (lambda d: _first(d).update(archive="https://u:pw@example.org/x"), "password"),
    (lambda d: _image(d)["bootstrap"].append(_first(d)), "twice"),
    (lambda d: _image(d)["files"][0].update(url="file:///etc/passwd"), "no host"),
    (lambda d: _image(d)["files"][0].update(url="https://u@example.org/x"), "password"),
    (lambda d: _image(d)["files"][0].update(digest="md5:00"), "digest"),
    (lambda d: _image(d)["installs"][0].update(manager="dnf"), "manager"),
    (lambda d: _image(d)["installs"][1]["wheels"][0].update(file="../a.whl"), "file"),
    (lambda d: _image(d)["installs"][1]["wheels"][0].update(file="a/b.whl"), "file"),
)


@pytest.mark.parametrize(
    ("change", "told"),
    _REFUSED,
    ids=[f"{number} {told}" for number, (_, told) in enumerate(_REFUSED)],
)
def test_what_is_not_understood_is_refused_with_its_place(change: _Change, told: str) -> None:
    """A lock is somebody else's file; each change alone makes it none."""
    with pytest.raises(DocumentError, match=told) as caught:
        parse_lock(_changed(change))

    assert caught.value.hint
    assert "pw" not in caught.value.message.replace("password", "")


def test_a_key_that_stands_twice_is_refused() -> None:
    """Programs take one or the other."""
    raw = lock_bytes(lock_of()).replace(b'"format": 1', b'"format": 1,\n "format": 1')

    with pytest.raises(DocumentError) as caught:
        parse_lock(raw)

    assert caught.value.code == "AMBIGUOUS_JSON"


def test_what_is_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by its bytes nor by its packages."""
    with pytest.raises(DocumentError, match="longer than"):
        parse_lock(b" " * ((64 << 20) + 1))
    monkeypatch.setattr(module, "MAX_PACKAGES", 3)
    with pytest.raises(DocumentError, match="lists 4 packages"):
        parse_lock(lock_bytes(lock_of()))


def test_the_schema_accepts_what_is_written_and_refuses_what_is_not_read() -> None:
    """It is shipped for editors and reviewers."""
    schema = lock_schema()
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)

    validator.validate(json.loads(lock_bytes(lock_of())))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(json.loads(_changed(lambda d: _first(d).update(more=1))))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(json.loads(_changed(lambda d: _first(d).update(sha256="x"))))


_DEBS = st.builds(
    LockedDeb,
    name=st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,8}", fullmatch=True),
    version=st.from_regex(r"[0-9][A-Za-z0-9.+:~-]{0,8}", fullmatch=True),
    architecture=st.sampled_from(["amd64", "all", "arm64"]),
    sha256=st.binary().map(Digest.of),
    size=st.integers(0, 1 << 40),
    path=st.from_regex(r"pool/[a-z0-9_+.-]{1,8}\.deb", fullmatch=True),
    archive=st.sampled_from(["debian", "debian-security", "https://example.org/apt"]),
    automatic=st.booleans(),
)
_MANY = st.lists(_DEBS, max_size=3, unique_by=lambda d: (d.name, d.architecture)).map(tuple)
_TREES = st.builds(
    LockedTree,
    base=st.sampled_from(["", "scratch", "debian bookworm", "recipe base/ä"]),
    image=st.none() | st.binary().map(Digest.of),
    bootstrap=_MANY,
    installs=st.lists(
        st.builds(
            LockedInstall,
            manager=st.just("apt"),
            asked=st.lists(st.from_regex(r"[a-z]{2,5}", fullmatch=True)).map(tuple),
            debs=_MANY,
        ),
        max_size=2,
    ).map(tuple),
)
_LOCKS = st.builds(
    Lock,
    recipe=st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5})?", fullmatch=True),
    source_date=st.integers(0, 253402300799),
    compressor=st.just("isal 1.7.2 level 1"),
    layers=st.integers(0, 100),
    platforms=st.dictionaries(
        st.sampled_from(["linux/amd64", "linux/arm64"]),
        st.builds(
            LockedPlatform,
            image=_TREES,
            stages=st.dictionaries(st.sampled_from(["a", "b"]), _TREES, max_size=2),
        ),
        min_size=1,
        max_size=2,
    ),
)


@given(_LOCKS)
def test_every_lock_comes_back(lock: Lock) -> None:
    """And is written in the same bytes again."""
    raw = lock_bytes(lock)

    assert parse_lock(raw) == lock
    assert lock_bytes(parse_lock(raw)) == raw
