"""Apptainer: the only module that runs it, for ``imagekit run --engine apptainer``.

It is told one manifest by its digest, and contains the container as the other engines do: nothing
of the caller's environment, home or folders, nor of variables that would be options of Apptainer.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from imagekit.build.tools.podman import Programs
from imagekit.errors import UsageError
from imagekit.hosts.run_options import REFUSED, RunOptions
from imagekit.oci.digest import Digest
from imagekit.oci.location import Location, RegistryLocation
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.paths import plain

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ITS_OWN = ("APPTAINER", "SINGULARITY")
"""What its variables begin with: most are options."""
_SETS = "APPTAINERENV_"
"""What begins a variable that sets the one of the rest of its name in a container."""
_KEPT = frozenset(
    f"{prefix}_{name}"
    for prefix in _ITS_OWN
    for name in ("CACHEDIR", "CONFIGDIR", "DOCKER_PASSWORD", "DOCKER_USERNAME", "TMPDIR")
)
_CONTAINED = ("--containall", "--no-eval", "--no-umask")
_TWO = 2


class Apptainer(Struct, frozen=True, kw_only=True):
    """Apptainer, and how it runs one container."""

    programs: Programs
    """Runs programs in what ``environment`` returned."""
    choose: Callable[[PinnedReference, Collection[Digest]], PinnedReference]
    """Returns the one manifest that this host runs."""
    options: RunOptions
    network: str = "host"
    plain_http: bool = False
    show: Callable[[Sequence[str]], None] | None = None
    """Gets the command in the place of running it; nothing is pulled then."""

    def run(
        self, reference: PinnedReference, arguments: Sequence[str], *, among: Collection[Digest]
    ) -> int:
        """Pull it, run it in the foreground, and return its exit code.

        Raises:
            InputError: nothing that was judged is for this host.
            ToolError: Apptainer is missing.
        """
        chosen = self.choose(reference, among)
        insecure = self.plain_http or chosen.repository.is_loopback
        words = ("--no-https",) if insecure else ()
        image = f"docker://{chosen.repository.name}@{chosen.digest}"
        return self._foreground(words, image, arguments)

    def start(self, file: Path, arguments: Sequence[str]) -> int:
        """Run a file of Apptainer's in the foreground, and return the container's exit code.

        Raises:
            ToolError: Apptainer is missing.
        """
        return self._foreground((), str(file.absolute()), arguments)

    def _foreground(self, more: Sequence[str], image: str, arguments: Sequence[str]) -> int:
        entrypoint = self.options.entrypoint
        verb = "run" if entrypoint is None else "exec"
        command = (entrypoint, *arguments) if entrypoint else tuple(arguments)
        words = (verb, *_CONTAINED, *more, *self._words(), image, *command)
        argv = ("apptainer", *words)
        if self.show is None:
            return self.programs.foreground(argv)
        stated = [f"{_SETS}{variable}" for variable in self.options.env if "=" in variable]
        self.show(("env", *stated, *argv) if stated else argv)
        return 0

    def _words(self) -> Iterator[str]:
        options = self.options
        home = options.home
        yield "--no-home" if home is None else f"--home={plain(home, 'the home')}"
        yield from (f"--bind={_bind(volume)}" for volume in options.volumes)
        yield from (f"--bind={device}" for device in options.devices)
        if options.gpus:
            yield "--nv"
        if options.workdir:
            yield f"--pwd={options.workdir}"
        if self.network == "none":
            yield from ("--net", "--network=none")


def environment(environ: Mapping[str, str], options: RunOptions) -> dict[str, str]:
    """Return the environment in which Apptainer runs; other users cannot read it, as an argument.

    Args:
        environ: the caller's, of which most variables that Apptainer reads are taken away.
        options: what the container gets.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(_ITS_OWN) or name in _KEPT
    }
    for variable in options.env:
        name, equals, value = variable.partition("=")
        if equals or name in environ:
            kept[f"{_SETS}{name}"] = value if equals else environ[name]
    return kept


def check(
    options: RunOptions, *, network: str, location: Location, registry: RegistryOptions
) -> None:
    """Refuse what Apptainer cannot be told.

    Raises:
        UsageError: it was asked for, or would undo the verdict.
        InputError: a path cannot be given to it.
    """
    options.check()
    for volume in options.volumes:
        _bind(volume)
    for device in options.devices:
        plain(Path(device), "the device")
    for what, remedy in (*_who(options), *_what(options), *_where(network, location, registry)):
        _refuse(what, remedy)


def _who(options: RunOptions) -> Iterator[tuple[str, str]]:
    """Yield what cannot be said of the user, each with what to do instead."""
    if options.user:
        yield "--user", "leave it out: containers run as you"
    if options.userns not in {"", "keep-id"}:
        yield "--userns", "leave it out: containers run as you, with your own user id"


def _what(options: RunOptions) -> Iterator[tuple[str, str]]:
    """Yield what the container cannot be given, each with what to do instead."""
    for variable in options.env:
        name = variable.partition("=")[0]
        if not _NAME.fullmatch(name) or name == "HOME":
            yield f"--env {variable!a}", "a plain name; HOME is set by --home"
    for device in options.devices:
        if not device.startswith("/dev/"):
            yield f"--device {device!a}", "a path: /dev/NAME"
    if set(options.gpus) - {"all"}:
        yield "--gpus by name", "--gpus all, which are those that the job was given"
    if (options.entrypoint or "").startswith(("[", "-")):
        yield f"--entrypoint {options.entrypoint!a}", "one program; its arguments stand behind --"


def _where(
    network: str, location: Location, registry: RegistryOptions
) -> Iterator[tuple[str, str]]:
    """Yield places that it cannot be told, each with what to do instead."""
    if network not in {"host", "none"}:
        yield f"--network {network!a}", "host or none"
    if not isinstance(location, RegistryLocation):
        yield str(location), "name the image of a registry, or stage it as sif: and use --staged"
    if registry.ca_file is not None:
        yield "--ca-file", "it trusts this host's authorities, or those of SSL_CERT_FILE"


def _bind(volume: str) -> str:
    """Return a volume as Apptainer has it.

    Raises:
        UsageError: it is no folder or file of this host, or has other options than ro and rw.
        InputError: Apptainer would part the path.
    """
    parts = volume.split(":")
    way = parts[_TWO] if len(parts) > _TWO else "rw"
    if len(parts) < _TWO or not parts[0].startswith(("/", ".")) or way not in {"ro", "rw"}:
        _refuse(f"--volume {volume!a}", "-v /HOST:/CONTAINER[:ro]")
    source, target = (plain(Path(part).absolute(), "the volume") for part in parts[:_TWO])
    return f"{source}:{target}:{way}"


def _refuse(what: str, remedy: str) -> NoReturn:
    raise UsageError(f"Apptainer does not take {what}", hint=remedy, code=REFUSED)
