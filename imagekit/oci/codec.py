"""Manifests, indexes and image configurations: bytes to values and back.

Strict, since whoever owns the registry wrote the bytes: a document that a Go program and this one
could read differently is refused (OCI image-spec v1.1 manifest.md, image-index.md, config.md;
CVE-2021-41190 for documents that are manifest and index at once).
"""

from collections.abc import Mapping, Sized
from typing import Any

from msgspec.structs import replace

from imagekit.documents import strictjson
from imagekit.errors import DocumentError, InvalidReferenceError
from imagekit.oci.digest import Digest
from imagekit.oci.types import (
    INDEX,
    INDEX_TYPES,
    MANIFEST,
    MANIFEST_TYPES,
    MAX_MANIFEST,
    Descriptor,
    Healthcheck,
    History,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    RawManifest,
)

# Engines mount far fewer layers (dockerd's overlay2: 128). What grows are lists of referrers.
MAX_DESCRIPTORS = 1000
"""Most layers or manifests that one document may list."""
# A thousand such sizes together are still an int64, which descriptor.md, "size", wants each to be.
_MAX_SIZE = 1 << 50
# Docker's times are Go's Duration: an int64.
_MAX_NUMBER = 1 << 63
_SCHEMA_VERSION = 2
# RFC 6838 section 4.2: type and subtype have at most 127 characters each.
_MAX_MEDIA_TYPE = 255
# RFC 6838 section 4.2, with parameters, as Sigstore's older bundles have them.
_MEDIA_TYPE = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&-^_.+/;= "
)

_HEALTH_NUMBERS = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start_period": "StartPeriod",
    "start_interval": "StartInterval",
    "retries": "Retries",
}


_TYPES = MANIFEST_TYPES | INDEX_TYPES
_CHANGED = (
    "a registry sends a manifest's own type as Content-Type: this one, or a proxy before it, sends "
    "another; ask who runs it"
)


def parse_manifest(raw: bytes, media_type: str) -> Manifest | Index:
    """Read a manifest or an index from its exact bytes.

    Args:
        raw: the bytes, their digest already checked.
        media_type: what the descriptor or the Content-Type called them.

    Raises:
        DocumentError: not a document of that media type (``BAD_DOCUMENT``, ``BAD_MEDIA_TYPE``,
            ``AMBIGUOUS_JSON``).
    """
    what = "the manifest"
    if len(raw) > MAX_MANIFEST:
        raise DocumentError(f"{what} is larger than {MAX_MANIFEST} bytes", code="BAD_DOCUMENT")
    document = strictjson.loads_object(raw, what=what)
    version = document.get("schemaVersion")
    # Go reads no whole number in 2.0, nor do the strict.
    if type(version) is not int or version != _SCHEMA_VERSION:
        raise DocumentError(f"{what} is not of schemaVersion 2", code="BAD_DOCUMENT")
    # manifest.md and image-index.md, "mediaType": it should be there, and is then the document's
    # own type. distribution-spec, "Pulling manifests": a client should refuse another one than the
    # Content-Type.
    stated = document.get("mediaType")
    if stated is None and media_type in {MANIFEST, INDEX}:
        stated = media_type  # optional in OCI's documents, not in Docker's
    if stated != media_type:
        own = "no type of its own" if stated is None else f"the type {str(stated)[:100]!r}"
        raise DocumentError(
            f"{what} has {own}, and was sent as {media_type[:100]!r}",
            hint="" if media_type in _TYPES else _CHANGED,
            code="BAD_MEDIA_TYPE",
        )
    if media_type in MANIFEST_TYPES:
        # A reader that goes by the fields and not by the type would take it for an index.
        _only(document, "manifests", what=what)
        _only(document, "fsLayers", what=what)  # Docker's schema 1
        return _manifest(document, media_type)
    if media_type in INDEX_TYPES:
        _only(document, "layers", what=what)
        _only(document, "config", what=what)
        return _index(document, media_type)
    raise DocumentError(
        f"{media_type[:100]!r} is neither a manifest nor an index", code="BAD_MEDIA_TYPE"
    )


