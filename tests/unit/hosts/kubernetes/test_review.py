"""AdmissionReview documents: every image of an object is found, and nothing else is one."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from imagekit.errors import DocumentError
from imagekit.hosts.kubernetes.review import MAX_IMAGES, Admission, parse_review, review_answer

_SPEC: dict[str, Any] = {
    "containers": [{"name": "a", "image": "r.site/a:1"}],
    "initContainers": [{"name": "b", "image": "r.site/b:1"}],
    "ephemeralContainers": [{"name": "c", "image": "r.site/c:1"}],
    "volumes": [
        {"name": "d", "image": {"reference": "r.site/d:1", "pullPolicy": "Always"}},
        {"name": "e", "emptyDir": {}},
        {
            "name": "f",
            "csi": {
                "driver": "image.csi.k8s.io",
                "volumeAttributes": {"image": "r.site/f:1", "pullAlways": "true"},
            },
        },
        {"name": "g", "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": True}},
    ],
}
_NAMES = {"r.site/a:1", "r.site/b:1", "r.site/c:1", "r.site/d:1", "r.site/f:1"}
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


def review(kind: str, document: object, *, operation: str = "CREATE", old: object = None) -> bytes:
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
        "oldObject": old,
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


def _wanted(old: object, new: object, *, kind: str = "Pod", operation: str = "UPDATE") -> set[str]:
    found = parse_review(review(kind, new, operation=operation, old=old))
    return {image.reference for image in found.images}


def test_an_update_is_asked_about_for_its_new_images_only() -> None:
    """A label, a finalizer or suspend brings none in, whatever was withdrawn since."""
    old = {"metadata": {"finalizers": ["x/y"]}, "spec": _SPEC}
    labelled = {"metadata": {"labels": {"a": "b"}}, "spec": _SPEC}
    more = {"spec": {**_SPEC, "containers": [*_SPEC["containers"], {"image": "r.site/new:1"}]}}
    job = {"spec": {"template": {"spec": _SPEC}}}

    assert _wanted(old, labelled) == set()
    assert _wanted(old, more) == {"r.site/new:1"}
    assert _wanted(job, {"spec": {**job["spec"], "suspend": True}}, kind="Job") == set()


@pytest.mark.parametrize("old", [None, {"spec": {"containers": []}}])
def test_an_update_of_nothing_known_is_a_new_object(old: object) -> None:
    """All of its images are new."""
    assert _wanted(old, {"spec": _SPEC}) == _NAMES


def test_the_old_object_of_a_creation_says_nothing() -> None:
    """There is none; whoever sent one would pass by."""
    assert _wanted({"spec": _SPEC}, {"spec": _SPEC}, operation="CREATE") == _NAMES


@pytest.mark.parametrize("kind", ["Pod", "SomethingElse"])
def test_an_object_that_is_being_deleted_may_change(kind: str) -> None:
    """Its last finalizer could not be taken away else; it runs nothing new."""
    going = {"metadata": {"deletionTimestamp": "2026-11-29T00:00:00Z"}, "spec": _SPEC}

    assert _wanted(going, {"spec": _SPEC}, kind=kind) == set()


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
def test_nobody_marks_an_object_as_deleted_by_themselves(operation: str) -> None:
    """What counts is what the API server had before."""
    new = {"metadata": {"deletionTimestamp": "2026-11-29T00:00:00Z"}, "spec": _SPEC}

    assert _wanted({"spec": {"containers": []}}, new, operation=operation) == _NAMES


@pytest.mark.parametrize(
    "name", ["image", "IMAGE", "base-image", "x.org/imageRef", "model.csi.x/reference", "image_url"]
)
def test_images_of_csi_drivers_are_seen(name: str) -> None:
    """By what their attributes are called, whatever the driver."""
    told = {name: "r.site/v:1", "imagePullSecret": "s"}
    csi = {"csi": {"driver": "x.org", "volumeAttributes": told}}
    flex = {"flexVolume": {"driver": "x/y", "options": told}}
    found = parse_review(review("Pod", {"spec": {"volumes": [csi, flex]}}))

    assert [(image.reference, image.place) for image in found.images] == [
        ("r.site/v:1", f"spec.volumes[0].csi.volumeAttributes.{name}"),
        ("r.site/v:1", f"spec.volumes[1].flexVolume.options.{name}"),
    ]


@pytest.mark.parametrize(
    ("value", "image"),
    [
        ("r.site/v:1", "r.site/v:1"),
        ("oci://r.site:5000/v", "r.site:5000/v"),
        ("docker://docker.io/library/v", "docker.io/library/v"),
        (f"r.site/v@sha256:{'a' * 64}", f"r.site/v@sha256:{'a' * 64}"),
        ("//server.site/share", None),
        ("spiffe://cluster.local/ns/a", None),
        ("nfs.site", None),
        ("/exports/a", None),
        ("shares/a", None),
        ("a, b.site/c", None),
    ],
)
def test_images_in_attributes_of_any_name_are_seen(value: str, image: str | None) -> None:
    """Which attributes a driver takes images from, only its author knows: a host and a path."""
    volume = {"csi": {"driver": "x.org", "volumeAttributes": {"rootfs": value}}}
    found = parse_review(review("Pod", {"spec": {"volumes": [volume]}}))

    assert [one.reference for one in found.images] == ([] if image is None else [image])


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
        _pod(volumes=[{"csi": {"volumeAttributes": {"image": 7}}}]),
        _pod(volumes=[{"csi": {"volumeAttributes": [7]}}]),
        _pod(volumes=[{"csi": "x"}]),
        _pod(volumes=[{"csi": {"volumeAttributes": {str(n): "x" for n in range(257)}}}]),
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
