"""JSON documents of registries."""

import json

from imagekit.build.image import BuiltLayer, Origin
from imagekit.build.job import BuildResult, CachedLayer
from imagekit.documents import strictjson
from imagekit.documents.record import from_document, to_document
from imagekit.errors import DocumentError
from imagekit.oci import codec
from imagekit.oci.digest import Digest
from imagekit.oci.types import (
    BUNDLE,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    IN_TOTO,
    INDEX,
    INDEX_TYPES,
    LAYER,
    MANIFEST,
    Descriptor,
    Index,
    Manifest,
)
from imagekit.progress import Command, Done, Note, OutputLine
from imagekit.sbom.sbom_diff import diff_document, diff_markdown, diff_sboms, diff_text
from imagekit.sbom.sbom_listing import SbomListing, parse_listing
from imagekit.sbom.sbom_views import by_licence, group_lines, tree_lines
from imagekit.signatures.bundle import CertificateBundle, key_bundle_bytes, parse_bundle
from imagekit.signatures.dsse import Envelope
from imagekit.signatures.intoto import (
    COSIGN_SIGN,
    CYCLONEDX,
    Statement,
    StatementSubject,
    parse_statement,
    statement_bytes,
    statement_of,
)
from imagekit.signatures.publickey import PublicKey
from imagekit.signatures.release import (
    parse_release,
    parse_withdrawal,
    release_predicate,
    withdrawal_predicate,
)
from imagekit.signatures.simplesigning import SimpleSigning, parse_payload, payload_bytes
from tests.attacks.fuzz.target import Target, documents, same

