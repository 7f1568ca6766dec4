"""Shapes: one description, read by the parser and written as JSON Schema."""

from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest

from imagekit.documents import strictyaml
from imagekit.documents.report import MAX_DIAGNOSTICS, Report, SourceSpan
from imagekit.documents.scalars import Boolean, ByKind, Choice, Integer, ListOf, MapOf, Text
from imagekit.documents.shape import (
    INVALID,
    STRUCTURAL,
    Invalid,
    OneKey,
    Record,
    Shape,
    Values,
    item,
)
from imagekit.errors import InputError, PolicyError


@dataclass(frozen=True)
class Server:
    """Something to read."""

    name: str
    ports: tuple[int, ...]
    mode: str


def _refuse(text: str) -> str:
    if text == "cursed":
        raise InputError("the name is cursed", hint="take another")
    return text


def _no_port_for_off(values: Values, report: Report) -> None:
    if values.get("mode") == "off" and values.get("ports"):
        report.error(values.key("ports"), "conflict", "a server that is off has no ports")


SERVER = Record(
    "a server",
    {
        "name": item(
            Text("a name", pattern=r"[a-z]+(?:\.[0-9]+)?", parse=_refuse, max_length=12),
            "its name",
            required=True,
        ),
        "ports": item(
            ListOf(Integer("a port", minimum=1, maximum=9), max_items=3), "its ports", default=()
        ),
        "mode": item(Choice("how", ("on", "off")), "on or off", default="on"),
        "fast": item(Boolean("fast"), "fast or not", default=False),
        "env": item(
            MapOf(Text("a name", pattern="[A-Z]+"), Text("a value"), max_items=2), "environment"
        ),
        "run": item(
            ByKind("text or a list", scalar=Text("a line"), sequence=ListOf(Text("a word"))),
            "what to run",
        ),
        "base": item(
            OneKey(
                "a base",
                {
                    "image": item(Text("an image"), "one"),
                    "level": item(Integer("n", minimum=0, maximum=9), "n"),
                },
                make=lambda key, value, place: (key, value, place.line),
            ),
            "what it stands on",
        ),
    },
    make=lambda v: Server(name=v["name"], ports=v["ports"], mode=v["mode"]),
    rules=(_no_port_for_off,),
    aliases={"title": "name"},
)


def read(text: str, shape: Shape[Any] = SERVER) -> tuple[Any | Invalid, Report]:
    """Read the text by the shape."""
    report = Report("file.yaml", "test")
    return shape.read(strictyaml.compose(text.encode(), report), report), report


FAULTS = {
    "unknown key": ("name: a\nprots: [1]\n", "unknown-key", 2, "did you mean `ports`?"),
    "known from elsewhere": ("name: a\ntitle: b\n", "unknown-key", 2, "did you mean `name`?"),
    "missing key": ("mode: on\n", "missing-key", 1, "add `name`: its name"),
    "number for text": ("name: 3.10\n", "wrong-kind", 1, 'write it in quotes: "3.10"'),
    "nothing": ("name:\n", "wrong-kind", 1, "give it a value, or take the key out"),
    "pattern": ("name: A\n", "not-matching", 1, ""),
    "line end": ('name: "a\\n"\n', "not-matching", 1, ""),
    "empty": ('name: ""\n', "not-matching", 1, ""),
    "over-long": (f"name: {'a' * 13}\n", "not-matching", 1, ""),
    "parse": ("name: cursed\n", "bad-value", 1, "take another"),
    "range": ("name: a\nports: [10]\n", "out-of-range", 2, ""),
    "truth for number": ("name: a\nports: [true]\n", "wrong-kind", 2, ""),
    "too many": ("name: a\nports: [1, 2, 3, 4]\n", "out-of-range", 2, "it may have 0 to 3"),
    "not a list": ("name: a\nports: 1\n", "wrong-kind", 2, ""),
    "choice": ("name: a\nmode: onn\n", "not-matching", 2, "did you mean `on`?"),
    "not true or false": ("name: a\nfast: yes\n", "wrong-kind", 2, ""),
    "bad key": ("name: a\nenv: {x: y}\n", "not-matching", 2, ""),
    "bad value": ("name: a\nenv: {X: 1}\n", "wrong-kind", 2, 'write it in quotes: "1"'),
    "too many keys": ("name: a\nenv: {X: a, Y: a, Z: a}\n", "out-of-range", 2, "at most 2"),
    "neither text nor list": ("name: a\nrun: {x: y}\n", "wrong-kind", 2, ""),
    "two of one": (
        "name: a\nbase: {image: a, level: 1}\n",
        "one-key",
        2,
        "write one of `image:`, `level:`",
    ),
    "none of one": ("name: a\nbase: {}\n", "one-key", 2, "write one of `image:`, `level:`"),
    "unknown of one": ("name: a\nbase: {imag: a}\n", "unknown-key", 2, "did you mean `image`?"),
    "rule": ("name: a\nmode: off\nports: [1]\n", "conflict", 3, ""),
    "not a mapping": ("- a\n", "wrong-kind", 1, ""),
}


