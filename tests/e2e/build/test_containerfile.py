"""Containerfiles with the real Buildah: the bases, the context and the configuration."""

import gzip
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from imagekit.build.build import BuildOptions
from imagekit.build.image import BuiltImage, Origin
from imagekit.check.check import build_tested
from imagekit.errors import BuildError
from imagekit.oci.codec import parse_config
from imagekit.oci.types import Healthcheck, ImageConfig
from imagekit.recipe import load
from tests.support.shellbase import shell_base

pytestmark = [pytest.mark.real, pytest.mark.slow]

HEAD = 'schema: 1\nname: {name}\nversion: "1"\nlicenses: MIT\ncontainerfile: Containerfile\n'


def write(folder: Path, containerfile: str, *, name: str = "app", umask: int = 0o022) -> Path:
    """Write a recipe with this Containerfile."""
    before = os.umask(umask)
    try:
        folder.mkdir()
        (folder / "recipe.yaml").write_text(HEAD.format(name=name))
        (folder / "Containerfile").write_text(containerfile)
        (folder / "app.conf").write_text("x\n")
        (folder / "start").write_text("#!/bin/sh\n")
        (folder / "start").chmod(0o777 & ~umask)
    finally:
        os.umask(before)
    return folder


def made(folder: Path, *, umask: int = 0o022) -> BuiltImage:
    """Build a recipe; no cache answers."""
    before = os.umask(umask)
    try:
        return build_tested(load(folder), options=BuildOptions(use_cache=False))
    finally:
        os.umask(before)


def config_of(image: BuiltImage) -> ImageConfig:
    """Return the configuration of a built image."""
    return parse_config((image.layout / "blobs/sha256" / image.config.digest.hex).read_bytes())


def files_of(image: BuiltImage) -> dict[str, tuple[int, float]]:
    """Return mode and time of everything in the last layer."""
    blob = image.layout / "blobs/sha256" / image.layers[-1].descriptor.digest.hex
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob.read_bytes()))) as archive:
        return {entry.name: (entry.mode, entry.mtime) for entry in archive}


def text_of(image: BuiltImage, name: str) -> str:
    """Return the text of a file of the last layer."""
    blob = image.layout / "blobs/sha256" / image.layers[-1].descriptor.digest.hex
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob.read_bytes()))) as archive:
        found = archive.extractfile(name)
        assert found is not None
        return found.read().decode()


def test_the_context_is_what_the_digest_covers(tmp_path: Path) -> None:
    """One digest under every umask; no file of version control or of an editor is copied."""
    text = "FROM scratch\nWORKDIR /w\nCOPY . /app/\n"
    umasks = (0o022, 0o077)
    folders = [write(tmp_path / f"u{umask:o}", text, umask=umask) for umask in umasks]
    subprocess.run(["git", "init", "-q", folders[1]], check=True)
    (folders[1] / ".app.conf.swp").write_text("TOKEN=1")

    images = [made(folder, umask=umask) for folder, umask in zip(folders, umasks, strict=True)]

    assert images[0].manifest.digest == images[1].manifest.digest
    # What runtimes mount over is in every image.
    files = [name for name in sorted(files_of(images[1])) if not name.startswith(("etc", "run"))]
    assert files == [
        "app",
        *(f"app/{name}" for name in ("Containerfile", "app.conf", "recipe.yaml", "start")),
        "w",
    ]
    assert files_of(images[1])["app/app.conf"][0] == 0o644
    assert files_of(images[1])["app/start"][0] == 0o755


def test_a_base_of_a_registry_is_brought_and_named(tmp_path: Path) -> None:
    """Stages on stages keep the base's layer, and nothing of what it says is lost."""
    check = Healthcheck(test=("CMD", "/x"), interval=5_000_000_000, retries=2)
    base = shell_base(  # noqa: S604 - no call of a shell
        tmp_path / "layout",
        labels={"keep": "1", "org.opencontainers.image.title": "the base"},
        healthcheck=check,
        shell=("/bin/dash", "-ec"),
        onbuild=("COPY app.conf /by-trigger",),
        stop_signal="SIGQUIT",
    )
    folder = write(
        tmp_path / "app",
        f"ARG WHERE={base.rpartition('@')[0]}\nFROM ${{WHERE}}@{base.rpartition('@')[2]} AS one\n"
        "RUN echo $0 > /shell; printf 'no end of line'\n"
        "FROM one AS two\nLABEL own=2\nRUN --mount=type=cache,target=/c echo x > /c/x\n"
        "ONBUILD RUN true\nVOLUME /data\n",
    )

    image = made(folder)

    config = config_of(image)
    assert [layer.origin for layer in image.layers] == [Origin.BASE, Origin.RECIPE]
    assert [str(m.digest) for m in image.materials] == [base.rpartition("@")[2]]
    assert {"by-trigger", "shell"} <= set(files_of(image))
    assert "bin/dash" not in files_of(image)
    assert (config.labels["keep"], config.labels["own"]) == ("1", "2")
    assert config.labels["org.opencontainers.image.title"] == "app"
    assert "io.buildah.version" not in config.labels
    assert config.healthcheck == check
    assert config.shell == ("/bin/dash", "-ec")
    assert config.onbuild == ("RUN true",)
    assert (config.stop_signal, config.volumes) == ("SIGQUIT", ("/data",))


