"""How the targets read what is exported: as little of each as the tests need.

Written after containers-policy.json(5) and docs.sigstore.dev/policy-controller, by whose own
programs the same is tested in tests/e2e/interop as far as they run there.
"""

import base64
import re
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


def controller_accepts(policies: list[Any], name: str, signers: frozenset[str]) -> bool:
    """Return whether ClusterImagePolicy objects accept an image that these keys have signed."""
    image = f"{name}:1"
    found = [each for each in policies if _speaks_of(each, image)]
    return bool(found) and all(_satisfied(each, signers) for each in found)


def _speaks_of(policy: Mapping[str, Any], image: str) -> bool:
    return any(
        re.search(
            "^"
            + each["glob"]
            .replace(".", r"\.")
            .replace("**", "#")
            .replace("*", "[^/]*")
            .replace("#", ".*")
            + "$",
            image,
        )
        for each in policy["spec"]["images"]
    )


def _satisfied(policy: Mapping[str, Any], signers: frozenset[str]) -> bool:
    return any(
        "key" in each and _fingerprint(each["key"]["data"].encode()) in signers
        for each in policy["spec"]["authorities"]
    )


def _fingerprint(pem: bytes) -> str:
    return parse_public_key(pem).fingerprint
