"""AdmissionReview documents (admission.k8s.io/v1): the question of an API server, and the answer.

https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/

Objects are read where Kubernetes itself has images: in the specification of a pod, on its own or
as the template of another object. An object of a kind that is not known is a fault, and not one
without images.

Of an update only the new images are judged: to suspend a job, set a label or remove a finalizer
brings no image in, and has to be possible after an image was withdrawn. An object that is being
deleted runs nothing new.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import InvalidReferenceError
from imagekit.oci.hostname import names_host
from imagekit.oci.reference import parse_reference


class WantedImage(Struct, frozen=True, kw_only=True):
    """An image that an object names, and where."""

    reference: str
    """As it stands in the object."""
    place: str
    """The field, such as ``spec.containers[0].image``."""


class Review(Struct, frozen=True, kw_only=True):
    """A request of the admission API, as far as images go."""

    uid: str
    operation: str
    """``CREATE``, ``UPDATE``, ``DELETE`` or ``CONNECT``."""
    kind: str
    """Such as ``Pod`` or ``CronJob``."""
    name: str
    """``NAMESPACE/NAME`` of the object, for logs."""
    images: tuple[WantedImage, ...] = ()


class Admission(Struct, frozen=True, kw_only=True):
    """The answer to a review."""

    uid: str
    allowed: bool
    message: str = ""
    """What the user reads where it is not allowed."""
    warnings: tuple[str, ...] = ()
    """What the user reads where it is."""
    digests: tuple[tuple[str, str], ...] = ()
    """Each image and the digest that was judged, for the audit log of the cluster."""


MAX_REVIEW = 7 << 20
"""Most bytes of a review: two objects of at most 3 MiB (the limit of an API server), and more."""
MAX_IMAGES = 256
MAX_WARNING = 256
"""Longest warning that an API server passes on whole (Dynamic Admission Control, Response)."""
_CODE = "BAD_REVIEW"
_API_VERSION = "admission.k8s.io/v1"
_WHAT = "the review"

_TEMPLATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Pod": ("spec",),
        "PodTemplate": ("template", "spec"),
        "ReplicationController": ("spec", "template", "spec"),
        "ReplicaSet": ("spec", "template", "spec"),
        "Deployment": ("spec", "template", "spec"),
        "StatefulSet": ("spec", "template", "spec"),
        "DaemonSet": ("spec", "template", "spec"),
        "Job": ("spec", "template", "spec"),
        "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    }
)
"""Where each kind has the specification of its pods."""
_LISTS = ("initContainers", "containers", "ephemeralContainers")
_DRIVEN = MappingProxyType({"csi": "volumeAttributes", "flexVolume": "options"})
"""Volumes that are mounted by drivers, and the member with the driver's parameters."""
_ENDINGS = ("image", "imageref", "imagename", "imageurl", "reference")
"""How the attributes of drivers that mount images end, such as ``image`` (image.csi.k8s.io); under
another name a value is an image where it names a registry's host."""
MAX_ATTRIBUTES = 256


def parse_review(raw: bytes) -> Review:
    """Read a review, and the images that its object would bring in.

    Raises:
        DocumentError: it is none, or of a kind whose images are not known (code ``BAD_REVIEW``).
    """
    document = Fields.of(strictjson.loads(raw, what=_WHAT), what=_WHAT, code=_CODE)
    if document.get("apiVersion") != _API_VERSION or document.get("kind") != "AdmissionReview":
        raise document.fault(f"is no AdmissionReview of {_API_VERSION}")
    request = document.object("request")
    operation = request.text("operation")
    kind = request.object("kind").text("kind")
    match operation:
        case "CREATE":
            images = tuple(_images(request.object("object"), kind))
        case "UPDATE":
            images = _new_images(request, kind)
        case "DELETE" | "CONNECT":
            images = ()
        case _:
            raise request.fault("has an operation that is not known")
    return Review(
        uid=request.text("uid"),
        operation=operation,
        kind=kind,
        name=f"{request.optional_text('namespace')}/{request.optional_text('name')}",
        images=images,
    )


