"""The engines of one ``imagekit run``: as the caller chose them, started or only shown.

An engine is imported where it is chosen, and Podman is asked for what it needs only after the
verdict was shown.
"""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.errors import DeniedError, UsageError
from imagekit.verify.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from imagekit.build.tools.podman import Podman
    from imagekit.hosts.apptainer_run import Apptainer
    from imagekit.hosts.mpi import ImageMpi, Ranks
    from imagekit.hosts.run import ContainerEngine
    from imagekit.hosts.run_options import RunOptions
    from imagekit.hosts.user_container import Container, Foreground
    from imagekit.oci.digest import Digest
    from imagekit.oci.location import Location
    from imagekit.oci.reference import PinnedReference
    from imagekit.oci.registry.options import RegistryOptions
    from imagekit.process import Runner


class RunEngines:
    """What one run is started by, what is said of it, and the commands of a dry one."""

    def __init__(self, arguments: argparse.Namespace, console: Console) -> None:
        self._arguments, self._console = arguments, console
        self._options = _options(arguments)
        self.ranks = _ranks(arguments)
        self._shown: list[str] = []
        self._verdict: Verdict | None = None

    def engine(self, registry: "RegistryOptions", location: "Location") -> "ContainerEngine":
        """Return the engine that the caller chose, with what it chose for the container.

        Raises:
            UsageError: what was chosen would undo the verdict, or the engine does not have it.
        """
        self.remark()
        match self._arguments.engine:
            case "docker":
                return self._docker(registry, location)
            case "apptainer":
                return self.apptainer(registry, location)
            case _ if self.ranks.several:
                return _Rank(self, registry, location)
            case _:
                from functools import partial

                from imagekit.hosts.run import EngineOnDemand

                self.check()
                return EngineOnDemand(make=partial(self.podman, registry, location))

    def remark(self) -> None:
        """Say what the caller should know of the options."""
        from imagekit.hosts import podman_args

        if self._options.home is None:
            self._console.note("no home is mounted in the container: --home mounts yours")
        more = podman_args.remarks(self._arguments.podman_arg)
        for remark in (*self._options.remarks(), *more):
            self._console.note(remark)

    def look_at_host(self) -> None:
        """Check the host for Podman, before anything is asked or pulled.

        Raises:
            ToolError: it lacks what no container starts without.
        """
        # Of many tasks each would say the same, and other engines say what they lack themselves.
        if self._show is None and self._arguments.engine == "podman" and not self.ranks.several:
            from imagekit.hosts.preflight import preflight

            preflight("run", self._runner(), progress=self._console.progress, vital={"podman"})

    def check(self) -> None:
        """Refuse options that no engine is given.

        Raises:
            UsageError: what was chosen would undo the verdict, or is malformed.
        """
        from imagekit.hosts import podman_args

        self._options.check()
        podman_args.checked(self._arguments.podman_arg)

    def alone(self) -> "Container":
        """Return what a container without an engine is started with.

        Raises:
            UsageError: what was chosen needs an engine.
        """
        from imagekit.hosts.user_options import without_engine

        return without_engine(
            self.ranks.wired(self._options),
            more=self._arguments.podman_arg,
            network=self._arguments.network,
            terminal=sys.stdin.isatty() and sys.stdout.isatty(),
        )

    def starter(self) -> "Foreground":
        """Return what starts a container without an engine, or shows how."""
        from imagekit.hosts.user_container import Shown

        return self._runner() if self._show is None else Shown(show=self._show)

    def rank_of(self, location: "Location") -> "ContainerEngine":
        """Return Podman for one task of several, whose image is read there."""
        from imagekit.oci.registry.options import RegistryOptions

        return _Rank(self, RegistryOptions(), location)

    def rank(self, image: "ImageMpi") -> "RunOptions":
        """Return the options of a container that is one rank of several.

        Raises:
            InputError: the ranks would not find each other.
            UsageError: nothing says what each rank is to run.
        """
        return self.ranks.options(self._options, image, self._arguments.passed)

    def podman(
        self,
        registry: "RegistryOptions",
        location: "Location",
        options: "RunOptions | None" = None,
    ) -> "Podman":
        """Return Podman, as this host needs it and as the caller chose.

        Raises:
            UsageError: what was chosen would undo the verdict, or is malformed.
        """
        from msgspec.structs import replace

        from imagekit.hosts.podman_options import with_choices
        from imagekit.hosts.podman_setup import podman

        made = podman(
            registry,
            network=self._arguments.network,
            progress=self._console.progress,
            location=location,
            draws_on=self._console.drawable,
        )
        container = with_choices(
            made.container, options or self._options, self._arguments.podman_arg
        )
        return replace(made, container=container, show=self._show)

    def _docker(self, registry: "RegistryOptions", location: "Location") -> "ContainerEngine":
        from imagekit.hosts.docker_run import Docker, check

        self._without_podman_args()
        check(self._options, location=location, registry=self._typed(registry))
        return Docker(
            programs=self._runner(),
            choose=self._chooser(registry, location),
            network=self._arguments.network,
            options=self._options,
            terminal=sys.stdin.isatty() and sys.stdout.isatty(),
            show=self._show,
        )

    def apptainer(self, registry: "RegistryOptions", location: "Location") -> "Apptainer":
        """Return Apptainer, as the caller chose.

        Raises:
            UsageError: what was chosen would undo the verdict, or Apptainer does not have it.
        """
        from msgspec.structs import replace

        from imagekit.hosts.apptainer_run import Apptainer, check, environment

        self._without_podman_args()
        network = self._arguments.network
        check(self._options, network=network, location=location, registry=self._typed(registry))
        return Apptainer(
            programs=replace(self._runner(), env=environment(os.environ, self._options)),
            choose=self._chooser(registry, location),
            options=self._options,
            network=network,
            plain_http=registry.plain_http,
            show=self._show,
        )

    def _typed(self, registry: "RegistryOptions") -> "RegistryOptions":
        """Return what was typed for this call; what is configured is for who verifies, first."""
        from msgspec.structs import replace

        typed = self._arguments
        return replace(registry, plain_http=typed.plain_http, ca_file=typed.ca_file)

    def _without_podman_args(self) -> None:
        if self._arguments.podman_arg:
            raise UsageError(
                f"--podman-arg is for Podman, and not for {self._arguments.engine}",
                hint="leave it out, or --engine podman",
            )

    def _runner(self) -> "Runner":
        from imagekit.process import Runner

        return Runner(progress=self._console.progress)

    def _chooser(
        self, registry: "RegistryOptions", location: "Location"
    ) -> "Callable[[PinnedReference, Collection[Digest]], PinnedReference]":
        from imagekit.hosts.engine_choice import image_for_host
        from imagekit.oci.registry.connect import reader

        source = reader(location, registry)
        return lambda image, among: image_for_host(image, among=among, reader=source)

    @property
    def _show(self) -> "Callable[[Sequence[str]], None] | None":
        return self._shown.extend if self._arguments.dry_run else None

    def judged(self, verdict: Verdict) -> None:
        """Show the verdict before anything starts: in whole, where it says no or all is asked for.

        Of several ranks none says that it may run.
        """
        from imagekit.verify.verdict_text import document, heading, text

        self._verdict = verdict
        if not verdict.allowed:
            self._console.result(text(verdict), document(verdict))
        elif self._console.verbose:
            self._console.note(text(verdict))
        elif not self.ranks.several:
            self._console.note("\n".join(heading(verdict)))

    def end(self, status: int | None) -> int:
        """Return the exit code: the container's own, or that of a denial; show a dry run."""
        from imagekit.verify.verdict_text import document

        if status is None or self._verdict is None:
            return DeniedError.exit_code
        self.show(document(self._verdict))
        return status

    def show(self, report: "Mapping[str, object]") -> None:
        """Print the command of a dry run, or the report with it."""
        import shlex

        if self._arguments.dry_run:
            self._console.copied(shlex.join(self._shown), {**report, "command": self._shown})


