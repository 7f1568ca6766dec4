"""A tiny base image with a shell, out of the host's own dash: no mirror and no registry."""

import gzip
import io
import subprocess
import tarfile
from pathlib import Path

from imagekit.oci.codec import config_bytes, index_bytes, manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.layout import LayoutStore
from imagekit.oci.types import (
    CONFIG,
    INDEX,
    LAYER_GZIP,
    MANIFEST,
    REF_NAME,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
)

_PROGRAMS = ("dash", "cat", "ls", "ln", "mkdir", "mv")


def shell_base(folder: Path, **config: object) -> str:
    """Write a layout with one image, and return it pinned: ``oci:FOLDER:app@sha256:...``."""
    layer = _layer()
    packed = gzip.compress(layer, mtime=0)
    store = LayoutStore.create(folder)
    values = {"platform": host_platform(), "created": "2024-01-01T00:00:00Z"}
    written = config_bytes(ImageConfig(**values, diff_ids=(Digest.of(layer),), **config))  # type: ignore[arg-type]  # the fields of ImageConfig
    manifest = manifest_bytes(
        Manifest(
            media_type=MANIFEST,
            config=_add(store, CONFIG, written),
            layers=(_add(store, LAYER_GZIP, packed),),
        )
    )
    descriptor = _add(store, MANIFEST, manifest)
    named = Descriptor(
        media_type=MANIFEST,
        digest=descriptor.digest,
        size=descriptor.size,
        annotations={REF_NAME: "app:1"},
    )
    (folder / "index.json").write_bytes(index_bytes(Index(media_type=INDEX, manifests=(named,))))
    return f"oci:{folder}:app@{descriptor.digest}"


def _add(store: LayoutStore, media_type: str, raw: bytes) -> Descriptor:
    store.add(Digest.of(raw), iter((raw,)))
    return Descriptor(media_type=media_type, digest=Digest.of(raw), size=len(raw))


def _layer() -> bytes:
    files: dict[str, Path] = {}
    for name in _PROGRAMS:
        program = Path("/bin", name)
        files[f"bin/{name}"] = program
        said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for word in said.split():
            if word.startswith("/"):
                files[word.lstrip("/")] = Path(word)
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        folders = {str(parent) for name in files for parent in Path(name).parents}
        for name in sorted((folders | {"tmp", "etc"}) - {"."}):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, source in sorted(files.items()):
            content = source.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("bin/sh")
        link.type, link.linkname = tarfile.SYMTYPE, "dash"
        archive.addfile(link)
    return raw.getvalue()
