"""Print the JSON Schema of recipes or policies, for editors; no network is needed.

  imagekit schema recipe > recipe.schema.json

Then begin a recipe.yaml with:  # yaml-language-server: $schema=PATH/recipe.schema.json
"""

import argparse

from imagekit.cli.console import Console


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("kind", choices=("recipe", "policy"), help="which schema")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Run the command."""
    from imagekit.formats.schema import dump

    schema = _policy() if arguments.kind == "policy" else _recipe()
    console.result(dump(schema), schema)
    return 0


def _recipe() -> dict[str, object]:
    from imagekit.recipe.whole import recipe_schema

    return recipe_schema()


def _policy() -> dict[str, object]:
    from imagekit.verify.schema import policy_schema

    return policy_schema()
