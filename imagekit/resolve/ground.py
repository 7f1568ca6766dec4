"""What packages are installed on: the status of the system below, and where it gets packages."""

from collections.abc import Mapping

from msgspec import Struct, field

from imagekit.build.bases import BaseImage, image_below
from imagekit.build.catalogued import Budget
from imagekit.build.tools.mirrors import DISTRIBUTIONS
from imagekit.oci.layout import LayoutStore
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import Platform
from imagekit.progress import Progress
from imagekit.recipe.recipe import BootstrapBase, ImageBase
from imagekit.resolve.dpkg_status import DpkgStatus
from imagekit.sbom.layer_files import read_layer
from imagekit.sbom.overlay import Root, lay_over

_STATUS = "var/lib/dpkg/status"
_RELEASE = "etc/os-release"
_PIECE = 1 << 20


class Ground(Struct, frozen=True, kw_only=True):
    """A system that packages are installed on."""

    status: DpkgStatus = field(default_factory=DpkgStatus)
    distribution: str = ""
    """Empty where apt has nothing to do there."""
    suite: str = ""
    mirrors: Mapping[str, str] = field(default_factory=dict)
    """Those that the recipe names, by archives."""


def bootstrap_ground(base: BootstrapBase) -> Ground:
    """Return a system of which nothing is there yet."""
    mirrors = {str(base.distribution): base.mirror} if base.mirror else {}
    return Ground(distribution=base.distribution, suite=base.suite, mirrors=mirrors)


def image_ground(
    base: ImageBase,
    store: LayoutStore,
    platform: Platform,
    *,
    registry: RegistryOptions,
    progress: Progress,
) -> Ground:
    """Return the system that an image is, as the files of its layers say.

    Args:
        base: the image.
        store: gets its layers, which a build needs as well.
        platform: whose image it is.
        registry: what the user said about registries.
        progress: told of everything that happens.

    Raises:
        RecipeError: it is not for the platform.
        RegistryError: the registry does not answer, or not with the image.
        DocumentError: a layer is none.
    """
    image = image_below(base, store, registry=registry, progress=progress, platform=platform)
    root = _root(image, store)
    lines = (root.read(_RELEASE) or b"").decode("utf-8", "replace").splitlines()
    release = {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in lines)}
    distribution = release.get("ID", "")
    if distribution not in DISTRIBUTIONS:
        return Ground()
    return Ground(
        status=DpkgStatus.read(root.read(_STATUS) or b""),
        distribution=distribution,
        suite=release.get("VERSION_CODENAME", "sid"),
    )


def _root(image: BaseImage, store: LayoutStore) -> Root:
    budget = Budget()
    layers = []
    for layer in image.layers:
        with store.open(layer.descriptor.digest) as file:
            pieces = iter(lambda: file.read(_PIECE), b"")
            layers.append(read_layer(pieces, layer=str(layer.diff_id), budget=budget))
    return lay_over(layers)
