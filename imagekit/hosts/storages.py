"""Which image a container of Podman is made of, and where that image lies."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imagekit.documents import strictjson
from imagekit.errors import DocumentError, NotFoundError
from imagekit.files import storage_errors
from imagekit.inputs import read_regular
from imagekit.offline.image_store import ImageStore, StoredImage

_MAX = 64 << 20
_TABLES = ("containers.json", "volatile-containers.json")
_CONFIGS = ("/etc/containers/storage.conf", "/usr/share/containers/storage.conf")


def image_of_container(container: str, bundle: Path) -> str:
    """Return the id of the image that a container was made of.

    Args:
        container: the container's id.
        bundle: its bundle, which Podman puts below the storage that it belongs to.

    Raises:
        NotFoundError: no table of the storage has the container.
        DocumentError: a table is malformed.
    """
    for name in _TABLES:
        table = bundle.parent.parent / name
        if not table.is_file():
            continue
        for entry in _json(table):
            if entry.get("id") == container and isinstance(entry.get("image"), str):
                return str(entry["image"])
    raise NotFoundError(f"no storage knows the container {container[:12]!r}")


def find_image(image: str, bundle: Path) -> tuple[ImageStore, StoredImage]:
    """Return an image, from the container's own storage or from an additional store.

    Raises:
        NotFoundError: none has it.
    """
    for folder in (bundle.parents[2], *additional_stores()):
        store = ImageStore.find(folder)
        for stored in store.images() if store is not None else ():
            if stored.image == image and store is not None:
                return store, stored
    raise NotFoundError(f"no store has the image {image[:12]!r}")


def additional_stores() -> Iterator[Path]:
    """Yield the additional image stores of this host's storage.conf (containers-storage.conf(5)).

    Raises:
        DocumentError: storage.conf is malformed.
    """
    named = os.environ.get("CONTAINERS_STORAGE_CONF")
    file = next((Path(name) for name in (named, *_CONFIGS) if name and Path(name).is_file()), None)
    if file is None:
        return
    try:
        with storage_errors(f"the configuration {file}"):
            raw = read_regular(file, limit=_MAX)
        options = tomllib.loads(raw.decode()).get("storage", {}).get("options", {})
        stores = options.get("additionalimagestores", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise DocumentError(f"{file} is not a configuration of storages: {error}") from error
    for store in stores if isinstance(stores, list) else ():
        yield Path(str(store))


def _json(file: Path) -> list[Mapping[str, Any]]:
    with storage_errors(f"the table {file}"):
        table = strictjson.loads(read_regular(file, limit=_MAX), what=str(file))
    if not isinstance(table, list) or not all(isinstance(entry, dict) for entry in table):
        raise DocumentError(f"{file} is no table of containers")
    return table
