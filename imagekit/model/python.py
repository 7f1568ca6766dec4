"""The Python of an image, as what is installed into it has to know it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePython:
    """Which wheels a CPython takes, and what environment markers mean to it."""

    version: str
    """Three numbers: ``3.11.2``."""
    abi: str
    """``cp311``, or ``cp313t`` without a global lock."""
    platforms: tuple[str, ...]
    """Platform tags of wheels, the best first."""
    markers: Mapping[str, str] = field(hash=False)
    """The environment that markers are judged by (PEP 508)."""
