"""Installing packages in the working container, from the host's mirrors and nothing else."""

import re
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from imagekit.build import inside
from imagekit.build.container import BuildContainer
from imagekit.build.image import Material
from imagekit.build.job import CommandResult
from imagekit.build.wheels import PROBE, applying, image_python
from imagekit.errors import BuildError
from imagekit.oci.digest import Digest
from imagekit.recipe.recipe import Packages

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SOURCES = "etc/apt/sources.list.d/imagekit.list"
_POLICY = "usr/sbin/policy-rc.d"
_LISTS = "var/lib/apt/lists"
_MAX_STATUS = 256 << 20
_MAX_SMALL = 16 << 20
_MAX_LISTS = 100
_APT = (
    "apt-get -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "
    "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
)


def install(
    packages: Packages, container: BuildContainer, root: Path, *, epoch: int, limit: float
) -> tuple[Material, ...]:
    """Install the packages of one package manager.

    Args:
        packages: the manager and what it installs.
        container: the working container.
        root: its mounted root.
        epoch: the image's time.
        limit: seconds that it may take.

    Returns:
        What came from outside.

    Raises:
        BuildError: the manager is missing or failed.
    """
    if packages.manager == "apt":
        return _apt(packages, container, root, env=_env(epoch), limit=limit)
    return _pip(packages, container, env=_env(epoch), limit=limit)


def count_packages(root: Path) -> int:
    """Return how many Debian packages the tree has."""
    status = inside.read(root, "var/lib/dpkg/status", limit=_MAX_STATUS) or b""
    return status.count(b"\nStatus: install ok installed\n")


def lists_of(root: Path) -> tuple[Material, ...]:
    """Return the state of the archive that packages came from: its signed InRelease files."""
    materials = []
    names = [name for name in inside.files(root, _LISTS) if name.endswith("_InRelease")]
    for name in names[:_MAX_LISTS]:
        raw = inside.read(root, f"{_LISTS}/{name}", limit=_MAX_SMALL)
        if raw is not None:
            suite = name.removesuffix("_InRelease").rpartition("_dists_")[2]
            uri = f"pkg:generic/debian/{suite}"
            materials.append(Material(uri=uri, name="InRelease", digest=Digest.of(raw)))
    return tuple(materials)


def _apt(
    packages: Packages,
    container: BuildContainer,
    root: Path,
    *,
    env: Mapping[str, str],
    limit: float,
) -> tuple[Material, ...]:
    suite = _suite(root)
    if not suite:
        raise BuildError(
            "the base has no apt of Debian",
            hint="apt packages want a Debian base",
            code="build/no-apt",
        )
    placed = {_SOURCES: container.apt_sources(suite, _KEYRING)}
    # Nothing that is installed may start a service in the build: with 101 invoke-rc.d(8) is told
    # that the action is forbidden. Some images have such a file themselves.
    if not inside.is_file(root, _POLICY):
        placed[_POLICY] = "#!/bin/sh\nexit 101\n"
    try:
        for name, text in placed.items():
            inside.place(root, name, text, mode=0o755 if text.startswith("#!") else 0o644)
        wanted = shlex.join(packages.install)
        script = (
            f"set -e; {_APT} update --error-on=any; "
            f"{_APT} install --yes --no-install-recommends -- {wanted}"
        )
        ran = container.run(["/bin/sh", "-c", script], env=env, stage="packages", limit=limit)
        check(ran, "apt-get", hint="is the name right, and does the mirror answer?")
        materials = lists_of(root)
        clean = "apt-get clean; find /var/lib/apt/lists -type f -delete"
        check(
            container.run(["/bin/sh", "-c", clean], env=env, stage="", limit=60.0), "apt-get clean"
        )
    finally:
        for name in placed:
            inside.remove(root, name)
    return materials


def _pip(
    packages: Packages, container: BuildContainer, *, env: Mapping[str, str], limit: float
) -> tuple[Material, ...]:
    began = time.monotonic()
    asked = container.run(
        ["/usr/bin/env", "python3", "-c", PROBE],
        env=env,
        stage="",
        limit=60.0,
    )
    if asked.status != 0:
        raise BuildError(
            "the image has no python3 for pip to install into",
            hint="install python3 by apt in an entry before this one",
            code="build/no-python",
        )
    python = image_python(asked.output)
    folder, materials = container.wheels(
        packages.install, wanted=applying(packages.install, python), python=python
    )
    # The folder has pip itself too, so that the image needs none.
    script = (
        "PYTHONPATH=/run/imagekit/pip exec python3 -m pip install --no-index --no-deps "
        "--require-hashes --no-compile --no-cache-dir --no-warn-script-location "
        "--root-user-action=ignore --break-system-packages --disable-pip-version-check "
        "--find-links /run/imagekit/wheels -r /run/imagekit/requirements.txt"
    )
    ran = container.run(
        ["/bin/sh", "-c", script],
        env=env,
        stage="packages",
        limit=max(1.0, limit - (time.monotonic() - began)),
        mounts=((folder, "/run/imagekit"),),
    )
    check(ran, "pip", hint="are the hashes those of wheels for the image's Python?")
    return materials


def check(ran: CommandResult, command: str, *, hint: str = "") -> None:
    """Raise where a command in the container failed.

    Raises:
        BuildError: it did.
    """
    if ran.status != 0:
        raise BuildError(
            f"{command} ended with {ran.status} after {ran.seconds:.1f} s",
            hint=hint,
            code="build/packages-failed",
            status=ran.status,
            output=ran.output,
        )


def _env(epoch: int) -> dict[str, str]:
    return {
        "DEBIAN_FRONTEND": "noninteractive",
        "HOSTNAME": "localhost",
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(epoch),
    }


def _suite(root: Path) -> str:
    """Return the image's release of Debian, from os-release(5); empty where it is none."""
    raw = inside.read(root, "usr/lib/os-release", limit=_MAX_SMALL)
    if raw is None or not inside.is_file(root, "usr/bin/apt-get"):
        return ""
    lines = raw.decode("utf-8", "replace").splitlines()
    fields = dict(line.partition("=")[::2] for line in lines)
    values = {key: value.strip("\"'") for key, value in fields.items()}
    suite = values.get("VERSION_CODENAME", "sid")
    known = values.get("ID") == "debian" and re.fullmatch(r"[a-z][a-z0-9-]*", suite)
    return suite if known else ""