def review_answer(admission: Admission) -> bytes:
    """Write the answer to a review.

    Dynamic Admission Control, Response: it has the ``uid`` of the request; the status and the
    warnings are what the user sees, and audit annotations go into the cluster's audit log.
    """
    response: dict[str, object] = {"uid": admission.uid, "allowed": admission.allowed}
    if not admission.allowed:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": admission.message}
    if admission.warnings:
        response["warnings"] = [warning[:MAX_WARNING] for warning in admission.warnings]
    if admission.digests:
        judged = " ".join(f"{image}@{digest}" for image, digest in admission.digests)
        response["auditAnnotations"] = {"judged": judged}
    document = {"apiVersion": _API_VERSION, "kind": "AdmissionReview", "response": response}
    return strictjson.dumps(document)


def _new_images(request: Fields, kind: str) -> tuple[WantedImage, ...]:
    """Return the images of an update that the object did not have before."""
    if request.get("oldObject") is None:
        return tuple(_images(request.object("object"), kind))
    old = request.object("oldObject")
    # In the old object, so it cannot be set to avoid the check: only deletion sets it.
    if old.optional_object("metadata").get("deletionTimestamp") is not None:
        return ()
    before = {image.reference for image in _images(old, kind)}
    images = _images(request.object("object"), kind)
    return tuple(image for image in images if image.reference not in before)


def _images(fields: Fields, kind: str) -> Iterator[WantedImage]:
    if kind not in _TEMPLATES:
        raise fields.fault(
            f"is of the kind {kind[:80]!r}, and where that has images is not known",
            hint="let the webhook's rules name pods and workloads only",
        )
    place = ""
    for key in _TEMPLATES[kind]:
        fields = fields.object(key)
        place = f"{place}.{key}" if place else key
    images = (*_of_containers(fields, place), *_of_volumes(fields, place))
    if len(images) > MAX_IMAGES:
        raise fields.fault(f"names more than {MAX_IMAGES} images")
    yield from images


def _of_containers(spec: Fields, place: str) -> Iterator[WantedImage]:
    for key in _LISTS:
        if spec.get(key) is None:
            continue
        for number, value in enumerate(spec.array(key, limit=MAX_IMAGES)):
            where = f"{place}.{key}[{number}]"
            container = Fields.of(value, what=where, code=_CODE)
            yield WantedImage(reference=container.text("image"), place=f"{where}.image")


def _of_volumes(spec: Fields, place: str) -> Iterator[WantedImage]:
    """Yield the images that are mounted as volumes: since Kubernetes 1.31, or by drivers."""
    if spec.get("volumes") is None:
        return
    for number, value in enumerate(spec.array("volumes", limit=10 * MAX_IMAGES)):
        where = f"{place}.volumes[{number}]"
        volume = Fields.of(value, what=where, code=_CODE)
        if volume.get("image") is not None:
            reference = volume.object("image").text("reference")
            yield WantedImage(reference=reference, place=f"{where}.image.reference")
        for kind, key in _DRIVEN.items():
            attributes = volume.optional_object(kind).optional_object(key)
            yield from _of_driver(attributes, f"{where}.{kind}.{key}")


def _of_driver(attributes: Fields, where: str) -> Iterator[WantedImage]:
    """Yield the images that an inline volume's attributes make its driver mount."""
    if len(attributes.values) > MAX_ATTRIBUTES:
        raise attributes.fault(f"has more than {MAX_ATTRIBUTES} attributes")
    for name, value in attributes.values.items():
        word = "".join(character for character in name.casefold() if character.isalnum())
        if word.endswith(_ENDINGS):
            yield WantedImage(reference=attributes.text(name), place=f"{where}.{name}")
        elif isinstance(value, str) and (image := _image_in(value)):
            yield WantedImage(reference=image, place=f"{where}.{name}")


def _image_in(value: str) -> str:
    """Return the image that an attribute of any name holds, if it has a registry's host and a path.

    Which attributes a driver reads images from is not known here.
    """
    image = value.removeprefix("docker://").removeprefix("oci://")
    host, slash, _ = image.partition("/")
    last = image.rpartition("/")[2]
    if not slash or not names_host(host):
        return ""
    try:
        parse_reference(image if ":" in last or "@" in last else f"{image}:latest")
    except InvalidReferenceError:
        return ""
    return image
