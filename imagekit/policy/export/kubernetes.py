"""What the exporters for Kubernetes share: names of objects, trusted roots, identities."""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from imagekit.policy import patterns
from imagekit.policy.export.trustroot import CertificateAuthority, Log, services
from imagekit.policy.types import Policy
from imagekit.signatures.authority import Identity, Pattern, TrustRoot

Value = Mapping[str, Any]

_LONGEST = 52
"""Longest beginning of a name: with what follows it has at most 63 characters (RFC 1123)."""


def object_name(*words: str) -> str:
    """Return a name that an object of Kubernetes can have: lower case, digits and hyphens."""
    text = "-".join(words)
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "policy"
    if plain == text and len(plain) <= _LONGEST:
        return plain
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{plain[:_LONGEST].rstrip('-')}-{mark}"


def rule_name(policy: Policy, number: int, *words: str) -> str:
    """Return the name of what is made of a rule, counted from 1."""
    return object_name(policy.name, f"rule{number}", *words)


def identity_words(identity: Identity) -> dict[str, str]:
    """Return an identity as cosign's relatives have it; their expressions match any part."""
    return {**_words("issuer", identity.issuer), **_words("subject", identity.subject)}


def anchorable(identity: Identity) -> bool:
    """Return whether the patterns can be bound to the whole text."""
    return all(_anchored(each) for each in (identity.issuer, identity.subject))


def root_name(policy: Policy, root: TrustRoot) -> str:
    """Return the name of the object that a trusted root becomes."""
    return object_name(policy.name, root.name or "root")


def trust_root(policy: Policy, root: TrustRoot) -> Value:
    """Return policy-controller's TrustRoot of a trusted root.

    Raises:
        PolicyError: it cannot be read.
    """
    found = services(root)
    keys: dict[str, Any] = {
        "certificateAuthorities": [_authority(each) for each in found.authorities],
        "tLogs": [_log(each) for each in found.logs],
        "ctLogs": [_log(each) for each in found.certificate_logs],
        "timestampAuthorities": [_authority(each) for each in found.timestamps],
    }
    return {
        "apiVersion": "policy.sigstore.dev/v1alpha1",
        "kind": "TrustRoot",
        "metadata": {"name": root_name(policy, root)},
        "spec": {"sigstoreKeys": {name: each for name, each in keys.items() if each}},
    }


def _authority(each: CertificateAuthority) -> Value:
    return {
        "subject": {"organization": each.organization, "commonName": each.common_name},
        "uri": each.uri,
        "certChain": _base64(each.chain),
    }


def _log(each: Log) -> Value:
    return {"baseURL": each.url, "hashAlgorithm": "sha-256", "publicKey": _base64(each.key)}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _anchored(pattern: Pattern) -> bool:
    return not pattern.regexp or not patterns.problem(_whole(pattern.text))


def _words(name: str, pattern: Pattern) -> dict[str, str]:
    if pattern.regexp:
        return {f"{name}RegExp": _whole(pattern.text)}
    return {name: pattern.text}


def _whole(text: str) -> str:
    return f"^(?:{text})$"
