"""What a step was told to write stays, and what each machine has to have for itself does not."""

from pathlib import Path

import pytest

from tests.support.command import imagekit, members, tiny_recipe

pytestmark = pytest.mark.real

KEPT = ("var/log/app/first.txt", "run/app/first.txt", "var/cache/app/first.txt", "tmp/first.txt")
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"


def test_files_in_volatile_folders_stay_and_host_keys_do_not(tmp_path: Path) -> None:
    """A server starts that wants its folder below /var/log; its key is not everybody's."""
    folder = tmp_path / "recipe"
    for name in (*KEPT, "etc/ssh/config"):
        (folder / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "files" / name).write_text("kept")
    tiny_recipe(folder, "copy: {from: files, to: /}", f'run: "echo secret > /{HOST_KEY}"')
    assert imagekit(tmp_path, "key", "generate").returncode == 0

    said = imagekit(tmp_path, "publish", "recipe", "--to", "oci:out", "--key", "imagekit.key")

    assert said.returncode == 0, said.stderr
    found = dict(members(tmp_path / "out"))
    lost = [name for name in KEPT if found.get(name) != b"kept"]
    assert (lost, HOST_KEY in found) == ([], False)
