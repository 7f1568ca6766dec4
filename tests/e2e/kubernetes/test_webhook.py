"""Kubernetes' own API server asks the webhook as docs/kubernetes.md configures it.

Optional: scripts/kubernetes builds the server, which takes long, and runs these.
"""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.gate.kit import Site, wait_for
from tests.e2e.hosts.daemons import Daemon
from tests.support.outcomes import ROOT, noted
from tests.support.programs import bench_program
from tests.support.servers import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]

MERGE = "application/merge-patch+json"
PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@dataclass
class Cluster:
    """An API server, and the webhook that it asks."""

    port: int
    site: Site
    hook: Daemon

    def ask(
        self, method: str, path: str, document: object = None, *, kind: str = "application/json"
    ) -> tuple[int, Any]:
        """Send a request as its administrator; return status and document."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)
        headers = {"Authorization": "Bearer admin", "Content-Type": kind}
        body = None if document is None else json.dumps(document)
        try:
            client.request(method, path, body, headers)
            answer = client.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            client.close()

    def patch(self, path: str, document: object) -> int:
        """Change an object; return the status."""
        return self.ask("PATCH", path, document, kind=MERGE)[0]

    def obey(self, *, more: str) -> None:
        """Let the webhook read a new policy, and wait until the server is answered by it."""
        self.site.write_policy(more=more)
        self.hook.process.send_signal(signal.SIGHUP)


def pod(name: str, image: str, **spec: object) -> dict[str, Any]:
    """Return a pod."""
    containers = [{"name": "c", "image": image}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": containers, "restartPolicy": "Never", **spec},
    }


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def _certificates(folder: Path) -> None:
    """Make the webhook's certificate, its own authority, and a key for service accounts."""
    made = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    name = ("-subj", "/CN=hook", "-addext", "subjectAltName=IP:127.0.0.1")
    _openssl(folder, "req", *made, *name, "-keyout", "tls.key", "-out", "tls.crt")
    _openssl(folder, "genrsa", "-out", "accounts.key", "2048")


