"""The last check before a runtime starts a bundle: ``imagekit receipt guard``."""

import os
from pathlib import Path
from typing import Any

from imagekit.documents import strictjson
from imagekit.errors import DocumentError
from imagekit.files import storage_errors
from imagekit.inputs import read_regular
from imagekit.oci.layout import write_whole
from imagekit.offline.check_receipt import Asked, Checked, check
from imagekit.offline.runtime_bundle import CODE, MAX_CONFIG, compare, staged_bundle, with_root
from imagekit.offline.runtimespec import Mapped, for_user
from imagekit.offline.stage_target import StageKind
from imagekit.policy.ruleset import OpenedPolicy


def guard(bundle: Path, *, policy: OpenedPolicy, asked: Asked) -> Checked:
    """Check that a bundle is a staged one with a valid receipt, and make it use the same version.

    The path of a staged bundle is a link, which may lead to a newer version a moment later: where
    the verdict allows it, ``config.json`` is rewritten with the path of what was checked. For an
    ordinary user it gets a user namespace in which this user is root, as runc requires.

    Args:
        bundle: what a workload manager made of a staged bundle for one job.
        policy: the node's policy.
        asked: what it must be besides.

    Raises:
        DocumentError: it is no staged bundle, or differs in what is not the job's to choose.
        NotFoundError: there is no receipt.
    """
    config = _read(bundle / "config.json")
    staged = staged_bundle(config)
    with storage_errors(f"the staged bundle {staged}"):
        version = staged.resolve(strict=True)
    (checked,) = check(version, policy=policy, asked=asked)
    if checked.kind is not StageKind.BUNDLE:
        raise DocumentError(f"{staged} is staged as {checked.kind}, and no bundle", code=CODE)
    if checked.verdict.allowed:
        compare(config, _read(version / "config.json"))
        with storage_errors(f"the bundle {bundle}"):
            write_whole(bundle / "config.json", with_root(_own(config), version / "rootfs"))
    return checked


def _own(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration for this user; root's containers have whom the image says."""
    if os.geteuid() == 0:
        return config
    own = Mapped(uid=0, gid=0, outer_uid=os.geteuid(), outer_gid=os.getegid())
    return for_user(config, own)


def _read(file: Path) -> dict[str, Any]:
    with storage_errors(f"the configuration {file}"):
        raw = read_regular(file, limit=MAX_CONFIG)
    return strictjson.loads_object(raw, what=str(file))
