"""Which signed names are accepted for what was asked for."""

import pytest

from imagekit.model.digest import Digest
from imagekit.model.policy import ImageRule, SignedIdentity
from imagekit.model.reference import PinnedReference, Repository
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
