"""Staging into a folder that holds many images: each has a file of its own name there."""

from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from imagekit.errors import DocumentError, InputError, NotFoundError
from imagekit.oci.reference import Repository
from imagekit.offline.image_store import ImageStore
from imagekit.offline.stage_target import StageKind, Target
from imagekit.offline.staged import read_receipt, receipt_path

_SUFFIXES = {StageKind.SQUASHFS: ".sqsh", StageKind.SIF: ".sif"}


def below_folder(target: Target, repository: Repository) -> Target:
    """Return where an image is staged: in a folder, under the last part of its name.

    What is one file goes into a folder that is there, as with cp(1).

    Args:
        target: what was asked for.
        repository: the image's.

    Raises:
        InputError: what is there was staged, and is no folder for others, or the file there is
            of another image.
    """
    suffix = _SUFFIXES.get(target.kind)
    path = target.path
    if suffix is None or not (target.folder or (path.is_dir() and not path.is_symlink())):
        return target
    if ImageStore.find(path) is not None or receipt_path(path.resolve()).exists():
        raise InputError(
            f"{path} is a staged image, and no folder for others",
            hint="choose another folder, or name the kind: --to KIND:PATH",
            code="stage/in-the-way",
        )
    file = path / f"{repository.path.rpartition('/')[2]}{suffix}"
    other = _repository_of(file)
    if other is not None and other != repository:
        raise InputError(
            f"{file} is of {other.name}",
            hint=f"choose another folder or file: --to {target.kind}:PATH",
            code="stage/in-the-way",
        )
    return replace(target, path=file, folder=False)


def _repository_of(file: Path) -> Repository | None:
    """Return whose image is staged there; what has no good receipt is staged anew."""
    with suppress(NotFoundError, DocumentError):
        return read_receipt(receipt_path(file.resolve()))[1].image.repository
    return None
