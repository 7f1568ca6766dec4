"""Package URLs, as all that is found in an image is named by (purl-spec)."""

from packageurl import PackageURL


def package_url(
    kind: str, name: str, version: str = "", *, namespace: str = "", **qualifiers: str
) -> str:
    """Return a package URL; what is empty is left out.

    Args:
        kind: its type, such as ``deb``.
        name: the package's name, as its type has it.
        version: its version.
        namespace: what stands before the name: a vendor, scope or group.
        qualifiers: further parts, by their names.
    """
    return PackageURL(
        type=kind,
        namespace=namespace or None,
        name=name,
        version=version or None,
        qualifiers={key: value for key, value in qualifiers.items() if value},
    ).to_string()