@pytest.mark.parametrize("bind", ["esc", "esc/secret", "missing"])
def test_a_mount_does_not_leave_the_context(tmp_path: Path, bind: str) -> None:
    """Buildah up to 1.35 follows a link in it out to the host, and mounts what is there."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host/secret").write_text("secret")
    base = shell_base(tmp_path / "layout")
    folder = write(tmp_path / "app", f"FROM {base}\nRUN --mount=source={bind},target=/x cat /x\n")
    (folder / "esc").symlink_to(tmp_path / "host")

    with pytest.raises(BuildError, match="is mounted by a RUN and is"):
        made(folder)


def test_a_volume_leads_nowhere(tmp_path: Path) -> None:
    """Buildah mounts a volume's path for every RUN behind it, also where a step made it a link."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host/secret").write_text("secret of the host")
    base = shell_base(tmp_path / "layout", volumes=("/c/d",))
    folder = write(
        tmp_path / "app",
        f"FROM {base}\nVOLUME /a/b\nRUN mv /a /a2; mkdir -p /a /c; ln -s {tmp_path}/host /a/b\n"
        f"RUN ln -s {tmp_path}/host /c/d; echo kept > /a/f\n"
        "RUN cat /a/b/secret /c/d/secret > /got || :\n",
    )

    image = made(folder)

    assert {"a/f", "got"} <= set(files_of(image))
    assert text_of(image, "got") == ""
    assert config_of(image).volumes == ("/a/b", "/c/d")


def test_what_is_written_into_a_volume_of_the_stage_below_is_kept(tmp_path: Path) -> None:
    """Buildah alone drops what a RUN writes there."""
    base = shell_base(tmp_path / "layout", volumes=("/v",))
    folder = write(
        tmp_path / "app",
        f"FROM {base} AS one\nRUN mkdir /d /v; echo 1 > /d/1\nVOLUME /d\n"
        "FROM one AS two\nRUN echo 2 > /d/2; echo 2 > /v/2\nFROM two\nCOPY start /d/\n"
        "RUN echo 3 > /d/3\n",
    )

    image = made(folder)

    assert {"d/1", "d/2", "d/3", "d/start", "v/2"} <= set(files_of(image))
    assert config_of(image).volumes == ("/d", "/v")


def test_lines_that_a_backtick_continues_are_built_as_buildah_builds_them(tmp_path: Path) -> None:
    """The same configuration as of the file itself, and commands with their own escapes."""
    text = (
        "# escape=`\nFROM {base}\nCOPY app.conf `\n  /a\n"
        "RUN printf 'a\\tb' `\n  # a comment\n  > /a; echo `echo c` >> /a\n"
        "CMD /x\\y `\n  'z`z'\nLABEL `\n  a=1 `\n  b=2\n"
    )
    base = shell_base(tmp_path / "layout")
    image = made(write(tmp_path / "app", text.format(base=base)))
    assert text_of(image, "a") == "a\tbc\n"

    words = ["buildah", "--root", f"{tmp_path}/graph", "--runroot", f"{tmp_path}/run"]
    words += ["--storage-driver", "vfs"]
    raw = text.format(base="scratch").replace("RUN", "ONBUILD RUN")
    (tmp_path / "app/Containerfile").write_text(raw)
    bud = [*words, "bud", "--isolation", "chroot", "-t", "x", str(tmp_path / "app")]
    subprocess.run(bud, check=True, capture_output=True)
    shown = [*words, "inspect", "--type", "image", "x"]
    said = subprocess.run(shown, check=True, capture_output=True, text=True).stdout
    theirs = json.loads(said)["OCIv1"]["config"]

    ours = config_of(image)
    assert list(ours.cmd) == theirs["Cmd"]
    assert {key: ours.labels[key] for key in "ab"} == {key: theirs["Labels"][key] for key in "ab"}