def as_referrer(manifest: RawManifest, parsed: Manifest | Index) -> Descriptor:
    """Return the entry of a manifest in a list of referrers.

    distribution-spec, "Pushing Manifests with Subject": without an artifactType the type of the
    configuration stands in its place, and all annotations are copied.
    """
    kind = parsed.artifact_type
    # distribution-spec, "Listing Referrers": an index that states none has none.
    if not kind and isinstance(parsed, Manifest):
        kind = parsed.config.media_type
    return replace(manifest.descriptor, artifact_type=kind, annotations=parsed.annotations)


def parse_config(raw: bytes) -> ImageConfig:
    """Read the configuration of an image.

    Raises:
        DocumentError: it is not one.
    """
    what = "the image's configuration"
    document = strictjson.loads_object(raw, what=what)
    inner = _object(document, "config", what=what)
    rootfs = _object(document, "rootfs", what=what)
    # config.md, "Properties": fields that are not known must not be an error.
    return ImageConfig(
        platform=_platform(document, what=what),
        created=_text(document, "created", what=what, default=""),
        diff_ids=tuple(_digest(text, what=what) for text in _texts(rootfs, "diff_ids", what=what)),
        env=_texts(inner, "Env", what=what),
        entrypoint=_texts(inner, "Entrypoint", what=what),
        cmd=_texts(inner, "Cmd", what=what),
        workdir=_text(inner, "WorkingDir", what=what, default=""),
        user=_text(inner, "User", what=what, default=""),
        labels=_annotations(inner, "Labels", what=what),
        exposed_ports=tuple(_object(inner, "ExposedPorts", what=what)),
        volumes=tuple(_object(inner, "Volumes", what=what)),
        stop_signal=_text(inner, "StopSignal", what=what, default=""),
        healthcheck=_healthcheck(inner, what=what),
        shell=_texts(inner, "Shell", what=what),
        onbuild=_texts(inner, "OnBuild", what=what),
        author=_text(document, "author", what=what, default=""),
        history=tuple(_history(entry) for entry in _list(document, "history", what=what)),
    )


def manifest_bytes(manifest: Manifest) -> bytes:
    """Write a manifest: the same value gives the same bytes."""
    document: dict[str, Any] = {
        "schemaVersion": _SCHEMA_VERSION,
        # distribution-spec, "Pushing Manifests": it should be there, and is then the Content-Type.
        "mediaType": manifest.media_type,
        "config": descriptor_document(manifest.config),
        "layers": [descriptor_document(layer) for layer in manifest.layers],
    }
    return strictjson.dumps(document | _optional(manifest))


def index_bytes(index: Index) -> bytes:
    """Write an index: the same value gives the same bytes."""
    document: dict[str, Any] = {
        "schemaVersion": _SCHEMA_VERSION,
        "mediaType": index.media_type,
        "manifests": [descriptor_document(entry) for entry in index.manifests],
    }
    return strictjson.dumps(document | _optional(index))


def config_bytes(config: ImageConfig) -> bytes:
    """Write the configuration of an image: the same value gives the same bytes."""
    inner = {
        "Env": list(config.env),
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.cmd),
        "WorkingDir": config.workdir,
        "User": config.user,
        "Labels": dict(config.labels),
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Volumes": {volume: {} for volume in config.volumes},
        "StopSignal": config.stop_signal,
        "Healthcheck": _healthcheck_document(config.healthcheck),
        "Shell": list(config.shell),
        "OnBuild": list(config.onbuild),
    }
    document: dict[str, Any] = {
        "created": config.created,
        "author": config.author,
        "config": {key: value for key, value in inner.items() if value},
        # config.md, "rootfs": no other type is allowed.
        "rootfs": {"type": "layers", "diff_ids": [str(digest) for digest in config.diff_ids]},
        "history": [_history_document(entry) for entry in config.history],
    }
    filled = {key: value for key, value in document.items() if value}
    # config.md, "Properties": os and architecture are required, so that they are not filtered.
    return strictjson.dumps(filled | _platform_document(config.platform))


