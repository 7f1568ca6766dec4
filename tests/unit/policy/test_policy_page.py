"""docs/policy.md: every example is a policy, and every key has its place."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagekit.policy.cel import VARIABLES
from imagekit.policy.load import parse_policy
from imagekit.policy.schema import policy_schema
from imagekit.signatures.publickey import public_key_pem
from tests.support.fakes import MemorySigner

_PAGE = (Path(__file__).resolve().parents[3] / "docs" / "policy.md").read_text()
_SNIPPETS = re.findall(r"```yaml\n(.*?)```", _PAGE, re.DOTALL)
_TOP = {
    "apiVersion": "imagekit/v1",
    "kind": "ImagePolicy",
    "metadata": "{name: a, version: 1, expires: 2999-01-01T00:00:00Z}",
    "trustRoots": "{site: {path: trusted_root.json}}",
}
_RULE = {
    "match": '{glob: "registry.example.org/**"}',
    "authorities": "[{name: release, key: {path: keys/release.pub}}]",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the examples name."""
    (tmp_path / "keys").mkdir()
    for name in ("release", "gate", "second"):
        (tmp_path / "keys" / f"{name}.pub").write_bytes(public_key_pem(MemorySigner().public_key))
    root = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
    (tmp_path / "trusted_root.json").write_text(json.dumps(root))
    return tmp_path


def _keys(text: str) -> set[str]:
    return set(re.findall(r"^([A-Za-z]+):", text, re.MULTILINE))


def _lines(defaults: dict[str, str], text: str) -> str:
    keys = _keys(text)
    return "".join(f"{key}: {value}\n" for key, value in defaults.items() if key not in keys) + text


def _whole(snippet: str) -> str:
    """Return a snippet as a policy: it is one, or some keys of one, or some keys of a rule."""
    top = set(policy_schema()["properties"])
    if not _keys(snippet) <= top:
        rule = _lines(_RULE, snippet).replace("\n", "\n    ").rstrip()
        snippet = f"images:\n  - {rule}\n"
    elif "images" not in _keys(snippet):
        rule = _lines(_RULE, "").replace("\n", "\n    ").rstrip()
        snippet += f"images:\n  - {rule}\n"
    return _lines(_TOP, snippet)


@pytest.mark.parametrize("snippet", _SNIPPETS, ids=range(len(_SNIPPETS)))
def test_every_example_loads(folder: Path, snippet: str) -> None:
    """As a policy, or as the part of one that it shows."""
    policy = parse_policy(_whole(snippet).encode(), file="policy.md", folder=folder)

    assert policy.images


def _names(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        properties = schema.get("properties", {})
        yield from properties
        for value in schema.values():
            yield from _names(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _names(value)


def test_every_key_is_explained() -> None:
    """A key that the page does not name is one that nobody finds."""
    words = set(re.findall(r"[A-Za-z]+", _PAGE))

    assert set(_names(policy_schema())) <= words


def test_every_variable_is_explained() -> None:
    """The table of the page is that of the compiler."""
    rows = re.findall(r"^\| `(\w+)` \| (string|map|map of lists|timestamp) \|", _PAGE, re.MULTILINE)

    assert {name for name, _ in rows} == set(VARIABLES)


def test_no_code_of_the_page_is_made_up(project: Path) -> None:
    """What the table promises stands in the verifier."""
    table = _PAGE.partition("## Codes of refusals")[2]
    code = "".join(
        file.read_text()
        for name in ("verify", "policy", "signatures")
        for file in _sources(project, name)
    )

    codes = re.findall(r"`([A-Z_]{5,})`", table)
    assert codes
    assert [each for each in codes if f'"{each}"' not in code] == []


def _sources(project: Path, name: str) -> list[Path]:
    return sorted((project / "imagekit" / name).rglob("*.py"))
