"""One published image, recorded once, and served again by a registry that misbehaves in one way."""

import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from imagekit.cli.console import Console
from imagekit.errors import DeniedError, ImagekitError
from imagekit.oci.codec import descriptor_document, index_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import INDEX, Index
from imagekit.verify.verdict_text import document, text
from imagekit.verify.verify import verify
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.hostile import Answer, Asked, HostileRegistry
from tests.support.signed import NOW, World, signed_world

OPTIONS = RegistryOptions(attempts=2, connect_seconds=2, read_seconds=0.6, deadline_seconds=1.2)
DEADLINE = 15.0
"""Seconds that the slowest lie may cost; each single answer may take ``OPTIONS`` says."""
ROOM = 200 << 20
"""Bytes of memory that the dearest lie may cost."""

Write = Callable[[bytes], None]
Lie = Callable[["Stage", Asked, int], Answer | None]
"""What to answer instead of the recorded answer, given how often the path was asked for before."""


@dataclass(frozen=True)
class Outcome:
    """What a user saw: the exit code, and everything that was printed."""

    exit_code: int
    codes: tuple[str, ...]
    """Of the findings that deny, with their checks; or of the error."""
    shown: str
    seconds: float
    memory: int


class Stage:
    """The recording: answers by path, and names for the paths that matter."""

    def __init__(self) -> None:
        self._lie: Lie | None = None
        self._recording = True
        self._times: dict[str, int] = {}
        self.honest: dict[str, Answer] = {}
        self.server = HostileRegistry(self._answer)
        self.world: World = signed_world(f"{self.server.host}/apps/demo")
        self.policy = self.world.policy("cyclonedx", "slsaprovenance1")

    def record(self) -> None:
        """Keep what an honest registry answers to a verification that ends well."""
        assert self.play(None).codes == ()
        self._recording = False

    def play(self, lie: Lie | None, *, reference: Reference | None = None) -> Outcome:
        """Verify the image at a registry with this one lie, as the command does."""
        self._lie, self._times = lie, {}
        out = io.StringIO()
        console = Console(out=out, err=out)
        _forget_peak()
        before, began = _memory("VmRSS"), time.monotonic()
        try:
            verdict = verify(
                reference or self.world.reference,
                policy=self.policy,
                options=OPTIONS,
                clock=FixedClock(NOW),
            )
        except ImagekitError as error:
            console.error(error)
            code = error.exit_code
            codes: tuple[str, ...] = (error.code,)
        else:
            console.result(text(verdict), document(verdict))
            replace(console, json=True).result(text(verdict), document(verdict))
            code = 0 if verdict.allowed else DeniedError.exit_code
            errors = [each for each in verdict.findings if each.severity == "error"]
            codes = tuple(f"{each.check}: {each.code}" for each in errors)
        seconds = time.monotonic() - began
        return Outcome(code, codes, out.getvalue(), seconds, _memory("VmHWM") - before)

    @property
    def manifest(self) -> str:
        """Path of the manifest by its tag."""
        return f"/v2/apps/demo/manifests/{self.world.reference.tag}"

    @property
    def referrers(self) -> str:
        """Path of the list of referrers."""
        return f"/v2/apps/demo/referrers/{self.world.image.digest}"

    @property
    def fallback(self) -> str:
        """Path of the tag that lists referrers where there is no API."""
        return f"/v2/apps/demo/manifests/sha256-{self.world.image.digest.hex}"

    @property
    def config(self) -> str:
        """Path of the image's configuration."""
        return next(path for path, answer in self.honest.items() if b'"diff_ids"' in answer.body)

    @property
    def referrer(self) -> str:
        """Path of the manifest that the signature's bundle lies in."""
        return self._signatures(0)[0]

    @property
    def bundle(self) -> str:
        """Path of the signature's bundle."""
        return self._signatures(0)[1]

    @property
    def sbom(self) -> str:
        """Path of the SBOM's bundle."""
        return self._signatures(1)[1]

    def _signatures(self, number: int) -> tuple[str, str]:
        """Return the paths of a referrer and of its bundle, in the order of their making."""
        registry, repository = self.world.registry, self.world.repository
        listed = registry.referrers(self.world.image)[number]
        raw = registry.manifest(PinnedReference(repository, listed.digest)).raw
        blob = json.loads(raw)["layers"][0]["digest"]
        return f"/v2/apps/demo/manifests/{listed.digest}", f"/v2/apps/demo/blobs/{blob}"

    def _answer(self, asked: Asked) -> Answer:
        path = asked.path
        times = self._times.get(path, 0)
        self._times[path] = times + 1
        lied = None if self._lie is None else self._lie(self, asked, times)
        if lied is not None:
            return lied
        if self._recording:
            self.honest[path] = truth(self.world, path)
        return self.honest.get(path) or Answer(404, body=b'{"errors":[{"code":"UNKNOWN"}]}')


def truth(world: World, path: str) -> Answer:
    """Return what an honest registry with the referrers API answers."""
    kind, _, name = path.removeprefix("/v2/apps/demo/").partition("/")
    registry, repository = world.registry, world.repository
    if kind == "referrers":
        listed = registry.referrers(PinnedReference(repository, Digest.parse(name)))
        raw = index_bytes(Index(media_type=INDEX, manifests=listed))
        return Answer(200, {"Content-Type": INDEX}, raw)
    if kind == "blobs":
        blob = registry.blobs.get((repository.name, Digest.parse(name)))
        return Answer(404) if blob is None else Answer(body=blob)
    digest = Digest.parse(name) if ":" in name else registry.tagged.get((repository.name, name))
    found = registry.manifests.get((repository.name, digest)) if digest else None
    if found is None:
        return Answer(404, body=b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
    headers = {"Content-Type": found.media_type, "Docker-Content-Digest": str(found.digest)}
    return Answer(200, headers, found.raw)


def strangers(stage: Stage, count: int) -> tuple[dict[str, Answer], list[dict[str, object]]]:
    """Return answers with so many bundles of a stranger's, and the entries that list them."""
    signer, world = MemorySigner(), stage.world
    made = World(repository=world.repository)
    for number in range(count):
        made.sign(signer=signer, name=f"{world.reference.identity}{number}")
    listed = made.registry.referrers(made.image)
    base = "/v2/apps/demo"
    manifests = {
        f"{base}/manifests/{digest}": truth(made, f"{base}/manifests/{digest}")
        for _, digest in made.registry.manifests
    }
    blobs = {
        f"{base}/blobs/{digest}": Answer(body=raw)
        for (_, digest), raw in made.registry.blobs.items()
    }
    return manifests | blobs, [descriptor_document(each) for each in listed]


def _forget_peak() -> None:
    # proc(5): 5 forgets the peak of earlier tests.
    Path("/proc/self/clear_refs").write_text("5")


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


def started() -> Iterator[Stage]:
    """Yield a stage that listens and has recorded the image."""
    stage = Stage()
    with stage.server:
        stage.record()
        yield stage


def hold(stage: Stage, lie: Lie, exit_code: int, code: str) -> str:
    """Play a lie, and hold how it ends, what it costs and that what is shown is harmless.

    Returns:
        What was shown.
    """
    outcome = stage.play(lie)

    assert (outcome.exit_code, *outcome.codes[:1]) == (exit_code, *([code] if code else []))
    assert outcome.seconds < DEADLINE
    assert outcome.memory < ROOM
    assert all(c.isprintable() or c == "\n" for c in outcome.shown), outcome.shown
    return outcome.shown