def parse_descriptor(document: object, *, what: str = "a descriptor") -> Descriptor:
    """Read a descriptor from its JSON object.

    Raises:
        DocumentError: it is not one.
    """
    if not isinstance(document, dict):
        raise DocumentError(f"{what} is not an object", code="BAD_DOCUMENT")
    size = document.get("size")
    # descriptor.md, "size": required and not negative. True and False are integers to Python.
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_SIZE:
        raise DocumentError(f"{what} has no valid size", code="BAD_DOCUMENT")
    # descriptor.md, "urls": optional. A server that the document names is none that the user chose.
    if document.get("urls"):
        raise DocumentError(
            f"{what} takes its content from foreign URLs, which is not supported",
            code="BAD_DOCUMENT",
        )
    platform = document.get("platform")
    return Descriptor(
        media_type=_media_type(document, what=what),
        digest=_digest(_text(document, "digest", what=what), what=what),
        size=size,
        artifact_type=_text(document, "artifactType", what=what, default=""),
        annotations=_annotations(document, "annotations", what=what),
        platform=None
        if platform is None
        else _platform(_object(document, "platform", what=what), what=what),
    )


def descriptor_document(descriptor: Descriptor) -> dict[str, Any]:
    """Return a descriptor as its JSON object."""
    document: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.artifact_type:
        document["artifactType"] = descriptor.artifact_type
    if descriptor.annotations:
        document["annotations"] = dict(descriptor.annotations)
    if descriptor.platform is not None:
        document["platform"] = _platform_document(descriptor.platform)
    return document


def _manifest(document: dict[str, Any], media_type: str) -> Manifest:
    what = "the manifest"
    # Go reads a missing list as an empty one, so that any object of this type would be an image.
    if "layers" not in document:
        raise DocumentError(f"{what} lists no layers", code="BAD_DOCUMENT")
    layers = _list(document, "layers", what=what)
    return Manifest(
        media_type=media_type,
        config=parse_descriptor(document.get("config"), what=f"config of {what}"),
        layers=tuple(
            parse_descriptor(layer, what=f"layer {position} of {what}")
            for position, layer in enumerate(layers)
        ),
        artifact_type=_text(document, "artifactType", what=what, default=""),
        subject=_subject(document),
        annotations=_annotations(document, "annotations", what=what),
    )


def _index(document: dict[str, Any], media_type: str) -> Index:
    what = "the index"
    # image-index.md, "manifests": required, though it may be empty.
    if "manifests" not in document:
        raise DocumentError(f"{what} lists no manifests", code="BAD_DOCUMENT")
    entries = _list(document, "manifests", what=what)
    return Index(
        media_type=media_type,
        manifests=tuple(
            parse_descriptor(entry, what=f"manifest {position} of {what}")
            for position, entry in enumerate(entries)
        ),
        artifact_type=_text(document, "artifactType", what=what, default=""),
        subject=_subject(document),
        annotations=_annotations(document, "annotations", what=what),
    )


def _subject(document: dict[str, Any]) -> Descriptor | None:
    subject = document.get("subject")
    return None if subject is None else parse_descriptor(subject, what="the subject")


def _optional(document: Manifest | Index) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if document.artifact_type:
        extra["artifactType"] = document.artifact_type
    if document.subject is not None:
        extra["subject"] = descriptor_document(document.subject)
    if document.annotations:
        extra["annotations"] = dict(document.annotations)
    return extra


def _only(document: dict[str, Any], key: str, *, what: str) -> None:
    if key in document:
        raise DocumentError(
            f"{what} is two kinds of document at once: it has {key!r} too", code="BAD_DOCUMENT"
        )


def _platform(document: dict[str, Any], *, what: str) -> Platform:
    return Platform(
        os=_text(document, "os", what=what),
        architecture=_text(document, "architecture", what=what),
        variant=_text(document, "variant", what=what, default=""),
    )


def _platform_document(platform: Platform) -> dict[str, str]:
    document = {"os": platform.os, "architecture": platform.architecture}
    return document | ({"variant": platform.variant} if platform.variant else {})


def _healthcheck(document: dict[str, Any], *, what: str) -> Healthcheck | None:
    healthcheck = _object(document, "Healthcheck", what=what)
    test = _texts(healthcheck, "Test", what=what)
    numbers = {
        field: _number(healthcheck, key, what=what) for field, key in _HEALTH_NUMBERS.items()
    }
    return Healthcheck(test=test, **numbers) if test or any(numbers.values()) else None


