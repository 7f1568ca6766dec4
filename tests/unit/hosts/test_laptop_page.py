"""Lima's template: of Lima's schema, and with the files that trust install writes."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from imagekit.hosts.engines.engine import Engine, GateAddress, Route
from imagekit.hosts.engines.plan_files import Wish, plan


@pytest.fixture
def template(project: Path) -> dict[str, Any]:
    """The template as Lima reads it."""
    loaded: dict[str, Any] = yaml.safe_load((project / "docs/lima/imagekit.yaml").read_text())
    return loaded


@pytest.fixture
def schema(project: Path) -> dict[str, Any]:
    """What `limactl generate-jsonschema` of Lima 2.2 writes of its own types."""
    loaded: dict[str, Any] = json.loads((project / "tests/unit/hosts/lima.schema.json").read_text())
    return loaded


def test_lima_takes_the_template(template: dict[str, Any], schema: dict[str, Any]) -> None:
    """And a key that Lima does not know is one that the schema refuses, at the top and below."""
    jsonschema.validate(template, schema)
    changed = [copy.deepcopy(template) for _ in range(3)]
    changed[0]["podman"] = True
    changed[1]["provision"][0]["contents"] = "x"
    changed[2]["portForwards"][0]["guest"] = "x"
    for other in changed:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(other, schema)


def test_its_files_are_those_of_trust_install(template: dict[str, Any]) -> None:
    """So that the virtual machine refuses what a host refuses."""
    values = template["param"]
    gate = GateAddress(address=values["gate"], routes=(Route(registry=values["registry"]),))
    wanted = plan(Wish(gate=gate, engines=frozenset({Engine.CONTAINERS})), {}).files

    written = {
        step["path"]: _filled(step["content"], values)
        for step in template["provision"]
        if step["mode"] == "data"
    }

    assert written == {str(file.path): file.content.decode() for file in wanted}


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace("{{.Param." + name + "}}", value)
    return text
