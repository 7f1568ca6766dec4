"""Judging what lies in the local store already: ``imagekit verify --local``.

An engine asks its policy when it pulls, and never again. What was loaded from an archive, built
here, or pulled before there was a policy may have the name of a trusted image and be another one:
the digest of the stored manifest shows it.
"""

from collections.abc import Callable, Iterator

from imagekit.build.tools.podman_output import LocalImage
from imagekit.errors import DeniedError, ImagekitError, NotFoundError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, TaggedReference, parse_reference
from imagekit.verify.verdict import Verdict
from imagekit.verify.verify import Judged

Judge = Callable[[Reference], Verdict]


def local_images() -> tuple[LocalImage, ...]:
    """Return the images of this user's Podman.

    Raises:
        ToolError: Podman is missing or failed.
        DocumentError: it did not list images.
    """
    from imagekit.build.tools.podman import Podman
    from imagekit.process import Runner

    return Podman(programs=Runner()).images()


def verify_local(images: tuple[LocalImage, ...], judge: Judge) -> Iterator[Judged]:
    """Judge each image once under each of its names, and yield the results.

    Podman lists an image of two names twice, each time with both.

    Args:
        images: the images of the store.
        judge: judges a reference by a policy.
    """
    named = {(image.id, name): image for image in images for name in image.names}
    for (_, name), image in named.items():
        yield _judged(name, image, judge)


def _judged(name: str, image: LocalImage, judge: Judge) -> Judged:
    try:
        return _best(name, image, judge)
    except ImagekitError as error:
        return Judged(reference=name, error=error)


def _best(name: str, image: LocalImage, judge: Judge) -> Judged:
    """Return the verdict that allows the image, else the last one.

    Of an index, Podman keeps the digest of the index and that of the image that it chose; what is
    signed may be either. A verdict on an index holds for the image only if that was judged with it.
    """
    verdicts = [_verdict(name, digest, judge) for digest in image.digests]
    known = [verdict for verdict in verdicts if verdict is not None]
    if not known:
        raise DeniedError(
            f"the registry has no image of the name {name} with the digest that is stored here: "
            "it was built or loaded on this host",
            hint=f"remove it, and pull it again: podman rmi {image.id[:12]}",
            code="NOT_PUBLISHED",
        )
    good = next((verdict for verdict in known if verdict.allowed and _is_of(verdict, image)), None)
    denied = [verdict for verdict in known if not verdict.allowed]
    if good is None and not denied:
        raise DeniedError(
            f"what is stored here as {name} was chosen from an index that is allowed, and could "
            "not be judged with it",
            hint=f"remove it, and pull it again: podman rmi {image.id[:12]}",
            code="MISSING_MANIFEST",
        )
    return Judged(reference=name, verdict=denied[-1] if good is None else good)


def _is_of(verdict: Verdict, image: LocalImage) -> bool:
    return not set(image.digests).isdisjoint(verdict.judged)


def _verdict(name: str, digest: Digest, judge: Judge) -> Verdict | None:
    """Return the verdict on one stored manifest, or None where the registry does not have it."""
    try:
        return judge(_pinned(name, digest))
    except NotFoundError:
        return None


def _pinned(name: str, digest: Digest) -> PinnedReference:
    reference = parse_reference(name)
    if isinstance(reference, TaggedReference):
        return reference.pin(digest)
    return reference.with_digest(digest)
