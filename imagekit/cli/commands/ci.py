r"""Let an engine that you have run a graph of recipes: GitHub, GitLab, Slurm or Kubernetes.

  imagekit ci github recipes/ --to ghcr.io/site/images > .github/workflows/images.yml
  imagekit ci gitlab recipes/ --to registry.example.org/apps --image IMAGE > .gitlab-ci.yml
  imagekit ci slurm recipes/ --to registry.example.org/apps --option=--key=site.key
  imagekit ci kubernetes recipes/ --to registry.example.org/apps --image IMAGE --claim recipes
  imagekit ci summary outcomes/

Recipes begin when those that they stand on are published; what fails stops nothing that does not
stand on it. Without any --option of imagekit publish, images are signed keyless. `slurm` submits at
once, unless --dry-run is given; the others print a file. `summary` makes one table of the documents
that `imagekit publish --json` left, and ends with the highest exit code of any recipe.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.graph_options import MOST_JOBS, add_graph_options, graph_for
from imagekit.cli.options import add_recipes, needed, recipes_of
from imagekit.errors import UsageError

if TYPE_CHECKING:
    from imagekit.graph.export.work_plan import PublishTask, WorkPlan

_MAX_PLAN = 16 << 20
_FORMATS = ("text", "markdown")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs."""
    names = "github|gitlab|slurm|kubernetes|summary"
    verbs = parser.add_subparsers(dest="verb", required=True, metavar=names)
    github = verbs.add_parser("github", help="a workflow of GitHub Actions: one matrix a level")
    gitlab = verbs.add_parser("gitlab", help="a pipeline of GitLab CI: one job a recipe")
    slurm = verbs.add_parser("slurm", help="submit job arrays to Slurm, a level after the other")
    kubernetes = verbs.add_parser("kubernetes", help="plain Jobs of Kubernetes, one a level")
    for verb in (github, gitlab, slurm, kubernetes):
        _add_work(verb)
    for verb in (github, gitlab):
        verb.add_argument(
            "--branch", default="main", help="pushes to this branch publish (default: main)"
        )
    for verb in (gitlab, kubernetes):
        verb.add_argument(
            "--image", required=True, help="what jobs run in: it has imagekit, Buildah and Podman"
        )
    kubernetes.add_argument(
        "--claim", required=True, help="the PersistentVolumeClaim that has the recipes' folder"
    )
    kubernetes.add_argument(
        "--secret", default="", help="a Secret whose keys become variables of the pods"
    )
    _add_slurm(slurm)
    summary = verbs.add_parser("summary", help="one table of what came of all recipes")
    summary.add_argument("folder", type=Path, metavar="FOLDER", help="where the documents are")
    summary.add_argument(
        "--plan",
        type=Path,
        metavar="FILE",
        help="the document of imagekit graph --json: recipes that left no document are told, too",
    )
    summary.add_argument("--format", choices=_FORMATS, default="text", help="(default: text)")


def _add_work(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "paths", type=Path, nargs="+", metavar="PATH", help="recipes, or folders of recipes"
    )
    verb.add_argument("--to", metavar="DESTINATION", help="HOST[:PORT]/PREFIX")
    verb.add_argument(
        "--option",
        dest="more",
        action="append",
        default=[],
        metavar="OPTION",
        help="a further option of imagekit publish, such as --option=--plain-http; may be repeated",
    )
    add_recipes(add_graph_options(verb))


