"""The local image store: an OCI layout, in which each built image has the name ``NAME:VERSION``.

image-spec image-layout.md, "index.json file": tools that read layouts find an image by the
annotation ``org.opencontainers.image.ref.name``. A build of the same version takes the name over,
as tags move; what had it before stays readable by its digest until it is pruned. Hosts of several
architectures may share a store: an image for another platform keeps its name, and the one that
comes second is ``NAME:VERSION+ARCHITECTURE``. All else that is known of an image here (when it was
built, of which recipes, where it was published) stands beside its name, so that it is written and
removed with it.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.image import BuiltImage
from imagekit.build.tools.storage import Folders
from imagekit.documents import strictjson
from imagekit.errors import DocumentError, ImagekitError, RecipeError
from imagekit.files import storage_errors
from imagekit.inputs import read_regular
from imagekit.locks import held
from imagekit.oci.codec import parse_config, parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.layout import LayoutStore, change_index, entries
from imagekit.oci.types import (
    MANIFEST,
    MAX_MANIFEST,
    REF_NAME,
    Descriptor,
    ImageConfig,
    Manifest,
    Platform,
)
from imagekit.recipe.recipe import Recipe

BUILT = "org.opencontainers.image.created"
"""When it was built here, and not the image's own time (annotations.md)."""
RECIPES = "dev.imagekit.recipes"
"""The digest of its recipe and of those that it builds on."""
PUBLISHED = "dev.imagekit.published"
"""Where it was published: one name a line, the newest last."""
_MOST_PLACES = 20
_MOST_IMAGES = 10_000
"""More would make every build read a long list; the oldest names are given up."""
_OURS = "imagekit: "
"""How the comments of an image's history begin where imagekit built it."""
_TITLE, _VERSION = "org.opencontainers.image.title", "org.opencontainers.image.version"
_NAME = re.compile(
    r"[a-z0-9]+([._/-]+[a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(\+[a-z0-9][a-z0-9-]{0,63})?"
)
_HEX = re.compile(r"[0-9a-f]{64}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class ListedImage(Struct, frozen=True, kw_only=True):
    """An image of the local store."""

    ref: str
    """Its name in the list, which is the recipe's name, its version and maybe an architecture."""
    platform: Platform | None
    """None where its configuration is not there any more."""
    manifest: Descriptor
    size: int
    """Bytes of its layers and documents, those that it shares with other images included."""
    built: float
    """Seconds since 1970; 0 where that is not known."""
    recipes: str = ""
    published: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """That of its recipe."""
        return self.ref.rpartition(":")[0]

    @property
    def label(self) -> str:
        """What stands behind its name: the version, and the architecture where that is needed."""
        return self.ref.rpartition(":")[2]

    @property
    def version(self) -> str:
        """That of its recipe."""
        # No tag has a plus sign, and so no version of an image that was built.
        return self.label.partition("+")[0]

    @property
    def digest(self) -> Digest:
        """That of its manifest."""
        return self.manifest.digest


def store_in_use(folders: Folders) -> AbstractContextManager[None]:
    """Hold the store for the time in which its blobs are read and made: nothing is pruned then.

    Raises:
        ToolError: the file system supports no locks.
        OSError: the lock's file cannot be made.
    """
    return held(store_lock(folders), shared=True, keep=True)


def store_lock(folders: Folders) -> Path:
    """Return the lock that builds hold together, and that whoever prunes holds alone."""
    return folders.locks / "store.lock"


def open_store(folders: Folders) -> LayoutStore:
    """Return the local store; one that older versions made gets its list of images.

    Raises:
        RegistryError: it cannot be read or written.
        DocumentError: its list is malformed.
    """
    store = LayoutStore.create(folders.images)
    if store.index() is None:
        found = tuple(_found(store))
        # What a build named meanwhile is newer than all that was found.
        change_index(store, lambda listed: listed or found, make=True)
    return store


def record_built(store: LayoutStore, image: BuiltImage, *, recipes: Digest) -> None:
    """Give an image its name, which another one for the same platform may have had.

    Args:
        store: has the image.
        image: what was built, and passed its tests.
        recipes: see ``digest_of``.

    Raises:
        RegistryError: the list cannot be written.
    """
    plain = f"{image.name}:{image.version}"
    marked = f"{plain}+{_architecture(image.platform)}"

    def is_others(entry: Descriptor) -> bool:
        if entry.annotations.get(REF_NAME) not in {plain, marked}:
            return True
        return is_named(entry) and _platform(store, entry) not in {None, image.platform}

    def move(listed: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
        others = [entry for entry in listed if is_others(entry)]
        taken = any(entry.annotations.get(REF_NAME) == plain for entry in others)
        name = marked if taken else plain
        same = next((entry for entry in listed if entry.digest == image.manifest.digest), None)
        kept = {} if same is None or same.annotations.get(REF_NAME) != name else same.annotations
        facts = {REF_NAME: name, BUILT: _text(time.time()), RECIPES: str(recipes)}
        entry = replace(image.manifest, annotations={**kept, **facts}, platform=image.platform)
        return (*others[1 - _MOST_IMAGES :], entry)

    change_index(store, move)


def record_published(folders: Folders, digest: Digest, place: str) -> None:
    """Note where an image was published, if it lies in the local store.

    Args:
        folders: where imagekit keeps what.
        digest: of its manifest.
        place: its name there.

    Raises:
        RegistryError: the list cannot be written.
    """

    def note(entry: Descriptor) -> Descriptor:
        if entry.digest != digest:
            return entry
        places = [other for other in _places(entry) if other != place]
        text = "\n".join((*places, place)[-_MOST_PLACES:])
        return replace(entry, annotations={**entry.annotations, PUBLISHED: text})

    if folders.images.is_dir():
        change_index(open_store(folders), lambda listed: tuple(note(entry) for entry in listed))


def local_images(folders: Folders) -> tuple[ListedImage, ...]:
    """Return the named images of the local store, by name and then the newest first.

    Raises:
        RegistryError: it cannot be read.
        DocumentError: its list, or a manifest, is malformed.
    """
    if not folders.images.is_dir():
        return ()
    store = open_store(folders)
    # What somebody removed by hand is no image any more.
    images = [
        _image(store, entry)
        for entry in entries(store.folder)
        if is_named(entry) and store.path(entry.digest).is_file()
    ]
    return tuple(
        sorted(images, key=lambda image: (image.name, str(image.platform), -image.built, image.ref))
    )


def is_named(entry: Descriptor) -> bool:
    """Return whether an entry of the list is an image of ours, by its name."""
    named = _NAME.fullmatch(entry.annotations.get(REF_NAME, "")) is not None
    # Without the time it is what somebody else put there.
    return named and entry.media_type == MANIFEST and BUILT in entry.annotations


def image_of_recipe(folders: Folders, recipe: Recipe, *, recipes: Digest) -> ListedImage:
    """Return the image that was built of a recipe as it is now, for this host's platform.

    Args:
        folders: where imagekit keeps what.
        recipe: the recipe.
        recipes: see ``digest_of``.

    Raises:
        RecipeError: none was built, or the recipe was changed since.
    """
    build = f"build it: imagekit build {recipe.folder}"
    name = f"{recipe.name} {recipe.version}"
    for image in local_images(folders):
        if (image.name, image.version) != (recipe.name, recipe.version):
            continue
        if image.platform != host_platform():
            continue
        if image.recipes != str(recipes):
            raise RecipeError(
                f"{name} was built of another state of {recipe.file}, or of a recipe below it",
                hint=build,
                code="recipe/changed-since-built",
            )
        return image
    raise RecipeError(
        f"{name} is not in the local image store {folders.images}",
        hint=build,
        code="recipe/not-built",
    )


def digest_of(recipes: Sequence[Recipe]) -> Digest:
    """Return one digest of a recipe and of all that it builds on.

    Args:
        recipes: in the order in which they are built.
    """
    return Digest.of(strictjson.dumps([str(recipe.digest) for recipe in recipes]))


def blobs_of(store: LayoutStore, manifest: Descriptor) -> tuple[Descriptor, ...]:
    """Return all that an image consists of: manifest, configuration and layers.

    Raises:
        DocumentError, NotFoundError: the manifest is none, or not there.
    """
    parsed = _manifest(store, manifest.digest)
    return (manifest, parsed.config, *parsed.layers)


def _image(store: LayoutStore, entry: Descriptor) -> ListedImage:
    return ListedImage(
        ref=entry.annotations[REF_NAME],
        platform=_platform(store, entry),
        manifest=replace(entry, annotations={}, platform=None),
        size=sum(blob.size for blob in blobs_of(store, entry)),
        built=_seconds(entry.annotations.get(BUILT, "")),
        recipes=entry.annotations.get(RECIPES, ""),
        published=_places(entry),
    )


def _platform(store: LayoutStore, entry: Descriptor) -> Platform | None:
    """Return what an image is for; None where it is not there any more."""
    if entry.platform is not None:
        return entry.platform
    # Older versions did not write it into the list.
    try:
        return _config(store, _manifest(store, entry.digest).config).platform
    except ImagekitError:
        return None


def _architecture(platform: Platform) -> str:
    return "-".join(part for part in (platform.architecture, platform.variant) if part).lower()


def _places(entry: Descriptor) -> tuple[str, ...]:
    return tuple(entry.annotations.get(PUBLISHED, "").splitlines())


def _manifest(store: LayoutStore, digest: Digest) -> Manifest:
    with store.open(digest) as file:
        raw = file.read(MAX_MANIFEST + 1)
    digest.check(raw, what="the manifest in the layout")
    parsed = parse_manifest(raw, MANIFEST)
    if not isinstance(parsed, Manifest):
        raise DocumentError(f"{digest} is no image")
    return parsed


def _found(store: LayoutStore) -> Iterator[Descriptor]:
    """Yield the images of a store without a list, each with its name, the newest of each name."""
    newest: dict[str, Descriptor] = {}
    with storage_errors(f"the layout {store.folder}"):
        files = [path for path in (store.folder / "blobs/sha256").iterdir() if _may_be(path)]
        for path in sorted(files, key=lambda path: path.lstat().st_mtime):
            try:
                name, entry = _named(store, path)
            except (ImagekitError, ValueError):
                continue
            # A later one of the same name stands behind what was found before it.
            newest.pop(name, None)
            newest[name] = entry
    yield from list(newest.values())[-_MOST_IMAGES:]


def _may_be(path: Path) -> bool:
    if _HEX.fullmatch(path.name) is None or path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(1) == b"{" and path.stat().st_size <= MAX_MANIFEST


def _named(store: LayoutStore, path: Path) -> tuple[str, Descriptor]:
    digest = Digest("sha256", path.name)
    parsed = _manifest(store, digest)
    config = _config(store, parsed.config)
    name = f"{config.labels.get(_TITLE, '')}:{config.labels.get(_VERSION, '')}"
    ours = any(line.comment.startswith(_OURS) for line in config.history)
    if not ours or _NAME.fullmatch(name) is None:
        raise DocumentError(f"{digest} was not built by imagekit under a name")
    status = path.stat()
    annotations = {REF_NAME: name, BUILT: _text(status.st_mtime)}
    size = status.st_size
    entry = Descriptor(media_type=MANIFEST, digest=digest, size=size, annotations=annotations)
    return name, entry


def _config(store: LayoutStore, config: Descriptor) -> ImageConfig:
    try:
        return parse_config(read_regular(store.path(config.digest), limit=MAX_MANIFEST))
    except OSError as error:
        raise DocumentError(f"{config.digest} cannot be read") from error


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME)


def _seconds(text: str) -> float:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
