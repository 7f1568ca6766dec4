"""Apptainer is told one manifest by its digest, and nothing of its caller's environment."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.errors import InputError, UsageError
from imagekit.hosts.apptainer_run import Apptainer, check, environment
from imagekit.hosts.run_options import RunOptions
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, LayoutLocation, Location
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.registry.options import RegistryOptions
from tests.support.fake_engine import FakeEngine

INDEX, DIGEST = Digest.of(b"index"), Digest.of(b"image")
APP = PinnedReference(Repository("r.site", "app"), INDEX, tag="1")
IMAGE = f"docker://r.site/app@{DIGEST}"


def _apptainer(programs: FakeEngine, options: RunOptions | None = None) -> Apptainer:
    return Apptainer(
        programs=programs,
        choose=lambda reference, among: reference.with_digest(*among),
        options=options or RunOptions(),
    )


def test_what_runs_is_the_chosen_manifest() -> None:
    """By its digest; contained, and without a home."""
    programs = FakeEngine()

    assert _apptainer(programs).run(APP, ["-x"], among=(DIGEST,)) == 7

    assert programs.asked[-1] == (
        *("apptainer", "run", "--containall", "--no-eval", "--no-umask", "--no-home"),
        *(IMAGE, "-x"),
    )


def test_loopback_and_plain_http_are_asked_without_tls() -> None:
    """And nobody else."""
    programs = FakeEngine()
    local = PinnedReference(Repository("127.0.0.1:5000", "app"), DIGEST)

    _apptainer(programs).run(local, [], among=(DIGEST,))
    replace(_apptainer(programs), plain_http=True).run(APP, [], among=(DIGEST,))
    _apptainer(programs).run(APP, [], among=(DIGEST,))

    assert ["--no-https" in words for words in programs.asked] == [True, True, False]


def test_variables_that_would_be_options_are_taken_away() -> None:
    """A bind over the image's programs, or another image's environment; the cache stays."""
    environ = {
        "APPTAINER_BIND": "/evil:/usr/bin",
        "SINGULARITYENV_LD_PRELOAD": "/evil.so",
        "APPTAINERENV_B": "1",
        "APPTAINER_CACHEDIR": "/scratch",
        "PATH": "/bin",
        "TOKEN": "x,y",
    }
    options = RunOptions(env=('A=x,y="1"', "TOKEN", "MISSING"))

    assert environment(environ, options) == {
        "APPTAINER_CACHEDIR": "/scratch",
        "PATH": "/bin",
        "TOKEN": "x,y",
        "APPTAINERENV_A": 'x,y="1"',
        "APPTAINERENV_TOKEN": "x,y",
    }


def test_no_variable_is_an_argument() -> None:
    """Other users of a node can read those; what is only shown has what was stated anyhow."""
    programs, shown = FakeEngine(), list[str]()
    apptainer = _apptainer(programs, RunOptions(env=("A=1", "TOKEN")))

    apptainer.run(APP, [], among=(DIGEST,))
    replace(apptainer, show=shown.extend).run(APP, [], among=(DIGEST,))

    assert shown[:3] == ["env", "APPTAINERENV_A=1", "apptainer"]
    assert tuple(shown[2:]) == programs.asked[0]
    assert not any("TOKEN" in word for word in shown)


def test_the_options_are_in_its_own_words() -> None:
    """Each one word; a program in the entrypoint's place is executed."""
    programs = FakeEngine()
    options = RunOptions(
        volumes=("/a:/b:ro", "/c:/d"),
        devices=("/dev/fuse",),
        gpus=("all",),
        workdir="/b",
        entrypoint="/bin/sh",
        home=Path("/home/ann"),
    )

    replace(_apptainer(programs, options), network="none").run(APP, ["-c"], among=(DIGEST,))
    replace(_apptainer(programs, RunOptions(entrypoint=""))).run(APP, ["ls"], among=(DIGEST,))

    assert programs.asked[0][1:] == (
        *("exec", "--containall", "--no-eval", "--no-umask", "--home=/home/ann"),
        *("--bind=/a:/b:ro", "--bind=/c:/d:rw", "--bind=/dev/fuse", "--nv", "--pwd=/b"),
        *("--net", "--network=none", IMAGE, "/bin/sh", "-c"),
    )
    assert programs.asked[1][-2:] == (IMAGE, "ls")


def test_a_command_that_is_only_shown_runs_nothing() -> None:
    """It is the whole command."""
    programs, shown = FakeEngine(), list[str]()

    replace(_apptainer(programs), show=shown.extend).run(APP, [], among=(DIGEST,))

    assert programs.asked == []
    assert shown[-1] == IMAGE


@pytest.mark.parametrize(
    "options",
    [
        RunOptions(volumes=("/a:/",)),
        RunOptions(volumes=("name:/a",)),
        RunOptions(volumes=("/a",)),
        RunOptions(volumes=("/a:/b:image-src=/",)),
        RunOptions(volumes=("/a,/evil:/usr",)),
        RunOptions(volumes=("/a:/b,/evil:/usr",)),
        RunOptions(env=("HOME=/x",)),
        RunOptions(env=("-i",)),
        RunOptions(env=("A B=1",)),
        RunOptions(devices=("nvidia.com/gpu=all",)),
        RunOptions(devices=("/dev/x:/usr/bin/y",)),
        RunOptions(gpus=("0",)),
        RunOptions(user="0"),
        RunOptions(userns="host"),
        RunOptions(entrypoint='["/bin/sh"]'),
        RunOptions(entrypoint="--writable"),
        RunOptions(home=Path("/home/a:/usr")),
    ],
    ids=str,
)
def test_what_it_would_read_otherwise_or_does_not_have_is_refused(options: RunOptions) -> None:
    """With what to do instead."""
    with pytest.raises((UsageError, InputError)) as caught:
        check(options, network="host", location=REGISTRY, registry=RegistryOptions())

    assert caught.value.hint


@pytest.mark.parametrize(
    ("network", "location", "registry"),
    [
        ("bridge", REGISTRY, RegistryOptions()),
        ("host", LayoutLocation(Path("x")), RegistryOptions()),
        ("host", REGISTRY, RegistryOptions(ca_file=Path("ca.pem"))),
    ],
    ids=["network", "layout", "ca-file"],
)
def test_places_that_it_cannot_be_told_are_refused(
    network: str, location: Location, registry: RegistryOptions
) -> None:
    """With what to do instead."""
    with pytest.raises(UsageError) as caught:
        check(RunOptions(), network=network, location=location, registry=registry)

    assert caught.value.hint
