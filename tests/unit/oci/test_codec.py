"""Manifests, indexes and configurations, read strictly and written deterministically."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.oci import codec
from imagekit.oci.digest import Digest
from imagekit.oci.types import (
    CONFIG,
    DOCKER_MANIFEST,
    INDEX,
    LAYER_GZIP,
    MANIFEST,
    Descriptor,
    History,
    ImageConfig,
    Index,
    Manifest,
    Platform,
)

_DIGEST = "sha256:" + "a" * 64


def _descriptor(**changes: Any) -> dict[str, Any]:
    return {"mediaType": CONFIG, "digest": _DIGEST, "size": 2} | changes


def _manifest(**changes: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(),
        "layers": [_descriptor(mediaType=LAYER_GZIP)],
    }
    return {key: value for key, value in (good | changes).items() if value != "absent"}


def _raw(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"schemaVersion": 1}, "BAD_DOCUMENT"),
        ({"schemaVersion": True}, "BAD_DOCUMENT"),
        ({"schemaVersion": "2"}, "BAD_DOCUMENT"),
        ({"schemaVersion": 2.0}, "BAD_DOCUMENT"),
        ({"mediaType": INDEX}, "BAD_MEDIA_TYPE"),
        ({"mediaType": 5}, "BAD_MEDIA_TYPE"),
        ({"manifests": []}, "BAD_DOCUMENT"),
        ({"fsLayers": []}, "BAD_DOCUMENT"),
        ({"config": "absent"}, "BAD_DOCUMENT"),
        ({"layers": "absent"}, "BAD_DOCUMENT"),
        ({"layers": {}}, "BAD_DOCUMENT"),
        ({"layers": [7]}, "BAD_DOCUMENT"),
        ({"layers": [_descriptor()] * 1001}, "BAD_DOCUMENT"),
        ({"config": _descriptor(size=-1)}, "BAD_DOCUMENT"),
        ({"config": _descriptor(size=True)}, "BAD_DOCUMENT"),
        ({"config": _descriptor(size=1.0)}, "BAD_DOCUMENT"),
        ({"config": _descriptor(size=2**64)}, "BAD_DOCUMENT"),
        ({"config": _descriptor(digest="sha256:../../x")}, "INVALID_DIGEST"),
        ({"config": _descriptor(digest="md5:" + "a" * 32)}, "INVALID_DIGEST"),
        ({"config": _descriptor(digest="sha256:" + "A" * 64)}, "INVALID_DIGEST"),
        ({"config": _descriptor(mediaType="text/plain\nx: y")}, "BAD_MEDIA_TYPE"),
        ({"config": _descriptor(urls=["http://169.254.169.254/"])}, "BAD_DOCUMENT"),
        ({"annotations": {"a": 1}}, "BAD_DOCUMENT"),
        ({"annotations": []}, "BAD_DOCUMENT"),
        ({"subject": []}, "BAD_DOCUMENT"),
        ({"subject": {}}, "BAD_DOCUMENT"),
        ({"artifactType": 1}, "BAD_DOCUMENT"),
        ({"Config": _descriptor()}, "AMBIGUOUS_JSON"),
    ],
)
def test_bad_manifest_is_refused(changes: dict[str, Any], code: str) -> None:
    """Each single fault is refused, with its code."""
    with pytest.raises(DocumentError) as caught:
        codec.parse_manifest(_raw(_manifest(**changes)), MANIFEST)

    assert caught.value.code == code


@pytest.mark.parametrize(
    "media_type",
    ["", "application/json", "application/vnd.docker.distribution.manifest.v1+prettyjws", "x\n"],
)
def test_unknown_media_type_is_refused(media_type: str) -> None:
    """What is neither a manifest nor an index is not read at all."""
    with pytest.raises(DocumentError) as caught:
        codec.parse_manifest(_raw(_manifest(mediaType=media_type)), media_type)

    assert caught.value.code == "BAD_MEDIA_TYPE"


def test_a_type_that_a_registry_changed_is_not_the_publisher_s_fault() -> None:
    """Servers and proxies that send all JSON alike: the message says whose type it is."""
    with pytest.raises(DocumentError) as caught:
        codec.parse_manifest(_raw(_manifest(mediaType="absent")), "text/plain")

    assert "no type of its own, and was sent as 'text/plain'" in caught.value.message
    assert "proxy" in caught.value.hint


def test_docker_manifest_must_name_its_type() -> None:
    """Only OCI's documents may leave their media type out."""
    raw = _raw(_manifest(mediaType="absent"))

    assert codec.parse_manifest(raw, MANIFEST).media_type == MANIFEST
    with pytest.raises(DocumentError):
        codec.parse_manifest(raw, DOCKER_MANIFEST)