def _add_slurm(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--folder",
        type=Path,
        default=Path("imagekit-slurm"),
        metavar="DIR",
        help="where lists, logs and outcomes are written: new, and seen by all nodes",
    )
    verb.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="at most N recipes of an array at once"
    )
    verb.add_argument(
        "--sbatch",
        action="append",
        default=[],
        metavar="OPTION",
        help="an option of sbatch, such as --sbatch=--partition=build; may be repeated",
    )
    verb.add_argument("--dry-run", action="store_true", help="only show what would be submitted")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Write, submit, or sum up."""
    if arguments.verb == "summary":
        return _summary(arguments, console)
    plan = _plan(arguments)
    if arguments.verb == "slurm":
        return _slurm(arguments, plan, console)
    text = _text(arguments, plan)
    console.copied(text, {"schema": 1, "text": text})
    return 0


def _text(arguments: argparse.Namespace, plan: "WorkPlan") -> str:
    match arguments.verb:
        case "github":
            from imagekit.cli.own_version import own_version
            from imagekit.graph.export.github_workflow import github_workflow

            return github_workflow(plan, branch=arguments.branch, version=own_version())
        case "gitlab":
            from imagekit.graph.export.gitlab_pipeline import gitlab_pipeline

            return gitlab_pipeline(plan, branch=arguments.branch, image=arguments.image)
        case _:
            from imagekit.graph.export.kubernetes_jobs import kubernetes_jobs

            return kubernetes_jobs(
                plan, image=arguments.image, claim=arguments.claim, secret=arguments.secret
            )


def _plan(arguments: argparse.Namespace) -> "WorkPlan":
    from imagekit.graph.export.work_plan import work_plan
    from imagekit.oci.destination import Destination

    destination = needed(arguments, "to", metavar="DESTINATION")
    if not Destination.parse(destination).location.is_remote and arguments.verb != "slurm":
        raise UsageError(
            f"{destination} lies on this machine, and the jobs run on others",
            hint="name a registry: --to HOST[:PORT]/PREFIX",
        )
    recipes, _ = graph_for(arguments, arguments.paths, recipes_of(arguments))
    return work_plan(
        recipes,
        paths=tuple(map(str, arguments.paths)),
        destination=destination,
        options=tuple(arguments.more) or ("--keyless",),
    )


def _slurm(arguments: argparse.Namespace, plan: "WorkPlan", console: Console) -> int:
    from imagekit.graph.export.slurm_jobs import SlurmOptions, commands, submit, write_scripts
    from imagekit.process import Runner

    if not 0 <= arguments.jobs <= MOST_JOBS:
        raise UsageError(f"--jobs is {arguments.jobs}", hint=f"give a number up to {MOST_JOBS}")
    options = SlurmOptions(
        folder=arguments.folder.absolute(),
        imagekit=(sys.executable, "-m", "imagekit"),
        jobs=arguments.jobs,
        sbatch=tuple(arguments.sbatch),
    )
    if arguments.dry_run:
        lines = [
            f"sbatch {shlex.join(words)}"
            + (f"  # after {', '.join(array.bases)}" if array.bases else "")
            for array, words in commands(plan, options)
        ]
        console.result("\n".join(lines), {"schema": 1, "commands": lines})
        return 0
    runner = Runner(progress=console.progress)

    def sbatch(words: Sequence[str]) -> str:
        return runner.run(["sbatch", *words], limit=60.0).stdout

    write_scripts(plan, options)
    work = submit(plan, options, sbatch)
    lines = [f"{job:<12} {name}" for name, job in work.tasks.items()]
    lines.append(f"{work.summary:<12} summary, into {options.folder}/summary.txt")
    console.result(
        "\n".join(lines),
        {
            "schema": 1,
            "jobs": dict(work.tasks),
            "summary": work.summary,
            "folder": str(options.folder),
        },
    )
    return 0


def _summary(arguments: argparse.Namespace, console: Console) -> int:
    from imagekit.graph import outcome_table

    tasks: tuple[PublishTask, ...] = ()
    if arguments.plan is not None:
        from imagekit.graph.export.work_plan import parse_tasks
        from imagekit.inputs import read_input

        tasks = parse_tasks(read_input(arguments.plan, limit=_MAX_PLAN))
    rows = outcome_table.with_missing(outcome_table.read_outcomes(arguments.folder), tasks)
    table = (
        outcome_table.markdown_table if arguments.format == "markdown" else outcome_table.text_table
    )
    code = outcome_table.exit_code_of(rows)
    document = {
        "schema": 1,
        "exit_code": code,
        "recipes": [
            {
                "name": row.name,
                "version": row.version,
                "status": row.status,
                "seconds": row.seconds,
                "reference": row.reference,
                "message": row.message,
            }
            for row in rows
        ],
    }
    console.result("\n".join(table(rows)), document)
    return code