def _healthcheck_document(check: Healthcheck | None) -> dict[str, Any]:
    if check is None:
        return {}
    numbers = {key: getattr(check, field) for field, key in _HEALTH_NUMBERS.items()}
    document = {"Test": list(check.test), **numbers}
    return {key: value for key, value in document.items() if value}


def _number(document: Mapping[str, Any], key: str, *, what: str) -> int:
    value = document.get(key)
    if value is None:
        return 0
    # Not by isinstance: True is an integer to Python.
    if type(value) is not int or not 0 <= value < _MAX_NUMBER:
        raise DocumentError(f"{what} has no valid number for {key!r}", code="BAD_DOCUMENT")
    return value


def _history(entry: object) -> History:
    what = "the image's history"
    if not isinstance(entry, dict):
        raise DocumentError(f"{what} is not made of objects", code="BAD_DOCUMENT")
    return History(
        created=_text(entry, "created", what=what, default=""),
        created_by=_text(entry, "created_by", what=what, default=""),
        comment=_text(entry, "comment", what=what, default=""),
        empty_layer=_claim(entry, "empty_layer", what=what),
    )


def _history_document(entry: History) -> dict[str, Any]:
    document = {
        "created": entry.created,
        "created_by": entry.created_by,
        "comment": entry.comment,
        "empty_layer": entry.empty_layer,
    }
    # Go takes an empty text for a malformed time, and no time for none.
    return {key: value for key, value in document.items() if value}


def _text(document: Mapping[str, Any], key: str, *, what: str, default: str | None = None) -> str:
    value = document.get(key, default)
    # config.md, "Properties": an optional field may be null, which is the same as absent.
    if value is None:
        value = default
    if not isinstance(value, str):
        raise DocumentError(f"{what} has no text for {key!r}", code="BAD_DOCUMENT")
    return value


def _media_type(document: Mapping[str, Any], *, what: str) -> str:
    value = _text(document, "mediaType", what=what)
    if len(value) > _MAX_MEDIA_TYPE or not _MEDIA_TYPE.issuperset(value) or "/" not in value:
        raise DocumentError(f"{what} has no media type in 'mediaType'", code="BAD_MEDIA_TYPE")
    return value


def _claim(document: Mapping[str, Any], key: str, *, what: str) -> bool:
    value = document.get(key, False)
    if not isinstance(value, bool):
        raise DocumentError(f"{what} has neither true nor false for {key!r}", code="BAD_DOCUMENT")
    return value


def _list(document: Mapping[str, Any], key: str, *, what: str) -> list[Any]:
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise DocumentError(f"{what} has no list for {key!r}", code="BAD_DOCUMENT")
    _bound(value, key, what=what)
    return value


def _object(document: Mapping[str, Any], key: str, *, what: str) -> dict[str, Any]:
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DocumentError(f"{what} has no object for {key!r}", code="BAD_DOCUMENT")
    _bound(value, key, what=what)
    return value


def _bound(value: Sized, key: str, *, what: str) -> None:
    if len(value) > MAX_DESCRIPTORS:
        raise DocumentError(f"{what} has over {MAX_DESCRIPTORS} {key}", code="BAD_DOCUMENT")


def _texts(document: Mapping[str, Any], key: str, *, what: str) -> tuple[str, ...]:
    values = _list(document, key, what=what)
    if not all(isinstance(value, str) for value in values):
        raise DocumentError(f"{what} has no texts for {key!r}", code="BAD_DOCUMENT")
    return tuple(values)


def _annotations(document: Mapping[str, Any], key: str, *, what: str) -> dict[str, str]:
    values = _object(document, key, what=what)
    if not all(isinstance(value, str) for value in values.values()):
        raise DocumentError(f"{what} has {key!r} that are not texts", code="BAD_DOCUMENT")
    return dict(values)


def _digest(text: str, *, what: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidReferenceError as error:
        raise DocumentError(f"{what}: {error.message}", code="INVALID_DIGEST") from error
