"""Packages that a policy denies: a purl and the versions that are meant."""

from collections.abc import Callable

from imagekit.documents.report import Report, shown
from imagekit.documents.scalars import ByKind, ListOf, Text
from imagekit.documents.shape import Record, Values, item
from imagekit.errors import PolicyError
from imagekit.policy.condition import PackageRange
from imagekit.policy.schema.single_values import MAX_LISTED

_HINT = "write pkg:TYPE/NAMESPACE/NAME@<VERSION, such as pkg:deb/debian/openssl@<3.0.15-1"


def _purl(text: str) -> str:
    """Return the purl in its canonical form; versions are given as a range beside it."""
    from packageurl import PackageURL  # few policies deny packages

    try:
        purl = PackageURL.from_string(text)
    except ValueError as error:
        raise PolicyError(f"`{shown(text)}` is not a package URL: {error}", hint=_HINT) from error
    if purl.version or purl.qualifiers or purl.subpath:
        raise PolicyError(
            f"`{shown(text)}` has more than a name: versions are written as a range",
            hint=f"{_HINT}; an `@` of a namespace is written %40",
        )
    return purl.to_string()


def _versions(text: str) -> str:
    from univers.version_range import VersionRange  # the same

    try:
        parse: Callable[[str], object] = VersionRange.from_string
        parse(text)
    except ValueError as error:
        raise PolicyError(
            f"`{shown(text)}` is not a range of versions: {shown(str(error))}",
            hint="write vers:TYPE/<VERSION, or >=VERSION|<VERSION: https://github.com/package-url/vers-spec",
        ) from error
    return text


def _package(text: str) -> PackageRange:
    name, at, versions = text.partition("@")
    purl = _purl(name)
    if not at:
        return PackageRange(purl=purl)
    kind = purl.removeprefix("pkg:").partition("/")[0]
    return PackageRange(purl=purl, versions=_versions(f"vers:{kind}/{versions}"))


def _of_its_kind(values: Values, report: Report) -> None:
    """Require the versions to be of the package's own kind: each kind has an order of its own."""
    purl, versions = values.get("purl"), values.get("versions")
    if purl is None or versions is None:
        return
    kind, version_kind = (text.partition(":")[2].partition("/")[0] for text in (purl, versions))
    if kind != version_kind:
        message = (
            f"the versions are those of {shown(version_kind)}, the package is of {shown(kind)}"
        )
        report.error(values.value("versions"), "bad-range", message, hint=f"write vers:{kind}/...")


_RANGE: Record[PackageRange] = Record(
    "packages",
    {
        "purl": item(
            Text("a package URL without a version", parse=_purl, code="bad-package"),
            "which package: pkg:TYPE/NAMESPACE/NAME",
            required=True,
        ),
        "versions": item(
            Text(
                "a range of versions",
                pattern=r"vers:[a-z0-9.-]+/[^\x00-\x20\x7f]+",
                parse=_versions,
                code="bad-range",
                max_length=1024,
                examples=("vers:deb/<3.0.15-1",),
            ),
            "which versions of it; all where this is left out",
            default="",
        ),
    },
    make=lambda values: PackageRange(purl=values["purl"], versions=values["versions"]),
    rules=(_of_its_kind,),
)
PACKAGES: ListOf[PackageRange] = ListOf(
    ByKind(
        "a package URL, with a range behind the `@` or without",
        scalar=Text(
            "a package URL and a range of its versions",
            pattern=r"pkg:[^\x00-\x20\x7f]+",
            parse=_package,
            code="bad-package",
            hint=_HINT,
            max_length=1024,
            examples=("pkg:deb/debian/openssl@<3.0.15-1",),
        ),
        mapping=_RANGE,
    ),
    min_items=1,
    max_items=MAX_LISTED,
)