@pytest.mark.parametrize("row", FAULTS.values(), ids=FAULTS)
def test_reports_what_is_wrong_and_where(row: tuple[str, str, int, str]) -> None:
    """Each fault has its code, its line and what to do."""
    text, code, line, hint = row
    value, report = read(text)

    assert value is INVALID
    assert [(d.code, d.line, d.hint) for d in report.diagnostics] == [(f"test/{code}", line, hint)]


@pytest.mark.parametrize("text", [row[0] for row in FAULTS.values()], ids=FAULTS)
def test_schema_finds_the_same_structural_faults(text: str) -> None:
    """The schema refuses what is structurally wrong, and nothing else."""
    report = read(text)[1]
    structural = any(d.code.removeprefix("test/") in STRUCTURAL for d in report.diagnostics)
    validator = jsonschema.Draft202012Validator(SERVER.schema())

    assert validator.is_valid(plain(strictyaml.compose(text.encode(), report))) is not structural


def plain(node: strictyaml.Node) -> Any:
    """Return the node as JSON's values."""
    match node:
        case strictyaml.Mapping():
            return {entry.key: plain(entry.value) for entry in node.entries}
        case strictyaml.Sequence():
            return [plain(part) for part in node.items]
        case strictyaml.Scalar():
            return node.value
        case strictyaml.Broken():
            raise AssertionError(node)


def test_schema_is_one() -> None:
    """The schema is valid by its own meta-schema."""
    jsonschema.Draft202012Validator.check_schema(SERVER.schema())


def test_reads_what_is_good() -> None:
    """Good values come out typed, with the defaults of what is not there."""
    value, report = read("name: a.1\nports: [1, 2]\nbase: {level: 3}\nrun: [ls]\nenv: {X: y}\n")

    assert value == Server(name="a.1", ports=(1, 2), mode="on")
    assert not report.diagnostics


def test_all_faults_come_at_once_and_rules_run_beside_them() -> None:
    """A bad field hides neither another field's fault nor a rule's."""
    report = read("nmae: a\nmode: off\nports: [1]\nfast: 3\nbase: {image: 1}\n")[1]

    assert [d.code for d in report.diagnostics] == [
        "test/unknown-key",
        "test/missing-key",
        "test/conflict",
        "test/wrong-kind",
        "test/wrong-kind",
    ]


def test_raises_all_of_them() -> None:
    """``check`` raises the error of the caller's kind with every diagnostic."""
    report = read("name: 1\nfast: 3\n")[1]

    with pytest.raises(PolicyError, match="2 errors in") as caught:
        report.check(PolicyError, what="policy")

    assert len(caught.value.diagnostics) == 2


def test_warnings_stop_nothing() -> None:
    """A warning is kept and raises nothing."""
    report = Report("file.yaml", "test")
    report.warn(SourceSpan(), "odd", "odd")

    report.check(PolicyError, what="policy")

    assert [d.severity for d in report.diagnostics] == ["warning"]


def test_bounds_the_faults() -> None:
    """A hostile file gives a bounded list that says that there are more."""
    value, report = read("\n".join(f"k{n}: 1" for n in range(5000)))

    assert value is INVALID
    assert len(report.diagnostics) == MAX_DIAGNOSTICS + 1
    assert "test/too-many-faults" in {d.code for d in report.diagnostics}


def test_a_refused_node_is_not_reported_twice() -> None:
    """What YAML's reader refused is no fault of the shape too, and is never taken for good."""
    value, report = read("name: *x\n")

    assert value is INVALID
    assert [d.code for d in report.diagnostics] == ["test/alias"]


def test_messages_cannot_steer_a_terminal() -> None:
    """Escapes in quoted keys and values are shown as text, cut to a bounded length."""
    report = read('"\\e[2J": 1\nname: "\\e]0;x\\a"\n')[1]

    shown = "".join(d.message + d.hint for d in report.diagnostics)
    assert shown.isprintable()
