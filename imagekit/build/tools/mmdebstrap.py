"""Minimal systems by mmdebstrap, from mirrors of the distribution, signatures checked."""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from imagekit.build.emulation import debian_architecture
from imagekit.build.tools.isolation import CHROOT, MOUNT, READABLE, wrap_chroot
from imagekit.build.tools.mirrors import DISTRIBUTIONS, Mirrors
from imagekit.errors import ToolError, ToolNotFoundError
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.types import Platform
from imagekit.process import Runner, which
from imagekit.recipe.recipe import BootstrapBase

_SEEN = frozenset({"PATH", "http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"})
"""Variables, in either case, that scripts of packages see: no user, no home, no session."""


def bootstrap(
    runner: Runner,
    base: BootstrapBase,
    mirrors: Mirrors,
    *,
    platform: Platform,
    root: Path,
    epoch: int,
    work: Path,
) -> None:
    """Fill an empty, mounted root with a distribution's minimal system.

    Args:
        runner: runs mmdebstrap.
        base: the distribution and its suite.
        mirrors: where it is got from.
        platform: whose system it is.
        root: the mounted root.
        epoch: the image's time.
        work: a folder for small files.

    Raises:
        ToolError: mmdebstrap or the keyring is missing, or the mirror does not answer.
    """
    known, suite = DISTRIBUTIONS[base.distribution], base.suite
    given = work / "bootstrap"
    given.mkdir(exist_ok=True)
    lines = mirrors.lines(base.distribution, suite, keyring=str(known.keyring_of()))
    (given / "sources.list").write_text(lines)
    hint = (
        f"does {_shown(mirrors.main)} answer, and does it have the suite {suite}? is the "
        f"key there that signed it (apt-get install {known.package})?"
    )
    _run(runner, base, given, platform=platform, root=root, epoch=epoch, network=True, hint=hint)


def bootstrap_locked(
    runner: Runner, base: BootstrapBase, given: Path, *, platform: Platform, root: Path, epoch: int
) -> None:
    """Fill an empty, mounted root with locked packages, without a network.

    Args:
        runner: runs mmdebstrap.
        base: the distribution and its suite.
        given: has the packages as a repository below ``repository``.
        platform: whose system it is.
        root: the mounted root.
        epoch: the image's time.

    Raises:
        ToolError: mmdebstrap is missing or failed.
    """
    (given / "sources.list").write_text(f"deb [trusted=yes] copy:{READABLE}/repository ./\n")
    hint = "does the lock fit the recipe? imagekit lock RECIPE"
    _run(runner, base, given, platform=platform, root=root, epoch=epoch, network=False, hint=hint)


def _run(
    runner: Runner,
    base: BootstrapBase,
    given: Path,
    *,
    platform: Platform,
    root: Path,
    epoch: int,
    network: bool,
    hint: str,
) -> None:
    """Run mmdebstrap.

    Scripts of packages are untrusted code: they run in a sandbox, with few capabilities.
    """
    known, suite = DISTRIBUTIONS[base.distribution], base.suite
    if which("mmdebstrap") is None:
        raise ToolNotFoundError(
            "mmdebstrap is not installed", hint="on Debian: apt-get install mmdebstrap"
        )
    # The lists are needed for their digests, which name the state of the archive that was used.
    skip = "--skip=check/empty,cleanup/apt/lists"
    # By --verbose it shows the lines of apt and dpkg, which tell how far they are.
    argv = [
        "mmdebstrap",
        "--verbose",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        skip,
    ]
    argv += [f"--include={known.included}"] if known.included else []
    if platform != host_platform():
        argv.append(f"--architectures={debian_architecture(platform)}")
    # NOTE: mmdebstrap cannot mount there itself, and warns of that.
    argv += [f"--extract-hook={MOUNT}", suite, CHROOT, f"{READABLE}/sources.list"]
    own = {"SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C"}
    env = _environment(os.environ if runner.env is None else runner.env) | own
    wrapped = wrap_chroot(argv, root=root, readable=given, network=network)
    try:
        replace(runner, env=env).run(wrapped, stage="base", limit=1800.0)
    except ToolNotFoundError:
        raise
    except ToolError as error:
        if "No space left on device" in error.output:
            hint = "the disk is full: make room and run it again"
        raise ToolError(
            f"the bootstrap of {base.distribution} {suite} failed",
            hint=hint,
            argv=error.argv,
            status=error.status,
            output=error.output,
        ) from error


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if {name, name.lower()} & _SEEN}


def _shown(uri: str) -> str:
    """Return a mirror's address without a login."""
    scheme, slashes, rest = uri.partition("://")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}"
