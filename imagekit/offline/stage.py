"""Verify, then unpack for nodes without a registry, with a signed receipt: ``imagekit stage``.

What must hold:

1. Nothing appears under the path that was not verified; it appears complete, with its receipt.
2. What is there already, by its receipt of the same signer, is not made again; an old receipt is
   renewed after the bytes were compared.
3. A version that may be running is removed only where ``keep`` asks for it.
"""

from imagekit.errors import InputError
from imagekit.locks import folder_held
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.reference import Reference
from imagekit.oci.types import MANIFEST_TYPES
from imagekit.offline.closure import Closure, find_closure
from imagekit.offline.stage_files import FileStaging
from imagekit.offline.stage_folder import below_folder
from imagekit.offline.stage_store import StoreWork
from imagekit.offline.stage_target import StageKind, Target
from imagekit.offline.staged import StageDirectory
from imagekit.offline.stagework import StageContext, Staged, StageOptions, Work
from imagekit.verify.verdict import Verdict, allowed

__all__ = ["StageContext", "StageOptions", "Staged", "stage"]


def stage(reference: Reference, target: Target, context: StageContext) -> Staged:
    """Verify an image, and write it to a path with a signed receipt beside it.

    Args:
        reference: the image.
        target: where, and as what.
        context: what to work with.

    Raises:
        InputError: something that was not staged is in the way, or a platform is missing.
        ToolError: a program failed or is missing.
        ImagekitError: there was no verdict, or something could not be read or written.
    """
    verdict = context.judge(reference)
    pinned = allowed(reference, verdict)
    if pinned is None or context.options.dry_run:
        return Staged(verdict=verdict)
    own = "" if target.kind is StageKind.OCI else str(host_platform())
    platform = context.options.platform or own
    closure = find_closure(
        context.reader,
        pinned,
        platforms=(platform,) if platform else (),
        unread=verdict.unread,
    )
    if platform:
        _check_judged(closure, verdict)
    placed = below_folder(target, pinned.repository)
    work = Work(context=context, target=placed, verdict=verdict, closure=closure)
    if placed.kind is StageKind.STORE:
        return StoreWork(work=work).done()
    directory = StageDirectory(path=placed.path)
    directory.prepare()
    with folder_held(directory.folder):
        return FileStaging(work=work, directory=directory).done()


def _check_judged(closure: Closure, verdict: Verdict) -> None:
    """Refuse a platform that the verdict is not about, such as that of attestations."""
    for raw in closure.manifests:
        if raw.media_type in MANIFEST_TYPES and raw.digest not in verdict.judged:
            raise InputError(
                f"{raw.digest} is listed by {closure.image}, and was not judged with it",
                hint="name a platform that runs, as linux/amd64",
                code="MISSING_PLATFORM",
            )
