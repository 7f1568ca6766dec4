"""Docker: the only module that runs its client, for ``imagekit run --engine docker``.

The daemon pulls one manifest by its digest, and a container is made of that digest: tags that move
take no part, and the authorization plugin of a host can judge what it is asked for.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence

from msgspec import Struct

from imagekit.build.tools.podman import Programs
from imagekit.errors import DocumentError, IntegrityError, UsageError
from imagekit.hosts.run_options import REFUSED, RunOptions, volume_target
from imagekit.oci.digest import Digest
from imagekit.oci.location import Location, RegistryLocation
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.options import RegistryOptions

_PULL_SECONDS = 3600.0
_MEMORY = ("/run", "/tmp", "/var/tmp")  # noqa: S108 - folders of the container
"""Where a container writes to memory, as Podman has it on a read-only root."""
_MORE_CAPABILITIES = ("AUDIT_WRITE", "MKNOD", "NET_RAW")
"""What Docker gives containers, and Podman does not."""


class Docker(Struct, frozen=True, kw_only=True):
    """Docker's client, and how it runs one container."""

    programs: Programs
    choose: Callable[[PinnedReference, Collection[Digest]], PinnedReference]
    """Returns the one manifest that this host runs."""
    network: str
    options: RunOptions
    terminal: bool = False
    show: Callable[[Sequence[str]], None] | None = None
    """Gets the command in the place of running it; nothing is pulled then."""

    def run(
        self, reference: PinnedReference, arguments: Sequence[str], *, among: Collection[Digest]
    ) -> int:
        """Pull it, run it in the foreground, and return its exit code.

        Raises:
            InputError: nothing that was judged is for this host.
            ToolError: Docker is missing, or the pull failed.
            IntegrityError: Docker stored something else.
        """
        chosen = self.choose(reference, among)
        image = f"{chosen.repository.name}@{chosen.digest}"
        argv = ("docker", "run", *self._words(), image, *arguments)
        if self.show is not None:
            self.show(argv)
            return 0
        self.programs.run(("docker", "pull", "--quiet", image), limit=_PULL_SECONDS)
        shown = self.programs.run(("docker", "image", "inspect", image)).stdout
        if str(chosen.digest) not in _digests(shown):
            raise IntegrityError(
                f"docker stored another image than {image}", code="CONTENT_DIGEST_MISMATCH"
            )
        return self.programs.foreground(argv)

    def _words(self) -> Iterator[str]:
        yield from ("--rm", "--interactive", "--read-only", "--pull=never")
        if self.terminal:
            yield "--tty"
        yield f"--network={self.network}"
        yield from (f"--cap-drop={name}" for name in _MORE_CAPABILITIES)
        options = self.options
        mounted = {volume_target(volume) for volume in options.all_volumes}
        yield from (f"--tmpfs={path}:exec,mode=1777" for path in _MEMORY if path not in mounted)
        yield from (f"--volume={volume}" for volume in options.all_volumes)
        yield from (f"--env={variable}" for variable in options.all_env)
        yield from (f"--device={device}" for device in options.all_devices)
        single = {"workdir": options.workdir, "user": options.user, "userns": options.userns}
        yield from (f"--{name}={value}" for name, value in single.items() if value)
        if options.entrypoint is not None:
            yield f"--entrypoint={options.entrypoint}"


def check(options: RunOptions, *, location: Location, registry: RegistryOptions) -> None:
    """Refuse what Docker's client cannot be told.

    Raises:
        UsageError: it was asked for, or would undo the verdict.
        InputError: a path cannot be given to it.
    """
    options.check()
    if options.userns not in {"", "host"}:
        raise UsageError(
            f"--userns {options.userns!a}: Docker has one user namespace for all containers",
            hint="leave it out, and choose a --user; or --engine podman",
            code=REFUSED,
        )
    if not isinstance(location, RegistryLocation):
        raise UsageError(
            f"Docker's daemon pulls from registries, and not from {location}",
            hint="imagekit import or publish to a registry on loopback; or --engine podman",
        )
    if registry.plain_http or registry.ca_file is not None:
        raise UsageError(
            "Docker's daemon has its own settings for registries",
            hint="/etc/docker/certs.d/HOST/ca.crt, or insecure-registries in daemon.json, in the "
            "place of --ca-file and --plain-http",
        )


def _digests(shown: str) -> frozenset[str]:
    try:
        names = json.loads(shown)[0]["RepoDigests"] or []
        return frozenset(str(name).rpartition("@")[2] for name in names)
    except (ValueError, LookupError, TypeError) as error:
        raise DocumentError("docker image inspect did not show an image") from error
