"""A repository of apt that holds just the packages of a lock, for tools that only know apt.

It has no signature: whoever reads it is told that it is trusted, as each file was checked by the
digest that the lock states.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagekit.build.tools.package_cache import PackageCache
from imagekit.errors import BuildError, ToolNotFoundError
from imagekit.lock.lock import LockedDeb
from imagekit.process import Runner, which

_FIELDS = 'for deb; do echo; dpkg-deb --field "$deb" || exit; done'
_BATCH = 1000
"""Packages of one command: arguments are bounded."""
_OURS = frozenset({"filename", "md5sum", "priority", "sha1", "sha256", "sha512", "size"})
"""Fields of an index that the one in a package itself does not decide (Debian's override files)."""


def write_repository(
    folder: Path, debs: Sequence[LockedDeb], *, suite: str, cache: PackageCache, runner: Runner
) -> None:
    """Write a repository of packages that the cache has.

    https://wiki.debian.org/DebianRepository/Format, "Flat Repository Format".

    Args:
        folder: where; it is made.
        debs: the packages.
        suite: what it is called, so that settings of apt for a suite hold for it.
        cache: has the packages.
        runner: runs dpkg-deb, which reads them.

    Raises:
        BuildError: a package is another one than the lock says.
        ToolError: dpkg-deb is missing, or cannot read one.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True)
    for deb in debs:
        cache.place(deb.sha256, folder / _file(deb))
    controls = _controls(folder, debs, runner)
    index = "".join(
        _stanza(deb, control) for deb, control in zip(debs, controls, strict=True)
    ).encode()
    (folder / "Packages").write_bytes(index)
    architectures = {deb.architecture for deb in debs} - {"all"}
    # NOTE: without it mmdebstrap installs nothing, and ends with 0.
    (folder / "Release").write_text(
        f"Suite: {suite}\nCodename: {suite}\nDate: Tue, 01 Jan 1980 00:00:00 UTC\n"
        f"Architectures: {' '.join(sorted(architectures))}\n"
        f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n"
    )


def title_of(deb: LockedDeb) -> str:
    """Return what a package is called in messages."""
    return f"{deb.name} {deb.version} ({deb.architecture})"


def _controls(folder: Path, debs: Sequence[LockedDeb], runner: Runner) -> Iterator[str]:
    """Yield what each package says of itself."""
    if which("dpkg-deb") is None:
        raise ToolNotFoundError(
            "dpkg-deb is not installed, which reads locked packages", hint="install dpkg"
        )
    for start in range(0, len(debs), _BATCH):
        files = [str(folder / _file(deb)) for deb in debs[start : start + _BATCH]]
        said = runner.run(["sh", "-c", _FIELDS, "sh", *files], stage="packages").stdout
        yield from said.removeprefix("\n").split("\n\n")


def _stanza(deb: LockedDeb, control: str) -> str:
    fields = {line.partition(":")[0].lower(): line for line in control.splitlines()}
    for name, value in (
        ("package", deb.name),
        ("version", deb.version),
        ("architecture", deb.architecture),
    ):
        said = fields.get(name, "").partition(":")[2].strip()
        if said != value:
            raise BuildError(
                f"{title_of(deb)} of the lock is a package whose {name} is {said!r:.60}",
                hint="the lock was changed by hand: imagekit lock RECIPE",
                code="build/not-as-locked",
            )
    return (
        "\n".join(_without_ours(control))
        + f"\nPriority: {deb.priority}\nFilename: ./{_file(deb)}\nSize: {deb.size}\n"
        f"SHA256: {deb.sha256.hex}\n\n"
    )


def _without_ours(control: str) -> Iterator[str]:
    """Yield the lines of all fields but ours; a field goes on in lines that begin with a blank."""
    ours = False
    for line in control.splitlines():
        if not line.startswith((" ", "\t")):
            ours = line.partition(":")[0].lower() in _OURS
        if not ours and line:
            yield line


def _file(deb: LockedDeb) -> str:
    return f"{deb.sha256.hex}.deb"
