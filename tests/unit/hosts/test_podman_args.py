"""Options that are handed on to Podman: those of a list, in one form."""

import re
from pathlib import Path

import pytest

from imagekit.errors import UsageError
from imagekit.hosts.podman_args import KNOWN, checked, remarks

UNDOING = [
    *("--rootfs", "--rootfs=true", "--pull=always", "--arch=arm64", "--platform=linux/arm64"),
    *("--root=/tmp/x", "--runroot=/tmp/x", "--storage-opt=x.imagestore=/tmp", "--imagestore=/tmp"),
    *("--signature-policy=/tmp/p.json", "--tls-verify=false", "--authfile=/tmp/x"),
    *("--init-path=/tmp/evil", "--hooks-dir=/tmp", "--runtime=/tmp/evil", "--volumes-from=other"),
    *("--pod=other", "--detach", "--module=/tmp/x", "--decryption-key=/tmp/x", "--rm=false"),
]
SEVERAL_WAYS = [
    *("-v/:/x", "-v", "-it", "-dit", "-e=A", "", "-", "--", "image", "volume=/:/x", "=x"),
    *("--cap-drop all", "--mount", "--privileged=maybe", "--shm-size", "--cap-ad=all"),
    *("--PULL=always", "---cap-add=all", "--rootf", "--pul=always", "--label=a\nb"),
    *("--mount=type=tmpfs,target=/x\ntype=image", "--cap-add\t=x", "--cap\u2010add=x"),
]


@pytest.mark.parametrize("word", [*UNDOING, *SEVERAL_WAYS])
def test_what_would_undo_the_verdict_or_was_not_understood_is_refused(word: str) -> None:
    """Each with a reason and a remedy."""
    with pytest.raises(UsageError) as caught:
        checked([word])

    assert caught.value.code == "run/refused-option"
    assert caught.value.hint
    assert ascii(word) in caught.value.message


@pytest.mark.parametrize("name", ["volume", "env", "user", "network", "device", "entrypoint"])
def test_what_is_an_option_of_ours_is_read_there_only(name: str) -> None:
    """So that one place checks it."""
    with pytest.raises(UsageError, match="itself") as caught:
        checked([f"--{name}=x"])

    assert caught.value.hint == f"--{name} x"


@pytest.mark.parametrize(
    "value",
    [
        *("type=image,source=evil,target=/opt", "type=glob,source=/*,target=/x"),
        *("source=/tmp,target=/x", "type=bind,type=image,source=x,target=/x", "type=bind,src=/x"),
        *('"type=image",source=x,target=/x', "type=bind,target=/x,dst=/y", "", "Type=bind,dst=/x"),
        *('type=bind,"src=/x,target=/x,type=image"', 'type=bind,src=/x,"dst=/y",target=/x'),
        *("type=tmpfs,target=/x,volume-driver=image", "type=bind,src=/x,target=/x, type=image"),
    ],
)
def test_a_mount_that_may_bring_an_image_is_refused(value: str) -> None:
    """Or that Podman may read in another way."""
    with pytest.raises(UsageError, match="is refused"):
        checked([f"--mount={value}"])


@pytest.mark.parametrize(
    "word", ["--mount=type=bind,src=/x,dst=/x/..", "--mount=type=tmpfs,target=//", "--tmpfs=/:ro"]
)
def test_no_mount_covers_the_whole_image(word: str) -> None:
    """As no volume does."""
    with pytest.raises(UsageError, match="covers the whole image"):
        checked([word])


def test_what_is_on_the_list_is_handed_on_as_it_stands() -> None:
    """Whatever its value is."""
    words = [
        *("--shm-size=1g", "--read-only=false", "--init", "--hostname=--rootfs", "--tz="),
        *("--mount=type=bind,source=/a,destination=/b,ro", "--tmpfs=/scratch:size=1g,mode=1777"),
    ]

    assert checked(words) == tuple(words)
    assert list(remarks(words)) == []


def test_less_isolation_is_the_callers_and_is_said() -> None:
    """By the names of the options; and what covers programs of the image, by its path."""
    words = ["--privileged", "--pid=host", "--cpus=2", "--mount=type=bind,src=/x,dst=/usr/lib/x"]

    lax, covered = remarks(words)

    assert lax.startswith("--pid, --privileged:")
    assert "/usr/lib/x" in covered


def test_the_page_lists_what_is_handed_on(project: Path) -> None:
    """All of it, and nothing else."""
    page = (project / "docs/run.md").read_text(encoding="utf-8")
    listed = page.partition("all others are refused:")[2].partition("##")[0]

    assert re.findall(r"`(--[a-z0-9-]+)`", listed) == sorted(KNOWN)
