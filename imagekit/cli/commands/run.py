"""Verify an image, then run it by its digest.

  imagekit run registry.example.org/apps/solver:2.1 --policy /etc/imagekit/policy.yaml
  imagekit run oci:images:hello-mpi:1.2.0 --policy policy.yaml -- -n 4 hello-mpi
  imagekit run -v /data/sets:/sets:ro -e OMP_NUM_THREADS=4 IMAGE --policy p.yaml -- /sets/a.in
  imagekit run --gpus all --home -w /home/me/project IMAGE --policy p.yaml
  imagekit run --podman-arg=--shm-size=1g IMAGE --policy p.yaml
  imagekit run --engine apptainer IMAGE --policy p.yaml
  imagekit run --staged /srv/images/solver --policy /etc/imagekit/nodes.yaml
  imagekit run --local recipes/hello-mpi -- -n 4 hello-mpi

What stands behind `--` goes to the image's entrypoint. The root of the container is read-only and
/tmp is its own; it is gone when it ends. Nothing of the caller's environment, home or folders is
in it unless an option says so. With --staged the receipt is checked,
offline, and what was staged there runs. With --local the image just built of a recipe runs, which
nobody signed and no policy judges. Ends with 3, and starts nothing, where the policy says no;
else with the container's own exit code.

Under srun each task is one container and one rank:

  srun --mpi=pmix -n 2 imagekit run IMAGE --policy p.yaml -- hello-mpi

The containers share the user's id, process numbers, /tmp and /dev/shm then, and an entrypoint such
as mpirun is left out. What would be ranks that cannot find each other is refused.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagekit.cli.commands.pull import make_judge
from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_policy_option,
    add_recipes,
    add_registry_options,
    configured,
    policy_of,
    recipes_of,
    registry_of,
)
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


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "reference",
        nargs="?",
        default="",
        metavar="REFERENCE",
        help="HOST/NAME:TAG, HOST/NAME@sha256:... or oci:FOLDER:NAME:TAG",
    )
    parser.add_argument(
        "--staged",
        type=Path,
        metavar="PATH",
        help="run what imagekit stage wrote there (a sif by --engine apptainer); REFERENCE says "
        "which image it must be, and is needed where a store has several",
    )
    parser.add_argument(
        "--local",
        action="store_true",
        help="run what imagekit build made of a recipe, which is named in the place of REFERENCE: "
        "unsigned and not verified; refused where the recipe was changed since",
    )
    add_recipes(parser)
    parser.add_argument(
        "--engine",
        choices=["podman", "docker", "apptainer"],
        help="what runs it, after the same verdict and by digest (default: podman)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="verify, then print the engine's command; nothing is pulled or run",
    )
    _add_container_options(parser)
    add_policy_option(parser)
    add_registry_options(parser)


def _add_container_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("container", "in Podman's words; many may be repeated")
    repeated: dict[str, Any] = {"action": "append", "default": []}
    group.add_argument(
        "--volume",
        "-v",
        **repeated,
        metavar="HOST:CONTAINER[:OPTIONS]",
        help="mount a folder or file of this host; ro among the options for reading only",
    )
    group.add_argument(
        "--env",
        "-e",
        **repeated,
        metavar="NAME[=VALUE]",
        help="set a variable; without a value, to the one that it has here",
    )
    group.add_argument(
        "--home",
        action="store_true",
        help="mount your home under its own path, and set HOME (default: no home is mounted)",
    )
    group.add_argument("--workdir", "-w", default="", metavar="FOLDER", help="where it starts")
    group.add_argument(
        "--user",
        "-u",
        default="",
        metavar="USER[:GROUP]",
        help="who it runs as, in the container's own numbers (default: as the image says)",
    )
    group.add_argument(
        "--userns",
        default="",
        metavar="MODE",
        help="its user namespace: keep-id has it run with your own user id",
    )
    group.add_argument(
        "--entrypoint",
        metavar="COMMAND",
        help="start this program of the image in the place of its entrypoint; '' for none",
    )
    group.add_argument(
        "--network",
        default="host",
        metavar="MODE",
        help="host (the default, as Apptainer does, so that MPI reaches other nodes), none, ...",
    )
    group.add_argument(
        "--device",
        **repeated,
        metavar="DEVICE",
        help="/dev/NAME, or a device of CDI: VENDOR/CLASS=NAME",
    )
    group.add_argument(
        "--gpus",
        **repeated,
        metavar="all|NAME,...",
        help="NVIDIA's GPUs by CDI: all, or by number or name (nvidia-ctk cdi generate)",
    )
    group.add_argument(
        "--mpi",
        choices=["auto", "pmix", "pmi2", "none"],
        default="auto",
        help="how the tasks of srun find each other: auto takes what srun offers where the image's "
        "MPI speaks it, and refuses what would be ranks 0 of 1; none for tasks that do not talk",
    )
    group.add_argument(
        "--podman-arg",
        **repeated,
        metavar="--OPTION[=VALUE]",
        help="one more option of podman run, in one word: --podman-arg=--shm-size=1g; "
        "what would run other bytes than those that were verified is refused",
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Verify and run."""
    arguments.engine = configured(arguments, "engine") or "podman"
    if arguments.local:
        return _local(arguments, console)
    if arguments.staged is not None:
        return _staged(arguments, console)
    if not arguments.reference:
        raise UsageError(
            "no image is named",
            hint="name a REFERENCE, or what is --staged; -v is --volume here, and has a value",
        )
    from imagekit.hosts.read_node import find_lacks_here
    from imagekit.hosts.run import run as run_verified
    from imagekit.oci.location import parse_located

    wanted = parse_located(arguments.reference)
    commands = _Commands(arguments, console)
    commands.look_at_host()
    judge = make_judge(arguments, wanted.location, find_lacks=find_lacks_here)
    ran = run_verified(
        wanted.reference,
        arguments.passed,
        judge=judge,
        engine=commands.engine(
            registry_of(arguments).of(wanted.reference.repository.host), wanted.location
        ),
        show=commands.judged,
    )
    return commands.end(ran.status)


