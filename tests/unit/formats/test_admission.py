"""AdmissionReview documents: every image of an object is found, and nothing else is one."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from imagekit.errors import DocumentError
from imagekit.formats.admission import MAX_IMAGES, parse_review, review_answer
from imagekit.model.admission import Admission

_SPEC = {
    "containers": [{"name": "a", "image": "r.site/a:1"}],
    "initContainers": [{"name": "b", "image": "r.site/b:1"}],
    "ephemeralContainers": [{"name": "c", "image": "r.site/c:1"}],
    "volumes": [
        {"name": "d", "image": {"reference": "r.site/d:1", "pullPolicy": "Always"}},
        {"name": "e", "emptyDir": {}},
    ],
}
_NAMES = {"r.site/a:1", "r.site/b:1", "r.site/c:1", "r.site/d:1"}
# From the types of k8s.io/api/admission/v1: what an API server reads of an answer.
_ANSWER = {
    "type": "object",
    "required": ["apiVersion", "kind", "response"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "admission.k8s.io/v1"},
        "kind": {"const": "AdmissionReview"},
        "response": {
            "type": "object",
            "required": ["uid", "allowed"],
            "additionalProperties": False,
            "properties": {
                "uid": {"type": "string"},
                "allowed": {"type": "boolean"},
                "status": {
                    "type": "object",
                    "properties": {
                        "code": {"type": "integer"},
                        "reason": {"type": "string"},
                        "message": {"type": "string"},
                    },
                    "additionalProperties": False,
                },
                "warnings": {"type": "array", "items": {"type": "string", "maxLength": 256}},
                "auditAnnotations": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                },
            },
        },
    },
}


def review(kind: str, document: object, *, operation: str = "CREATE") -> bytes:
    """Return a review as an API server sends it."""
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": kind},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "apps",
        "name": "x",
        "operation": operation,
        "userInfo": {"username": "admin"},
        "object": document,
        "oldObject": None,
        "dryRun": False,
    }
    outer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(outer).encode()


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("Pod", {"spec": _SPEC}),
        ("Deployment", {"spec": {"template": {"spec": _SPEC}}}),
        ("StatefulSet", {"spec": {"template": {"spec": _SPEC}}}),
        ("DaemonSet", {"spec": {"template": {"spec": _SPEC}}}),
        ("ReplicaSet", {"spec": {"template": {"spec": _SPEC}}}),
        ("ReplicationController", {"spec": {"template": {"spec": _SPEC}}}),
        ("Job", {"spec": {"template": {"spec": _SPEC}}}),
        ("CronJob", {"spec": {"jobTemplate": {"spec": {"template": {"spec": _SPEC}}}}}),
        ("PodTemplate", {"template": {"spec": _SPEC}}),
    ],
)
def test_every_image_of_every_kind_is_found(kind: str, document: object) -> None:
    """Also of containers that begin first, that are attached later, and of volumes."""
    found = parse_review(review(kind, document))

    assert {image.reference for image in found.images} == _NAMES
    assert (found.uid[:4], found.kind, found.name) == ("705a", kind, "apps/x")


def test_a_place_is_where_the_image_stands() -> None:
    """The user finds it by that."""
    found = parse_review(review("Deployment", {"spec": {"template": {"spec": _SPEC}}}))

    assert "spec.template.spec.containers[0].image" in {image.place for image in found.images}


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT"])
def test_what_runs_nothing_has_no_images(operation: str) -> None:
    """An object that goes away must not be held up."""
    assert parse_review(review("Pod", None, operation=operation)).images == ()


def _pod(**more: Any) -> bytes:
    return review("Pod", {"spec": {**_SPEC, **more}})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}',
        review("Pod", None),
        review("Pod", {}),
        review("Strange", {"spec": _SPEC}),
        review("Pod", {"spec": _SPEC}, operation="PATCH"),
        _pod(containers=[{"name": "without"}]),
        _pod(containers=[{"image": 1}]),
        _pod(containers="all"),
        _pod(volumes=[{"image": {"pullPolicy": "Always"}}]),
        _pod(containers=[{"image": "r.site/a:1"}] * (MAX_IMAGES + 1)),
        _pod(containers=[]).replace(b'"containers"', b'"Containers": [], "containers"'),
    ],
)
def test_what_cannot_be_read_whole_is_refused(raw: bytes) -> None:
    """An image that is not seen would run."""
    with pytest.raises(DocumentError):
        parse_review(raw)


@pytest.mark.parametrize(
    "admission",
    [
        Admission(uid="1", allowed=True),
        Admission(uid="1", allowed=True, warnings=("w" * 1000,), digests=(("a", "sha256:b"),)),
        Admission(uid="1", allowed=False, message="no"),
    ],
)
def test_an_answer_is_one_that_an_api_server_reads(admission: Admission) -> None:
    """By the types of the API, with the uid of the question."""
    document = json.loads(review_answer(admission))

    Draft202012Validator(_ANSWER).validate(document)
    assert document["response"]["uid"] == "1"
    assert document["response"]["allowed"] is admission.allowed
