"""Which names in a signature are accepted for the reference that was asked for.

The rules are those of containers-policy.json(5), "signedIdentity". A name is ``HOST/PATH:TAG`` or
``HOST/PATH@DIGEST``, or ``HOST/PATH`` alone where cosign signed. Whoever signed may have spelled
the host in another way, or Docker Hub by another name, or not at all: it is the same name.
"""

from collections.abc import Sequence
from typing import assert_never

from imagekit.oci.reference import PinnedReference, canonical_name
from imagekit.policy.ruleset import ImageRule, Remap, SignedIdentity


def accepts(rule: ImageRule, image: PinnedReference, names: Sequence[str]) -> bool:
    """Return whether one of the signed names is good for the image.

    Args:
        rule: what the policy says.
        image: what was asked for; ``tag`` where it was by tag.
        names: names of the subjects that have the image's digest.
    """
    repository = signed_name(rule, image)
    exact = _exact(repository, image)
    names = [name for name in map(canonical_name, names) if name is not None]
    match rule.signed_identity:
        case SignedIdentity.DIGEST_ONLY:
            # cosign's bundles name no repository, so that no other rule takes them.
            return True
        case SignedIdentity.MATCH_REPOSITORY:
            # By this rule a tag may be moved to whatever image of the repository was ever signed
            # (containers-policy.json(5), "sigstoreSigned").
            return _in_repository(repository, names)
        case SignedIdentity.MATCH_EXACT:
            return exact in names
        case SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT | SignedIdentity.REMAP_IDENTITY:
            # containers-policy.json(5): asked for by digest, the image may be signed under any tag.
            return exact in names if image.tag else _in_repository(repository, names)
    assert_never(rule.signed_identity)


def wanted(rule: ImageRule, image: PinnedReference) -> str:
    """Return what the name should have been, for a message."""
    repository = signed_name(rule, image)
    exact = rule.signed_identity is SignedIdentity.MATCH_EXACT
    if rule.signed_identity is SignedIdentity.MATCH_REPOSITORY or not (exact or image.tag):
        return f"the repository {repository}"
    return _exact(repository, image)


def signed_name(rule: ImageRule, image: PinnedReference) -> str:
    """Return the repository's full name as signatures have it: a mirror's is translated."""
    name = image.repository.name
    remap = rule.remap
    if rule.signed_identity is SignedIdentity.REMAP_IDENTITY and remap and _under(name, remap):
        # containers-policy.json(5), "remapIdentity": the prefix alone is exchanged, and then the
        # rules of ``matchRepoDigestOrExact`` hold.
        signed = remap.signed_prefix + name.removeprefix(remap.prefix)
        return canonical_name(signed) or signed
    return name


def _under(name: str, remap: Remap) -> bool:
    """Return whether the prefix ends where a component of the name does."""
    return name == remap.prefix or name.startswith(f"{remap.prefix}/")


def _exact(repository: str, image: PinnedReference) -> str:
    return f"{repository}:{image.tag}" if image.tag else f"{repository}@{image.digest}"


def _in_repository(repository: str, names: Sequence[str]) -> bool:
    return any(_repository_of(name) == repository for name in names)


def _repository_of(name: str) -> str:
    name = name.partition("@")[0]
    slash, colon = name.rfind("/"), name.rfind(":")
    return name[:colon] if colon > slash else name
