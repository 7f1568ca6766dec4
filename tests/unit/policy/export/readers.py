"""How a policy.json is read, as little of it as the tests need.

Written after containers-policy.json(5), by whose own programs the same is tested in
tests/e2e/interop.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from imagekit.signatures.publickey import parse_public_key


def in_scope(scope: str, name: str) -> bool:
    """Return whether a scope of containers-policy.json(5) holds a repository."""
    return scope in set(namespaces(name))


def namespaces(name: str) -> Iterator[str]:
    """Yield the scopes that are looked for, the most specific first."""
    parts = name.split("/")
    for length in range(len(parts), 0, -1):
        yield "/".join(parts[:length])
    labels = parts[0].partition(":")[0].split(".")
    for start in range(1, len(labels)):
        yield "*." + ".".join(labels[start:])
    yield ""


def podman_accepts(policy: Mapping[str, Any], name: str, signers: frozenset[str]) -> bool:
    """Return whether a policy.json accepts an image that these keys have signed for its name.

    Args:
        policy: the policy.json.
        name: the image's repository.
        signers: fingerprints of keys.
    """
    scopes = policy["transports"].get("docker", {})
    found = next((scopes[each] for each in namespaces(name) if each in scopes), policy["default"])
    return all(_met(each, signers) for each in found)


def _met(requirement: Mapping[str, Any], signers: frozenset[str]) -> bool:
    if requirement["type"] == "reject":
        return False
    assert requirement["type"] == "sigstoreSigned"
    datas = requirement.get("keyDatas") or [requirement["keyData"]]
    return any(_fingerprint(base64.b64decode(data)) in signers for data in datas)


def _fingerprint(pem: bytes) -> str:
    return parse_public_key(pem).fingerprint
