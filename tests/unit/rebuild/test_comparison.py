"""Two images are equal, or each field that differs is named with its layer and its file."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from imagekit.errors import DocumentError
from imagekit.oci.codec import config_bytes, manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import Repository
from imagekit.oci.types import (
    CONFIG,
    LAYER_GZIP,
    MANIFEST,
    Descriptor,
    ImageConfig,
    Manifest,
    Platform,
)
from imagekit.rebuild.comparison import Comparison, Difference, OpenedImage, compare, opened

REPOSITORY = Repository("localhost", "app")
Member = tuple[tarfile.TarInfo, bytes]
Make = Callable[..., OpenedImage]


def file(name: str, content: bytes = b"x", **fields: object) -> Member:
    """Return a file of an archive."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in fields.items():
        setattr(member, key, value)
    return member, content


def link(name: str, target: str) -> Member:
    """Return a link of an archive."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member, b""


def archive(members: Iterable[Member]) -> bytes:
    """Return an archive of the members."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as out:
        for member, content in members:
            out.addfile(member, io.BytesIO(content))
    return raw.getvalue()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return what makes an image of some layers."""
    registry = LayoutRegistry(LayoutStore.create(tmp_path / "layout"))

    def image(
        *layers: bytes, level: int = 1, diff_ids: tuple[Digest, ...] = (), **config: object
    ) -> OpenedImage:
        packed = [gzip.compress(layer, level, mtime=0) for layer in layers]
        described = [registry.put_bytes(REPOSITORY, LAYER_GZIP, raw) for raw in packed]
        written = config_bytes(
            ImageConfig(
                platform=Platform(os="linux", architecture="amd64"),
                created="2026-01-01T00:00:00Z",
                diff_ids=diff_ids or tuple(Digest.of(layer) for layer in layers),
                **config,  # type: ignore[arg-type]  # one test's own fields
            )
        )
        manifest = Manifest(
            media_type=MANIFEST,
            config=registry.put_bytes(REPOSITORY, CONFIG, written),
            layers=tuple(
                Descriptor(media_type=LAYER_GZIP, digest=entry.digest, size=entry.size)
                for entry in described
            ),
        )
        reference = registry.put_manifest(REPOSITORY, MANIFEST, manifest_bytes(manifest))
        return opened(registry, reference)

    return image


def only(comparison: Comparison) -> Difference:
    """Return the one difference."""
    assert comparison.result == "different"
    (difference,) = comparison.differences
    return difference


def test_equal_images_are_identical_and_nothing_of_them_is_read(make: Make) -> None:
    """By their digests alone."""
    image = make(archive([file("a")]))

    found = compare(image, image)

    assert (found.result, found.agrees, found.differences) == ("identical", True, ())


def test_another_compressor_changes_nothing(make: Make) -> None:
    """The digests differ, and what is in the layers does not."""
    layer = archive([file("a", b"text" * 5000)])

    found = compare(make(layer, level=1), make(layer, level=9))

    assert found.published != found.rebuilt
    assert (found.result, found.agrees) == ("same-content", True)


def test_a_layer_that_is_not_what_its_image_says_is_told(make: Make) -> None:
    """Else a configuration could claim the diffIDs that another build will have."""
    honest, other = archive([file("a", b"good")]), archive([file("a", b"evil")])

    found = compare(make(other, diff_ids=(Digest.of(honest),)), make(honest))

    assert only(found).field == "diffID"
    assert only(found).published == str(Digest.of(other))


@pytest.mark.parametrize(
    ("published", "rebuilt", "field", "values"),
    [
        (file("a", b"x"), file("a", b"y"), "content", ("sha256:2d711642", "sha256:a1fce436")),
        (file("a", mode=0o644), file("a", mode=0o600), "mode", ("0644", "0600")),
        (file("a", uid=1, gid=2), file("a"), "owner", ("1:2", "0:0")),
        (file("a", uid=9_999_999_999), file("a"), "owner", ("9999999999:0", "0:0")),
        (file("a", mtime=5), file("a", mtime=6), "mtime", ("5", "6")),
        (file("a", mtime=6.5), file("a", mtime=6), "mtime", None),
        (link("a", "b"), link("a", "c"), "target", ("b", "c")),
        (
            file("a", pax_headers={"SCHILY.xattr.user.a": "1"}),
            file("a"),
            "records",
            ("(('SCHILY.xattr.user.a', '1'),)", "()"),
        ),
    ],
)
def test_each_field_of_a_file_is_compared(
    make: Make,
    published: Member,
    rebuilt: Member,
    field: str,
    values: tuple[str, str] | None,
) -> None:
    """A field that was left out of the comparison would be a difference that nobody sees."""
    kept = file("kept", b"the same")

    found = compare(make(archive([kept, published])), make(archive([kept, rebuilt])))

    difference = only(found)
    assert (difference.layer, difference.path, difference.field) == (1, "a", field)
    if values is not None:
        assert difference.published.startswith(values[0])
        assert difference.rebuilt.startswith(values[1])


def test_what_only_one_has_is_told(make: Make) -> None:
    """In both directions, and of the layer where it is."""
    base = archive([file("base")])
    found = compare(
        make(base, archive([file("a"), file("gone")])),
        make(base, archive([file("a"), link("new", "a")])),
    )

    assert [(d.layer, d.path, d.published, d.rebuilt) for d in found.differences] == [
        (2, "gone", "file", "absent"),
        (2, "new", "absent", "symlink"),
    ]


def test_entries_in_another_order_are_another_layer(make: Make) -> None:
    """No file differs, and the layers do: that is never passed over."""
    found = compare(make(archive([file("a"), file("b")])), make(archive([file("b"), file("a")])))

    assert only(found).field == "order of entries"


def test_what_the_configuration_says_is_compared(make: Make) -> None:
    """By the name of each value."""
    layer = archive([file("a")])

    found = compare(make(layer, env=("A=1",)), make(layer, env=("A=2",)))

    difference = only(found)
    assert (difference.layer, difference.path) == (None, "config.Env[0]")
    assert (difference.published, difference.rebuilt) == ("A=1", "A=2")


def test_a_number_of_layers_that_the_configuration_does_not_have_is_refused(make: Make) -> None:
    """Which file would be in which layer is not known then."""
    layer = archive([file("a")])

    with pytest.raises(DocumentError, match="other layers than its configuration says"):
        make(layer, diff_ids=(Digest.of(layer), Digest.of(b"")))


def test_a_layer_less_is_told(make: Make) -> None:
    """The layers that both have are compared."""
    first, second = archive([file("a")]), archive([file("b")])

    found = compare(make(first, second), make(first))

    assert found.result == "different"
    assert {d.path for d in found.differences} >= {"manifest.layers[1].mediaType"}


def test_thousands_of_differences_are_counted_and_not_all_told(make: Make) -> None:
    """What is told is bounded."""
    one = archive(file(f"f{number}", b"x") for number in range(1500))
    two = archive(file(f"f{number}", b"y") for number in range(1500))

    found = compare(make(one), make(two))

    assert (len(found.differences), found.more) == (1000, 500)
    assert found.summary == "1500 differences"


def test_names_and_attributes_of_any_length_are_not_held(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their bytes are bounded together, as entries are."""
    monkeypatch.setattr("imagekit.rebuild.layer_states.MAX_TEXT", 10_000)
    long = file("a", pax_headers={"SCHILY.xattr.user.a": "x" * 20_000})

    with pytest.raises(DocumentError, match="names and attributes"):
        compare(make(archive([long])), make(archive([file("a")])))
