"""Images in the local store of an engine."""

from dataclasses import dataclass

from imagekit.oci.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalImage:
    """One image of the store: what people call it, and what it is."""

    id: str
    names: tuple[str, ...] = ()
    """As ``HOST/PATH:TAG``; none where every name was taken from it."""
    digests: tuple[Digest, ...] = ()
    """Of the manifests that are stored for it; of an index and of the image chosen from it."""
