"""What attackers use: raw pushes to a real registry, and a registry that lies."""

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

from imagekit.oci.codec import index_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY
from imagekit.oci.reference import PinnedReference, Reference, Repository, TaggedReference
from imagekit.oci.registry import connect
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import INDEX, Descriptor, Index, RawManifest
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.verify.verdict import Verdict
from imagekit.verify.verify import verify
from tests.support.fakes import FixedClock, MemoryRegistry
from tests.support.signed import NOW, World, signed_world

QUICK = RegistryOptions(attempts=1, connect_seconds=2, read_seconds=2, deadline_seconds=5)


@dataclass
class Watched:
    """A reader that notes what was read through it."""

    inner: RegistryReader
    blobs: list[Digest] = field(default_factory=list)

    def resolve(self, reference: TaggedReference) -> PinnedReference:
        """Pass on."""
        return self.inner.resolve(reference)

    def manifest(self, reference: Reference) -> RawManifest:
        """Pass on."""
        return self.inner.manifest(reference)

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Note and pass on."""
        self.blobs.append(descriptor.digest)
        return self.inner.blob(repository, descriptor, limit=limit)

    def stream(self, repository: Repository, descriptor: Descriptor) -> Any:
        """Refuse: a verifier has no use for layers."""
        raise AssertionError(f"{descriptor.digest} of {repository} was pulled")

    def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        """Pass on."""
        return self.inner.referrers(reference)

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Pass on."""
        return self.inner.tags(repository)


class RealStage:
    """A signed image in memory, and a repository of a real registry that it is pushed to."""

    def __init__(self, host: str, path: str) -> None:
        self._host = host
        self._path = path
        self.signed = signed_world(f"{host}/{path}")
        self.unsigned = World(repository=Repository.parse(f"{host}/{path}"))

    def judge(
        self, world: World, policy: OpenedPolicy, *, reference: Reference | None = None
    ) -> Verdict:
        """Push everything, judge it over HTTP, and hold that no layer was asked for."""
        self.push(world.registry)
        return self.verify(world, policy, reference=reference)

    def verify(
        self, world: World, policy: OpenedPolicy, *, reference: Reference | None = None
    ) -> Verdict:
        """Judge what is in the registry."""
        watched = Watched(connect.reader(REGISTRY, QUICK))
        verdict = verify(
            reference or world.reference, policy=policy, reader=watched, clock=FixedClock(NOW)
        )
        assert not set(layers(world)) & set(watched.blobs)
        return verdict

    def push(self, registry: MemoryRegistry) -> None:
        """Push all that a registry in memory holds, byte by byte, and write the fallback tags."""
        for (_, digest), raw in registry.blobs.items():
            self._blob(digest, raw)
        subjects: dict[str, list[Descriptor]] = {}
        for (_, digest), manifest in registry.manifests.items():
            self.put(f"manifests/{digest}", manifest.raw, manifest.media_type)
            subject = json.loads(manifest.raw).get("subject")
            if subject is not None:
                subjects.setdefault(subject["digest"], []).append(manifest.descriptor)
        for text, referrers in subjects.items():
            raw = index_bytes(Index(media_type=INDEX, manifests=tuple(referrers)))
            self.put(f"manifests/{text.replace(':', '-')}", raw, INDEX)
        for (_, tag), digest in registry.tagged.items():
            manifest = registry.manifests[next(k for k in registry.manifests if k[1] == digest)]
            self.put(f"manifests/{tag}", manifest.raw, manifest.media_type)

    def put(self, path: str, raw: bytes, media_type: str) -> None:
        """PUT something into the repository."""
        self._ask("PUT", f"/v2/{self._path}/{path}", raw, media_type)

    def _blob(self, digest: Digest, raw: bytes) -> None:
        location = self._ask("POST", f"/v2/{self._path}/blobs/uploads/", b"", "")
        path = location.partition(self._host)[2] or location
        joint = "&" if "?" in path else "?"
        self._ask(
            "PUT", f"{path}{joint}digest={quote(str(digest))}", raw, "application/octet-stream"
        )

    def _ask(self, method: str, path: str, raw: bytes, media_type: str) -> str:
        connection = http.client.HTTPConnection(self._host, timeout=10)
        try:
            connection.request(method, path, body=raw, headers={"Content-Type": media_type})
            response = connection.getresponse()
            body = response.read()
            assert 200 <= response.status < 300, (method, path, response.status, body)
            return response.headers.get("Location", "")
        finally:
            connection.close()


Answer = tuple[int, Mapping[str, str], bytes]
Lie = Callable[[str, int], Answer | None]
"""Given a path and how often it was asked for before, what to answer instead of the truth."""


class Liar:
    """A registry that serves what lies in memory, but for its lies; it notes what it is asked."""

    def __init__(self, lie: Lie | None = None) -> None:
        self.asked: list[str] = []
        self.lie: Lie = lie or (lambda _path, _times: None)
        liar = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body together: else each answer waits for an ACK
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                times = liar.asked.count(self.path)
                liar.asked.append(self.path)
                status, headers, body = liar.lie(self.path, times) or liar.truth(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.world = signed_world(f"127.0.0.1:{self._server.server_port}/apps/demo")

    def truth(self, path: str) -> Answer:
        """Return what an honest registry with the referrers API answers."""
        kind, _, name = path.removeprefix("/v2/apps/demo/").partition("/")
        registry, repository = self.world.registry, self.world.repository
        if kind == "referrers":
            image = PinnedReference(repository, Digest.parse(name))
            listed = registry.referrers(image)
            raw = index_bytes(Index(media_type=INDEX, manifests=listed))
            return 200, {"Content-Type": INDEX}, raw
        if kind == "blobs":
            found = registry.blobs.get((repository.name, Digest.parse(name)))
            return (404, {}, b"") if found is None else (200, {}, found)
        digest = Digest.parse(name) if ":" in name else registry.tagged.get((repository.name, name))
        manifest = registry.manifests.get((repository.name, digest)) if digest else None
        return (404, {}, b"{}") if manifest is None else served(manifest)

    def judge(
        self, policy: OpenedPolicy | None = None, *, reference: Reference | None = None
    ) -> Verdict:
        """Judge over HTTP, and hold that no layer was asked for."""
        world = self.world
        verdict = verify(
            reference or world.reference,
            policy=policy or world.policy(),
            options=QUICK,
            clock=FixedClock(NOW),
        )
        self.check()
        return verdict

    def check(self) -> None:
        """Hold that no layer was asked for."""
        for digest in layers(self.world):
            assert not any(str(digest) in path for path in self.asked)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def served(manifest: RawManifest) -> Answer:
    """Return a manifest as registries serve it."""
    headers = {
        "Content-Type": manifest.media_type,
        "Docker-Content-Digest": str(manifest.digest),
    }
    return 200, headers, manifest.raw


def layers(world: World) -> list[Digest]:
    """Return the digests of the image's layers."""
    raw = world.registry.manifests[world.repository.name, world.image.digest].raw
    return [Digest.parse(layer["digest"]) for layer in json.loads(raw).get("layers", [])]


def errors(verdict: Verdict) -> dict[str, str]:
    """Return the checks that failed, with their codes."""
    assert not verdict.allowed
    return {each.check: each.code for each in verdict.findings if each.severity == "error"}
