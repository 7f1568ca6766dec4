"""Which signed names are accepted for what was asked for."""

import pytest

from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.policy.ruleset import ImageRule, SignedIdentity
from imagekit.verify.identity import accepts

_DIGEST = Digest.of(b"image")
_REPOSITORY = Repository.parse("r.site:5000/apps/demo")
_TAGGED = PinnedReference(_REPOSITORY, _DIGEST, tag="1")
_BARE = PinnedReference(_REPOSITORY, _DIGEST)
_ONLY, _REPO = SignedIdentity.DIGEST_ONLY, SignedIdentity.MATCH_REPOSITORY
_EXACT, _EITHER = SignedIdentity.MATCH_EXACT, SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT


@pytest.mark.parametrize(
    ("rule", "image", "name", "good"),
    [
        (_ONLY, _TAGGED, "", True),
        (_REPO, _TAGGED, "r.site:5000/apps/demo:2", True),
        (_REPO, _TAGGED, "r.site:5000/apps/demo", True),
        (_REPO, _TAGGED, f"r.site:5000/apps/demo@{_DIGEST}", True),
        (_REPO, _TAGGED, "r.site:5000/apps/demo2:1", False),
        (_REPO, _TAGGED, "r.site:5000/apps/demo/x:1", False),
        (_REPO, _TAGGED, "r.site/apps/demo:1", False),
        (_REPO, _TAGGED, "", False),
        (_EXACT, _TAGGED, "r.site:5000/apps/demo:1", True),
        (_EXACT, _TAGGED, "r.site:5000/apps/demo:2", False),
        (_EXACT, _TAGGED, "r.site:5000/apps/demo", False),
        (_EXACT, _BARE, f"r.site:5000/apps/demo@{_DIGEST}", True),
        (_EXACT, _BARE, "r.site:5000/apps/demo:1", False),
        (_EITHER, _TAGGED, "r.site:5000/apps/demo:1", True),
        (_EITHER, _TAGGED, "r.site:5000/apps/demo:2", False),
        (_EITHER, _TAGGED, "r.site:5000/apps/demo", False),
        (_EITHER, _BARE, "r.site:5000/apps/demo:2", True),
        (_EITHER, _BARE, "r.site:5000/apps/demo", True),
        (_EITHER, _BARE, "r.site:5000/apps/other:1", False),
    ],
)
def test_table(rule: SignedIdentity, image: PinnedReference, name: str, *, good: bool) -> None:
    """The rules are those of containers-policy.json."""
    image_rule = ImageRule(glob="**", authorities=(), signed_identity=rule)

    assert accepts(image_rule, image, (name,) if name else ()) is good


@pytest.mark.parametrize(
    ("asked", "name", "good"),
    [
        ("docker.io/org/app", "index.docker.io/org/app:1", True),
        ("docker.io/org/app", "registry-1.docker.io/org/app:1", True),
        ("docker.io/org/app", "org/app:1", True),
        ("docker.io/library/app", "app:1", True),
        ("docker.io/library/app", "index.docker.io/app:1", True),
        ("r.site/org/app", "R.Site.:443/org/app:1", True),
        ("127.0.0.1:5000/app", "[::ffff:7f00:1]:5000/app:1", True),
        ("r.site/org/app", "r.site:80/org/app:1", False),
        ("r.site/org/app", "org/app:1", False),
        ("127.0.0.1:5000/app", "127.1:5000/app:1", False),
        ("docker.io/org/app", "index.docker.io.evil.site/org/app:1", False),
        ("docker.io/org/app", "index.docker.io:5000/org/app:1", False),
    ],
)
def test_signed_names_have_one_spelling(asked: str, name: str, *, good: bool) -> None:
    """What was signed under another spelling of the same name is signed for it, and no other."""
    image = PinnedReference(Repository.parse(asked), _DIGEST, tag="1")
    for kind in (_REPO, _EXACT, _EITHER):
        assert accepts(
            ImageRule(glob="**", authorities=(), signed_identity=kind), image, (name,)
        ) is (good)
