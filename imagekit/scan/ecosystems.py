"""Which advisories speak of a package: its ecosystems in OSV's words, its names, its versions.

https://ossf.github.io/osv-schema/#defined-ecosystems
"""

import re
from collections.abc import Collection
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import unquote

from msgspec import Struct

from imagekit.verify.conditions.purls import parse_purl, qualifier


class VersionOrder(StrEnum):
    """How versions are compared, by the name of univers' class."""

    DEBIAN = "DebianVersion"
    RPM = "RpmVersion"
    ALPINE = "AlpineLinuxVersion"
    PYPI = "PypiVersion"
    SEMVER = "SemverVersion"
    GO = "GolangVersion"
    MAVEN = "MavenVersion"
    GEM = "RubygemsVersion"
    NUGET = "NugetVersion"
    COMPOSER = "ComposerVersion"
    CRAN = "CranVersion"
    """univers has none: a dash separates as a dot does (R, ``numeric_version``)."""


class Lookup(Struct, frozen=True, kw_only=True):
    """What to look up for one package."""

    family: str
    """The ecosystem without its release."""
    release: str = ""
    names: tuple[tuple[str, str], ...]
    """Each name that advisories may have for it, with its version."""
    order: VersionOrder

    @property
    def kind(self) -> str:
        """The ecosystem as it is shown."""
        return f"{self.family}:{self.release}" if self.release else self.family

    def ecosystems(self, known: Collection[str]) -> tuple[str, ...]:
        """Return those of the known ecosystems that speak of this release."""
        return tuple(name for name in known if self._speaks(name))

    def _speaks(self, ecosystem: str) -> bool:
        family, _, release = ecosystem.partition(":")
        if family != self.family:
            return False
        # Without a suffix it is about every release.
        if not release or release == self.release:
            return True
        if family == "Red Hat":
            stream = f"enterprise_linux:{self.release}"
            return release == stream or release.startswith((f"{stream}:", f"{stream}."))
        # Modules of SUSE have their product's release at their ends.
        if family == "SUSE":
            return bool(self.release) and release.endswith(f" {self.release}")
        # ``:LTS`` of Ubuntu and ``-LTS-SP1`` of openEuler; ``Pro:22.04`` is another product.
        return bool(self.release) and release.startswith((f"{self.release}:", f"{self.release}-"))


class _Distribution(Struct, frozen=True):
    """A distribution: its ecosystem, and how many numbers its release has there."""

    family: str
    numbers: int = 0
    prefix: str = ""
    unnumbered: str = ""
    """The release of an image that states none."""


_ORDERS = MappingProxyType(
    {"deb": VersionOrder.DEBIAN, "rpm": VersionOrder.RPM, "apk": VersionOrder.ALPINE}
)
# By the type of the package URL and os-release's ID, which is its namespace.
_DISTRIBUTIONS = MappingProxyType(
    {
        ("deb", "debian"): _Distribution("Debian", 1, unnumbered="sid"),
        ("deb", "ubuntu"): _Distribution("Ubuntu", 2),
        ("deb", "echo"): _Distribution("Echo"),
        ("apk", "alpine"): _Distribution("Alpine", 2, "v"),
        ("apk", "wolfi"): _Distribution("Wolfi"),
        ("apk", "chainguard"): _Distribution("Chainguard"),
        ("apk", "minimos"): _Distribution("MinimOS"),
        ("apk", "alpaquita"): _Distribution("Alpaquita", 1, unnumbered="stream"),
        ("rpm", "rocky"): _Distribution("Rocky Linux", 1),
        ("rpm", "almalinux"): _Distribution("AlmaLinux", 1),
        ("rpm", "rhel"): _Distribution("Red Hat", 1),
        ("rpm", "redhat"): _Distribution("Red Hat", 1),
        ("rpm", "azurelinux"): _Distribution("Azure Linux", 1),
        ("rpm", "mageia"): _Distribution("Mageia", 1),
        ("rpm", "openeuler"): _Distribution("openEuler", 2),
        ("rpm", "photon"): _Distribution("Photon OS", 2),
        ("rpm", "opensuse-leap"): _Distribution("openSUSE", 2, "Leap "),
        ("rpm", "opensuse-tumbleweed"): _Distribution("openSUSE", 0, "Tumbleweed"),
        ("rpm", "sles"): _Distribution("SUSE", 2),
    }
)
_LANGUAGES = MappingProxyType(
    {
        "pypi": ("PyPI", VersionOrder.PYPI),
        "npm": ("npm", VersionOrder.SEMVER),
        "golang": ("Go", VersionOrder.GO),
        "cargo": ("crates.io", VersionOrder.SEMVER),
        "maven": ("Maven", VersionOrder.MAVEN),
        "gem": ("RubyGems", VersionOrder.GEM),
        "nuget": ("NuGet", VersionOrder.NUGET),
        "composer": ("Packagist", VersionOrder.COMPOSER),
        "cran": ("CRAN", VersionOrder.CRAN),
        "bioconductor": ("Bioconductor", VersionOrder.CRAN),
        "hex": ("Hex", VersionOrder.SEMVER),
        "pub": ("Pub", VersionOrder.SEMVER),
    }
)
SYSTEMS = frozenset(distribution.family for distribution in _DISTRIBUTIONS.values())
"""The ecosystems of distributions, whose advisories speak of what they ship of others."""
_BINARY = frozenset({"Red Hat", "Wolfi", "Chainguard", "MinimOS", "Photon OS"})
"""Those whose advisories may name a package that was built, and not its source."""
_WITHOUT_RELEASE = frozenset(family for family, _ in _LANGUAGES.values())
_SEPARATORS = re.compile(r"[-_.]+")
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,3}")
_SOURCE_RPM = ".src.rpm"
_JOINED_BY_COLON = frozenset({"maven"})


