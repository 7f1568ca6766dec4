"""The shape of ``tests`` in recipe.yaml: what is run in the finished image, and what must hold."""

from typing import Any

from msgspec import Struct

from imagekit.documents.report import Report
from imagekit.documents.scalars import LINES, Boolean, ByKind, Choice, Integer, ListOf, Text
from imagekit.documents.shape import INVALID, Invalid, Record, Values, item
from imagekit.documents.strictyaml import Node
from imagekit.recipe import items, rules, values
from imagekit.recipe.image_test import ARBITRARY, EndSignal, ImageTest
from imagekit.recipe.structure import StructureTests

_SIGNAL = Record(
    "a signal that must end a test",
    {
        "send": item(
            Choice("the signal", ("TERM", "INT", "HUP", "QUIT")), "which one", default="TERM"
        ),
        "after": item(items.TIME_LIMIT, "how long the program runs before", default=1),
        "within": item(items.TIME_LIMIT, "how long it may take to end", required=True),
    },
    make=lambda v: EndSignal(name=v["send"], after=v["after"], within=v["within"]),
    aliases={"signal": "send", "timeout": "within", "grace": "within", "delay": "after"},
)
_REGEX = Text("a regular expression", pattern=LINES, parse=values.regex, max_length=1000)


def _test(values: Values) -> ImageTest:
    said = {name: values[name] for name in ImageTest.__struct_fields__ if name in TEST.fields}
    return ImageTest(**{**said, "structure": _structure(values)}, place=values.place)


def _structure(values: Values) -> StructureTests | None:
    """Return the tests of a file; nothing where the recipe's folder is not known."""
    if not values["structure"] or values.report.folder is None:
        return None
    # Recipes without such a file, which are most, do not wait for its reader.
    from imagekit.recipe.structure_file import read_structure

    return read_structure(values["structure"], values.report, values.value("structure"))


TEST: Record[ImageTest] = Record(
    "a test",
    {
        "name": item(
            items.LINE, "what policies call it; the command itself by default", default=""
        ),
        "run": item(items.COMMAND, "a command, run around the entrypoint"),
        "args": item(items.ARGUMENTS, "arguments for the entrypoint"),
        "structure": item(
            items.RECIPE_PATH,
            "instead of a command, a file of container-structure-test (schemaVersion 2.0.0)",
            default="",
        ),
        "exit_code": item(
            Integer("an exit code", minimum=0, maximum=255),
            "the exit code; 0 by default, and where a signal ends it that of the signal too",
        ),
        "stdout": item(_REGEX, "regular expression that must be found in the output"),
        "stderr": item(_REGEX, "the same for the standard error"),
        "user": item(
            items.OWNER,
            "`arbitrary` for one whom the image does not know, `image` for the image's own, or "
            "USER or USER:GROUP",
            default=ARBITRARY,
        ),
        "read_only": item(Boolean("whether"), "whether the root is read-only", default=True),
        "network": item(
            items.NETWORK,
            "`host` for the host's network; nothing but loopback by default",
            default=False,
        ),
        "signal": item(_SIGNAL, "a signal that must end the program in time"),
        "time_limit": item(items.TIME_LIMIT, "longest time of it; that of one step by default"),
    },
    make=_test,
    rules=(rules.run_or_args,),
    aliases={
        "command": "run",
        "status": "exit_code",
        "output": "stdout",
        "readonly": "read_only",
        "timeout": "time_limit",
        "stop": "signal",
    },
)


class _OneTest(Struct, frozen=True):
    """A test alone, in the place of a list of one."""

    def read(self, node: Node, report: Report) -> tuple[ImageTest, ...] | Invalid:
        """Read the test."""
        test = TEST.read(node, report)
        return INVALID if test is INVALID else (test,)

    def schema(self) -> dict[str, Any]:
        """Return the schema of the test."""
        return TEST.schema()


TESTS: ByKind[Any] = ByKind(
    "a list of tests, or one test", sequence=ListOf(TEST), mapping=_OneTest()
)
