"""Checking what was staged by its receipt, offline: ``imagekit receipt check``."""

import os
import stat
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from imagekit.clock import Clock, SystemClock
from imagekit.errors import IntegrityError, NotFoundError
from imagekit.files import storage_errors
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, TaggedReference
from imagekit.offline.checked_files import CheckedFiles
from imagekit.offline.image_store import RECEIPTS, ImageStore, StoredImage
from imagekit.offline.judge_receipt import ReceiptContext, judge_receipt
from imagekit.offline.stage_target import Receipt, StageKind
from imagekit.offline.staged import ONE_FILE, SUFFIX, read_receipt, receipt_path, staged_digest
from imagekit.offline.stagedigest import FileIdentity, measured
from imagekit.offline.storedigest import store_digest
from imagekit.owners import known, unknown_owner
from imagekit.policy.findings import Finding, error
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.verify.verdict import Verdict


class Checked(Struct, frozen=True, kw_only=True):
    """The verdict on one staged image."""

    path: Path
    kind: StageKind
    verdict: Verdict
    image: str = ""
    """Its id in a store."""
    file: FileIdentity | None = None
    """Which file was read, where it is one."""


class Asked(Struct, frozen=True, kw_only=True):
    """What is required of staged images besides a valid receipt."""

    reference: Reference | None = None
    """The image that it must be; any that the policy allows by default."""
    image: str = ""
    """Of a store: only the image with this id."""
    owners: frozenset[int] = frozenset()
    """User ids that may own what is staged, besides root and this user."""
    files: CheckedFiles | None = None
    """What was read already; None to read every byte."""


def check(
    path: Path, *, policy: OpenedPolicy, asked: Asked | None = None, clock: Clock | None = None
) -> tuple[Checked, ...]:
    """Judge what is staged at a path by its receipt; of a store, every image in it.

    Args:
        path: what ``imagekit stage`` wrote to.
        policy: the node's policy, which lists whose receipts count.
        asked: what it must be besides.
        clock: the time; the system's where it is left out.

    Raises:
        NotFoundError: there is no receipt, or nothing is staged there.
        DocumentError: the file in its place is no receipt.
        IntegrityError: what is staged is of another kind.
    """
    context = ReceiptContext(
        policy=policy,
        now=(clock or SystemClock()).now(),
        certificates=SigstoreVerifier(),
    )
    asked = asked or Asked()
    with storage_errors(f"the path {path}"):
        real = path.resolve(strict=True)
    store = ImageStore.find(real)
    if store is not None:
        return _store(store, context, asked)
    raw, receipt = read_receipt(receipt_path(real))
    if receipt.kind not in ONE_FILE:
        digest = staged_digest(real, receipt.kind)
        return (_checked(real, (raw, receipt), digest, context=context, asked=asked),)
    digest, file = measured(real) if asked.files is None else asked.files.measured(real)
    done = _checked(real, (raw, receipt), digest, context=context, asked=asked)
    return (replace(done, file=file),)


def _store(store: ImageStore, context: ReceiptContext, asked: Asked) -> tuple[Checked, ...]:
    images = store.images()
    receipts = {
        receipt.image.digest: (raw, receipt)
        for raw, receipt in map(read_receipt, sorted((store.folder / RECEIPTS).glob(f"*{SUFFIX}")))
    }
    if asked.reference is not None:
        images = tuple(image for image in images if _is(image, receipts, asked.reference))
    if asked.image:
        images = tuple(image for image in images if image.image == asked.image)
    if not images:
        raise NotFoundError(
            f"the store {store.folder} holds no such image", hint="stage it", code="NO_RECEIPT"
        )
    return tuple(_stored(store, image, receipts, context=context, asked=asked) for image in images)


def _is(
    image: StoredImage, receipts: dict[Digest, tuple[bytes, Receipt]], reference: Reference
) -> bool:
    stored = _of(image, receipts)
    return stored is not None and _fault(stored[1], reference) is None


def _of(
    image: StoredImage, receipts: dict[Digest, tuple[bytes, Receipt]]
) -> tuple[bytes, Receipt] | None:
    known = {str(image.digest), *image.digests}
    return next((stored for digest, stored in receipts.items() if str(digest) in known), None)


def _stored(
    store: ImageStore,
    image: StoredImage,
    receipts: dict[Digest, tuple[bytes, Receipt]],
    *,
    context: ReceiptContext,
    asked: Asked,
) -> Checked:
    stored = _of(image, receipts)
    if stored is None:
        raise NotFoundError(
            f"the image {image.image[:12]} in the store {store.folder} has no receipt",
            hint=f"remove it: podman --root {store.folder} rmi {image.image[:12]}",
            code="NO_RECEIPT",
        )
    receipt = stored[1]
    if receipt.kind is not StageKind.STORE:
        raise IntegrityError(f"the receipt of {image.image[:12]} is for {receipt.kind}")
    digest = store_digest(store.roots(image))
    done = _checked(store.folder, stored, digest, context=context, asked=asked)
    return replace(done, image=image.image)


def _checked(
    path: Path,
    stored: tuple[bytes, Receipt],
    digest: Digest,
    *,
    context: ReceiptContext,
    asked: Asked,
) -> Checked:
    raw, receipt = stored
    verdict = judge_receipt(raw, receipt, staged=digest, context=context)
    more = [
        fault
        for fault in (_fault(receipt, asked.reference), _place_fault(path, asked.owners))
        if fault
    ]
    return Checked(
        path=path,
        kind=receipt.kind,
        verdict=replace(verdict, findings=(*verdict.findings, *more)),
    )


def _fault(receipt: Receipt, reference: Reference | None) -> Finding | None:
    """Return the finding that another image is staged here than the one that was asked for."""
    if reference is None:
        return None
    image = receipt.image
    same = image.repository.name == reference.repository.name
    if isinstance(reference, TaggedReference):
        same = same and image.tag == reference.tag
    if isinstance(reference, PinnedReference):
        same = same and image.digest == reference.digest
    if same:
        return None
    message = f"what is staged here is {image.repository.name}:{image.tag or image.digest}"
    return error("reference", "REFERENCE_MISMATCH", message, hint="stage the image that is wanted")


def _place_fault(path: Path, owners: frozenset[int]) -> Finding | None:
    """Return the finding that another user could exchange the bytes after they were checked."""
    for place in (path, *path.parents):
        with storage_errors(f"the path {place}"):
            status = place.stat()
        if status.st_uid not in known(0, os.geteuid(), *owners):
            return _not_ours(*_stranger(place, status.st_uid))
        writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if writable and not status.st_mode & stat.S_ISVTX:
            return _not_ours(f"others may write to {place}", f"forbid it: chmod go-w {place}")
    return None


def _stranger(path: Path, owner: int) -> tuple[str, str]:
    """Return what is wrong with an owner who is neither root nor this user, and what to do."""
    if owner == unknown_owner():
        return (
            f"in this user namespace the owner of {path} is not known",
            "check it outside of the namespace",
        )
    return f"{path} belongs to user {owner}", "name who may own it: --owner USER"


def _not_ours(fault: str, remedy: str) -> Finding:
    return error(
        "place",
        "NOT_OURS",
        f"{fault}: what was checked could be exchanged",
        hint=f"stage into a folder that only root or you may write to, or {remedy}",
    )
