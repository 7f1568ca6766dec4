"""What the caller of a container chooses: nothing of it has other bytes run than were judged."""

from pathlib import Path

import pytest

from imagekit.errors import InputError, UsageError
from imagekit.hosts.run_options import RunOptions, volume_target


@pytest.mark.parametrize("target", ["/", "//", "/.", "/x/..", "///x/../", "/../.."])
@pytest.mark.parametrize("form", ["/tmp:{}", "/tmp:{}:ro", "{}", "name:{}"])
def test_nothing_covers_the_whole_image(form: str, target: str) -> None:
    """Podman mounts over /, and then nothing of the image is left."""
    with pytest.raises(UsageError, match="covers the whole image") as caught:
        RunOptions(volumes=(form.format(target),)).check()

    assert caught.value.code == "run/refused-option"


@pytest.mark.parametrize("volume", ["", "/tmp:x", "x", "/a:/b:ro:/", "/a:", ":", "a:b:/c"])
def test_a_volume_that_can_be_read_in_two_ways_is_refused(volume: str) -> None:
    """As is one without a place in the container."""
    with pytest.raises(UsageError, match="no path in the container"):
        RunOptions(volumes=(volume,)).check()


@pytest.mark.parametrize("volume", ["/data:/sets", "/data:/sets:ro,z", "/sets", "name:/sets"])
def test_a_volume_below_a_folder_is_taken(volume: str) -> None:
    """In each of Podman's forms."""
    options = RunOptions(volumes=(volume,))
    options.check()

    assert volume_target(volume) == "/sets"
    assert list(options.remarks()) == []


@pytest.mark.parametrize("target", ["/usr/bin/x", "/etc/ld.so.preload", "/lib64", "/x/../bin"])
def test_what_covers_programs_of_the_image_is_said(target: str) -> None:
    """It is the caller's to choose."""
    options = RunOptions(volumes=(f"/tmp/x:{target}", "/data:/data"))
    options.check()

    (remark,) = options.remarks()
    assert volume_target(f"/tmp/x:{target}") in remark
    assert "not judged" in remark
    assert "/data" not in remark


def test_the_home_is_mounted_under_its_own_path() -> None:
    """HOME is there, and a value that the caller states overrides it."""
    options = RunOptions(home=Path("/home/ann"), env=("HOME=/x",), volumes=("/a:/b",))

    assert options.all_volumes == ("/home/ann:/home/ann", "/a:/b")
    assert options.all_env == ("HOME=/home/ann", "HOME=/x")
    assert RunOptions().all_volumes == RunOptions().all_env == ()


@pytest.mark.parametrize("home", ["/", "/home/a:/etc", "/home/a,b"])
def test_a_home_that_would_be_something_else_is_refused(home: str) -> None:
    """A daemon's is /; a colon would part the option."""
    with pytest.raises((UsageError, InputError)):
        RunOptions(home=Path(home)).check()


@pytest.mark.parametrize("name", ["", "-x", "a=b", "all all", "0,1", "a/b", "x\n"])
def test_a_name_that_is_no_gpu_is_refused(name: str) -> None:
    """What is handed on is one device of one kind."""
    with pytest.raises(UsageError, match="no name of a device"):
        RunOptions(gpus=(name,)).check()


def test_gpus_are_devices_of_their_kind() -> None:
    """Beside others."""
    options = RunOptions(devices=("/dev/fuse",), gpus=("0", "GPU-a:1"))
    options.check()

    assert options.all_devices == ("/dev/fuse", "nvidia.com/gpu=0", "nvidia.com/gpu=GPU-a:1")
