"""Expressions: what compiles, what they come to, and that nothing hostile hangs or kills them."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagekit.errors import DocumentError, PolicyError
from imagekit.policy.cel import MAX_DEPTH, MAX_NODES, MAX_TEXT, VARIABLES, compiled, evaluate

_VALUES: dict[str, Any] = {
    "reference": "r.site/apps/demo:1",
    "repository": "r.site/apps/demo",
    "tag": "1",
    "digest": f"sha256:{'a' * 64}",
    "platform": "linux/amd64",
    "config": {"config": {"User": "1000", "Env": ["A=b"]}, "n": 2**63},
    "manifest": {"layers": [{"size": 5}, {"size": 7}]},
    "annotations": {"org.opencontainers.image.licenses": "MIT"},
    "attestations": {"https://x.org/t": [{"a": {"b": 1}}, {"a": {"b": 2}}]},
    "now": datetime(2026, 11, 23, tzinfo=UTC),
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("config.config.User != ''", True),
        ("config.config.User == '0'", False),
        ("has(config.config.Labels)", False),
        ("config.n > 5", True),
        ("manifest.layers.all(l, l.size < 7)", False),
        ("manifest.layers.size() == 2", True),
        ("annotations['org.opencontainers.image.licenses'] in ['MIT', 'Apache-2.0']", True),
        ("attestations['https://x.org/t'].exists(p, p.a.b == 2)", True),
        ("'https://x.org/other' in attestations", False),
        ("reference == repository + ':' + tag && digest.startsWith('sha256:')", True),
        ("platform.matches('linux/(amd64|arm64)')", True),
        ("now < timestamp('2027-01-01T00:00:00Z')", True),
        ("now - timestamp('2026-11-22T00:00:00Z') <= duration('24h')", True),
        ("config.config.Env.all(e, !e.contains('PASSWORD'))", True),
        ("true", True),
    ],
)
def test_what_expressions_come_to(text: str, value: bool) -> None:  # noqa: FBT001  # expected
    """Each variable can be spoken of."""
    assert compiled(text) == text
    assert evaluate(text, _VALUES) is value


def test_every_variable_has_a_value() -> None:
    """The verifier gives what the compiler promises."""
    assert set(_VALUES) == set(VARIABLES)
    for name in VARIABLES:
        assert evaluate(f"{name} == {name}", _VALUES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("config.config.User !=", "line 1, column 22"),
        ("true &&\n  usr == 1", "line 2, column 3"),
        ("usr == 1", "undeclared reference to 'usr'"),
        ("reference + 1 == 2", "no matching overload"),
        ("'x'", "never true or false"),
        ("1 + 1", "never true or false"),
        ("tag", "never true or false"),
        ("config", "never true or false"),
        ("(" * 100 + "true" + ")" * 100, "recursion"),
        ("a.b" * 1000, ""),
        ("reference.nonsense()", "undeclared reference"),
    ],
)
def test_what_does_not_compile(text: str, words: str) -> None:
    """It is a fault of the policy, with its place in the expression."""
    with pytest.raises(PolicyError) as caught:
        compiled(text)
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("config.config.Nope == 1", "Key not found"),
        ("config.config.User", "and not true or false"),
        ("config.config", "and not true or false"),
        ("attestations['x'][0].a == 1", "Key not found"),
        ("manifest.layers[9].size == 1", "Index error"),
        ("config.n + 9223372036854775807 > 1", ""),
        ("config.config.User > 5", "overload"),
        ("platform.matches('(')", ""),
        ("platform.matches(config.config.User + '(')", ""),
    ],
)
def test_what_comes_to_no_truth_value(text: str, words: str) -> None:
    """It is an error, never taken for true or for false."""
    with pytest.raises(DocumentError) as caught:
        evaluate(compiled(text), _VALUES)
    assert caught.value.code == "EXPRESSION_ERROR"
    assert words in caught.value.message


def _nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "config",
    [
        {"a": 2**64},
        {"a": -(2**63) - 1},
        {"a": 10**4000},
        {"a": "x\0y"},
        {"a\0": 1},
        {"a": "x" * (MAX_TEXT + 1)},
        {"a": [1] * (MAX_NODES + 1)},
        {"a": {str(number): 1 for number in range(MAX_NODES)}},
        {"a": _nested(MAX_DEPTH + 1)},
        {"a": _nested(50_000)},
        {"a": b"bytes"},
    ],
    ids=["int", "low", "digits", "nul", "nul-key", "text", "list", "map", "deep", "deeper", "odd"],
)
def test_hostile_values_are_refused_before_they_are_looked_at(config: dict[str, Any]) -> None:
    """The runtime cuts texts at NUL and ends the process at what is too large or too deep."""
    with pytest.raises(DocumentError) as caught:
        evaluate("config.a == config.a", {**_VALUES, "config": config})
    assert caught.value.code == "EXPRESSION_ERROR"


def test_a_variable_that_is_not_spoken_of_is_not_looked_at() -> None:
    """A large SBOM does not stand in the way of an expression on the user."""
    values = {**_VALUES, "attestations": {"x": [{"a": [1] * (MAX_NODES + 1)}]}}

    assert evaluate("config.config.User == '1000'", values)
    with pytest.raises(DocumentError):
        evaluate("size(attestations) == 1", values)


_MANY = list(range(MAX_NODES - 50))
_LONG = "a" * (MAX_TEXT - 100)


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("config.l.all(x, config.l.all(y, config.l.all(z, x + y + z >= 0)))", {"l": _MANY}),
        ("config.l.all(x, x in config.l)", {"l": _MANY}),
        ("config.l.all(x, config.l == config.l)", {"l": _MANY}),
        ("config.l.map(x, config.l.map(y, config.l)).size() > 0", {"l": _MANY}),
        ("config.l.all(x, config.s.contains(config.t))", {"l": _MANY, "s": _LONG, "t": "aab"}),
        ("config.l.all(x, !config.s.matches('(a|aa)*(a|a?)+$b'))", {"l": _MANY, "s": _LONG}),
        ("config.s.matches(config.r)", {"s": "a" * 1000, "r": "((a{1,100}){1,100}){1,100}"}),
    ],
)  # fmt: skip
def test_no_expression_hangs(text: str, config: dict[str, Any]) -> None:
    """Whatever an image's configuration holds, the work is bounded: it ends within seconds."""
    began = time.process_time()

    try:
        evaluate(compiled(text), {**_VALUES, "config": config})
    except DocumentError as fault:
        assert fault.code == "EXPRESSION_ERROR"  # noqa: PT017  # some come to an answer, some not

    assert time.process_time() - began < 20


def test_the_runtime_is_loaded_where_a_policy_has_expressions_only() -> None:
    """Sixteen megabytes of it are not read for nothing."""
    code = (
        "import sys, imagekit.verify.judge, imagekit.policy.schema;"
        "sys.exit(any(name.startswith('cel_expr') for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=300)
@given(
    st.sampled_from(
        ("config.a.b == 1", "config.a == config.b", "config.a > 1", "size(config.a) > 1")
    ),
    st.dictionaries(st.sampled_from(("a", "b", "c")), _JSON),
)
def test_any_configuration_is_judged_or_refused(text: str, config: dict[str, Any]) -> None:
    """A hostile document comes to true, false or a DocumentError, and to nothing else."""
    try:
        assert evaluate(text, {**_VALUES, "config": config}) in {True, False}
    except DocumentError as fault:
        assert fault.message  # noqa: PT017  # most come to one of the two


@given(st.text(max_size=40) | st.text("()[]{}.,+-*/!=<>&|?:'\"\\ \nabtrue1u", max_size=60))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    """A policy's text raises nothing but a PolicyError."""
    try:
        assert compiled(text) == text
    except PolicyError as fault:
        assert fault.hint  # noqa: PT017  # few compile
