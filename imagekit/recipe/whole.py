"""The whole of recipe.yaml, schema 1: its keys in their order, and the Recipe made of them."""

from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from imagekit.documents.scalars import Choice, ListOf
from imagekit.documents.shape import Field, Record, Values, item
from imagekit.oci.digest import Digest
from imagekit.oci.types import NOTHING
from imagekit.recipe import items, rules
from imagekit.recipe.check_key import CHECK
from imagekit.recipe.recipe import COMPRESSIONS, GZIP, Containerfile, Recipe
from imagekit.recipe.stages import in_order, stages_fit
from imagekit.recipe.stated_needs import NEEDS
from imagekit.recipe.tests_key import TESTS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "imagekit recipe, schema 1"

FIELDS: dict[str, Field[Any]] = {
    "schema": item(
        Choice("version of the recipe's form", (1,)), "version of this form: 1", required=True
    ),
    "name": item(
        items.NAME, "the repository under the destination's prefix; may hold '/'", required=True
    ),
    "version": item(
        items.VERSION, "the release; raise it for every change that is published", required=True
    ),
    "title": item(items.LINE, "a name for people", default=""),
    "description": item(items.DESCRIPTION, "what the image is for", default=""),
    "licenses": item(items.LICENCES, "SPDX expression of what the image holds", default=""),
    "source": item(items.URL, "where the recipe is developed", default=""),
    "labels": item(items.LABELS, "further labels of the image", default=NOTHING),
    "base": item(items.BASE, "what the image stands on"),
    "packages": item(
        ListOf(items.PACKAGES), "what package managers install, in this order", default=()
    ),
    "apt": item(items.APT, "further repositories for what apt installs", default=()),
    "steps": item(ListOf(items.STEP), "what is done then, in this order", default=()),
    "stages": item(
        items.STAGES,
        "trees that are made only to copy from (`copy: {from_stage: NAME, ...}`), such as one with "
        "compilers; none of them is in the image",
        default=NOTHING,
    ),
    "containerfile": item(
        items.RECIPE_PATH,
        "a Containerfile, instead of base, packages, steps and stages",
        default="",
    ),
    "env": item(items.ENV, "environment of the container", default=NOTHING),
    "workdir": item(items.IMAGE_PATH, "where the command starts", default=""),
    "user": item(items.OWNER, "who runs the command: USER or USER:GROUP", default=""),
    "entrypoint": item(items.ARGUMENTS, "the program, as a list of arguments", default=()),
    "cmd": item(items.ARGUMENTS, "arguments where the user gives none, as a list", default=()),
    "expose": item(ListOf(items.PORT), "ports that the program listens on", default=()),
    "volumes": item(ListOf(items.IMAGE_PATH), "paths that are meant to be mounted", default=()),
    "build_args": item(items.ENV, "variables while building", default=NOTHING),
    "secrets": item(
        items.SECRETS, "secrets that steps read from /run/secrets/ID; never kept", default=NOTHING
    ),
    "platforms": item(
        ListOf(items.PLATFORM), "platforms to build for; that of the host by default", default=()
    ),
    "compression": item(
        Choice("how layers are compressed", COMPRESSIONS),
        "how its layers are compressed: gzip, zstd or zstd:chunked",
        default=GZIP,
    ),
    "needs": item(
        NEEDS, "what the image needs of its node, completed by what its files show; may be empty"
    ),
    "check": item(
        CHECK, "that `imagekit check` must find nothing but what is excepted here; may be empty"
    ),
    "tests": item(TESTS, "what must hold before anything is published", default=()),
    "tags": item(items.TAGS, "tags of a release; `{version}` by default"),
    "date": item(items.DATE, "the image's time, instead of the last commit's"),
    "time_limit": item(items.TIME_LIMIT, "longest time of one step", default=3600),
}
ALIASES = {
    "from": "base",
    "base_image": "base",
    "base-image": "base",
    "environment": "env",
    "license": "licenses",
    "licence": "licenses",
    "url": "source",
    "dockerfile": "containerfile",
    "Dockerfile": "containerfile",
    "Containerfile": "containerfile",
    "modules": "steps",
    "pipeline": "steps",
    "run": "steps",
    "command": "cmd",
    "ports": "expose",
    "args": "build_args",
    "working_dir": "workdir",
    "compression_format": "compression",
    "compression-format": "compression",
    "requires": "needs",
    "timeout": "time_limit",
    "schema_version": "schema",
}


class Where(NamedTuple):
    """What the file itself does not say."""

    folder: Path
    file: Path
    digest: Digest
    script: Containerfile | None


def _values(values: Values) -> Values:
    return values


RECIPE: Record[Values] = Record(
    "a recipe",
    FIELDS,
    make=_values,
    rules=(
        rules.apt_is_used,
        rules.base_or_containerfile,
        rules.containerfile_is_inside,
        rules.cpu_is_of_a_platform,
        rules.labels_are_free,
        rules.tags_are_tags,
        stages_fit,
    ),
    aliases=ALIASES,
)


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of recipe.yaml."""
    return {"$schema": DIALECT, "title": TITLE, **RECIPE.schema()}


def make(values: Values, where: Where) -> Recipe:
    """Return the recipe, from values that are all good."""
    return Recipe(
        folder=where.folder,
        file=where.file,
        digest=where.digest,
        script=where.script,
        place=values.place,
        base=items.base_of(values),
        stages=in_order(values["stages"]),
        tags=rules.tags(values.get("tags"), values["version"], values["name"]),
        secrets=tuple(replace(secret, id=name) for name, secret in values["secrets"].items()),
        expose=tuple(str(port) for port in values["expose"]),
        **{name: values[name] for name in _AS_THEY_ARE},
    )


_AS_THEY_ARE = tuple(FIELDS.keys() - {"schema", "base", "stages", "tags", "secrets", "expose"})
