"""Files that say who may sign policies: strict, like policies."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from imagekit.documents.shape import STRUCTURAL
from imagekit.errors import PolicyError
from imagekit.policy.signers import load_signers, signers_schema
from imagekit.signatures.publickey import public_key_pem
from tests.support.fakes import MemorySigner

_KEY = MemorySigner().public_key
_IDENTITY = {"issuer": "https://ci.example.org", "subject": "admin@example.org"}


def _document(**change: Any) -> dict[str, Any]:
    document = {
        "apiVersion": "imagekit/v1",
        "kind": "PolicyAuthority",
        "policies": ["site"],
        "trustRoots": {"own": {"path": "root.json"}},
        "authorities": [
            {"name": "admin", "key": {"data": public_key_pem(_KEY).decode()}},
            {"name": "ci", "keyless": {"identities": [_IDENTITY], "trustRoot": "own"}},
        ],
    }
    return {key: value for key, value in {**document, **change}.items() if value is not None}


def _load(folder: Path, document: object) -> Any:
    root = '{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'
    (folder / "root.json").write_text(root)
    file = folder / "authority.yaml"
    file.write_text(yaml.safe_dump(document))
    return load_signers(file)


def test_all_words(tmp_path: Path) -> None:
    """Keys and identities, with their trusted roots."""
    signers = _load(tmp_path, _document())

    assert signers.policies == ("site",)
    admin, ci = signers.authorities
    assert (admin.name, admin.key) == ("admin", _KEY)
    assert ci.trust_root.raw == (tmp_path / "root.json").read_bytes()
    assert ci.trust_root.name == "own"
    assert _load(tmp_path, _document(policies=None)).policies == ()


_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"authorities": []}, "out-of-range"),
    ({"authorities": None}, "missing-key"),
    ({"policies": []}, "out-of-range"),
    ({"policies": ["a b"]}, "not-matching"),
    ({"kind": "ImagePolicy"}, "not-matching"),
    ({"apiVersion": None}, "missing-key"),
    ({"threshold": 1}, "unknown-key"),
    ({"trustRoots": None}, "unknown-trust-root"),
    ({"trustRoots": {"own": {"path": "nowhere.json"}}}, "bad-trust-root"),
]


@pytest.mark.parametrize(("change", "fault"), _FAULTS)
def test_one_fault(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    """Each is told once, at its place: half a list of signers is none."""
    with pytest.raises(PolicyError) as caught:
        _load(tmp_path, _document(**change))

    (found,) = caught.value.diagnostics
    assert found.code == f"policy-authority/{fault}"
    assert found.line


@pytest.mark.parametrize("case", [({}, ""), *(f for f in _FAULTS if f[1] in STRUCTURAL)])
def test_schema_agrees(case: tuple[dict[str, Any], str]) -> None:
    """Editors find what the parser finds."""
    change, fault = case
    good = jsonschema.Draft202012Validator(signers_schema()).is_valid(_document(**change))

    assert good == (not fault)
