"""What was chosen, in the words of ``podman run``."""

from pathlib import Path

import pytest

from imagekit.build.tools.podman import ContainerOptions
from imagekit.errors import UsageError
from imagekit.hosts.podman_options import with_choices
from imagekit.hosts.run_options import RunOptions


def test_each_choice_is_one_word() -> None:
    """So that no value can be read as an option or as the image."""
    options = RunOptions(
        volumes=("/a:/b:ro",),
        env=("-x",),
        workdir="--rootfs",
        devices=("/dev/fuse",),
        gpus=("all",),
        user="5:6",
        entrypoint="/bin/sh",
        userns="keep-id",
        home=Path("/home/ann"),
    )

    container = with_choices(ContainerOptions(network="none"), options, ["--init"])

    assert container.words == ("--network", "none")
    assert container.last_words == (
        *("--volume=/home/ann:/home/ann", "--volume=/a:/b:ro", "--env=HOME=/home/ann", "--env=-x"),
        *("--device=/dev/fuse", "--device=nvidia.com/gpu=all", "--workdir=--rootfs", "--user=5:6"),
        *("--userns=keep-id", "--init", "--entrypoint=/bin/sh"),
    )


def test_nothing_chosen_says_nothing() -> None:
    """Podman's and the image's own defaults hold."""
    assert with_choices(ContainerOptions(), RunOptions(), []).last_words == ()


@pytest.mark.parametrize(
    ("options", "more"),
    [(RunOptions(volumes=("/a:/",)), []), (RunOptions(), ["--rootfs"])],
    ids=["option", "podman-arg"],
)
def test_what_would_undo_the_verdict_is_not_put_into_words(
    options: RunOptions, more: list[str]
) -> None:
    """Both are looked at."""
    with pytest.raises(UsageError):
        with_choices(ContainerOptions(), options, more)
