"""Layers that were read before: the same SBOM, and nothing that a foreign image could choose."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build import catalogued
from imagekit.build.catalogued import Budget
from imagekit.build.image import Origin
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import Repository
from imagekit.oci.types import LAYER_GZIP
from imagekit.sbom import catalogue_cache
from imagekit.sbom.catalogue import catalogue
from imagekit.sbom.catalogue_cache import CatalogueCache
from imagekit.sbom.contents import LayerFiles, Subject
from imagekit.sbom.layer_files import read_layer
from imagekit.sbom.sbom import catalogue_image, render
from tests.support.built import built_image

Tar = Callable[[Mapping[str, bytes]], bytes]
ELF = b"\x7fELF" + bytes(60)
MORE = b"Package: b\nStatus: install ok installed\nVersion: 2\nArchitecture: all\n"


class Reading:
    """Reads layers by the cache, or by nothing, and counts how often one was really read."""

    def __init__(self, folder: Path | None) -> None:
        self.reads = 0
        self._cache = None if folder is None else CatalogueCache(folder)

    def layer(
        self, raw: bytes, *, budget: Budget, origin: Origin = Origin.RECIPE, diff_id: str = ""
    ) -> LayerFiles:
        """Return what cataloguing needs of a layer."""
        layer, digest_programs = diff_id or str(Digest.of(raw)), origin is Origin.RECIPE

        def make() -> LayerFiles:
            self.reads += 1
            return read_layer(
                [raw], layer=layer, origin=origin, digest_programs=digest_programs, budget=budget
            )

        if self._cache is None:
            return make()
        return self._cache.read(
            Digest.of(raw),
            layer=layer,
            origin=origin,
            digest_programs=digest_programs,
            budget=budget,
            make=make,
        )

    def sbom(self, layers: Sequence[bytes]) -> bytes:
        """Return the SBOM of an image of these layers, the lowest first."""
        budget = Budget()
        files = [self.layer(raw, budget=budget) for raw in layers]
        return render(catalogue(files, subject=Subject(name="app")))


@pytest.fixture
def layers(tar: Tar, base_files: Mapping[str, bytes]) -> tuple[bytes, ...]:
    """A base, a layer that takes of it, and one that hides a folder."""
    return (
        tar({**base_files, "opt/a/tool": ELF, "opt/b/tool": ELF, "opt/c/tool": ELF}),
        tar({"opt/a/.wh.tool": b"", "opt/b/.wh..wh..opq": b"", "opt/b/new": ELF + b"new"}),
        tar({"opt/d/tool": ELF, "opt/.wh.c": b""}),
    )


def test_the_sbom_is_the_same_with_and_without(layers: Sequence[bytes], tmp_path: Path) -> None:
    """Also what is taken away and hidden: a layer means the same above any other."""
    plain = Reading(None)
    cold, warm = Reading(tmp_path), Reading(tmp_path)
    orders = [layers, layers[::-1], layers[:2], layers[::2]]
    expected = [plain.sbom(order) for order in orders]

    assert [cold.sbom(order) for order in orders] == expected
    assert [warm.sbom(order) for order in orders] == expected
    assert len(set(expected)) == len(orders)
    assert (cold.reads, warm.reads) == (3, 0)


def test_a_record_that_was_altered_is_read_again(layers: Sequence[bytes], tmp_path: Path) -> None:
    """A bit, the end, or all of it."""
    expected = Reading(tmp_path).sbom(layers[:1])
    (record,) = tmp_path.iterdir()
    good = record.read_bytes()
    for bad in (good[:-1], b"", good[:100] + bytes([good[100] ^ 1]) + good[101:], bytes(200)):
        record.write_bytes(bad)
        reading = Reading(tmp_path)

        assert (reading.sbom(layers[:1]), reading.reads) == (expected, 1)


def test_other_code_reads_again(
    layers: Sequence[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may keep something else of the same layer."""
    Reading(tmp_path).sbom(layers)
    monkeypatch.setattr(catalogue_cache, "_code", lambda: "other")
    reading = Reading(tmp_path)
    reading.sbom(layers)

    assert reading.reads == 3


