"""Which names in a signature are accepted for the reference that was asked for.

The rules are those of containers-policy.json(5), "signedIdentity". A name is ``HOST/PATH:TAG`` or
``HOST/PATH@DIGEST``, or ``HOST/PATH`` alone where cosign signed.
"""

from collections.abc import Sequence
from typing import assert_never

from imagekit.model.policy import SignedIdentity
from imagekit.model.reference import PinnedReference


def accepts(rule: SignedIdentity, image: PinnedReference, names: Sequence[str]) -> bool:
    """Tell whether one of the signed names is good for the image.

    Args:
        rule: what the policy says.
        image: what was asked for; ``tag`` where it was by tag.
        names: names of the subjects that have the image's digest.
    """
    match rule:
        case SignedIdentity.DIGEST_ONLY:
            return True
        case SignedIdentity.MATCH_REPOSITORY:
            return _in_repository(image, names)
        case SignedIdentity.MATCH_EXACT:
            return _exact(image) in names
        case SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT:
            return _exact(image) in names if image.tag else _in_repository(image, names)
    assert_never(rule)


def wanted(rule: SignedIdentity, image: PinnedReference) -> str:
    """Return what the name should have been, for a message."""
    by_digest = rule is SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT and not image.tag
    if by_digest or rule is SignedIdentity.MATCH_REPOSITORY:
        return f"the repository {image.repository.name}"
    return _exact(image)


def _exact(image: PinnedReference) -> str:
    name = image.repository.name
    return f"{name}:{image.tag}" if image.tag else f"{name}@{image.digest}"


def _in_repository(image: PinnedReference, names: Sequence[str]) -> bool:
    return any(_repository_of(name) == image.repository.name for name in names)


def _repository_of(name: str) -> str:
    name = name.partition("@")[0]
    slash, colon = name.rfind("/"), name.rfind(":")
    return name[:colon] if colon > slash else name
