"""Print the JSON Schema of a kind of file, for editors; no network is needed.

  imagekit schema recipe > recipe.schema.json

Then begin a recipe.yaml with:  # yaml-language-server: $schema=PATH/recipe.schema.json
"""

import argparse
import importlib

from imagekit.cli.console import Console

_MAKERS = {
    "recipe": "imagekit.recipe.whole:recipe_schema",
    "lock": "imagekit.lock.lock_file:lock_schema",
    "policy": "imagekit.policy.schema:policy_schema",
    "policy-test": "imagekit.verify.expected:table_schema",
    "policy-authority": "imagekit.policy.signers:signers_schema",
    "config": "imagekit.settings.document:settings_schema",
    "gate": "imagekit.gate.config:gate_schema",
}
"""What makes the schema of each kind; only the one that is asked for is imported."""
KINDS = tuple(_MAKERS)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("kind", choices=KINDS, help="which schema")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Run the command."""
    from imagekit.documents.shape import dump

    module, _, name = _MAKERS[arguments.kind].partition(":")
    schema = getattr(importlib.import_module(module), name)()
    console.copied(dump(schema), schema)
    return 0
