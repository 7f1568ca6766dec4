"""The operating system, as os-release(5) names it."""

import hashlib

from msgspec import Struct, field

from imagekit.sbom.contents import Component, Kind, LayerFiles
from imagekit.sbom.overlay import Root
from imagekit.sbom.text import clean, decoded

OS_RELEASE_FILES = ("etc/os-release", "usr/lib/os-release")
_ID = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")


class System(Struct, frozen=True):
    """What os-release says; all empty where there is none."""

    id: str = ""
    version: str = ""
    name: str = ""
    homepage: str = ""
    cpe: str = ""
    sha256: str = ""
    """Of the file."""
    layer: LayerFiles = field(default_factory=LayerFiles)
    """The first layer that has the file as it is."""

    @property
    def distro(self) -> str:
        """``debian-12``, as package URLs have it."""
        return f"{self.id}-{self.version}" if self.id and self.version else self.id


def system(root: Root) -> System:
    """Return the operating system of the image."""
    for path in OS_RELEASE_FILES:
        place = root.place(path)
        if place is not None:
            raw, _ = root.documents[place]
            layer = next(layer for layer in root.layers if layer.documents.get(place) == raw)
            return _parsed(raw, layer)
    return System()


def component(system: System) -> tuple[Component, ...]:
    """Return the operating system as a component, if there is one."""
    if not system.id:
        return ()
    return (
        Component(
            ref=f"os:{system.distro}",
            kind=Kind.SYSTEM,
            name=system.id,
            version=system.version,
            cpe=system.cpe,
            description=system.name,
            homepage=system.homepage,
            properties=(("imagekit:os-release:sha256", system.sha256),),
            origin=system.layer.origin,
            layer=system.layer.layer,
        ),
    )


def _parsed(raw: bytes, layer: LayerFiles) -> System:
    values: dict[str, str] = {}
    for line in decoded(raw).split("\n"):
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            values[key] = clean(value.strip().strip("\"'"), 300)
    identifier = values.get("ID", "")
    return System(
        id=identifier if _ID.issuperset(identifier) else "",
        version=values.get("VERSION_ID", ""),
        name=values.get("PRETTY_NAME", ""),
        homepage=values.get("HOME_URL", ""),
        cpe=values.get("CPE_NAME", ""),
        sha256=hashlib.sha256(raw).hexdigest(),
        layer=layer,
    )
