"""The user of an image, by number or by name, from files of a stranger."""

from pathlib import Path

import pytest

from imagekit.build.passwd import user_of
from imagekit.errors import InputError

PASSWD = "root:x:0:0:root:/root:/bin/sh\njunk\nbad:x:minus:1::/:\napp:x:1000:1001::/:/bin/sh\n"


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """An image with two users and a group."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text("root:x:0:\nstaff:x:50:\n")
    return tmp_path


@pytest.mark.parametrize(
    ("user", "ids"),
    [
        ("", (0, 0)),
        ("0", (0, 0)),
        ("app", (1000, 1001)),
        ("1000", (1000, 1001)),
        ("7", (7, 0)),
        ("7:8", (7, 8)),
        ("app:staff", (1000, 50)),
        ("app:9", (1000, 9)),
    ],
)
def test_users_are_found(rootfs: Path, user: str, ids: tuple[int, int]) -> None:
    """As the image-spec's config.md says."""
    assert user_of(user, rootfs) == ids


@pytest.mark.parametrize("user", ["nobody", "app:nobody", "bad", "-1", "99999999999", "appx"])
def test_unknown_users_are_an_error(rootfs: Path, user: str) -> None:
    """And never root instead."""
    with pytest.raises(InputError):
        user_of(user, rootfs)


def test_nothing_is_read_outside_of_the_image(tmp_path: Path) -> None:
    """A link in its place is not followed."""
    (tmp_path / "outside").write_text("evil:x:5:5::/:\n")
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/passwd").symlink_to("../../outside")

    with pytest.raises(InputError):
        user_of("evil", tmp_path / "root")
