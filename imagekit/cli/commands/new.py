"""Write a new recipe: a commented folder that builds, with a test.

  imagekit new solver --from mpi
  imagekit new apps/report --from python --to recipes/report
  imagekit new tool --from binary --dry-run

An existing folder is never touched.
"""

import argparse
from pathlib import Path

from imagekit.cli.console import Console


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    from imagekit.recipe.new_recipe import TEMPLATES

    parser.add_argument("name", metavar="NAME", help="the recipe's name: hello, or apps/solver")
    parser.add_argument(
        "--from",
        dest="template",
        choices=TEMPLATES,
        default=TEMPLATES[0],
        help="what it is to be: an MPI program in C, a Python program, what a Containerfile "
        "builds, a program that was made elsewhere (default: minimal, a system and one step)",
    )
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help="the recipe's folder, which is made (default: NAME)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the files, and write nothing")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Write the recipe and print its folder."""
    from imagekit.recipe.new_recipe import new_recipe, write

    folder = arguments.to or Path(arguments.name)
    files = new_recipe(arguments.name, arguments.template, folder)
    text = str(folder)
    if arguments.dry_run:
        text = "\n".join(f"==> {folder / file.path} <==\n{file.text}" for file in files)
    else:
        write(files, folder)
        console.note("  " + ", ".join(file.path for file in files))
        console.note(f"  next: imagekit build {folder}")
    console.result(
        text,
        {
            "schema": 1,
            "name": arguments.name,
            "template": arguments.template,
            "folder": str(folder),
            "written": not arguments.dry_run,
            "files": [{"path": file.path, "text": file.text} for file in files],
        },
    )
    return 0
