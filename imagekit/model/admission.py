"""What Kubernetes asks before it keeps an object: which images it would run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedImage:
    """An image that an object names, and where."""

    reference: str
    """As it stands in the object."""
    place: str
    """The field, such as ``spec.containers[0].image``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A request of the admission API, as far as images go."""

    uid: str
    operation: str
    """``CREATE``, ``UPDATE``, ``DELETE`` or ``CONNECT``."""
    kind: str
    """Such as ``Pod`` or ``CronJob``."""
    name: str
    """``NAMESPACE/NAME`` of the object, for logs."""
    images: tuple[WantedImage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The answer to a review."""

    uid: str
    allowed: bool
    message: str = ""
    """What the user reads where it is not allowed."""
    warnings: tuple[str, ...] = ()
    """What the user reads where it is."""
    digests: tuple[tuple[str, str], ...] = ()
    """Each image and the digest that was judged, for the audit log of the cluster."""