def _local(arguments: argparse.Namespace, console: Console) -> int:
    """Run what was built of a recipe and lies in the local image store."""
    from imagekit.build.local_store import digest_of, image_of_recipe
    from imagekit.build.tools.storage import Folders
    from imagekit.oci.location import LayoutLocation
    from imagekit.oci.reference import LAYOUT_HOST, PinnedReference, Repository
    from imagekit.oci.registry.options import RegistryOptions

    if arguments.staged is not None or arguments.policy is not None:
        raise UsageError(
            "--local goes with neither --policy nor --staged: what was just built is not judged",
            hint="publish it, and run what is published: imagekit run REFERENCE --policy FILE",
        )
    if not arguments.reference:
        raise UsageError("no recipe is named", hint="imagekit run --local RECIPE")
    recipes, folders = recipes_of(arguments), Folders.of(os.environ)
    recipe = recipes.load(Path(arguments.reference))
    built = image_of_recipe(folders, recipe, recipes=digest_of(recipes.with_bases(recipe)))
    console.note(
        f"not verified: {built.name} {built.version} ({built.digest}) was built on this host; "
        "nobody signed it, and no policy judged it"
    )
    commands = _Commands(arguments, console)
    engine = commands.engine(RegistryOptions(), LayoutLocation(folders.images))
    image = PinnedReference(Repository(LAYOUT_HOST, built.name), built.digest)
    status = engine.run(image, arguments.passed, among={built.digest})
    commands.show({"schema": 1, "verified": False, "digest": str(built.digest)})
    return status


def _staged(arguments: argparse.Namespace, console: Console) -> int:
    from functools import partial

    from imagekit.hosts.run_staged import (
        run_alone,
        run_file,
        run_rank,
        run_staged,
        starts_alone,
    )
    from imagekit.oci.location import REGISTRY, parse_located
    from imagekit.oci.registry.options import RegistryOptions
    from imagekit.offline.check_receipt import Asked, Checked, check
    from imagekit.offline.checked_files import CheckedFiles

    if arguments.engine == "docker":
        raise UsageError(
            "Docker runs nothing that was staged",
            hint="leave --engine out; a sif: is run by --engine apptainer",
        )
    commands = _Commands(arguments, console)
    commands.remark()
    start: Callable[[Checked, Sequence[str]], int] | None = None
    if arguments.engine == "apptainer":
        start = partial(run_file, apptainer=commands.apptainer(RegistryOptions(), REGISTRY))
    else:
        commands.check()
    # What is staged is compared by name, wherever it came from.
    wanted = parse_located(arguments.reference).reference if arguments.reference else None
    policy = policy_of(arguments)
    asked = Asked(reference=wanted, files=CheckedFiles.of_this_user())
    checked = check(arguments.staged, policy=policy, asked=asked)
    if len(checked) != 1:
        raise UsageError(
            f"{arguments.staged} holds {len(checked)} images",
            hint=f"say which: imagekit run REFERENCE --staged {arguments.staged} ...",
        )
    verdict = checked[0].verdict
    commands.judged(verdict)
    if not verdict.allowed:
        return commands.end(None)
    if start is None and starts_alone(checked[0]):
        # Podman would be asked for its storage, which takes longer than all else.
        start = partial(
            run_alone,
            container=commands.alone(),
            programs=commands.starter(),
            ranks=commands.ranks if commands.ranks.several else None,
        )
    if start is None and commands.ranks.several:
        start = partial(run_rank, rank=commands.rank_of)
    if start is None:
        start = partial(run_staged, podman=commands.podman(RegistryOptions(), REGISTRY))
    return commands.end(start(checked[0], arguments.passed))


class _Commands:
    """What is said of one run, and the commands of a dry one."""

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
        self, commands: _Commands, registry: "RegistryOptions", location: "Location"
    ) -> None:
        self._commands, self._registry, self._location = commands, registry, location

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
        options = self._commands.rank(ImageMpi.of(config.labels, config.entrypoint))
        podman = self._commands.podman(self._registry, self._location, options)
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
