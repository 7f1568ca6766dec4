"""Wheels are those of the image's own Python and C library, whatever the host has."""

import contextlib
import io
import json
import sys

import pytest
from msgspec.structs import replace
from packaging import tags
from packaging.markers import default_environment

from imagekit.build.wheels import PROBE, ImagePython, applying, image_python, no_wheels, platforms
from imagekit.errors import BuildError


def here() -> ImagePython:
    """What the Python that runs this test says of itself."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(PROBE, {})  # noqa: S102 - as the image's Python runs it
    return image_python(said.getvalue())


def test_the_ladder_is_that_of_the_interpreter() -> None:
    """What the packaging library finds out within an interpreter is what is asked for outside."""
    wanted = {tag.platform for tag in tags.sys_tags()} - {"any"}

    assert set(here().platforms) == wanted
    assert here().abi == next(tag.abi for tag in tags.sys_tags())


def test_markers_are_those_of_the_interpreter() -> None:
    """The probe's environment is the one that the packaging library has within."""
    wanted = {key: value for key, value in default_environment().items() if key != "extra"}

    assert here().markers == wanted
    assert here().version == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(
    ("libc", "machine", "first", "last", "count"),
    [
        ("glibc 2.41", "x86_64", "manylinux_2_41_x86_64", "manylinux1_x86_64", 41),
        ("glibc 2.36", "aarch64", "manylinux_2_36_aarch64", "manylinux2014_aarch64", 22),
        ("glibc 2.12", "x86_64", "manylinux_2_12_x86_64", "manylinux1_x86_64", 11),
        ("musl 1.2.5", "x86_64", "musllinux_1_2_x86_64", "musllinux_1_0_x86_64", 4),
    ],
)
def test_every_step_of_the_ladder_is_there(
    libc: str, machine: str, first: str, last: str, count: int
) -> None:
    """From the image's own version down to the oldest, with the old names, and plain linux last."""
    found = platforms(libc, machine)

    assert (found[0], found[-2], found[-1]) == (first, last, f"linux_{machine}")
    assert len(set(found)) == len(found) == count


@pytest.mark.parametrize("version", [27, 28, 31, 34, 35])
def test_wheels_between_the_known_tags_are_found(version: int) -> None:
    """CUDA's wheels are manylinux_2_27: not one of four tags."""
    assert f"manylinux_2_{version}_x86_64" in platforms("glibc 2.36", "x86_64")
    assert "manylinux_2_37_x86_64" not in platforms("glibc 2.36", "x86_64")


@pytest.mark.parametrize("libc", ["", "glibc", "glibc 3.1", "musl ", "uclibc 1.0", "glibc 2.9999"])
def test_an_unknown_library_is_refused(libc: str) -> None:
    """No tag is guessed."""
    with pytest.raises(BuildError, match="C library"):
        platforms(libc, "x86_64")


def test_markers_are_judged_by_the_images_python() -> None:
    """What holds in the image is downloaded without its marker; what does not is left out."""
    old = replace(here(), markers={**here().markers, "python_version": "3.8"})
    new = replace(here(), markers={**here().markers, "python_version": "3.99"})
    lines = [
        "plain==1 --hash=sha256:a",
        "demo[x]==1 ; python_version < '3.9' --hash=sha256:b --hash=sha256:c",
    ]

    assert applying(lines, old) == (
        "plain==1 --hash=sha256:a",
        "demo[x]==1 --hash=sha256:b --hash=sha256:c",
    )
    assert applying(lines, new) == ("plain==1 --hash=sha256:a",)


@pytest.mark.parametrize("stated", ["a==1 ; os_name ~= 'posix'", "a==1_0!x"])
def test_what_has_no_answer_is_refused(stated: str) -> None:
    """A text is not compared as a version, and a version that is none is no version."""
    odd = replace(here(), markers={**here().markers, "os_name": "x"})

    with pytest.raises(BuildError, match="cannot be judged"):
        applying([f"{stated} --hash=sha256:a"], odd)


def test_a_32_bit_python_of_a_64_bit_kernel_takes_its_own() -> None:
    """The machine is the kernel's; the pointer tells."""
    said = {
        "implementation": "cpython", "version": "3.11.2", "threads": True, "machine": "x86_64",
        "bits": 32, "libc": "glibc 2.36", "markers": dict(here().markers),
    }  # fmt: skip

    found = image_python(json.dumps(said))

    assert found.platforms[0] == "manylinux_2_36_i686"
    assert found.abi == "cp311t"


_A, _B = f"docopt==0.6.2 --hash=sha256:{'a' * 64}", f"idna==3.10 --hash=sha256:{'b' * 64}"


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        pytest.param(
            "ERROR: Could not find a version that satisfies the requirement docopt==0.6.2 (from "
            "versions: none)\nERROR: No matching distribution found for docopt==0.6.2",
            "docopt==0.6.2 has no wheel for CPython",
            "--only-binary :all:",
            id="source only",
        ),
        pytest.param(
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n"
            "    idna==3.10 from https://pypi.example.org/idna-3.10-py3-none-any.whl (from -r a):\n"
            "        Expected sha256 00",
            "idna==3.10: what the index has",
            "before you trust it",
            id="other bytes",
        ),
        pytest.param(
            "ERROR: No matching distribution found for requests==1",
            "pip cannot get the wheels",
            "what pip said",
            id="a name that nobody asked for",
        ),
        pytest.param("", "pip cannot get the wheels", "what pip said", id="silence"),
    ],
)
def test_the_pin_is_named_that_pip_cannot_get(said: str, message: str, hint: str) -> None:
    """With what to do about it; only a pin of the recipe is repeated from pip's words."""
    got = no_wheels(said, [_A, _B], here())

    assert message in got[0]
    assert hint in got[1]
    assert "{" not in "".join(got)
