"""Writes config.json of a user's container, within the user's namespaces, where its files are.

``python -m imagekit.hosts.user_config`` is what ``imagekit.hosts.user_container`` starts.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from imagekit import rooted
from imagekit.documents import strictjson
from imagekit.errors import ImagekitError, IntegrityError
from imagekit.hosts.mpi import ImageMpi, of_each_rank
from imagekit.hosts.user_container import ConfigRequest, Volume
from imagekit.inputs import read_regular
from imagekit.oci.codec import parse_config
from imagekit.oci.types import MAX_MANIFEST
from imagekit.offline.runtime_bundle import MAX_CONFIG
from imagekit.offline.runtimespec import (
    Mapped,
    for_user,
    runtime_spec_bytes,
    with_host_processes,
)
from imagekit.offline.stage_target import CONFIGURATION, INSIDE

_MAX_PASSWD = 1 << 20
_HOST_FILES = ("/etc/resolv.conf", "/etc/hosts")
"""With the host's network come its names."""
_IN_MEMORY = ("/run", "/var/tmp")  # noqa: S108 - within the container
"""Writable as with Podman, where the image has them, besides those of runtime_spec_bytes."""
_READ_ONLY = ["rbind", "ro", "nosuid", "nodev", "noexec"]


def main() -> int:
    """Write what was asked for as JSON by the first argument; return the exit code."""
    asked = msgspec.json.decode(sys.argv[1], type=ConfigRequest)
    try:
        (Path(asked.folder) / "config.json").write_bytes(_config(asked))
    except ImagekitError as error:
        code = f"[{error.code}]" if error.code else ""
        hint = f"   = {error.hint}\n" if error.hint else ""
        sys.stderr.write(f"error{code}: {error.message}\n{hint}")
        return error.exit_code
    return 0


def _config(asked: ConfigRequest) -> bytes:
    folder, container = Path(asked.folder), asked.container
    image = folder / "image"
    # The namespace around this one has the user as its root.
    mapped = Mapped(uid=asked.uid, gid=asked.gid, outer_uid=0, outer_gid=0)
    config = for_user(_document(asked, image), mapped)
    if container.host_processes:
        config = with_host_processes(config)
    process, mounts = config["process"], config["mounts"]
    # The first ones: a bundle's binds and volumes may lie in them.
    mounts[:0] = [_tmpfs(folder) for folder in _IN_MEMORY if rooted.is_folder(image, folder)]
    config["root"] = {"path": str(folder / "root"), "readonly": True}
    process["terminal"] = container.terminal
    process["env"] = _environment(["HOME=/tmp", *process["env"], *container.env])
    process["cwd"] = container.workdir or process["cwd"]
    if container.network == "none":
        config["linux"]["namespaces"].append({"type": "network"})
    else:
        # Not where the image has no place for them: a user can make none in root's folders.
        mounts += [_bound(file, file) for file in _HOST_FILES if _are_files(image, file)]
    known = _with_user(image, asked)
    if known is not None:
        (folder / "passwd").write_bytes(known)
        mounts.append(_bound(str(folder / "passwd"), "/etc/passwd"))
    mounts += [_volume(volume) for volume in container.volumes]
    return strictjson.dumps(config)


def _environment(variables: list[str]) -> list[str]:
    """Return the variables, of each name the last."""
    return list({variable.partition("=")[0]: variable for variable in variables}.values())


def _volume(volume: Volume) -> dict[str, object]:
    options = ["rbind", "nosuid", "nodev", "ro" if volume.read_only else "rw"]
    return {
        "destination": volume.target,
        "type": "none",
        "source": volume.source,
        "options": options,
    }


def _are_files(image: Path, file: str) -> bool:
    """Return whether this is a file, no link, of both the host and the image."""
    with suppress(OSError), rooted.regular(image, file, follow=False):
        return Path(file).is_file()
    return False


def _document(asked: ConfigRequest, image: Path) -> dict[str, Any]:
    """Return the configuration as the image or its bundle has it, with the command."""
    if asked.bundle:
        raw = read_regular(Path(asked.bundle) / "config.json", limit=MAX_CONFIG)
        document = strictjson.loads_object(raw, what="config.json of the bundle")
        replaced = _replaced(asked, document.get("annotations", {}), document["process"]["args"])
        whole = document["process"]["args"] if replaced is None else replaced
        document["process"]["args"] = [*(replaced or ()), *asked.arguments] or whole
        return document
    try:
        raw = rooted.read(image, f"{INSIDE}/{CONFIGURATION}", limit=MAX_MANIFEST, follow=False)
    except OSError as error:
        raise IntegrityError(
            f"the file has no {INSIDE}/{CONFIGURATION}: {error.strerror}", hint="stage it again"
        ) from error
    config = parse_config(raw)
    replaced = _replaced(asked, config.labels, config.entrypoint)
    document = strictjson.loads_object(
        runtime_spec_bytes(config, uid=0, gid=0, root="root"), what="config.json"
    )
    first = config.entrypoint if replaced is None else replaced
    if asked.arguments or replaced is not None:
        # As with an engine: what replaces the entrypoint replaces the image's command too.
        document["process"]["args"] = [*first, *asked.arguments]
    return document


def _replaced(
    asked: ConfigRequest, labels: Mapping[str, str], entrypoint: Sequence[str]
) -> list[str] | None:
    """Return what takes the place of the image's entrypoint; None for nothing.

    Raises:
        InputError: the tasks of a launcher would not find each other.
        UsageError: nothing says what each rank is to run.
    """
    replaced = asked.container.entrypoint
    if asked.ranks is not None:
        image = ImageMpi.of(labels, entrypoint)
        if asked.ranks.meets(image):
            replaced = of_each_rank(replaced, image, asked.arguments)
    return None if replaced is None else [replaced] if replaced else []


def _with_user(image: Path, asked: ConfigRequest) -> bytes | None:
    """Return the image's users with this one; None where it has no file of users, or knows it."""
    with suppress(OSError):
        raw = rooted.read(image, "/etc/passwd", limit=_MAX_PASSWD)
        ids = {line.split(b":")[2:3][0] for line in raw.splitlines() if line.count(b":") > 1}
        if str(asked.uid).encode() in ids:
            return None
        line = f"{asked.name}:x:{asked.uid}:{asked.gid}::/tmp:/bin/sh\n"
        return raw.rstrip(b"\n") + b"\n" + line.encode()
    return None


def _tmpfs(target: str) -> dict[str, object]:
    options = ["nosuid", "nodev", "mode=1777"]
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options}


def _bound(source: str, target: str) -> dict[str, object]:
    options = [*_READ_ONLY]
    return {"destination": target, "type": "none", "source": source, "options": options}


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
