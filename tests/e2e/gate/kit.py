"""A site for tests: images in a registry or layout, a key, a policy, and gates as processes."""

import gzip
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct, field

from imagekit.clock import SystemClock
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, LayoutLocation
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry.connect import light
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.oci.types import CONFIG, INDEX, LAYER_GZIP, MANIFEST, Descriptor
from imagekit.sign.keyed import KeySigner
from imagekit.signatures.publickey import public_key_pem
from tests.support.fakes import MemorySigner
from tests.support.signing import sign

_POLICY = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {{name: site, version: {version}, expires: {expires}}}
images:
  - match: {{glob: "{glob}"}}
    authorities:
      - name: release
        key:
          data: |
{pem}
{more}
"""
CHECKOUT = Path(__file__).resolve().parents[3]


class Site(Struct):
    """A registry's host or a layout's folder, and who signs there."""

    host: str
    folder: Path
    layout: Path | None = None
    signer: MemorySigner = field(default_factory=MemorySigner)
    version: int = 1
    policy: Path = Path()
    """Its policy's file; it follows from the folder."""

    def __post_init__(self) -> None:
        """Write a policy."""
        self.policy = self.folder / "policy" / "site.yaml"
        self.policy.parent.mkdir(parents=True, exist_ok=True)
        self.write_policy()

    def repository(self, path: str) -> Repository:
        """Return a repository of the site."""
        return Repository(self.host, path)

    def writer(self) -> RegistryWriter:
        """Return what writes there."""
        location = LayoutLocation(self.layout) if self.layout else REGISTRY
        return light(location, RegistryOptions())

    def write_policy(self, *, more: str = "", expires: str = "2035-01-01T00:00:00Z") -> None:
        """Write the policy, whose version rises."""
        pem = public_key_pem(self.signer.public_key).decode()
        text = _POLICY.format(
            version=self.version,
            expires=expires,
            glob=f"{self.host}/apps/**",
            pem="".join(f"            {line}\n" for line in pem.splitlines()).rstrip(),
            more=more,
        )
        self.version += 1
        part = self.policy.with_suffix(".part")
        part.write_text(text)
        part.rename(self.policy)

    def push(
        self, path: str, tag: str, *, content: bytes = b"hello\n", signed: bool = True
    ) -> PinnedReference:
        """Push an image with one file in its layer; sign it unless told otherwise."""
        image = push(self.writer(), self.repository(path), content)
        return self.tag(image, tag, signed=signed)

    def push_index(
        self, path: str, tag: str, *platforms: str, signed: bool = True
    ) -> tuple[PinnedReference, tuple[PinnedReference, ...]]:
        """Push an index with an unsigned image for each architecture; sign the index alone."""
        writer, repository = self.writer(), self.repository(path)
        children = tuple(
            push(writer, repository, arch.encode() + b"\n", architecture=arch) for arch in platforms
        )
        entries = [
            {
                **_plain(writer.manifest(child).descriptor),
                "platform": {"os": "linux", "architecture": arch},
            }
            for arch, child in zip(platforms, children, strict=True)
        ]
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        index = writer.put_manifest(repository, INDEX, json.dumps(document).encode())
        return self.tag(index, tag, signed=signed), children

    def tag(self, image: PinnedReference, tag: str, *, signed: bool = True) -> PinnedReference:
        """Let a tag point to an image, and sign it by that name."""
        writer = self.writer()
        reference = TaggedReference(image.repository, tag)
        writer.tag(reference, writer.manifest(image))
        if signed:
            self.sign(reference)
        return reference.pin(image.digest)

    def sign(self, reference: TaggedReference) -> None:
        """Sign what a tag points to, and nothing that an index lists."""
        writer = self.writer()
        top = writer.manifest(reference)
        sign(
            writer,
            KeySigner(self.signer),
            reference.pin(top.digest),
            manifest=top.descriptor,
            tags=(reference.tag,),
            clock=SystemClock(),
        )


def push(
    writer: RegistryWriter,
    repository: Repository,
    content: bytes,
    *,
    architecture: str = "amd64",
) -> PinnedReference:
    """Push an image that podman can pull."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("hello.txt")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    raw = tar.getvalue()
    layer = writer.put_bytes(repository, LAYER_GZIP, gzip.compress(raw, 1, mtime=0))
    config = {
        "os": "linux",
        "architecture": architecture,
        "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(raw))]},
    }
    config_blob = writer.put_bytes(repository, CONFIG, json.dumps(config).encode())
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _plain(config_blob),
        "layers": [_plain(layer)],
    }
    return writer.put_manifest(repository, MANIFEST, json.dumps(document).encode())


def _plain(descriptor: Descriptor) -> dict[str, Any]:
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }


class Reply(Struct, frozen=True, kw_only=True):
    """An answer from the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of the error in the body."""
        return str(json.loads(self.body)["errors"][0]["code"])

    @property
    def message(self) -> str:
        """The message of the error in the body."""
        return str(json.loads(self.body)["errors"][0]["message"])

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def ask(
    port: int, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Reply:
    """Ask whatever listens on a port of loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return Reply(status=answer.status, headers=dict(answer.headers), body=answer.read())
    finally:
        connection.close()


class GateProcess:
    """``imagekit gate`` as a process on a free port."""

    def __init__(self, site: Site, *words: str, upstream: str = "", **settings: str) -> None:
        self.folder = site.folder / "gate"
        self.folder.mkdir(exist_ok=True)
        self.audit_file = self.folder / "audit.jsonl"
        self.log = self.folder / "log"
        place = upstream or (f"oci:{site.layout}" if site.layout else site.host)
        upstreams = () if "--config" in words else ("--upstream", place)
        self._argv = [
            *(sys.executable, "-m", "imagekit", "gate", "--policy", str(site.policy)),
            *upstreams,
            *("--listen", "127.0.0.1:0", "--state", str(self.folder / "state")),
            *("--cache", str(self.folder / "cache")),
            *words,
        ]
        self._settings = settings
        self.start()

    def start(self) -> None:
        """Start it and wait until it serves."""
        env = {**os.environ, **self._settings}
        with self.log.open("ab") as log, self.audit_file.open("ab") as audit:
            began = log.tell()
            self.process = subprocess.Popen(
                self._argv, stdout=audit, stderr=log, stdin=subprocess.DEVNULL, env=env
            )
        end = time.monotonic() + 20
        while True:
            said = self.log.read_bytes()[began:].decode(errors="replace")
            found = re.search(r"serving on (https?)://(\S+):(\d+)", said)
            if found:
                self.scheme, self.port = found[1], int(found[3])
                self.host = f"127.0.0.1:{self.port}"
                return
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"the gate did not start: {said[-3000:]}")
            time.sleep(0.02)

    def get(
        self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Ask it something."""
        return ask(self.port, path, method=method, headers=headers)

    @property
    def audit(self) -> list[dict[str, Any]]:
        """What was decided."""
        return [json.loads(line) for line in self.audit_file.read_text().splitlines()]

    def hang_up(self) -> None:
        """Let it read its policy anew, and wait until it did."""
        before = len([each for each in self.audit if each["event"].startswith("policy")])
        self.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10
        while len([e for e in self.audit if e["event"].startswith("policy")]) <= before:
            if time.monotonic() > end:
                raise RuntimeError("the policy was not read again")
            time.sleep(0.01)

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it gracefully and return its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.stop()


def wait_for(claim: Any, seconds: float = 10) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > end:
            raise AssertionError("it did not come to hold")
        time.sleep(0.02)
