"""Two publishers, one immutable tag, different content: one wins, and the other is told."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagekit.build.build import BuildOptions
from imagekit.clock import SystemClock
from imagekit.errors import InputError
from imagekit.oci.destination import Destination
from imagekit.oci.location import LocatedReference
from imagekit.oci.reference import PinnedReference, TaggedReference
from imagekit.oci.registry.connect import writer
from imagekit.oci.registry.options import RegistryOptions
from imagekit.publish.own_policy import own_policy
from imagekit.publish.publish import PublishOptions
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.recipe import load
from imagekit.sign.open_signer import open_signer
from imagekit.signatures.keys.key_files import generate
from imagekit.verify.rollback import SqliteRollbackStore
from imagekit.verify.verify import verify
from tests.support.released import RECIPE
from tests.support.servers import RegistryServer

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(params=["docker-registry", "refregistry", "layout"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    """A registry without conditions, one with the referrers API, and a folder."""
    if request.param == "layout":
        yield Destination.parse(f"oci:{tmp_path}/images")
        return
    (tmp_path / "server").mkdir()
    if request.param == "docker-registry":
        server = RegistryServer.docker_registry(tmp_path / "server")
    else:
        program = request.getfixturevalue("bench") / "refregistry"
        server = RegistryServer.refregistry(program, tmp_path / "server")
    with server as registry:
        yield Destination.parse(f"{registry.host}/apps")


class _Meeting:
    """A writer that waits for the other publisher before it writes its first tag."""

    def __init__(self, real: Any, barrier: threading.Barrier) -> None:
        self._real = real
        self._barrier = barrier
        self._met = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name not in {"tag", "tag_once"}:
            return method

        def write(reference: TaggedReference, *arguments: Any) -> Any:
            if reference.tag in {"1.0.0", "latest"} and not self._met:
                self._met = True
                self._barrier.wait(120)
            return method(reference, *arguments)

        return write


def test_50_two_publishers_with_different_content(destination: Destination, tmp_path: Path) -> None:
    """Attack 50: both saw no tag; one of them ends with 2, and no tag is its image's."""
    generate(tmp_path, lambda: "secret")
    signer = open_signer(tmp_path / "imagekit.key", lambda: "secret")
    place = destination.place("hello")
    barrier = threading.Barrier(2)
    won, lost = list[PinnedReference](), list[InputError]()

    def run(number: int) -> None:
        home = tmp_path / f"home{number}"
        folder = tmp_path / f"recipe{number}"
        folder.mkdir()
        (folder / "recipe.yaml").write_text(RECIPE)
        (folder / "hello.txt").write_text(f"hello {number}\n")
        env = {**os.environ, "HOME": str(home)}
        try:
            image = publish_recipe(
                load(folder),
                to=destination,
                signer=signer,
                options=PublishOptions(build=BuildOptions(test=False, env=env)),
                writer=_Meeting(
                    writer(place, RegistryOptions()),
                    barrier,
                ),
                memory=SqliteRollbackStore(home / "seen.db"),
            )
        except InputError as error:
            lost.append(error)
        else:
            won.append(image.reference)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)

    assert [(error.exit_code, error.code) for error in lost] == [(2, "publish/immutable-tag")]
    policy = own_policy(place.repository.name, signer.authority, SystemClock().now())
    for number in range(2):
        # Also who lost takes the winner's for the release from here on.
        memory = SqliteRollbackStore(tmp_path / f"home{number}" / "seen.db")
        for tag in ("1.0.0", "latest"):
            named = LocatedReference(place.location, TaggedReference(place.repository, tag))
            verdict = verify(named, policy=policy, memory=memory)
            assert (verdict.allowed, verdict.digest) == (True, won[0].digest), verdict.findings