class _Rank:
    """Podman for one task of several, whose options depend on what its image says."""

    def __init__(
        self, engines: RunEngines, registry: "RegistryOptions", location: "Location"
    ) -> None:
        self._engines, self._registry, self._location = engines, registry, location

    def run(
        self,
        reference: "PinnedReference",
        arguments: "Sequence[str]",
        *,
        among: "Collection[Digest]",
    ) -> int:
        """Read what the image says, and run it."""
        from imagekit.hosts.engine_choice import config_for_host
        from imagekit.hosts.mpi import ImageMpi
        from imagekit.oci.registry.connect import reader

        source = reader(self._location, self._registry)
        config = config_for_host(reference, among=among, reader=source)
        options = self._engines.rank(ImageMpi.of(config.labels, config.entrypoint))
        podman = self._engines.podman(self._registry, self._location, options)
        return podman.run(reference, arguments, among=among)


def _ranks(arguments: argparse.Namespace) -> "Ranks":
    """Return what a launcher made of this process; what cannot work is refused at once.

    Raises:
        InputError: the tasks would not find each other.
    """
    from imagekit.hosts.mpi import Ranks, find_launch, without_wiring

    ranks = Ranks(mode=arguments.mpi, launch=find_launch(os.environ))
    if arguments.engine != "podman":
        without_wiring(ranks.mode, ranks.launch, arguments.engine)
    ranks.refuse()
    return ranks


def _options(arguments: argparse.Namespace) -> "RunOptions":
    from imagekit.hosts.run_options import RunOptions
    from imagekit.paths import home_of

    return RunOptions(
        volumes=tuple(arguments.volume),
        env=tuple(arguments.env),
        workdir=arguments.workdir,
        devices=tuple(arguments.device),
        gpus=tuple(name for text in arguments.gpus for name in text.split(",")),
        user=arguments.user,
        entrypoint=arguments.entrypoint,
        userns=arguments.userns,
        home=home_of(os.environ) if arguments.home else None,
    )
