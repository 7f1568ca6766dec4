"""Images in a local image store, as builds leave them."""

from pathlib import Path

from msgspec.structs import replace

from imagekit.build.assemble import TITLE
from imagekit.build.image import BuiltImage
from imagekit.build.tools.storage import Folders
from imagekit.oci.codec import config_bytes, manifest_bytes, parse_config
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutStore
from imagekit.oci.types import CONFIG, MANIFEST, Descriptor, History, Manifest
from tests.support.built import built_image

VERSION = "org.opencontainers.image.version"
OURS = "imagekit: base"


def folders_in(path: Path) -> Folders:
    """Return folders of a test."""
    return Folders(path / "data", path / "cache", path / "state")


def put(folders: Folders, name: str, version: str, *, mark: str = "") -> BuiltImage:
    """Put an image into the store's blobs, as a build leaves it, without a name."""
    store = LayoutStore.create(folders.images)
    other = built_image(folders.data / "source")
    below = LayoutStore(other.layout)
    layer = other.layers[0].descriptor.digest
    store.add(layer, iter((below.path(layer).read_bytes(),)))
    labels = {TITLE: name, VERSION: version, "mark": mark}
    base = parse_config(below.path(other.config.digest).read_bytes())
    config = config_bytes(
        replace(base, labels=labels, history=(History(created="", created_by="", comment=OURS),))
    )
    described = _add(store, CONFIG, config)
    manifest = Manifest(media_type=MANIFEST, config=described, layers=(other.layers[0].descriptor,))
    written = _add(store, MANIFEST, manifest_bytes(manifest))
    return replace(
        other,
        layout=folders.images,
        manifest=written,
        config=described,
        name=name,
        version=version,
    )


def _add(store: LayoutStore, media_type: str, raw: bytes) -> Descriptor:
    digest = Digest.of(raw)
    store.add(digest, iter((raw,)))
    return Descriptor(media_type=media_type, digest=digest, size=len(raw))
