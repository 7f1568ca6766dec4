"""A registry fails at each step of a publish, in each way: nothing half is ever to be had by a tag.

The whole matrix takes long: `tox run -e failures`. Without it some of each row are tried.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.build.build import BuildOptions
from imagekit.errors import ImagekitError
from imagekit.oci.digest import Digest
from imagekit.oci.registry import upload
from imagekit.oci.registry.options import RegistryOptions
from imagekit.publish.publish import PublishOptions
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.publish.published import PublishedImage
from imagekit.recipe import load
from tests.support.fakes import MemorySigner
from tests.support.faulty_registry import STEPS, Failure, FaultyRegistry, Honest
from tests.support.hostile import Answer
from tests.support.misbehaviours import Change, cut_off
from tests.support.released import RECIPE, complete, no_unsigned_tag, whole_blobs
from tests.support.replay import Write
from tests.support.servers import RegistryServer
from tests.support.whole import WHOLE

pytestmark = [pytest.mark.real, pytest.mark.slow]

PATIENT = RegistryOptions(attempts=2, settle_seconds=0.3)
IMPATIENT = replace(PATIENT, connect_seconds=2, read_seconds=1, deadline_seconds=2)
SECONDS = 40
"""The longest that a publish may take to say that it failed."""


def _instead(answer: Answer) -> Callable[[Honest], Answer]:
    return lambda _: answer


def _altered(change: Change) -> Callable[[Honest], Answer]:
    return lambda honest: change(honest())


def _refused(status: HTTPStatus, **headers: str) -> Callable[[Honest], Answer]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _instead(Answer(status, named, b'{"errors": [{"code": "NO", "message": "not now"}]}'))


def _hung_up(honest: Honest) -> Answer:
    """Do it, and close the connection before the answer."""
    honest()
    return _CLOSED


def _slow(answer: Answer) -> Answer:
    """A byte each fifth of a second, so that no read ever times out."""

    def drip(write: Write) -> None:
        for byte in answer.body + bytes(50):
            write(bytes([byte]))
            time.sleep(0.2)

    return replace(answer, drip=drip)


_CLOSED = Answer(raw=True, drip=lambda _: None)
_SILENT = Answer(raw=True, drip=lambda _: time.sleep(2))
_OTHER = str(Digest.of(b"something else"))
PASSING = {
    "a fault": Failure(answer=_refused(HTTPStatus.SERVICE_UNAVAILABLE, Retry_After="0"), once=True),
    "busy": Failure(answer=_refused(HTTPStatus.TOO_MANY_REQUESTS), once=True),
    "a dropped connection": Failure(answer=_instead(_CLOSED), once=True),
    "a lost answer": Failure(answer=_hung_up, once=True),
    "a token that has ended": Failure(tokens=True, once=True),
}
"""What passes by itself, so that a publish ends as if nothing had been."""
LASTING = {
    "cut answers": Failure(answer=_altered(cut_off)),
    "faults": Failure(answer=_refused(HTTPStatus.INTERNAL_SERVER_ERROR)),
    "dropped connections": Failure(answer=_instead(_CLOSED)),
    "lost answers": Failure(answer=_hung_up),
    "silence": Failure(answer=_instead(_SILENT)),
    "slow answers": Failure(answer=_altered(_slow)),
    "tokens that are never good": Failure(tokens=True),
    "a ban": Failure(answer=_refused(HTTPStatus.FORBIDDEN)),
    "nothing there": Failure(answer=_refused(HTTPStatus.NOT_FOUND)),
    "another digest said": Failure(
        answer=_altered(
            lambda answer: replace(
                answer, headers=answer.headers | {"Docker-Content-Digest": _OTHER}
            )
        )
    ),
    "another content": Failure(
        answer=_altered(lambda answer: replace(answer, body=answer.body[:-1] + b" "))
    ),
    "forgotten": Failure(answer=_instead(Answer(HTTPStatus.CREATED))),
    "said to be there": Failure(answer=_instead(Answer(HTTPStatus.OK))),
}
"""What does not pass, or is a lie: it ends a publish, or does it no harm."""
STOPPING = {
    "faults",
    "dropped connections",
    "silence",
    "tokens that are never good",
    "a ban",
}
"""What no publish goes on behind, whatever the step is."""
_STRIDE = 17
LOSING = {("look for a blob", "said to be there"), ("end an upload", "forgotten")}
"""Where a registry that looks at no manifest keeps those of blobs that it never had."""


@dataclass(frozen=True)
class Site:
    """A registry that can be made to fail, and what is published there."""

    registry: FaultyRegistry
    signer: MemorySigner
    recipe: Path
    home: Path

    def publish(self, prefix: str, registry: RegistryOptions) -> PublishedImage:
        """Publish to a place that no other test uses."""
        options = PublishOptions(build=BuildOptions(test=False), registry=registry)
        return publish_recipe(
            load(self.recipe), to=self.to(prefix), signer=self.signer, options=options
        )

    def to(self, prefix: str) -> str:
        """Return the destination."""
        return f"{self.registry.host}/{prefix}"


@pytest.fixture(scope="module", params=["docker-registry", *(["refregistry"] if WHOLE else [])])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Debian's registry, or one with the referrers API, and a proxy before it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "recipe").mkdir()
    (folder / "server").mkdir()
    (folder / "recipe/recipe.yaml").write_text(RECIPE)
    (folder / "recipe/hello.txt").write_bytes(os.urandom(200 << 10))
    if request.param == "docker-registry":
        server = RegistryServer.docker_registry(folder / "server")
    else:
        server = RegistryServer.refregistry(
            request.getfixturevalue("bench") / "refregistry", folder / "server"
        )
    with server as real, FaultyRegistry(real.host) as registry:
        yield Site(registry, MemorySigner(), folder / "recipe", folder / "home")


@pytest.fixture(autouse=True)
def _home(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Build once for all, and send the layer in several chunks."""
    monkeypatch.setenv("HOME", str(site.home))
    monkeypatch.setattr(upload, "LARGE", 64 << 10)
    monkeypatch.setattr(upload, "CHUNK", 64 << 10)


