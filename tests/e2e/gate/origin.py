"""An origin in memory whose blobs the test sends as it likes; ranges and logins as real ones do."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from msgspec.structs import replace

from imagekit.gate.upstreams import Upstream
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import INDEX, MANIFEST
from tests.support.fakes import push_image
from tests.support.hostile import Answer, Asked, HostileRegistry
from tests.support.replay import truth
from tests.support.signed import World

QUICK = RegistryOptions(attempts=1, connect_seconds=2, read_seconds=5, deadline_seconds=10)
Lie = Callable[[Asked, Answer], Answer | None]


@dataclass
class Origin:
    """One signed image with a layer of some size, at a registry that the test bends."""

    content: bytes
    lie: Lie = lambda _asked, _answer: None
    server: HostileRegistry = field(init=False)

    def __post_init__(self) -> None:
        """Make the image."""
        self.server = HostileRegistry(self._answer)
        self.host = self.server.host
        self.world = World(repository=Repository(self.host, "apps/demo"))
        self.image = push_image(self.world.registry, self.world.repository, content=self.content)
        self.world.image = self.image
        self.world.tag("1", self.image)
        self.world.reference = TaggedReference(self.world.repository, "1")
        self.world.sign()
        self.digest = Digest.of(self.content)
        self.blob = f"/v2/apps/demo/blobs/{self.digest}"
        raw = self.world.registry.manifest(self.image).raw
        self.config = f"/v2/apps/demo/blobs/{json.loads(raw)['config']['digest']}"
        self.manifest = "/v2/apps/demo/manifests/1"

    @property
    def asked(self) -> list[Asked]:
        """What came."""
        return self.server.asked

    def upstream(self, **options: object) -> Upstream:
        """Return the origin as an upstream."""
        return Upstream(host=self.host, options=replace(QUICK, **options))

    def blobs_asked(self) -> list[Asked]:
        """Return the requests for the layer."""
        return [one for one in self.asked if one.path == self.blob]

    def _answer(self, asked: Asked) -> Answer:
        path = asked.path.partition("?")[0]
        mine = path.startswith("/v2/apps/demo/")
        answer = ranged(asked, truth(self.world, path)) if mine else Answer(404)
        return self.lie(asked, answer) or answer

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(None, None, None)


def ranged(asked: Asked, answer: Answer) -> Answer:
    """Return the part that a Range header asks for."""
    text = asked.headers.get("range", "")
    if not text or answer.status != 200:
        return answer
    start = int(text.removeprefix("bytes=").partition("-")[0])
    size = len(answer.body)
    headers = {**answer.headers, "Content-Range": f"bytes {start}-{size - 1}/{size}"}
    return Answer(206, headers, answer.body[start:])


def index_of(origin: Origin) -> tuple[PinnedReference, PinnedReference]:
    """Push a signed index with an unsigned child, as tag 2."""
    world = origin.world
    child = push_image(world.registry, world.repository, content=b"child")
    found = world.registry.manifest(child).descriptor
    entry = {
        "mediaType": MANIFEST,
        "digest": str(found.digest),
        "size": found.size,
        "platform": {"os": "linux", "architecture": "amd64"},
    }
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
    index = world.registry.put_manifest(world.repository, INDEX, json.dumps(document).encode())
    world.tag("2", index)
    world.image = index
    world.sign(name=f"{world.repository.name}:2")
    return index, child
