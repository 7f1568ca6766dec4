"""Print the JSON Schema of a kind of file, for editors; no network is needed.

  imagekit schema recipe > recipe.schema.json

Then begin a recipe.yaml with:  # yaml-language-server: $schema=PATH/recipe.schema.json
"""

import argparse

from imagekit.cli.console import Console

KINDS = ("recipe", "policy", "policy-test", "policy-authority")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("kind", choices=KINDS, help="which schema")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Run the command."""
    from imagekit.formats.schema import dump

    schema = _schema(arguments.kind)
    console.result(dump(schema), schema)
    return 0


def _schema(kind: str) -> dict[str, object]:
    if kind == "policy":
        from imagekit.verify.schema import policy_schema

        return policy_schema()
    if kind == "policy-test":
        from imagekit.verify.expected import table_schema

        return table_schema()
    if kind == "policy-authority":
        from imagekit.verify.signers import signers_schema

        return signers_schema()
    from imagekit.recipe.whole import recipe_schema

    return recipe_schema()
