"""Running what was staged, after its receipt was checked: ``imagekit run --staged``."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, Self

from imagekit.build.tools.podman import Programs
from imagekit.errors import InputError
from imagekit.files import storage_errors
from imagekit.inputs import read_regular
from imagekit.oci.reference import PinnedReference
from imagekit.offline.bundle import MAX_CONFIG
from imagekit.offline.check_receipt import Checked
from imagekit.offline.staging import own_storage
from imagekit.offline.store import ImageStore
from imagekit.offline.types import StageKind
from imagekit.paths import plain, temporary_place


class StagedRuntime(Protocol):
    """What runs images that are pulled, and folders: Podman."""

    @property
    def words(self) -> tuple[str, ...]:
        """The program and the options that choose its storage."""
        ...

    @property
    def driver(self) -> str:
        """The driver of that storage."""
        ...

    @property
    def programs(self) -> Programs:
        """Runs programs."""
        ...

    def with_words(self, words: tuple[str, ...]) -> Self:
        """Return one of the same kind with another storage."""
        ...

    def run(self, reference: PinnedReference, arguments: Sequence[str]) -> int:
        """Pull by digest from a layout, and run."""
        ...

    def start(self, image: str, arguments: Sequence[str], *, more: Sequence[str] = ()) -> int:
        """Run what is there already."""
        ...


def run_staged(checked: Checked, arguments: Sequence[str], *, engine: StagedRuntime) -> int:
    """Run a staged image in the foreground and return the container's exit code.

    Args:
        checked: what was checked, and allowed.
        arguments: what goes to the entrypoint; to a bundle, the whole command.
        engine: runs it.

    Raises:
        InputError: what is staged there is not for Podman, or was not allowed.
        ToolError: Podman failed.
    """
    if not checked.verdict.allowed:
        raise InputError(f"{checked.path} was not allowed to run")
    match checked.kind:
        case StageKind.OCI:
            return engine.run(_in_layout(checked), arguments)
        case StageKind.STORE:
            return _stored(checked, arguments, engine)
        case StageKind.BUNDLE:
            return _bundle(checked.path, arguments, engine)
        case StageKind.SQUASHFS | StageKind.SIF:
            raise InputError(
                f"{checked.path} is {checked.kind}, which Podman does not run",
                hint="its receipt is good: apptainer run FILE, or mount it",
            )


def _in_layout(checked: Checked) -> PinnedReference:
    image = checked.verdict.reference
    if not isinstance(image, PinnedReference):
        raise InputError(f"{checked.path} was not checked by its digest")
    return PinnedReference(replace(image.repository, layout=checked.path), image.digest)


def _stored(checked: Checked, arguments: Sequence[str], engine: StagedRuntime) -> int:
    """Run an image of a store, by a storage of the store's driver."""
    store = ImageStore.find(checked.path)
    if store is None:
        raise InputError(f"{checked.path} is no store any more")
    folder = plain(checked.path.absolute(), "the store")
    more = ("--storage-opt", f"{store.driver}.imagestore={folder}")

    def start(words: Sequence[str]) -> int:
        return engine.with_words((*words, *more)).start(checked.image, arguments)

    if store.driver == engine.driver:
        return start(engine.words)
    # Podman reads no store of another driver than its own storage's.
    with own_storage(engine.programs, temporary_place(), store.driver) as words:
        return start(words)


def _bundle(path: Path, arguments: Sequence[str], engine: StagedRuntime) -> int:
    """Run the unpacked image as its config.json says; what it writes is gone afterwards."""
    with storage_errors(f"the bundle {path}"):
        # The bytes were just compared with the receipt.
        config = json.loads(read_regular(path / "config.json", limit=MAX_CONFIG))
    process = config["process"]
    user = process["user"]
    more = ["--user", f"{user['uid']}:{user['gid']}", "--workdir", process["cwd"]]
    for variable in process["env"]:
        more += ["--env", variable]
    for mount in config["mounts"]:
        if mount["type"] == "bind":
            source = plain(Path(mount["source"]), "the bound folder")
            target = plain(Path(mount["destination"]), "the bound folder")
            more += ["--volume", f"{source}:{target}:rbind,nosuid,nodev"]
    command = list(arguments) or process["args"]
    root = plain(path.absolute(), "the bundle") / "rootfs"
    return engine.start(f"{root}:O", command, more=[*more, "--rootfs"])