_DIGEST = "sha256:" + "a" * 64
_CONFIG = {
    "mediaType": "application/vnd.oci.image.config.v1+json",
    "digest": _DIGEST,
    "size": 2,
    "annotations": {"a": "b"},
}
_SBOM = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {
        "component": {"bom-ref": "i", "name": "image", "version": "1", "type": "container"}
    },
    "components": [
        {
            "bom-ref": "a",
            "type": "library",
            "group": "g",
            "name": "libc6",
            "version": "2.36",
            "purl": "pkg:deb/debian/libc6@2.36?arch=amd64",
            "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "own"}}],
            "hashes": [{"alg": "SHA-256", "content": "ab"}],
            "properties": [{"name": "imagekit:origin", "value": "base"}],
            "components": [{"name": "b", "licenses": [{"expression": "MIT OR Zlib"}]}],
        }
    ],
    "dependencies": [{"ref": "i", "dependsOn": ["a"]}, {"ref": "a", "dependsOn": ["a", "i"]}],
}
_NOTHING_LISTED = SbomListing(title="nothing", components=())
_LAYER = _CONFIG | {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": 1000}
_MANIFEST = {
    "schemaVersion": 2,
    "mediaType": MANIFEST,
    "artifactType": BUNDLE,
    "config": _CONFIG,
    "layers": [_LAYER, _LAYER],
    "subject": _LAYER | {"mediaType": MANIFEST},
    "annotations": {"org.opencontainers.image.created": "2026-11-23T00:00:00Z"},
}
_INDEX = {
    "schemaVersion": 2,
    "mediaType": INDEX,
    "manifests": [
        _LAYER
        | {
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"},
        }
    ],
    "annotations": {"a": "b"},
}
_IMAGE_CONFIG = {
    "created": "2026-11-23T00:00:00Z",
    "os": "linux",
    "architecture": "amd64",
    "config": {
        "Env": ["PATH=/usr/bin"],
        "Entrypoint": ["/bin/sh"],
        "Cmd": ["-c", "true"],
        "WorkingDir": "/work",
        "User": "1000",
        "Labels": {"a": "b"},
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "StopSignal": "SIGTERM",
    },
    "rootfs": {"type": "layers", "diff_ids": [_DIGEST]},
    "history": [{"created": "x", "created_by": "y", "comment": "z", "empty_layer": True}],
}
_STATEMENT = statement_bytes(
    Statement(
        subjects=(
            StatementSubject(
                digest=Digest.of(b"x"), name="r.site/apps/demo:1", annotations={"a": 1}
            ),
        ),
        predicate_type=CYCLONEDX,
        predicate={"bomFormat": "CycloneDX", "components": [{"name": "x"}]},
    )
)
_KEY = PublicKey(b"der")
_TIME = "2026-11-23T00:00:00Z"
_BUILT = BuiltLayer(
    descriptor=Descriptor(media_type=LAYER, digest=Digest.of(b"a"), size=1),
    diff_id=Digest.of(b"b"),
    origin=Origin.RECIPE,
    title="run: make",
)
_MADE = BuildResult(layers=(_BUILT,), materials=(), tools=(("buildah", "1.28"),))


def _strictjson(raw: bytes) -> None:
    value = strictjson.loads(raw, what="the document")
    again = strictjson.dumps(value)
    same(strictjson.dumps(strictjson.loads(again, what="again")), again)


def _manifest(raw: bytes) -> None:
    for media_type in (MANIFEST, DOCKER_MANIFEST, INDEX):
        _round(raw, media_type)


def _index(raw: bytes) -> None:
    for media_type in (INDEX, DOCKER_INDEX, MANIFEST):
        _round(raw, media_type)


def _round(raw: bytes, media_type: str) -> None:
    try:
        parsed = codec.parse_manifest(raw, media_type)
    except DocumentError:
        return
    if isinstance(parsed, Index):
        same(parsed.media_type in INDEX_TYPES, second=True)
        same(codec.parse_manifest(codec.index_bytes(parsed), media_type), parsed)
    else:
        same(isinstance(parsed, Manifest), second=True)
        same(codec.parse_manifest(codec.manifest_bytes(parsed), media_type), parsed)


def _config(raw: bytes) -> None:
    parsed = codec.parse_config(raw)
    same(codec.parse_config(codec.config_bytes(parsed)), parsed)


def _descriptor(raw: bytes) -> None:
    parsed = codec.parse_descriptor(strictjson.loads(raw, what="it"))
    again = strictjson.dumps(codec.descriptor_document(parsed))
    same(codec.parse_descriptor(strictjson.loads(again, what="again")), parsed)


def _bundle(raw: bytes) -> None:
    parsed = parse_bundle(raw)
    envelope = parsed.envelope
    if isinstance(parsed, CertificateBundle):
        same(parsed.raw, raw)
    elif envelope.payload_type == IN_TOTO:
        again = parse_bundle(key_bundle_bytes(envelope.payload, envelope.signatures[0], _KEY))
        same(again.envelope, envelope)
    statement_of(envelope)


def _statement(raw: bytes) -> None:
    parsed = parse_statement(raw)
    same(parse_statement(statement_bytes(parsed)), parsed)


def _envelope(raw: bytes) -> None:
    kind, _, payload = raw.partition(b"\0")
    envelope = Envelope(
        payload=payload, payload_type=kind.decode("utf-8", "replace"), signatures=(b"s",)
    )
    signed = envelope.signed_bytes
    same(signed.endswith(payload), second=True)
    statement_of(envelope)


def _payload(raw: bytes) -> None:
    parsed = parse_payload(raw)
    same(parse_payload(payload_bytes(parsed)), parsed)


def _release(raw: bytes) -> None:
    predicate = strictjson.loads_object(raw, what="the predicate")
    if "reason" in predicate:
        withdrawn = parse_withdrawal(predicate)
        again = parse_withdrawal(withdrawal_predicate(withdrawn))
        same(again.reason, withdrawn.reason)
    released = parse_release(predicate)
    same(parse_release(release_predicate(released)).tags, released.tags)


def _record(raw: bytes) -> None:
    document = strictjson.loads(raw, what="what the worker said")
    for kind in (OutputLine, Done, Note, Command, BuildResult, CachedLayer):
        _record_of(kind, document)


def _record_of(kind: type[object], document: object) -> None:
    try:
        value = from_document(kind, document)
    except DocumentError:
        return
    same(from_document(kind, to_document(value)), value)


def _certificate(material: object) -> dict[str, object]:
    document: dict[str, object] = json.loads(key_bundle_bytes(_STATEMENT, b"sig", _KEY))
    document["verificationMaterial"] = material
    return document


def _cyclonedx(data: bytes) -> None:
    """Read, compared with itself, with nothing, and shown: one line for each component."""
    sbom = parse_listing(data)
    same(diff_sboms(sbom, sbom).changes, ())
    diff = diff_sboms(_NOTHING_LISTED, sbom)
    same(len(diff.changes), len(sbom.components))
    for text in (diff_text(diff), diff_markdown(diff), *group_lines(by_licence(sbom))):
        same("".join(filter(str.isprintable, text.replace("\n", ""))), text.replace("\n", ""))
    strictjson.dumps(diff_document(diff))
    same(len(list(tree_lines(sbom))) >= len(sbom.components), True)


TARGETS = {
    "cyclonedx": Target(check=_cyclonedx, seeds=documents(_SBOM), json=True),
    "strictjson": Target(
        check=_strictjson,
        seeds=documents(_MANIFEST, [1, 2.5, "é", None, True, -1e10], "a\ud83d\ude00b"),
        json=True,
    ),
    "manifest": Target(check=_manifest, seeds=documents(_MANIFEST), json=True),
    "index": Target(check=_index, seeds=documents(_INDEX), json=True),
    "config": Target(check=_config, seeds=documents(_IMAGE_CONFIG), json=True),
    "descriptor": Target(check=_descriptor, seeds=documents(_LAYER, _CONFIG), json=True),
    "bundle": Target(
        check=_bundle,
        seeds=(
            key_bundle_bytes(_STATEMENT, b"signature", _KEY),
            *documents(
                _certificate(
                    {
                        "certificate": {"rawBytes": "AAAA"},
                        "tlogEntries": [{"logIndex": "1", "inclusionProof": {}}],
                        "timestampVerificationData": {"rfc3161Timestamps": []},
                    }
                )
            ),
        ),
        json=True,
    ),
    "statement": Target(check=_statement, seeds=(_STATEMENT,), json=True),
    "envelope": Target(
        check=_envelope,
        seeds=(IN_TOTO.encode() + b"\0" + _STATEMENT, b"text/plain\0" + COSIGN_SIGN.encode()),
    ),
    "payload": Target(
        check=_payload,
        seeds=(payload_bytes(SimpleSigning(identity="r.site/a:1", digest=Digest.of(b""))),),
        json=True,
    ),
    "release": Target(
        check=_release,
        seeds=documents(
            {
                "repository": "r.site/a",
                "sequence": 3,
                "tags": ["1"],
                "time": "2026-11-23T00:00:00Z",
            },
            {"reason": "broken", "time": "2026-11-23T00:00:00.5+01:00"},
        ),
        json=True,
    ),
    "record": Target(
        check=_record,
        seeds=documents(
            *map(
                to_document,
                (
                    OutputLine(stage="a", line="b"),
                    Done(stage="a", summary="b", seconds=1.5),
                    Note(message="a"),
                    Command(argv=("a", "b")),
                    _MADE,
                    CachedLayer(layer=_BUILT, materials=(), made=1.0),
                    # No float holds it: the fuzzer found it.
                    Done(stage="a", summary="b", seconds=10**400),
                ),
            )
        ),
        json=True,
    ),
}
