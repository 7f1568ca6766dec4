"""What Podman is asked for."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from imagekit.build.job import Trial
from imagekit.build.tools.podman import ContainerOptions, Podman, RootFolder
from imagekit.errors import DocumentError, IntegrityError, NotFoundError, ToolError
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.location import LayoutLocation
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.process import Outcome
from imagekit.progress import Done, Event, Started
from tests.support.fake_podman import FakePodman
from tests.support.fakes import push_image

IMAGE = "a" * 64
DIGEST = Digest.of(b"image")
LOCAL = PinnedReference(Repository("127.0.0.1:5000", "app"), DIGEST, tag="1")


def test_another_digest_in_the_storage_is_an_integrity_error() -> None:
    """What is stored is compared, and not only what was asked for."""
    with pytest.raises(IntegrityError, match="another image"):
        Podman(programs=FakePodman(digest=str(Digest.of(b"evil")))).run(LOCAL, [])


@pytest.mark.parametrize("shown", ["[]", "{", "[3]", "[{}]"])
def test_an_answer_that_shows_no_image_is_an_error(shown: str) -> None:
    """Nothing runs on a guess."""
    with pytest.raises(DocumentError):
        Podman(programs=FakePodman(inspected=shown)).pull(LOCAL)


@pytest.mark.parametrize("image", ["", "--privileged", "A" * 64])
def test_an_id_that_is_none_is_an_error(image: str) -> None:
    """Podman's words never become options of the next command."""
    with pytest.raises(ToolError, match="did not tell the id"):
        Podman(programs=FakePodman(image=image)).pull(LOCAL)


def _index(*chosen: Digest) -> FakePodman:
    """Podman names the index, and what it chose from it."""
    return FakePodman(image=IMAGE, chosen=tuple(map(str, chosen)))


def test_of_an_index_only_what_was_judged_is_kept() -> None:
    """What the registry had for Podman and not for the verifier neither runs nor stays."""
    judged, hidden = Digest.of(b"judged"), Digest.of(b"hidden")
    programs = _index(hidden)

    assert Podman(programs=_index(judged)).pull(LOCAL, among=(judged, hidden)) == IMAGE
    with pytest.raises(IntegrityError, match="was not judged"):
        Podman(programs=programs).run(LOCAL, [], among=(judged,))

    assert [words[1] for words in programs.asked] == ["pull", "image", "rmi"]
    with pytest.raises(IntegrityError, match="was not judged"):
        Podman(programs=_index(hidden)).pull(LOCAL, among=())


def test_an_image_in_use_that_cannot_be_removed_is_refused_all_the_same() -> None:
    """The refusal is about what was pulled, and not about removing it."""
    programs = FakePodman(digest=str(Digest.of(b"evil")), failing=frozenset({"rmi"}))

    with pytest.raises(IntegrityError, match="another image"):
        Podman(programs=programs).pull(LOCAL)


def test_pulls_by_digest_only() -> None:
    """The tag is never shown to Podman; loopback has no TLS."""
    programs = FakePodman(image=IMAGE)

    assert Podman(programs=programs).pull(LOCAL) == IMAGE
    assert programs.asked[0][-2:] == ("--tls-verify=false", f"127.0.0.1:5000/app@{DIGEST}")


def test_other_hosts_are_asked_by_tls() -> None:
    """Only loopback and --plain-http go without."""
    programs = FakePodman(image=IMAGE)
    Podman(programs=programs).pull(PinnedReference(Repository("r.example.org", "app"), DIGEST))

    assert "--tls-verify=true" in programs.asked[0]


def test_runs_by_id_without_another_pull_and_passes_the_exit_code() -> None:
    """Between check and start no name is looked up again."""
    programs = FakePodman(image=IMAGE)

    podman = Podman(programs=programs, container=ContainerOptions(network="none"))

    assert podman.run(LOCAL, ["-x"]) == 7
    command = programs.asked[-1]
    assert command[-4:] == ("--network", "none", IMAGE, "-x")
    assert command[command.index("--pull") + 1] == "never"
    assert {"--rm", "--read-only", "--http-proxy=false"} < set(command)


def test_what_the_caller_chose_stands_last() -> None:
    """Podman takes the last of an option: its caller's, and not the image's or this host's."""
    programs = FakePodman(image=IMAGE)
    options = ContainerOptions(network="host", chosen=("--user=5", "--env=A=2"), entrypoint="")
    podman = Podman(programs=programs, container=options)
    root = RootFolder(path=Path("/srv/x"), uid=0, gid=0, cwd="/", env=("A=1",))

    podman.run(LOCAL, ["-x"])
    podman.start_folder(root, ["/bin/sh"])

    chosen = ("--user=5", "--env=A=2", "--entrypoint=")
    assert programs.asked[-2][-5:] == (*chosen, IMAGE, "-x")
    assert programs.asked[-1][-5:] == (*chosen, "/srv/x:O", "/bin/sh")


