"""Docker pulls and runs one manifest by its digest, with the options that it has."""

import json
from pathlib import Path

import pytest

from imagekit.errors import DocumentError, IntegrityError, UsageError
from imagekit.hosts.docker_run import Docker, check
from imagekit.hosts.run_options import RunOptions
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, LayoutLocation, Location
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.registry.options import RegistryOptions
from tests.support.fake_engine import FakeEngine

INDEX, DIGEST = Digest.of(b"index"), Digest.of(b"image")
APP = PinnedReference(Repository("r.site", "app"), INDEX, tag="1")
IMAGE = f"r.site/app@{DIGEST}"
INSPECTED = json.dumps([{"RepoDigests": [IMAGE]}])


def _docker(programs: FakeEngine, options: RunOptions | None = None) -> Docker:
    return Docker(
        programs=programs,
        choose=lambda reference, among: reference.with_digest(*among),
        network="host",
        options=options or RunOptions(),
    )


def test_what_is_pulled_and_run_is_the_chosen_manifest() -> None:
    """By its digest in each command; the tag is never shown, and nothing else is pulled."""
    programs = FakeEngine(INSPECTED)

    assert _docker(programs).run(APP, ["-x"], among=(DIGEST,)) == 7

    pulled, inspected, ran = programs.asked
    assert pulled == ("docker", "pull", "--quiet", IMAGE)
    assert inspected[-1] == IMAGE
    assert ran[-2:] == (IMAGE, "-x")
    assert {"--rm", "--read-only", "--pull=never", "--network=host"} < set(ran)


def test_the_options_are_one_word_each() -> None:
    """And what Podman has in memory is in memory, but where a volume lies there."""
    programs = FakeEngine(INSPECTED)
    options = RunOptions(
        volumes=("/scratch:/tmp/",),
        env=("A=1",),
        devices=("/dev/fuse",),
        gpus=("all",),
        user="5:5",
        workdir="/tmp",
        entrypoint="",
        home=Path("/home/ann"),
    )

    _docker(programs, options).run(APP, [], among=(DIGEST,))

    words = programs.asked[-1]
    assert words[words.index("--tmpfs=/run:exec,mode=1777") :] == (
        *("--tmpfs=/run:exec,mode=1777", "--tmpfs=/var/tmp:exec,mode=1777"),
        *("--volume=/home/ann:/home/ann", "--volume=/scratch:/tmp/", "--env=HOME=/home/ann"),
        *("--env=A=1", "--device=/dev/fuse", "--device=nvidia.com/gpu=all", "--workdir=/tmp"),
        *("--user=5:5", "--entrypoint=", IMAGE),
    )


@pytest.mark.parametrize("names", [[], None, [f"r.site/app@{INDEX}"]])
def test_another_image_in_the_daemon_is_not_run(names: list[str] | None) -> None:
    """What it says it stored is compared."""
    programs = FakeEngine(json.dumps([{"RepoDigests": names}]))

    with pytest.raises(IntegrityError, match="another image"):
        _docker(programs).run(APP, [], among=(DIGEST,))

    assert [words[1] for words in programs.asked] == ["pull", "image"]


@pytest.mark.parametrize("shown", ["", "[]", "[3]", "{}", "[{}]"])
def test_an_answer_that_shows_no_image_is_an_error(shown: str) -> None:
    """Nothing runs on a guess."""
    with pytest.raises(DocumentError):
        _docker(FakeEngine(shown)).run(APP, [], among=(DIGEST,))


@pytest.mark.parametrize(
    ("options", "location", "registry"),
    [
        (RunOptions(userns="keep-id"), REGISTRY, RegistryOptions()),
        (RunOptions(volumes=("/a:/",)), REGISTRY, RegistryOptions()),
        (RunOptions(), LayoutLocation(Path("x")), RegistryOptions()),
        (RunOptions(), REGISTRY, RegistryOptions(plain_http=True)),
        (RunOptions(), REGISTRY, RegistryOptions(ca_file=Path("ca.pem"))),
    ],
    ids=["userns", "volume", "layout", "plain-http", "ca-file"],
)
def test_what_docker_cannot_be_told_is_refused(
    options: RunOptions, location: Location, registry: RegistryOptions
) -> None:
    """With what to do instead."""
    with pytest.raises(UsageError) as caught:
        check(options, location=location, registry=registry)

    assert caught.value.hint


def test_what_docker_has_is_taken() -> None:
    """Nothing is refused without a reason."""
    options = RunOptions(volumes=("/a:/b",), userns="host", env=("A",))

    check(options, location=REGISTRY, registry=RegistryOptions())
