"""Attacks on the webhook of Kubernetes: objects that hide an image, or that it is new."""

import json

import pytest

from imagekit.errors import ToolError
from imagekit.hosts.kubernetes.admission import admit
from imagekit.hosts.kubernetes.review import parse_review
from imagekit.oci.reference import Reference
from imagekit.verify.verdict import Verdict

KEPT = {"spec": {"containers": [{"image": "r.site/kept:1"}]}}
EVIL = {"image": "r.site/evil:1"}
DELETED = {"metadata": {"deletionTimestamp": "2026-11-29T00:00:00Z"}}


def _admitted(new: object, old: object, *, operation: str) -> bool:
    """Ask where no image has a good verdict: what is admitted was not judged."""
    request = {
        "uid": "u",
        "operation": operation,
        "kind": {"kind": "Pod"},
        "object": new,
        "oldObject": old,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}

    def judge(reference: Reference) -> Verdict:
        raise ToolError(f"{reference} is of nobody")

    return admit(parse_review(json.dumps(review).encode()), judge, allow_tags=True).allowed


def test_the_honest_requests_beside_the_attacks() -> None:
    """Nothing new comes in by them."""
    assert _admitted(KEPT, KEPT, operation="UPDATE")
    assert _admitted(None, KEPT, operation="DELETE")
    assert _admitted({**KEPT, **DELETED}, {**KEPT, **DELETED}, operation="UPDATE")


@pytest.mark.parametrize(
    "volume",
    [
        {"csi": {"driver": "image.csi.k8s.io", "volumeAttributes": EVIL}},
        {"csi": {"driver": "csi-image.warm-metal.tech", "volumeAttributes": EVIL}},
        {"flexVolume": {"driver": "x/image", "options": EVIL}},
        {"image": {"reference": "r.site/evil:1"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
def test_an_image_that_a_driver_mounts(volume: object, operation: str) -> None:
    """A pod of no containers but with programs in a volume."""
    new = {"spec": {"containers": [], "volumes": [volume]}}

    assert not _admitted(new, KEPT, operation=operation)


@pytest.mark.parametrize(
    ("new", "old", "operation"),
    [
        ({"spec": {"containers": [EVIL]}, **DELETED}, KEPT, "UPDATE"),
        ({"spec": {"containers": [EVIL]}, **DELETED}, None, "UPDATE"),
        ({"spec": {"containers": [EVIL]}, **DELETED}, None, "CREATE"),
        ({"spec": {"containers": [EVIL]}}, {"spec": {"containers": [EVIL]}}, "CREATE"),
        ({"spec": {"containers": [EVIL]}}, KEPT, "UPDATE"),
    ],
    ids=["marked by itself", "without an old one", "born deleted", "born old", "a new image"],
)
def test_an_image_that_says_it_is_not_new(new: object, old: object, operation: str) -> None:
    """What an object had before counts on updates, and as the API server has it."""
    assert not _admitted(new, old, operation=operation)
