"""docs/recipes.md: every example is a recipe without a fault, and every key has its place."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from imagekit.recipe.lint import lint
from imagekit.recipe.whole import recipe_schema
from tests.support.openpgp import ARMORED
from tests.unit.recipe.conftest import MakeRecipe

_PAGE = (Path(__file__).resolve().parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")
_EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", _PAGE, re.DOTALL | re.MULTILINE)
(_STRUCTURE,) = re.findall(r"^```yaml structure\n(.*?)^```$", _PAGE, re.DOTALL | re.MULTILINE)
_HEAD = "schema: 1\nname: {name}\nversion: 1.0.0\n"
_DEBIAN = _HEAD.format(name="base/debian") + "base: scratch\n"


def _whole(example: str) -> str:
    """Return an example as a recipe: it is one, or what stands behind the head of one."""
    return example if "schema: 1\n" in example else _HEAD.format(name="example") + example


@pytest.fixture
def folder(make_recipe: MakeRecipe) -> Path:
    """The folder of a recipe, with every file that an example names, below a Debian base."""
    make_recipe(head=_DEBIAN, base="", at="debian")
    folder = make_recipe()
    (folder / "solver").mkdir()
    (folder / "files").mkdir()
    (folder / "files/gpu.asc").write_text(ARMORED)
    (folder / "files/structure.yaml").write_text(_STRUCTURE)
    for name in ("hello.c", "run.sh", "solver/Makefile"):
        (folder / name).write_text("here\n")
    pin = f"tomli==2.2.1 --hash=sha256:{'a' * 64}\n"
    (folder / "requirements.txt").write_text(pin)
    (folder / "Containerfile").write_text("FROM scratch\nARG GREETING\nCOPY hello.c /\n")
    return folder


@pytest.mark.parametrize("example", _EXAMPLES, ids=range(len(_EXAMPLES)))
def test_every_example_is_without_fault(folder: Path, example: str) -> None:
    """As a recipe, or as the part of one that it shows."""
    (folder / "recipe.yaml").write_text(_whole(example))

    faults = [each for each in lint([folder]).diagnostics if each.code != "recipe/no-tests"]
    assert faults == []


def _schema_keys(schema: Any, above: str = "") -> Iterator[str]:
    """Yield the path of every key of the schema; lists and free names take no part in it."""
    for name, below in schema.get("properties", {}).items():
        yield f"{above}{name}"
        yield from _schema_keys(below, f"{above}{name}.")
    nested = [schema.get("items"), schema.get("additionalProperties"), *schema.get("anyOf", ())]
    for each in nested:
        if isinstance(each, dict):
            yield from _schema_keys(each, above)


def _used_keys(value: Any, schema: Any, above: str = "") -> Iterator[str]:
    """Yield the path of every key of the schema that the document uses."""
    if isinstance(value, list):
        for each in value:
            yield from _used_keys(each, schema, above)
    if not isinstance(value, dict):
        return
    for name, below in value.items():
        path = f"{above}{name}" if f"{above}{name}" in schema else above.removesuffix(".")
        yield path
        yield from _used_keys(below, schema, f"{path}.")


def _keys() -> set[str]:
    """Return the keys that are explained: those of a stage are the recipe's own."""
    keys = _schema_keys(recipe_schema())
    return {key for key in keys if not re.match(r"stages\.(?:base|packages|steps)\.", key)}


def test_every_key_has_a_row() -> None:
    """Nested ones too, and no row explains a key that there is not."""
    rows = re.findall(r"^\| `([a-z0-9_.]+)` \|", _PAGE, re.MULTILINE)

    assert len(rows) == len(set(rows))
    assert set(rows) == _keys()


def test_every_key_is_in_an_example() -> None:
    """As a key, where the schema has it."""
    keys = _keys()
    used = {
        path for example in _EXAMPLES for path in _used_keys(yaml.safe_load(_whole(example)), keys)
    }

    assert keys <= used
