"""What hosts and clusters have written: reviews, records, stores, and what a gate is asked."""

import json
from pathlib import PurePosixPath

from imagekit.build.tools.podman_output import parse_local_images
from imagekit.documents import strictyaml
from imagekit.documents.report import Report
from imagekit.errors import ImagekitError
from imagekit.gate.config import CONFIG
from imagekit.gate.request_paths import parse
from imagekit.hosts.engines.engine import Installed
from imagekit.hosts.engines.engine_checks import judge_engines
from imagekit.hosts.engines.installed import installed_bytes, parse_installed
from imagekit.hosts.host import EngineFile, EngineSetup
from imagekit.hosts.kubernetes.admission import as_kubernetes_reads
from imagekit.hosts.kubernetes.review import Admission, parse_review, review_answer
from imagekit.oci.digest import Digest
from tests.attacks.fuzz.target import Target
from tests.unit.hosts.kubernetes.test_review import review

_DIGEST = Digest.of(b"x")
_SPEC = {"containers": [{"image": "r.site/a:1"}], "volumes": [{"image": {"reference": "b"}}]}


def _review(raw: bytes) -> None:
    found = parse_review(raw)
    for image in found.images:
        try:
            as_kubernetes_reads(image.reference)
        except ImagekitError:
            continue
    review_answer(Admission(uid=found.uid, allowed=False, message=found.name))


def _installed(raw: bytes) -> None:
    files = parse_installed(raw, what="trust.json")
    assert parse_installed(installed_bytes(files), what="trust.json") == files


def _local_images(raw: bytes) -> None:
    parse_local_images(raw)


def _asked(raw: bytes) -> None:
    parse(raw.decode("latin-1"))


def _config(raw: bytes) -> None:
    report = Report("gate.yaml", "gate")
    CONFIG.read(strictyaml.compose(raw, report), report)


def _engines(raw: bytes) -> None:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        file = EngineFile(path=PurePosixPath("/x"), document=document)  # type: ignore[arg-type]
        judge_engines(
            EngineSetup(
                registries=(file,), containerd=(file,), crio=(file,), docker=file, policy=file
            )
        )


TARGETS = {
    "review": Target(
        check=_review,
        seeds=(
            review("Pod", {"spec": _SPEC}),
            review("CronJob", {"spec": {"jobTemplate": {"spec": {"template": {"spec": _SPEC}}}}}),
            review("Pod", None, operation="DELETE"),
        ),
        json=True,
    ),
    "installed": Target(
        check=_installed,
        seeds=(
            installed_bytes(
                [Installed(path=PurePosixPath("/etc/x"), digest=_DIGEST, before=_DIGEST)]
            ),
        ),
        json=True,
    ),
    "local-images": Target(
        check=_local_images,
        seeds=(
            json.dumps(
                [{"Id": "a", "Names": ["r.site/x:1"], "Digest": str(_DIGEST), "RepoDigests": []}]
            ).encode(),
        ),
        json=True,
    ),
    "gate-path": Target(
        check=_asked,
        seeds=(
            b"/v2/apps/demo/manifests/1",
            f"/v2/apps/demo/blobs/{_DIGEST}?ns=r.site".encode(),
            b"/v2/apps/demo/tags/list?n=10&last=1",
            f"/v2/a/referrers/{_DIGEST}?artifactType=application/x%2By".encode(),
            b"/v2/_catalog?n=1",
        ),
    ),
    "gate-config": Target(
        check=_config,
        seeds=(
            (
                b"apiVersion: imagekit/v1\nkind: Gate\ncontact: images@r.site\n"
                b"listen: 127.0.0.1:1\nupstreams: [{name: a, host: r.site}]\nlists: {tags: true}\n"
            ),
        ),
    ),
    "engines": Target(
        check=_engines,
        seeds=(
            b'{"registry": [{"prefix": "a", "location": "b", "mirror": [{"location": "c"}]}]}',
            b'{"server": "https://a", "host": {"https://a": {}}, "default": [{"type": "reject"}]}',
        ),
        json=True,
    ),
}