def test_a_layer_whose_programs_are_digested_is_another_record(tar: Tar, tmp_path: Path) -> None:
    """What was read of it as a base lacks their digests; what it is called is not kept."""
    raw, reading = tar({"opt/tool": ELF}), Reading(tmp_path)

    base = reading.layer(raw, budget=Budget(), origin=Origin.BASE, diff_id="one")
    own = reading.layer(raw, budget=Budget(), diff_id="two")
    packages = reading.layer(raw, budget=Budget(), origin=Origin.PACKAGES, diff_id="three")

    assert base.files["opt/tool"].sha256 == ""
    assert own.files["opt/tool"].sha256 == hashlib.sha256(ELF).hexdigest()
    assert (packages.layer, packages.origin, packages.elf) == ("three", Origin.PACKAGES, base.elf)
    assert reading.reads == 2


def test_a_foreign_layer_that_names_a_known_diff_id_is_read(tmp_path: Path) -> None:
    """A configuration may claim any diffID: a record is found by the bytes that were checked."""
    cache, image = CatalogueCache(tmp_path / "cache"), built_image(tmp_path / "layout")
    catalogue_image(image, None, cache=cache)
    (layer,) = image.layers
    store = LayoutRegistry(LayoutStore(image.layout))
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        info = tarfile.TarInfo("var/lib/dpkg/status")
        info.size = len(MORE)
        tar.addfile(info, io.BytesIO(MORE))
    other = store.put_bytes(
        Repository("localhost", "app"), LAYER_GZIP, gzip.compress(raw.getvalue())
    )
    lying = replace(image, layers=(replace(layer, descriptor=other),))

    sbom = catalogue_image(lying, None, cache=cache)

    assert [component.name for component in sbom.components] == ["b"]


def test_what_a_record_took_is_taken_again(layers: Sequence[bytes], tmp_path: Path) -> None:
    """The bounds are those of all layers of an image together."""
    cold, warm = Budget(), Budget()
    Reading(tmp_path).layer(layers[0], budget=cold)
    reading = Reading(tmp_path)
    reading.layer(layers[0], budget=warm)
    short = Budget()
    short.links.left = short.names.left = 0
    found = reading.layer(layers[0], budget=short)

    assert warm.left() == cold.left()
    assert reading.reads == 1
    assert "paths are not looked at" in " ".join(found.notes)


def test_a_layer_that_was_not_read_whole_is_not_kept(
    layers: Sequence[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How much of it is left out depends on the layers below it."""
    monkeypatch.setattr(catalogued, "MAX_DEPTH", 1)
    Reading(tmp_path).layer(layers[0], budget=Budget())

    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_used_costs_nothing(
    layers: Sequence[bytes], tmp_path: Path
) -> None:
    """The layer is read."""
    (tmp_path / "file").touch()
    reading = Reading(tmp_path / "file")

    assert reading.sbom(layers) == Reading(None).sbom(layers)


def test_what_is_kept_is_bounded(tar: Tar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes of one and of all, and in records: the one that was used last stays."""
    monkeypatch.setattr(catalogue_cache, "_MAX_FILES", 2)
    reading = Reading(tmp_path)
    for number in range(4):
        reading.layer(tar({f"opt/tool{number}": ELF}), budget=Budget())
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.setattr(catalogue_cache, "MAX_ONE", 10)
    reading.layer(tar({"opt/large": ELF}), budget=Budget())
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.setattr(catalogue_cache, "MAX_ONE", 1 << 20)
    monkeypatch.setattr(catalogue_cache, "MAX_KEPT", 10)
    reading.layer(tar({"opt/last": ELF}), budget=Budget())

    assert not list(tmp_path.iterdir())
