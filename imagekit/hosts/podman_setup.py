"""Podman, as this host needs it."""

import os
import sys
from functools import partial
from pathlib import Path

from imagekit.build.tools.podman import PULL_SECONDS, Podman
from imagekit.hosts.podman_options import container_options
from imagekit.hosts.probe import read
from imagekit.oci.location import REGISTRY, Location
from imagekit.oci.registry.options import RegistryOptions
from imagekit.process import Runner
from imagekit.progress import Progress


def podman(
    options: RegistryOptions,
    *,
    network: str,
    progress: Progress,
    location: Location = REGISTRY,
    draws_on: int | None = None,
) -> Podman:
    """Return the runtime that pulls and runs.

    Args:
        options: how registries are reached.
        network: the value of Podman's option ``--network``; empty for Podman's own choice.
        progress: told of the commands and of pulls.
        location: where it pulls from.
        draws_on: descriptor of a terminal on which Podman draws its own progress.
    """
    runner = Runner(progress=progress)
    host = read(runner, os.environ, Path("/"))
    return Podman(
        programs=runner,
        options=options,
        location=location,
        container=container_options(host, network=network),
        terminal=sys.stdin.isatty() and sys.stdout.isatty(),
        driver=host.driver,
        progress=progress,
        draw=None
        if draws_on is None
        else partial(runner.run, limit=PULL_SECONDS, terminal=draws_on),
    )