def _matrix(failures: dict[str, Failure]) -> list[Any]:
    """Return steps with failures: all, or each failure at least once."""
    whole = list(itertools.product(STEPS, failures))
    # A stride that has no divisor in common with their number meets all of them.
    chosen = whole if WHOLE else whole[::_STRIDE]
    return [pytest.param(step, name, id=f"{step}: {name}") for step, name in chosen]


@pytest.mark.parametrize(("step", "name"), _matrix(PASSING))
def test_what_passes_is_waited_for(site: Site, step: str, name: str) -> None:
    """The publish ends well, and no blob was sent twice."""
    prefix, failure = _prefix(step, name), PASSING[name]
    # A token ends that was good before.
    number = 3 if failure.tokens and step.startswith("look for") else 1
    with site.registry.failing(step, failure, number=number):
        # Without conditions, who took too long to write a tag cannot know whether it was alone.
        options = replace(PATIENT, settle_seconds=2) if step == "write the version" else PATIENT
        assert site.publish(prefix, options).status == "published"
        failed, asked = site.registry.failed, site.registry.seen[step]

    # Not every registry is asked for each of the steps.
    assert failed == (asked >= number)
    _hold_release(site, prefix)


@pytest.mark.parametrize(("step", "name"), _matrix(LASTING))
def test_what_lasts_ends_in_an_error(site: Site, step: str, name: str) -> None:
    """Nobody gets anything without its proofs, and the next run completes it."""
    prefix = _prefix(step, name)
    began = time.monotonic()
    with site.registry.failing(step, LASTING[name]):
        error = _error(lambda: site.publish(prefix, IMPATIENT))
        met, asked = site.registry.failed, site.registry.seen[step]
    if error is not None:
        assert error.exit_code in {2, 4, 5, 6}, repr(error)
        assert error.hint, (type(error), error.code, error.message)
    assert bool(met) == bool(asked)
    assert error is not None or not met or name not in STOPPING
    assert time.monotonic() - began < SECONDS

    no_unsigned_tag(site.to(prefix), site.signer)
    assert site.publish(prefix, PATIENT).status in {"published", "completed", "unchanged"}
    _hold_release(site, prefix, lost=(step, name) in LOSING)


def _error(act: Callable[[], object]) -> ImagekitError | None:
    try:
        act()
    except ImagekitError as error:
        return error
    return None


def _prefix(step: str, name: str) -> str:
    return f"{step} {name}".replace(" ", "-")


def _hold_release(site: Site, prefix: str, *, lost: bool = False) -> None:
    complete(site.to(prefix), site.signer, lost=lost)
    twice = [blob for blob, times in site.registry.stored.items() if times > 1]
    assert not twice
    whole_blobs(site.home)
