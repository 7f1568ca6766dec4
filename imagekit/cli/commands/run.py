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
from imagekit.cli.run_engines import RunEngines
from imagekit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
    engines = RunEngines(arguments, console)
    engines.look_at_host()
    judge = make_judge(arguments, wanted.location, find_lacks=find_lacks_here)
    ran = run_verified(
        wanted.reference,
        arguments.passed,
        judge=judge,
        engine=engines.engine(
            registry_of(arguments).of(wanted.reference.repository.host), wanted.location
        ),
        show=engines.judged,
    )
    return engines.end(ran.status)


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
    engines = RunEngines(arguments, console)
    engine = engines.engine(RegistryOptions(), LayoutLocation(folders.images))
    image = PinnedReference(Repository(LAYOUT_HOST, built.name), built.digest)
    status = engine.run(image, arguments.passed, among={built.digest})
    engines.show({"schema": 1, "verified": False, "digest": str(built.digest)})
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
    engines = RunEngines(arguments, console)
    engines.remark()
    start: Callable[[Checked, Sequence[str]], int] | None = None
    if arguments.engine == "apptainer":
        start = partial(run_file, apptainer=engines.apptainer(RegistryOptions(), REGISTRY))
    else:
        engines.check()
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
    engines.judged(verdict)
    if not verdict.allowed:
        return engines.end(None)
    if start is None and starts_alone(checked[0]):
        # Podman would be asked for its storage, which takes longer than all else.
        start = partial(
            run_alone,
            container=engines.alone(),
            programs=engines.starter(),
            ranks=engines.ranks if engines.ranks.several else None,
        )
    if start is None and engines.ranks.several:
        start = partial(run_rank, rank=engines.rank_of)
    if start is None:
        start = partial(run_staged, podman=engines.podman(RegistryOptions(), REGISTRY))
    return engines.end(start(checked[0], arguments.passed))
