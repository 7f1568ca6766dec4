"""What the caller of ``imagekit run`` may choose for a container that starts without an engine."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from imagekit.errors import UsageError
from imagekit.hosts.run_options import REFUSED, RunOptions, volume_target
from imagekit.hosts.user_container import Container, Volume

_MODES = frozenset({"", "ro", "rw"})
_ENGINE = "stage it as podman-store: or oci:, which Podman runs, or leave the option out"


def without_engine(
    options: RunOptions, *, more: Sequence[str], network: str, terminal: bool
) -> Container:
    """Return what the container is started with.

    Args:
        options: what was chosen.
        more: options of Podman's own.
        network: host or none.
        terminal: whether it gets one.

    Raises:
        UsageError: what was chosen needs an engine, or would undo the verdict.
        InputError: the home's path is odd.
    """
    options.check()
    refused = {
        "--device": options.devices,
        "--gpus": options.gpus,
        "--user": options.user,
        # That the ids are the caller's own is so in any case.
        "--userns": options.userns if options.userns != "keep-id" else "",
        "--podman-arg": more,
    }
    for name, value in refused.items():
        if value:
            raise UsageError(
                f"{name} needs an engine, and this image starts without", hint=_ENGINE, code=REFUSED
            )
    return Container(
        network=network,
        terminal=terminal,
        volumes=tuple(_volume(text) for text in options.all_volumes),
        env=tuple(_env(options.all_env, os.environ)),
        workdir=options.workdir,
        entrypoint=options.entrypoint,
        host_processes=options.host_processes,
        descriptor=options.descriptor,
    )


def _volume(text: str) -> Volume:
    target = volume_target(text)
    source, _, rest = text.partition(":")
    mode = rest.partition(":")[2]
    if not rest or not source.startswith(("/", ".")) or mode not in _MODES:
        raise UsageError(
            f"--volume {text!a} needs an engine: without, it is HOST:CONTAINER[:ro]",
            hint=_ENGINE,
            code=REFUSED,
        )
    place = Path(source).absolute()
    if not place.exists():
        raise UsageError(f"--volume {text!a}: there is no {place}", hint="make it", code=REFUSED)
    return Volume(source=str(place), target=target, read_only=mode == "ro")


def _env(chosen: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    for variable in chosen:
        name, equals, _ = variable.partition("=")
        if equals:
            yield variable
        elif name in environ:
            yield f"{name}={environ[name]}"