def test_a_test_gets_nothing_that_a_caller_chose() -> None:
    """It runs as it would anywhere."""
    programs = FakePodman(image=IMAGE, container=lambda _: 0)
    options = ContainerOptions(chosen=("--privileged",), entrypoint="/bin/sh")
    podman = Podman(programs=programs, container=options)
    image = podman.pull(LOCAL)

    podman.run_test(image, Trial(command=(), limit=9.0), name="t")

    assert not {"--privileged", "--entrypoint=/bin/sh"} & set(programs.asked[-1])


@pytest.mark.parametrize(
    ("status", "stderr", "code"),
    [
        (125, "Error: x", ""),
        (125, "Error: lchown /x: invalid argument", "NO_SUBORDINATE_IDS"),
        (126, "runc create failed: unable to setup user: invalid argument", "NO_SUBORDINATE_IDS"),
    ],
)
def test_a_container_that_does_not_start_is_no_test_that_failed(
    status: int, stderr: str, code: str
) -> None:
    """The host lacks something, and what to do about it is not in the recipe."""
    programs = FakePodman(image=IMAGE, container=lambda _: status, stderr=stderr)
    podman = Podman(programs=programs, container=ContainerOptions())

    with pytest.raises(ToolError) as caught:
        podman.run_test(podman.pull(LOCAL), Trial(command=(), limit=9.0), name="t")

    assert (caught.value.code, caught.value.status) == (code, status)


def test_a_command_that_may_not_be_executed_is_a_result() -> None:
    """A test may expect that."""
    programs = FakePodman(image=IMAGE, container=lambda _: 126, stderr="sh: /x: Permission denied")
    podman = Podman(programs=programs, container=ContainerOptions())

    ran = podman.run_test(podman.pull(LOCAL), Trial(command=(), limit=9.0), name="t")

    assert ran.status == 126


def test_a_command_that_is_only_shown_pulls_and_runs_nothing() -> None:
    """It names the image by its digest."""
    programs, shown = FakePodman(image=IMAGE), list[str]()

    assert Podman(programs=programs, show=shown.extend).run(LOCAL, ["-x"]) == 0

    assert programs.asked == []
    assert shown[:2] == ["podman", "run"]
    assert shown[-2:] == [str(LOCAL.with_digest(DIGEST)), "-x"]


def test_what_is_in_a_layout_is_pulled_from_there(tmp_path: Path) -> None:
    """Its name is a registry's as well, which is not asked; what is told names the folder."""
    registry = LayoutRegistry(LayoutStore(tmp_path))
    image = push_image(registry, Repository("r.site", "app"))
    podman = Podman(programs=FakePodman()).pulling(LayoutLocation(tmp_path))

    pulled = podman.pull(image)

    config = json.loads(registry.manifest(image).raw)["config"]["digest"]
    assert config == f"sha256:{pulled}"
    with pytest.raises(IntegrityError, match=f"oci:{tmp_path}:r.site/app@"):
        podman.pull(image, among=(DIGEST,))
    with pytest.raises(NotFoundError):
        podman.pull(LOCAL)


def test_a_pull_is_told_from_its_beginning_to_its_end() -> None:
    """With what is pulled, and Podman's lines in between; it is not asked to be quiet."""
    events: list[Event] = []
    programs = FakePodman(image=IMAGE)

    Podman(programs=programs, progress=events.append).pull(LOCAL)

    assert [type(event) for event in events] == [Started, Done]
    assert "--quiet" not in programs.asked[0]


def test_a_pull_that_draws_is_told_when_it_is_done() -> None:
    """A live line beside what Podman draws would be drawn over."""
    events: list[Event] = []
    programs = FakePodman(image=IMAGE)

    podman = Podman(programs=programs, progress=events.append, draw=programs.run)

    assert podman.pull(LOCAL) == IMAGE
    assert [type(event) for event in events] == [Done]


def test_a_pull_that_draws_and_fails_is_explained() -> None:
    """As one whose lines are told."""

    def draw(argv: Sequence[str]) -> Outcome:
        said = "x is rejected by policy"
        raise ToolError("podman pull: ended with 125", argv=tuple(argv), output=said)

    with pytest.raises(ToolError, match="Podman's policy refuses"):
        Podman(programs=FakePodman(), draw=draw).pull(LOCAL)
