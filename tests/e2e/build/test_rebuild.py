"""A published image is built again: it is the same, or what differs is named with its cause."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import command, environment, imagekit, recipe
from tests.support.tinyroot import tiny_root

pytestmark = [pytest.mark.real, pytest.mark.slow]

_PROGRAMS = ("perl", "sh", "date", "gzip", "tar", "mktemp", "mkdir", "sleep")
VARYING = {
    "opt/date": ("date > /opt/date", "holds the time"),
    "opt/a.tar": ("echo a > /opt/a; tar -C /opt -cf /opt/a.tar a", "tar --sort=name"),
    "opt/b.gz": ("echo b > /opt/b; gzip /opt/b", "call it with -n"),
    "opt/folder": ("echo in $(mktemp -d)/x > /opt/folder", "temporary folder"),
    "opt/key": (
        "perl -e 'print \"-----BEGIN PRIVATE KEY-----\", rand' > /opt/key",
        "at the start of a container",
    ),
    "opt/set": (
        'perl -e \'%h = map {$_ => 1} "a".."z"; print join "\\n", keys %h\' > /opt/set',
        "another order",
    ),
    "opt/number": ("perl -e 'print \"process \", int rand 1e9' > /opt/number", "a number"),
    "etc/shadow": (
        "mkdir /etc; perl -e 'print crypt q(x), join q(), map {chr 97 + rand 26} 1, 2'>/etc/shadow",
        "salt",
    ),
    "src/.git/index": (
        "mkdir -p /src/.git; perl -e 'print rand' > /src/.git/index",
        "remove the .git folder",
    ),
}
"""Files that are another one in every build, each with the step that makes it and its cause."""

BELIEVED = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: believed, version: 1, expires: 2027-12-31T00:00:00Z}
default: reject
images:
  - match: {glob: localhost/**}
    authorities:
      - {name: release, key: {path: imagekit.pub}}
"""
POLICY = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: two-builders, version: 1, expires: 2027-12-31T00:00:00Z}
default: reject
images:
  - match: {glob: localhost/**}
    authorities:
      - {name: release, key: {path: imagekit.pub}}
    attestations:
      - type: rebuild
        authorities: [{name: second, key: {path: second/imagekit.pub}}]
        builderIds: ["urn:second"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two recipes, of which both are published."""
    folder = tmp_path_factory.mktemp("rebuild")
    (folder / "second").mkdir()
    for place in (".", "second"):
        assert imagekit(folder, "key", "generate", "--out", place).returncode == 0
    # A second passes, so that the next build has another time.
    _write(folder / "good", "good", ["echo $SOURCE_DATE_EPOCH > /made"])
    _write(
        folder / "bad", "bad", ["sleep 1; mkdir -p /opt /tmp", *(s for s, _ in VARYING.values())]
    )
    for name in ("good", "bad"):
        said = imagekit(
            folder, "publish", name, "--to", "oci:out", "--key", "imagekit.key", "--no-test"
        )
        assert said.returncode == 0, said.stderr
    return folder


def _write(folder: Path, name: str, steps: list[str]) -> None:
    tiny_root(folder / "root", _PROGRAMS)
    lines = ["base: scratch", "steps:", "  - copy: {from: root, to: /}"]
    recipe(folder, name, "\n".join([*lines, *(f"  - run: {json.dumps(s)}" for s in steps)]) + "\n")


def _rebuild(site: Path, name: str, *words: str) -> tuple[int, Any]:
    """Build again as somebody else would: elsewhere, with another environment and umask."""
    other = {"HOSTNAME": "elsewhere", "TZ": "Asia/Tokyo", "LANG": "C", "PYTHONHASHSEED": "7"}
    said = subprocess.run(
        command("rebuild", f"oci:out:{name}:1.0.0", "--json", *words),
        env=environment(**other),
        cwd=site,
        umask=0o077,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return said.returncode, json.loads(said.stdout)


def test_the_same_recipe_in_another_folder_gives_the_same_digest(site: Path) -> None:
    """A second builder signs that, and it is attached to the image."""
    shutil.copytree(site / "good", site / "copied", symlinks=True)
    words = (
        "--recipe",
        "copied",
        "--attest",
        "--key",
        "second/imagekit.key",
        "--builder",
        "urn:second",
    )

    status, found = _rebuild(site, "good", *words)

    assert (status, found["result"], found["differences"]) == (0, "identical", [])
    assert found["original_builders"] == ["https://imagekit.dev/builder/local"]
    (site / "policy.yaml").write_text(POLICY)
    verdicts = {
        name: imagekit(site, "verify", f"oci:out:{name}:1.0.0", "--policy", "policy.yaml")
        for name in ("good", "bad")
    }
    assert [verdict.returncode for verdict in verdicts.values()] == [0, 3]
    assert "MISSING_ATTESTATION" in verdicts["bad"].stdout + verdicts["bad"].stderr


def test_the_recipe_that_is_kept_beside_the_image_is_enough(site: Path) -> None:
    """It is built as a provenance names it that the policy trusts, without any checkout."""
    (site / "believed.yaml").write_text(BELIEVED)
    status, found = _rebuild(site, "good", "--policy", "believed.yaml")
    assert (status, found["result"]) == (0, "identical")

    (site / "believed.yaml").write_text(BELIEVED.replace("imagekit.pub", "second/imagekit.pub"))
    said = imagekit(site, "rebuild", "oci:out:good:1.0.0", "--policy", "believed.yaml")
    assert said.returncode == 3
    assert "nothing that is said of its recipe is believed" in said.stderr


def test_each_file_that_varies_is_named_with_its_cause(site: Path) -> None:
    """And no other one: what is made the same way is the same."""
    status, found = _rebuild(site, "bad", "--recipe", "bad")

    told = {d["path"]: d["cause"] for d in found["differences"] if d["field"] == "content"}
    assert (status, found["result"]) == (5, "different")
    assert sorted(told) == sorted(VARYING)
    assert [path for path, (_, cause) in VARYING.items() if cause not in told[path]] == []


def test_another_recipe_than_the_published_one_is_refused(site: Path) -> None:
    """Before anything is built."""
    said = imagekit(site, "rebuild", "oci:out:good:1.0.0", "--recipe", "bad")

    assert said.returncode == 2
    assert "the image was built of good/recipe.yaml of good 1.0.0" in said.stderr
