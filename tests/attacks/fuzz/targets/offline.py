"""What comes by a file, from a staged folder, or from a runtime that asks."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from imagekit.hosts.containerd import DESCRIPTOR, PullQuestion, image_of
from imagekit.hosts.docker.authz import decide
from imagekit.hosts.docker.request import DockerRequest
from imagekit.hosts.hook_config import parse_config
from imagekit.oci.archive import open_archive
from imagekit.oci.digest import Digest
from imagekit.oci.reference import parse_reference
from imagekit.oci.types import IN_TOTO, MANIFEST
from imagekit.offline.exported import EnclosedPolicy, Exported, Member, parse_record, record_bytes
from imagekit.offline.receipt import claimed, receipt_statement
from imagekit.offline.stage_target import StageKind
from imagekit.policy.findings import Finding
from imagekit.signatures.dsse import Envelope
from imagekit.signatures.intoto import parse_statement, statement_bytes
from imagekit.verify.verdict import Verdict
from tests.attacks.fuzz.target import Target, same
from tests.support.exports import member, tar_bytes

_DIGEST = Digest.of(b"x")
_RECORD = Exported(
    reference=parse_reference("r.site/apps/demo:1"),
    digest=_DIGEST,
    policy=EnclosedPolicy(file="policy.yaml", name="site", version=1, digest=_DIGEST),
    members={"index.json": Member(digest=_DIGEST, size=1)},
)
_VERDICT = Verdict(
    reference=parse_reference("r.site/apps/demo:1"),
    digest=_DIGEST,
    policy="site",
    policy_digest=_DIGEST,
    findings=(Finding(check="x", code="OK", message="", severity="ok"),),
)
_RECEIPT = receipt_statement(
    _VERDICT,
    verifier="urn:x",
    kind=StageKind.BUNDLE,
    staged=_DIGEST,
    time=datetime(2026, 11, 25, tzinfo=UTC),
)


def _record(raw: bytes) -> None:
    record = parse_record(raw)
    same(parse_record(record_bytes(record)), record)


def _archive(raw: bytes) -> None:
    # A file of no name, which is gone when it is closed.
    handle, name = tempfile.mkstemp()
    path = Path(name)
    try:
        os.write(handle, raw)
        with open_archive(path) as archive:
            for member_path, place in archive.members.items():
                same(len(archive.read(member_path, limit=place.size)), place.size)
    finally:
        os.close(handle)
        path.unlink()


def _receipt(raw: bytes) -> None:
    parse_statement(raw)
    claimed(Envelope(payload=raw, payload_type=IN_TOTO, signatures=(b"",)))


def _docker(raw: bytes) -> None:
    uri, _, body = raw.partition(b"\0")
    decide(DockerRequest(method="POST", uri=uri.decode("utf-8", "replace"), body=body, length="0"))


def _containerd(raw: bytes) -> None:
    name, _, descriptor = raw.partition(b"\0")
    question = PullQuestion(
        name=name.decode("utf-8", "replace"),
        digest=str(_DIGEST),
        media_type=DESCRIPTOR,
        descriptor=descriptor,
    )
    same(image_of(question).digest, _DIGEST)


def _face(raw: bytes) -> None:
    config = parse_config(raw, file="x")
    same((config.policy is None) != (config.gate is None), second=True)


_ASKED = b'r.site/app:1\0{"mediaType": "%b", "digest": "%b", "size": 1}'
_IMAGE = b'{"Image": "r.site/app@%b"}' % str(_DIGEST).encode()
TARGETS = {
    "export-record": Target(check=_record, seeds=(record_bytes(_RECORD),), json=True),
    "archive": Target(
        check=_archive, seeds=(tar_bytes([member("a", b"x" * 600), member("b/c", b"")]),)
    ),
    "receipt": Target(check=_receipt, seeds=(statement_bytes(_RECEIPT),), json=True),
    "docker": Target(
        check=_docker,
        seeds=(
            b"/v1.41/containers/create\0" + _IMAGE,
            b"/v1.41/images/create?fromImage=r.site/app&tag=1\0",
            b'/services/create\0{"TaskTemplate": {"ContainerSpec": %b}}' % _IMAGE,
        ),
    ),
    "containerd": Target(
        check=_containerd, seeds=(_ASKED % (MANIFEST.encode(), str(_DIGEST).encode()),)
    ),
    "face": Target(
        check=_face,
        seeds=(
            b"policy: /p.yaml\npolicyKeys: [/k.pub]\nstate: /s.db\nseconds: 3\n",
            b"gate: https://g.site:1\ngateCa: /ca.pem\nregistries: [a=r.site, b=r.site:2]\n",
        ),
    ),
}
