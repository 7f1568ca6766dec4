"""Two builds of one recipe, compared: equal, or which layer, file and field differ and why.

Images are equal by the digest of their manifests. Where only a layer's compressed bytes differ,
another version of the compressor made them: what the layers hold is then compared by their diffIDs
(OCI image-spec, config.md, "Layer DiffID"), which is what must agree everywhere.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Literal, TypeVar

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.documents.quantity import count
from imagekit.errors import DocumentError
from imagekit.oci.codec import parse_config
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference
from imagekit.oci.registry.host_image import host_image
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import MAX_MANIFEST, Manifest
from imagekit.rebuild.causes import cause_of
from imagekit.rebuild.layer_states import EntryState, file_contents, layer_states, unpacked_digest

MAX_DIFFERENCES = 1000
"""Most differences that are told; how many there are is told as well."""
_MAX_LOOKED_INTO = 100
"""Most files of a layer whose bytes are looked into."""
_MAX_VALUE = 200
_OF_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "mtime": "it was given a time before the image's own: `touch` it with $SOURCE_DATE_EPOCH",
        "owner": "a step gives it a number that is another one on each host",
        "mode": "a step's umask, or a chmod that depends on the host",
    }
)
# What differs in these is told of the layers' files.
_OF_LAYERS = re.compile(r"rootfs\.diff_ids\[\d+\]")
_OF_BLOBS = re.compile(r"(config|layers\[\d+\])\.(digest|size)")
_Value = TypeVar("_Value")


class OpenedImage(Struct, frozen=True, kw_only=True):
    """One of the two images, and where its layers are read, each checked against its digest."""

    reader: RegistryReader
    reference: PinnedReference
    raw: bytes
    """The exact bytes of its manifest."""
    manifest: Manifest
    config: bytes

    @property
    def digest(self) -> Digest:
        """The digest of its manifest."""
        return self.reference.digest

    def layer(self, number: int) -> AbstractContextManager[Iterator[bytes]]:
        """Open a layer, by its number from 0, as it lies in its registry."""
        return self.reader.stream(self.reference.repository, self.manifest.layers[number])


def opened(reader: RegistryReader, reference: Reference) -> OpenedImage:
    """Return an image of this host's platform, to be compared.

    Raises:
        InputError: an index has no image for this host.
        DocumentError: it is no image, or is not one whose layers can be compared.
        RegistryError: the registry did not answer.
        IntegrityError: bytes differ from their digest.
    """
    pinned, raw, manifest = host_image(reader, reference)
    config = reader.blob(pinned.repository, manifest.config, limit=MAX_MANIFEST)
    # image-spec config.md, rootfs: one diffID for each layer, from first to last.
    if len(parse_config(config).diff_ids) != len(manifest.layers):
        raise DocumentError(
            f"{pinned} has other layers than its configuration says", code="BAD_DOCUMENT"
        )
    return OpenedImage(
        reader=reader, reference=pinned, raw=raw.raw, manifest=manifest, config=config
    )


class Difference(Struct, frozen=True, kw_only=True):
    """One field that differs."""

    layer: int | None
    """The number of the layer from 1; None for the configuration."""
    path: str
    """Of the file below the root; of the configuration the name of its field."""
    field: str
    """``content``, ``mode``, ``owner``, ``mtime``, ``target``, ``kind``, ``presence`` ..."""
    published: str
    rebuilt: str
    cause: str = ""
    """What it probably comes from, and what to do; empty where that is not known."""


class Comparison(Struct, frozen=True, kw_only=True):
    """What came of comparing the published image with the one that was built again."""

    result: Literal["identical", "same-content", "different"]
    """``same-content`` where only the compressed form of layers differs."""
    published: Digest
    rebuilt: Digest
    differences: tuple[Difference, ...] = ()
    more: int = 0
    """How many further differences there are."""

    @property
    def agrees(self) -> bool:
        """Whether the images hold the same."""
        return self.result != "different"

    @property
    def summary(self) -> str:
        """What came of it, in a few words."""
        match self.result:
            case "identical":
                return "the same digest"
            case "same-content":
                return "the same files; another compressor made other layers of them"
            case "different":
                number = len(self.differences) + self.more
                return count(number, "difference")


def compare(published: OpenedImage, rebuilt: OpenedImage) -> Comparison:
    """Compare two images.

    Raises:
        DocumentError: a layer or a configuration cannot be read.
        RegistryError: the registry did not answer.
    """
    if published.digest == rebuilt.digest:
        return Comparison(result="identical", published=published.digest, rebuilt=rebuilt.digest)
    told: list[Difference] = []
    more = 0
    for difference in _differences(published, rebuilt):
        if len(told) < MAX_DIFFERENCES:
            told.append(difference)
        else:
            more += 1
    return Comparison(
        result="different" if told else "same-content",
        published=published.digest,
        rebuilt=rebuilt.digest,
        differences=tuple(told),
        more=more,
    )


def _differences(published: OpenedImage, rebuilt: OpenedImage) -> Iterator[Difference]:
    yield from _of_documents(published.config, rebuilt.config, prefix="", passed=_OF_LAYERS)
    yield from _of_documents(published.raw, rebuilt.raw, prefix="manifest.", passed=_OF_BLOBS)
    ids = [parse_config(image.config).diff_ids for image in (published, rebuilt)]
    for number, (first, other) in enumerate(zip(*ids, strict=False)):
        if first != other:
            yield from _of_layers(published, rebuilt, number)
        elif published.manifest.layers[number].digest != rebuilt.manifest.layers[number].digest:
            yield from _of_diff_id(published, number, first)


def _of_documents(
    first: bytes, other: bytes, *, prefix: str, passed: re.Pattern[str]
) -> Iterator[Difference]:
    """Yield what differs between two configurations, or two manifests.

    Args:
        first: the published one.
        other: the one that was built again.
        prefix: what stands before names of values.
        passed: the names of values that are not compared.
    """
    documents = [
        dict(_flat(strictjson.loads_object(raw, what="the image's document")))
        for raw in (first, other)
    ]
    for name, (first_value, other_value) in _changed(documents[0], documents[1]):
        if not passed.fullmatch(name):
            yield Difference(
                layer=None,
                path=f"{prefix}{name}",
                field="value",
                published=_value(first_value),
                rebuilt=_value(other_value),
            )


def _of_diff_id(published: OpenedImage, number: int, stated: Digest) -> Iterator[Difference]:
    """Yield a difference where a published layer is not what its image says that it unpacks to."""
    name = published.manifest.layers[number].digest.short
    with published.layer(number) as pieces:
        found = unpacked_digest(pieces, layer=name)
    if found != stated:
        yield Difference(
            layer=number + 1, path="", field="diffID", published=str(found), rebuilt=str(stated)
        )


def _of_layers(published: OpenedImage, rebuilt: OpenedImage, number: int) -> Iterator[Difference]:
    """Yield what differs between the two layers of a number, counted from 0."""
    images = (published, rebuilt)
    states = [_states(image, number) for image in images]
    changed = tuple(_changed(*states))
    if not changed:
        first_value, other_value = (
            str(parse_config(image.config).diff_ids[number]) for image in images
        )
        yield Difference(
            layer=number + 1,
            path="",
            field="order of entries",
            published=first_value,
            rebuilt=other_value,
        )
    files = [
        path
        for path, (first, other) in changed
        if first is not None and other is not None and first.content != other.content
    ][:_MAX_LOOKED_INTO]
    contents = [_contents(image, number, files) for image in images] if files else [{}, {}]
    for path, (first, other) in changed:
        cause = cause_of(path, contents[0].get(path, b""), contents[1].get(path, b""))
        for field, first_value, other_value in _fields(first, other):
            yield Difference(
                layer=number + 1,
                path=path,
                field=field,
                published=first_value,
                rebuilt=other_value,
                cause=_OF_FIELDS.get(field, cause),
            )


def _states(image: OpenedImage, number: int) -> Mapping[str, EntryState]:
    with image.layer(number) as pieces:
        return layer_states(pieces, layer=image.manifest.layers[number].digest.short)


def _contents(image: OpenedImage, number: int, files: Sequence[str]) -> Mapping[str, bytes]:
    name = image.manifest.layers[number].digest.short
    with image.layer(number) as pieces:
        return file_contents(pieces, frozenset(files), layer=name)


def _fields(first: EntryState | None, other: EntryState | None) -> Iterator[tuple[str, str, str]]:
    """Yield the fields in which the states of one path differ, each with its two values."""
    if first is None or other is None:
        words = ["absent" if state is None else state.kind for state in (first, other)]
        yield "presence", words[0], words[1]
        return
    for name in EntryState.__struct_fields__:
        first_value, other_value = getattr(first, name), getattr(other, name)
        if first_value != other_value:
            yield name, _field(name, first_value), _field(name, other_value)


def _field(name: str, value: object) -> str:
    if name == "mode":
        return f"{value:04o}"
    if name == "content":
        return f"sha256:{value}"
    return _value(value)


def _value(value: object) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + "..."


def _changed(
    first: Mapping[str, _Value], other: Mapping[str, _Value]
) -> Iterator[tuple[str, tuple[_Value | None, _Value | None]]]:
    """Yield what only one mapping has, or has with another value, in the order of the keys."""
    for key in sorted(first.keys() | other.keys()):
        pair = first.get(key), other.get(key)
        if pair[0] != pair[1]:
            yield key, pair


def _flat(document: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield the values of a document that hold no others, each with its whole name."""
    if isinstance(document, dict) and document:
        for key, value in document.items():
            yield from _flat(value, f"{name}.{key}" if name else key)
    elif isinstance(document, list) and document:
        for number, value in enumerate(document):
            yield from _flat(value, f"{name}[{number}]")
    else:
        yield name, document
