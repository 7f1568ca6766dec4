"""Running what was staged, after its receipt was checked: ``imagekit run --staged``."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from imagekit.build.tools.podman import Podman, RootFolder
from imagekit.build.tools.podman_faults import STAGED
from imagekit.errors import InputError
from imagekit.files import storage_errors
from imagekit.hosts.apptainer_run import Apptainer
from imagekit.hosts.mpi import Ranks
from imagekit.hosts.run import ContainerEngine
from imagekit.hosts.user_container import Container, Foreground, Tree, run_as_user
from imagekit.inputs import read_regular
from imagekit.oci.location import LayoutLocation
from imagekit.oci.reference import PinnedReference
from imagekit.offline.check_receipt import Checked
from imagekit.offline.image_store import ImageStore
from imagekit.offline.runtime_bundle import MAX_CONFIG
from imagekit.offline.stage_target import StageKind
from imagekit.paths import temporary_place


def run_staged(checked: Checked, arguments: Sequence[str], *, podman: Podman) -> int:
    """Run a staged image in the foreground and return the container's exit code.

    Args:
        checked: what was checked, and allowed.
        arguments: what goes to the entrypoint; to a bundle, the whole command.
        podman: runs it.

    Raises:
        InputError: what is staged there is not for Podman, or was not allowed.
        ToolError: Podman failed.
    """
    _refuse(checked)
    match checked.kind:
        case StageKind.OCI:
            layout = LayoutLocation(checked.path)
            return podman.pulling(layout).run(_image(checked), arguments)
        case StageKind.STORE:
            return _stored(checked, arguments, podman)
        case StageKind.BUNDLE:
            return _bundle(checked.path, arguments, podman)
        case StageKind.SQUASHFS | StageKind.SIF:
            raise InputError(
                f"{checked.path} is {checked.kind}, which Podman does not run",
                hint="its receipt is valid: --engine apptainer runs a sif",
            )


def starts_alone(checked: Checked) -> bool:
    """Return whether what is staged starts without an engine, the same for every user.

    Root's bundles are started by Podman, with the user that the image says.
    """
    ours = checked.kind is StageKind.BUNDLE and os.geteuid() != 0
    return ours or checked.kind is StageKind.SQUASHFS


def run_alone(
    checked: Checked,
    arguments: Sequence[str],
    *,
    container: Container,
    programs: Foreground,
    ranks: Ranks | None = None,
) -> int:
    """Run it in the foreground without an engine, and return the container's exit code.

    Args:
        checked: what was checked, and allowed.
        arguments: what goes to the entrypoint; to a bundle, the whole command.
        container: what it is started with.
        programs: runs programs.
        ranks: what the image's MPI has to meet, where this may be one task of several.

    Raises:
        InputError: it was not allowed, or cannot be had without an engine.
        IntegrityError: it is another file than the one that was checked.
        ToolNotFoundError: a program is missing.
    """
    _refuse(checked)
    tree = Tree(path=checked.path, identity=checked.file)
    return run_as_user(tree, arguments, container=container, programs=programs, ranks=ranks)


def _refuse(checked: Checked) -> None:
    if not checked.verdict.allowed:
        raise InputError(f"{checked.path} was not allowed to run")


def run_rank(
    checked: Checked,
    arguments: Sequence[str],
    *,
    rank: Callable[[LayoutLocation], ContainerEngine],
) -> int:
    """Run one task of several in the foreground, and return the container's exit code.

    Args:
        checked: what was checked, and allowed.
        arguments: what each rank runs.
        rank: returns what runs it from a layout.

    Raises:
        InputError: what is staged there does not say what its MPI speaks, or was not allowed.
        ToolError: Podman failed.
    """
    _refuse(checked)
    if checked.kind is not StageKind.OCI:
        raise InputError(
            f"{checked.path} is {checked.kind}, which is not started as one task of several",
            hint="stage it as squashfs: or oci:",
            code="run/no-wire-up",
        )
    image = _image(checked)
    return rank(LayoutLocation(checked.path)).run(image, arguments, among={image.digest})


def run_file(checked: Checked, arguments: Sequence[str], *, apptainer: Apptainer) -> int:
    """Run a staged file of Apptainer's in the foreground and return the container's exit code.

    Args:
        checked: what was checked, and allowed.
        arguments: what goes to the entrypoint.
        apptainer: runs it.

    Raises:
        InputError: what is staged there is not for Apptainer, or was not allowed.
        ToolError: Apptainer is missing.
    """
    _refuse(checked)
    if checked.kind is not StageKind.SIF:
        raise InputError(
            f"{checked.path} is {checked.kind}, which Apptainer is not given",
            hint="stage it as sif:, or leave --engine out",
        )
    return apptainer.start(checked.path, arguments)


def _image(checked: Checked) -> PinnedReference:
    image = checked.verdict.reference
    if not isinstance(image, PinnedReference):
        raise InputError(f"{checked.path} was not checked by its digest")
    return image.with_digest(image.digest)


def _stored(checked: Checked, arguments: Sequence[str], podman: Podman) -> int:
    """Run an image of a store, from a storage with the store's driver."""
    store = ImageStore.find(checked.path)
    if store is None:
        raise InputError(f"{checked.path} is no store any more")
    _check_ids(checked.path, podman)
    if store.driver == podman.driver:
        return podman.with_images_of(checked.path).start(checked.image, arguments)
    # Podman reads no store of another driver than its own storage's.
    with podman.in_temporary_storage(temporary_place(), store.driver) as own:
        return own.with_images_of(checked.path).start(checked.image, arguments)


def _check_ids(path: Path, podman: Podman) -> None:
    """Refuse a store of others' for a user who can map no others; Podman says so less plainly."""
    # It takes as long to import as a start without an engine may.
    from imagekit.hosts.probe import maps_others

    with storage_errors(f"the store {path}"):
        own = path.stat().st_uid == os.geteuid()
    if not own and not maps_others(podman.programs):
        raise InputError(
            f"the files in the store {path} are others', and this user has no subordinate ids for "
            "them",
            hint=f"{STAGED}, made by imagekit stage --to squashfs:FILE.sqsh; or get ids for this "
            "user: imagekit doctor says how",
            code="NO_SUBORDINATE_IDS",
        )


def _bundle(path: Path, arguments: Sequence[str], podman: Podman) -> int:
    """Run the unpacked image as its config.json says; what it writes is gone afterwards."""
    with storage_errors(f"the bundle {path}"):
        # The bytes were just compared with the receipt.
        config = json.loads(read_regular(path / "config.json", limit=MAX_CONFIG))
    process = config["process"]
    binds = [mount for mount in config["mounts"] if mount["type"] == "bind"]
    root = RootFolder(
        path=path.absolute() / "rootfs",
        uid=process["user"]["uid"],
        gid=process["user"]["gid"],
        cwd=process["cwd"],
        env=tuple(process["env"]),
        binds=tuple((Path(mount["source"]), Path(mount["destination"])) for mount in binds),
    )
    # As with an image: what replaces the entrypoint replaces the image's command too.
    command = process["args"] if podman.container.entrypoint is None else ()
    return podman.start_folder(root, list(arguments) or command)
