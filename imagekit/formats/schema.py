"""JSON Schemas as text, for files and screens."""

import json
from collections.abc import Mapping


def dump(schema: Mapping[str, object]) -> str:
    """Return the schema as indented JSON; the order of keys is that of the form."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
