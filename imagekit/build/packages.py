"""Installing packages in the working container, from mirrors and what the recipe names only."""

import re
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from packageurl import PackageURL

from imagekit.build import apt_sources, inside
from imagekit.build.container import BuildContainer
from imagekit.build.image import Material
from imagekit.build.job import BuildPlan, CommandResult
from imagekit.build.step_environment import FIXED
from imagekit.build.wheels import PROBE, applying, image_python
from imagekit.errors import BuildError, ToolError
from imagekit.lock.lock import LockedDeb, LockedInstall, LockedWheel
from imagekit.recipe.recipe import Packages

_DISTRIBUTIONS = frozenset({"debian", "ubuntu"})
_POLICY = "usr/sbin/policy-rc.d"
_MAX_STATUS = 256 << 20
_MAX_SMALL = 16 << 20
_UPDATE_FAILED = 99
"""What no apt-get ends with: its own errors are 100 (apt-get(8), Diagnostics)."""
_MAX_PACKAGES = 20_000
_WORD = re.compile(r"[A-Za-z0-9.+:~-]{1,200}")
_APT = (
    f"apt-get {apt_sources.OPTIONS} "
    "-o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "
    "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
)


def install(
    packages: Packages,
    container: BuildContainer,
    root: Path,
    *,
    plan: BuildPlan,
    locked: LockedInstall | None = None,
) -> tuple[Material, ...]:
    """Install the packages of one package manager.

    Args:
        packages: the manager and what it installs.
        container: the working container.
        root: its mounted root.
        plan: the recipe's: its repositories, its time and its limit of time.
        locked: the files of which it is installed, and no others; None for the newest that the
            sources have.

    Returns:
        What came from outside.

    Raises:
        BuildError: the manager is missing or failed, or installed something else.
    """
    env, limit = _env(plan.epoch), plan.recipe.time_limit
    if packages.manager == "apt":
        return _apt(packages, container, root, plan=plan, env=env, limit=limit, locked=locked)
    wheels = () if locked is None else locked.wheels
    return _pip(packages, container, env=env, limit=limit, locked=wheels)


def count_packages(root: Path) -> int:
    """Return how many Debian packages the tree has."""
    status = inside.read(root, "var/lib/dpkg/status", limit=_MAX_STATUS) or b""
    return status.count(b"\nStatus: install ok installed\n")


def installed(root: Path) -> tuple[Material, ...]:
    """Return the Debian packages of the tree, with their versions (deb-control(5))."""
    distribution, _ = _release(root)
    return tuple(
        Material(uri=_url(distribution, package, version), name=package[0])
        for package, version in versions(root).items()
    )


def versions(root: Path) -> dict[tuple[str, str], str]:
    """Return the versions of the Debian packages of the tree, by name and architecture."""
    status = inside.read(root, "var/lib/dpkg/status", limit=_MAX_STATUS) or b""
    found = {}
    for stanza in status.decode("utf-8", "replace").split("\n\n")[:_MAX_PACKAGES]:
        fields = dict(line.partition(": ")[::2] for line in stanza.splitlines())
        if fields.get("Status") != "install ok installed":
            continue
        name, version = fields.get("Package", ""), fields.get("Version", "")
        if _WORD.fullmatch(name) and _WORD.fullmatch(version):
            found[name, fields.get("Architecture", "")] = version
    return found


def locked_materials(debs: Sequence[LockedDeb], distribution: str) -> tuple[Material, ...]:
    """Return locked packages as what came from outside.

    Args:
        debs: the packages.
        distribution: whose they are.
    """
    return tuple(
        Material(
            uri=_url(distribution, (deb.name, deb.architecture), deb.version),
            name=deb.name,
            digest=deb.sha256,
        )
        for deb in debs
    )


def check_locked(
    root: Path, debs: Sequence[LockedDeb], *, before: Mapping[tuple[str, str], str]
) -> None:
    """Check that a tree got exactly the locked packages.

    Args:
        root: the mounted root.
        debs: the packages that the lock has.
        before: what ``versions`` returned before.

    Raises:
        BuildError: a package is missing, has another version, or is not one of the lock's.
    """
    now = versions(root)
    wanted = {(deb.name, deb.architecture): deb.version for deb in debs}
    changed = {name: version for name, version in now.items() if before.get(name) != version}
    for name in (*wanted, *changed):
        have, locked = now.get(name, "none"), wanted.get(name, "none")
        if have != locked:
            raise BuildError(
                f"the lock has {name[0]} ({name[1]}) in the version {locked}, and {have} was "
                f"installed",
                hint="the lock does not fit the recipe or its base: imagekit lock RECIPE, or build "
                "with --unlocked",
                code="build/not-as-locked",
            )


