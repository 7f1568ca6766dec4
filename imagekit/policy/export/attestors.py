"""Authorities as Kyverno's attestors: whose signatures count, and what else they need."""

from collections.abc import Iterator, Mapping
from typing import Any

from imagekit.policy.export.kubernetes import anchorable, identity_words
from imagekit.policy.export.trustroot import services
from imagekit.signatures.authority import Authority, Need
from imagekit.signatures.publickey import public_key_pem

Value = Mapping[str, Any]


def attestors(one: Authority) -> Iterator[tuple[str, Value]]:
    """Yield a name and the ``cosign`` attestor for an authority's key, or for each identity.

    Raises:
        PolicyError: its trusted root cannot be read.
    """
    if one.key is not None:
        yield one.name, {**_key(one), **_trust(one)}
        return
    for identity in filter(anchorable, one.identities):
        yield one.name, {"keyless": {"identities": [identity_words(identity)]}, **_trust(one)}


def why_not(one: Authority) -> str:
    """Return why Kyverno cannot be told of an authority, or an empty text."""
    needs_root = one.key is None or Need.REQUIRED in {one.tlog, one.timestamp}
    if needs_root and one.trust_root is None:
        return "it has no trusted root"
    if one.key is None and not any(anchorable(identity) for identity in one.identities):
        return "no pattern of it can be bound to the whole subject there"
    if one.timestamp is Need.REQUIRED and one.trust_root is not None:
        known = services(one.trust_root)
        if not known.timestamps or not known.logs or not known.logs[0].url:
            return "its trusted root names no timestamp authority, or no log by its URL"
    return ""


def _key(one: Authority) -> Value:
    pem = public_key_pem(one.key).decode() if one.key else ""
    return {"key": {"data": pem, "hashAlgorithm": "sha256"}}


def _trust(one: Authority) -> dict[str, Any]:
    """Return what log entries, certificates and timestamps are verified by."""
    logged = one.tlog is Need.REQUIRED or one.key is None
    stamped = one.timestamp is Need.REQUIRED
    root = one.trust_root
    if root is None or not (logged or stamped):
        # Neither the network nor a TUF repository is asked for a key alone.
        return {"ctlog": {"insecureIgnoreTlog": True, "insecureIgnoreSCT": True}}
    found: dict[str, Any] = {"trustedRoot": {"value": root.raw.decode()}}
    if stamped:
        ctlog: dict[str, Any] = {"tsaCertChain": services(root).timestamps[0].chain}
        logs = services(root).logs
        ctlog |= {"url": logs[0].url} if logged else {"insecureIgnoreTlog": True}
        found["ctlog"] = ctlog
    return found
