"""The JSON Schema of recipes, as it is shipped beside this module for editors.

``python -m imagekit.recipe.schema`` writes it anew after a change of the shape; a test fails until
that is done.
"""

from pathlib import Path

from imagekit.documents.shape import dump
from imagekit.recipe.whole import recipe_schema

FILE = Path(__file__).with_name("recipe.schema.json")

if __name__ == "__main__":
    FILE.write_text(dump(recipe_schema()), encoding="utf-8")