def _url(distribution: str, package: tuple[str, str], version: str) -> str:
    """Return the package URL of a package, which is its name and architecture."""
    name, architecture = package
    # purl-spec, type deb.
    uri = PackageURL(
        type="deb",
        namespace=distribution or "debian",
        name=name,
        version=version,
        qualifiers={"arch": architecture},
    )
    return uri.to_string()


def _apt(
    packages: Packages,
    container: BuildContainer,
    root: Path,
    *,
    plan: BuildPlan,
    env: Mapping[str, str],
    limit: float,
    locked: LockedInstall | None,
) -> tuple[Material, ...]:
    sources, system = plan.recipe.apt, plan.system
    distribution, suite = _release(root)
    if not suite:
        raise BuildError(
            "the base has no apt of Debian or Ubuntu",
            hint="on another distribution packages are installed by a step "
            "(`run: dnf install --assumeyes NAME`), or by a Containerfile",
            code="build/no-apt",
        )
    if system is not None and system.distribution == distribution:
        suite = system.suite
    before = versions(root)
    if locked is None:
        mirrors = _mirrors(container, root, distribution, suite=suite, optional=bool(sources))
        folder = container.given(apt_sources.files(mirrors, sources))
    else:
        folder = container.locked_sources(locked.debs, suite=suite)
    # Nothing that is installed may start a service in the build: with 101 invoke-rc.d(8) is told
    # that the action is forbidden. Some images have such a file themselves.
    own_policy = inside.is_file(root, _POLICY)
    try:
        if not own_policy:
            inside.place(root, _POLICY, "#!/bin/sh\nexit 101\n", mode=0o755)
        script = (
            f"{_APT} update --error-on=any || exit {_UPDATE_FAILED}; "
            f"{_APT} install --yes --no-install-recommends -- {shlex.join(packages.install)}"
        )
        ran = container.run(
            ["/bin/sh", "-c", script],
            env=env,
            stage="packages",
            limit=limit,
            mounts=((folder, apt_sources.FOLDER),),
            network=locked is None,
        )
        if ran.status == _UPDATE_FAILED:
            check(
                ran,
                "apt-get update",
                hint="does each source answer, and is it signed by the key that the recipe, or the "
                "distribution, has for it?",
            )
        check(ran, "apt-get install", hint="is the name right, and does a source have it?")
        if locked is None:
            materials = apt_sources.materials(root, distribution, sources)
        else:
            check_locked(root, locked.debs, before=before)
            materials = locked_materials(locked.debs, distribution)
        clean = ["/bin/sh", "-c", "apt-get clean; find /var/lib/apt/lists -type f -delete"]
        check(container.run(clean, env=env, stage="", limit=60.0), "apt-get clean")
    finally:
        if not own_policy:
            inside.remove(root, _POLICY)
    return materials


def _mirrors(
    container: BuildContainer, root: Path, distribution: str, *, suite: str, optional: bool
) -> str:
    """Return a sources.list of the distribution's mirrors.

    Args:
        container: knows them.
        root: the mounted root, which has the distribution's keys.
        distribution: its name.
        suite: its suite.
        optional: whether there may be none, as the recipe names repositories of its own.

    Raises:
        ToolError: no mirror is known.
    """
    # Newer releases have the one name as a link to the other.
    names = [f"usr/share/keyrings/{distribution}-archive-keyring.{end}" for end in ("pgp", "gpg")]
    keyring = next((name for name in names if inside.is_file(root, name)), names[-1])
    try:
        return container.apt_sources(distribution, suite, keyring=f"/{keyring}")
    except ToolError:
        if not optional:
            raise
        return ""


def _pip(
    packages: Packages,
    container: BuildContainer,
    *,
    env: Mapping[str, str],
    limit: float,
    locked: Sequence[LockedWheel],
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
        packages.install,
        wanted=applying(packages.install, python),
        python=python,
        locked=locked,
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
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(epoch),
        "TZ": "UTC",
        **FIXED,
    }


def _release(root: Path) -> tuple[str, str]:
    """Return the image's distribution and its suite, from os-release(5); empty without apt."""
    raw = inside.read(root, "usr/lib/os-release", limit=_MAX_SMALL)
    if raw is None or not inside.is_file(root, "usr/bin/apt-get"):
        return "", ""
    lines = raw.decode("utf-8", "replace").splitlines()
    fields = dict(line.partition("=")[::2] for line in lines)
    values = {key: value.strip("\"'") for key, value in fields.items()}
    distribution, suite = values.get("ID", ""), values.get("VERSION_CODENAME", "sid")
    known = distribution in _DISTRIBUTIONS and re.fullmatch(r"[a-z][a-z0-9-]*", suite)
    return (distribution, suite) if known else ("", "")