@pytest.mark.parametrize("extra", [{"layers": []}, {"config": _descriptor()}])
def test_index_that_is_a_manifest_too_is_refused(extra: dict[str, Any]) -> None:
    """A document that reads as an index and as a manifest is neither (CVE-2021-41190)."""
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []} | extra
    with pytest.raises(DocumentError):
        codec.parse_manifest(_raw(document), INDEX)


def test_index_needs_manifests() -> None:
    """An index without its list is not an empty one."""
    with pytest.raises(DocumentError):
        codec.parse_manifest(b'{"schemaVersion":2}', INDEX)


def test_manifest_over_the_limit_is_refused() -> None:
    """More than 4 MiB are not even parsed."""
    with pytest.raises(DocumentError):
        codec.parse_manifest(b" " * (4 << 20) + _raw(_manifest()), MANIFEST)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"os": "linux"},
        {"os": "linux", "architecture": "amd64", "config": []},
        {"os": "linux", "architecture": "amd64", "config": {"Env": "A=B"}},
        {"os": "linux", "architecture": "amd64", "config": {"Env": [1]}},
        {"os": "linux", "architecture": "amd64", "config": {"Labels": {"a": None}}},
        {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": ["x"]}},
        {"os": "linux", "architecture": "amd64", "history": [{"empty_layer": "no"}]},
    ],
)
def test_bad_config_is_refused(document: dict[str, Any]) -> None:
    """A field of another type is an error and not a default."""
    with pytest.raises(DocumentError):
        codec.parse_config(_raw(document))


def test_null_is_absent() -> None:
    """Go writes null for what is empty."""
    raw = b'{"os":"linux","architecture":"amd64","config":{"Env":null,"Labels":null}}'
    config = codec.parse_config(raw)

    assert config.env == ()
    assert config.labels == {}


def test_empty_fields_are_left_out() -> None:
    """The bytes hold what is set and nothing else, with sorted keys."""
    config = ImageConfig(
        platform=Platform(os="linux", architecture="amd64"), created="", diff_ids=()
    )

    assert codec.config_bytes(config) == (
        b'{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}'
    )


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_word = st.text("abc.+-", min_size=1, max_size=9)
_digests = st.binary(max_size=8).map(Digest.of)
_maps = st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), _text, max_size=3)
_platforms = st.builds(Platform, os=_word, architecture=_word, variant=_word | st.just(""))
_descriptors = st.builds(
    Descriptor,
    media_type=_word.map("application/{}".format),
    digest=_digests,
    size=st.integers(0, 2**50),
    artifact_type=_text,
    annotations=_maps,
    platform=st.none() | _platforms,
)
_lists = st.lists(_descriptors, max_size=3).map(tuple)


@given(
    st.builds(
        Manifest,
        media_type=st.sampled_from([MANIFEST, DOCKER_MANIFEST]),
        config=_descriptors,
        layers=_lists,
        artifact_type=_text,
        subject=st.none() | _descriptors,
        annotations=_maps,
    )
)
def test_manifest_round_trip(manifest: Manifest) -> None:
    """What is written is read as the same value."""
    assert codec.parse_manifest(codec.manifest_bytes(manifest), manifest.media_type) == manifest


@given(
    st.builds(
        Index,
        media_type=st.just(INDEX),
        manifests=_lists,
        artifact_type=_text,
        subject=st.none() | _descriptors,
        annotations=_maps,
    )
)
def test_index_round_trip(index: Index) -> None:
    """What is written is read as the same value."""
    assert codec.parse_manifest(codec.index_bytes(index), INDEX) == index


_sets = st.sets(st.from_regex(r"[a-z]{1,6}", fullmatch=True)).map(lambda s: tuple(sorted(s)))
_texts = st.lists(_text, max_size=3).map(tuple)


@given(
    st.builds(
        ImageConfig,
        platform=_platforms,
        created=_text,
        diff_ids=st.lists(_digests, max_size=3).map(tuple),
        env=_texts,
        entrypoint=_texts,
        cmd=_texts,
        workdir=_text,
        user=_text,
        labels=_maps,
        exposed_ports=_sets,
        volumes=_sets,
        stop_signal=_text,
        shell=st.lists(_text, max_size=2).map(tuple),
        onbuild=st.lists(_text, max_size=2).map(tuple),
        author=_text,
        history=st.lists(
            st.builds(
                History, created=_text, created_by=_text, comment=_text, empty_layer=st.booleans()
            ),
            max_size=3,
        ).map(tuple),
    )
)
def test_config_round_trip(config: ImageConfig) -> None:
    """What is written is read as the same value."""
    assert codec.parse_config(codec.config_bytes(config)) == config


@given(st.binary(max_size=200) | _text.map(str.encode))
def test_any_bytes_give_a_document_error(raw: bytes) -> None:
    """Whatever comes, the reader answers with a DocumentError and never with another one."""
    for media_type in (MANIFEST, INDEX):
        with pytest.raises(DocumentError):
            codec.parse_manifest(raw, media_type)
    with pytest.raises(DocumentError):
        codec.parse_config(raw)