def advisory_ecosystem(stated: str) -> str:
    """Return the ecosystem that an advisory is found by.

    Maven's and Packagist's may name the repository that packages come from: a package of an image
    says nothing of that.
    """
    family = stated.partition(":")[0]
    return family if family in _WITHOUT_RELEASE else stated


def advisory_name(family: str, name: str) -> str:
    """Return a package's name as it is compared: rather too much is found than too little."""
    folded = name.casefold()
    # PEP 503, "Normalized Names".
    return _SEPARATORS.sub("-", folded) if family == "PyPI" else folded


def lookup_of(purl: str) -> Lookup | None:
    """Return what to look up for a package; None where no advisories speak of its kind.

    Args:
        purl: its package URL.

    Raises:
        DocumentError: it is none.
    """
    parsed = parse_purl(purl)
    version, namespace = parsed.version or "", parsed.namespace or ""
    if parsed.type in _ORDERS:
        distribution = _DISTRIBUTIONS.get((parsed.type, namespace.casefold()))
        if distribution is None:
            return None
        return Lookup(
            family=distribution.family,
            release=_release(distribution, qualifier(parsed, "distro")),
            names=_system_names(
                parsed.name,
                _with_epoch(version, qualifier(parsed, "epoch")),
                upstream=qualifier(parsed, "upstream"),
                is_binary=distribution.family in _BINARY,
            ),
            order=_ORDERS[parsed.type],
        )
    if parsed.type not in _LANGUAGES:
        return None
    family, order = _LANGUAGES[parsed.type]
    joint = ":" if parsed.type in _JOINED_BY_COLON else "/"
    name = f"{namespace}{joint}{parsed.name}" if namespace else parsed.name
    return Lookup(family=family, names=((advisory_name(family, name), version),), order=order)


def stated_kind(purl: str) -> str:
    """Return the kind of a package that no advisories speak of, for people."""
    kind, _, rest = purl.removeprefix("pkg:").partition("/")
    vendor = unquote(rest.partition("/")[0]) if kind in _ORDERS and rest.count("/") else ""
    return f"{kind}/{vendor}" if vendor else kind


def _system_names(
    name: str, version: str, *, upstream: str, is_binary: bool
) -> tuple[tuple[str, str], ...]:
    """Return the names that a distribution's advisories have for a package: that of its source."""
    own = (advisory_name("", name), version)
    source, _, stated = upstream.partition("@")
    if source.endswith(_SOURCE_RPM):
        # NAME-VERSION-RELEASE.src.rpm; the version is that of the package, without its epoch.
        source, stated = source.removesuffix(_SOURCE_RPM).rsplit("-", 2)[0], ""
    if not source:
        return (own,)
    names = (advisory_name("", source), stated or version)
    return tuple(dict.fromkeys((names, own))) if is_binary else (names,)


def _with_epoch(version: str, epoch: str) -> str:
    return f"{epoch}:{version}" if epoch and version and ":" not in version else version


def _release(distribution: _Distribution, distro: str) -> str:
    """Return the release: of ``rocky-9.3``, ``debian-12`` or ``3.10.2``."""
    if distribution.prefix and not distribution.numbers:
        return distribution.prefix
    numbers = _NUMBER.fullmatch(distro.rpartition("-")[2])
    if numbers is None or not distribution.numbers:
        return distribution.unnumbered
    parts = numbers[0].split(".")[: distribution.numbers]
    if distribution.family == "SUSE":
        return f"{parts[0]} SP{parts[1]}" if len(parts) > 1 and parts[1] != "0" else parts[0]
    return distribution.prefix + ".".join(parts)