def _documents(project: Path) -> list[dict[str, Any]]:
    """Return what the page has for the API server: the webhook, and Kata's class."""
    page = (project / "docs/kubernetes.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(block) for block in blocks]


def _configuration(project: Path, folder: Path, port: int) -> dict[str, Any]:
    """Return the page's configuration, with the place of the webhook changed and nothing else."""
    document, _ = _documents(project)
    bundle = base64.b64encode((folder / "tls.crt").read_bytes()).decode()
    url = f"https://127.0.0.1:{port}/validate"
    document["webhooks"][0]["clientConfig"] = {"url": url, "caBundle": bundle}
    return document


def _etcd(folder: Path, port: int, peer: int) -> list[str]:
    found = shutil.which("etcd")
    if found is None:
        pytest.skip("etcd is not installed")
    here, there = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    return [
        *(found, "--data-dir", str(folder / "etcd"), "--initial-cluster", f"default={there}"),
        *("--listen-client-urls", here, "--advertise-client-urls", here),
        *("--listen-peer-urls", there, "--initial-advertise-peer-urls", there),
    ]


def _server(program: Path, folder: Path, port: int, etcd: int) -> list[str]:
    (folder / "tokens.csv").write_text('admin,admin,1,"system:masters"\n')
    key = str(folder / "accounts.key")
    return [
        *(str(program), f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={port}"),
        *("--bind-address=127.0.0.1", f"--cert-dir={folder / 'serving'}"),
        *(f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=AlwaysAllow"),
        *("--service-account-issuer=https://site.example", f"--service-account-key-file={key}"),
        *(f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.0.0.0/24"),
        # Its objects come from a controller that does not run here.
        "--disable-admission-plugins=ServiceAccount",
    ]


@pytest.fixture(scope="module")
def cluster(
    bench: Path, project: Path, registry: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Debian's etcd, the API server, and the webhook by HTTPS."""
    program = bench_program(bench, "kube-apiserver")
    folder = tmp_path_factory.mktemp("k")
    _certificates(folder)
    site = Site(host=registry, folder=folder)
    etcd, peer, port, hook = (free_port() for _ in range(4))
    words = [sys.executable, "-P", "-m", "imagekit", "webhook", "--policy", str(site.policy)]
    words += ["--listen", f"127.0.0.1:{hook}", "--state", str(folder / "seen.db")]
    words += ["--tls-cert", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key")]
    with ExitStack() as running:
        start = running.enter_context
        start(Daemon(_etcd(folder, etcd, peer), folder / "etcd.log"))
        asked = start(Daemon(words, folder / "hook.log", env=dict(os.environ)))
        start(Daemon(_server(program, folder, port, etcd), folder / "server.log"))
        made = Cluster(port=port, site=site, hook=asked)
        wait_for(lambda: _is_ready(made), seconds=120)
        path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        status, said = made.ask("POST", path, _configuration(project, folder, hook))
        assert status == 201, said
        # The server reads it a moment later.
        wait_for(lambda: made.ask("POST", f"{PODS}?dryRun=All", pod("x", "nginx"))[0] == 403)
        yield made


def _is_ready(cluster: Cluster) -> bool:
    try:
        return cluster.ask("GET", "/api/v1/namespaces/default")[0] == 200
    except OSError:
        return False


@pytest.fixture
def images(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """An image that is signed, and one that is not, by their digests."""
    name = re.sub("[^a-z0-9]", "", request.node.name)[-40:]
    content = name.encode()
    good = cluster.site.push(f"apps/{name}", "1", content=content)
    bad = cluster.site.push(f"apps/{name}-bad", "1", content=content + b"!", signed=False)
    yield str(good), str(bad)
    cluster.obey(more="")
    allowed = pod("again", str(good))
    wait_for(lambda: cluster.ask("POST", f"{PODS}?dryRun=All", allowed)[0] == 201)


def withdraw(cluster: Cluster, image: str) -> None:
    """Deny an image, and wait until new pods of it are refused."""
    cluster.obey(more=f'deny: {{digests: ["{image.partition("@")[2]}"]}}')
    refused = pod("withdrawn", image)
    wait_for(lambda: cluster.ask("POST", f"{PODS}?dryRun=All", refused)[0] == 403)


def test_a_signed_image_is_kept_and_another_is_not(
    cluster: Cluster, images: tuple[str, str]
) -> None:
    """The user reads why; by a tag the digest to write."""
    good, bad = images
    tag = f"{good.partition('@')[0]}:1"

    assert cluster.ask("POST", PODS, pod("good", good))[0] == 201
    status, said = cluster.ask("POST", PODS, pod("bad", bad))
    tagged = cluster.ask("POST", PODS, pod("tagged", tag))

    assert status == 403
    assert "NO_SIGNATURE" in said["message"]
    assert tagged[0] == 403
    assert good.partition("@")[2] in tagged[1]["message"]
    noted("Kubernetes' API server asks the webhook", ROOT, "unsigned images and tags are refused")


def test_after_a_withdrawal_objects_can_be_changed_and_removed(
    cluster: Cluster, images: tuple[str, str]
) -> None:
    """A label, a finalizer, the size of a deployment, suspend; and no other image."""
    good, bad = images
    keeper = pod("keeper", good)
    keeper["metadata"]["finalizers"] = ["site.example/kept"]
    labels, spec = {"a": "b"}, pod("x", good)["spec"]
    job = {
        "metadata": {"name": "j"},
        "spec": {"template": {"metadata": {"labels": labels}, "spec": spec}},
    }
    always = {"metadata": {"labels": labels}, "spec": {**spec, "restartPolicy": "Always"}}
    deployment = {
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": labels}, "template": always},
    }
    for path, made in ((PODS, keeper), (JOBS, job), (DEPLOYMENTS, deployment)):
        status, said = cluster.ask("POST", path, made)
        assert status == 201, said

    withdraw(cluster, good)

    labelled = {"metadata": {"labels": {"new": "label"}}}
    assert cluster.patch(f"{PODS}/keeper", labelled) == 200
    assert cluster.patch(f"{JOBS}/j", {"spec": {"suspend": True}}) == 200
    assert cluster.patch(f"{DEPLOYMENTS}/d", {"spec": {"replicas": 0}}) == 200
    other = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": bad}]}}}}
    assert cluster.patch(f"{DEPLOYMENTS}/d", other) == 403
    # It stays until its finalizer is gone, and is not held up by the image then.
    assert cluster.ask("DELETE", f"{PODS}/keeper")[0] == 200
    assert cluster.ask("GET", f"{PODS}/keeper")[1]["metadata"]["deletionTimestamp"]
    assert cluster.patch(f"{PODS}/keeper", {"metadata": {"finalizers": None}}) == 200
    assert cluster.ask("GET", f"{PODS}/keeper")[0] == 404


def test_images_of_volumes_are_seen(cluster: Cluster, images: tuple[str, str]) -> None:
    """Those of CSI drivers and of Kubernetes itself."""
    good, bad = images
    csi = {"driver": "image.csi.k8s.io", "volumeAttributes": {"image": bad}}
    volumes: tuple[dict[str, object], ...] = ({"csi": csi}, {"image": {"reference": bad}})
    for number, volume in enumerate(volumes):
        document = pod(f"v{number}", good, volumes=[{"name": "v", **volume}])
        status, said = cluster.ask("POST", PODS, document)

        assert status == 403, said
        assert "spec.volumes[0]" in said["message"]


def test_an_ephemeral_container_is_a_new_image(cluster: Cluster, images: tuple[str, str]) -> None:
    """Though the pod was there before."""
    good, bad = images
    assert cluster.ask("POST", PODS, pod("debugged", good))[0] == 201
    path = f"{PODS}/debugged/ephemeralcontainers"
    more = {"spec": {"ephemeralContainers": [{"name": "e", "image": bad}]}}

    status, said = cluster.ask("PATCH", path, more, kind="application/strategic-merge-patch+json")

    assert status == 403
    assert "ephemeralContainers[0]" in said["message"]


def test_nobody_passes_by_marking_an_object_as_deleted(
    cluster: Cluster, images: tuple[str, str]
) -> None:
    """The server itself takes no such mark from users."""
    _, bad = images
    marked = pod("marked", bad)
    marked["metadata"]["deletionTimestamp"] = "2026-11-29T00:00:00Z"

    assert cluster.ask("POST", PODS, marked)[0] == 403
    assert cluster.ask("GET", f"{PODS}/marked")[0] == 404


def test_a_class_of_runtimes_changes_no_verdict(
    cluster: Cluster, images: tuple[str, str], project: Path
) -> None:
    """A pod for Kata is judged like every other."""
    good, bad = images
    _, kata = _documents(project)
    assert cluster.ask("POST", "/apis/node.k8s.io/v1/runtimeclasses", kata)[0] == 201
    name = kata["metadata"]["name"]

    kept, said = cluster.ask("POST", PODS, pod("kata-good", good, runtimeClassName=name))
    refused, _ = cluster.ask("POST", PODS, pod("kata-bad", bad, runtimeClassName=name))

    assert (kept, refused) == (201, 403), said
