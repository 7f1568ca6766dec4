"""What one exported file says that it holds; everything in it is checked again by its digest."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagekit.oci.digest import Digest
from imagekit.oci.reference import Reference

RECORD = "imagekit/export.json"
POLICY_FOLDER = "imagekit/policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file in the archive."""

    digest: Digest
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclosedPolicy:
    """The policy that the image was judged by before it was exported."""

    file: str
    """Its name below ``POLICY_FOLDER``."""
    name: str
    version: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The record of an exported file."""

    reference: Reference
    """The image's name, in the registry that it came from."""
    digest: Digest
    policy: EnclosedPolicy
    members: Mapping[str, Member] = field(hash=False)
    """Every other file of the archive, by its path."""
