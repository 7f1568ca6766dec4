"""The operating system, as os-release(5) names it."""

import hashlib
from dataclasses import dataclass

from imagekit.model.sbom import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.text import clean, decoded

_FILES = ("etc/os-release", "usr/lib/os-release")
_ID = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")


@dataclass(frozen=True, slots=True)
class System:
    """What os-release says; all empty where there is none."""

    id: str = ""
    version: str = ""
    name: str = ""
    homepage: str = ""
    cpe: str = ""
    path: str = ""

    @property
    def distro(self) -> str:
        """``debian-12``, as package URLs have it."""
        return f"{self.id}-{self.version}" if self.id and self.version else self.id


def system(root: Root) -> System:
    """Return the operating system of the image."""
    for path in _FILES:
        raw = root.read(path)
        if raw is not None:
            return _parsed(raw, path)
    return System()


def component(found: System, root: Root) -> tuple[Component, ...]:
    """Return the operating system as a component, if there is one."""
    if not found.id:
        return ()
    raw = root.read(found.path) or b""
    place = found.path if found.path in root.documents else root.resolve(found.path)
    number = next(n for n, one in enumerate(root.layers) if one.documents.get(place) == raw)
    layer = root.layers[number]
    return (
        Component(
            ref=f"os:{found.distro}",
            kind=Kind.SYSTEM,
            name=found.id,
            version=found.version,
            cpe=found.cpe,
            description=found.name,
            homepage=found.homepage,
            properties=(("imagekit:os-release:sha256", hashlib.sha256(raw).hexdigest()),),
            origin=layer.origin,
            layer=layer.layer,
        ),
    )


def _parsed(raw: bytes, path: str) -> System:
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
        path=path,
    )
