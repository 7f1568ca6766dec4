"""containerd's question is understood strictly, and answered in one line."""

import json

import pytest
from msgspec.structs import replace

from imagekit.errors import ImagekitError
from imagekit.hosts.containerd import DESCRIPTOR, MAX_REASON, PullQuestion, image_of, reason
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.types import MANIFEST
from imagekit.policy.findings import Finding
from imagekit.verify.verdict import Verdict

DIGEST = Digest.of(b"x")


def _descriptor(**changes: object) -> bytes:
    return json.dumps({"mediaType": MANIFEST, "digest": str(DIGEST), "size": 1} | changes).encode()


QUESTION = PullQuestion(
    name="r.site/app:1", digest=str(DIGEST), media_type=DESCRIPTOR, descriptor=_descriptor()
)
REPOSITORY = Repository.parse("r.site/app")


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("r.site/app:1", "1"),
        (f"r.site/app:1@{DIGEST}", "1"),
        (f"r.site/app@{DIGEST}", None),
        ("r.site/app", None),
    ],
)
def test_the_digest_that_will_be_pulled_is_judged(name: str, tag: str | None) -> None:
    """Under the name that was asked for."""
    found = image_of(replace(QUESTION, name=name))

    assert found == PinnedReference(REPOSITORY, DIGEST, tag=tag)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "app:1"},
        {"name": "oci:folder:app:1"},
        {"name": ""},
        {"name": f"r.site/app@{Digest.of(b'other')}"},
        {"digest": "sha256:12"},
        {"digest": str(Digest.of(b"other"))},
        {"media_type": "application/json"},
        {"descriptor": b""},
        {"descriptor": b"[]"},
        {"descriptor": b" " * 70000},
        {"descriptor": _descriptor(digest=str(Digest.of(b"other")))},
        {"descriptor": _descriptor(mediaType="text/plain")},
        {"descriptor": _descriptor(size=-1)},
        {"descriptor": _descriptor(urls=["http://evil/"])},
        {"descriptor": _descriptor()[:-1] + b', "Digest": "x"}'},
    ],
    ids=str,
)
def test_what_is_no_question_is_refused(change: dict[str, object]) -> None:
    """One thing wrong is enough."""
    with pytest.raises(ImagekitError):
        image_of(replace(QUESTION, **change))


def test_a_refusal_names_image_policy_and_code() -> None:
    """The user at the prompt reads it."""
    bad = Finding(check="signature", code="NO_SIGNATURE", message="no " * 2000, severity="error")
    verdict = Verdict(
        reference=PinnedReference(REPOSITORY, DIGEST, tag="1"),
        digest=DIGEST,
        policy="site",
        policy_digest=DIGEST,
        findings=(replace(bad, message="nobody signed it"), bad),
    )

    said = reason(verdict)

    assert said.startswith("imagekit: r.site/app:1 is refused by the policy site version 0: ")
    assert "nobody signed it (NO_SIGNATURE)" in said
    assert len(said) <= MAX_REASON


def test_an_index_that_could_not_be_read_whole_is_told() -> None:
    """The runtime chooses from it by itself."""
    good = Finding(check="signature", code="OK", message="signed", severity="ok")
    verdict = Verdict(
        reference=PinnedReference(REPOSITORY, DIGEST, tag="1"),
        digest=DIGEST,
        policy="site",
        policy_digest=DIGEST,
        findings=(good,),
        unread=(DIGEST,),
    )

    assert "MISSING_MANIFEST" in reason(verdict)
    assert "is refused" in reason(verdict)
    assert "is allowed" in reason(replace(verdict, unread=()))
