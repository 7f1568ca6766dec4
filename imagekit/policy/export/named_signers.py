"""Which authorities of a rule a target gets, and how it counts them."""

from collections.abc import Sequence
from datetime import datetime
from itertools import combinations
from math import comb

from msgspec import Struct
from msgspec.structs import replace

from imagekit.policy.authorities import identifies
from imagekit.policy.export.result import Loss, remark, stricter, weaker
from imagekit.policy.ruleset import Policy
from imagekit.signatures.authority import Authority, Identity
from imagekit.signatures.results import Certified

MAX_CLAUSES = 64
"""Most lists of signers that a threshold is written out into."""

Clause = tuple[Authority, ...]
"""Authorities one of whom must have signed."""


class Signers(Struct, frozen=True, kw_only=True):
    """Those who may sign: one of each clause must have."""

    clauses: tuple[Clause, ...]
    losses: tuple[Loss, ...] = ()


def undenied(
    policy: Policy, authorities: Sequence[Authority], *, rule: str
) -> tuple[tuple[Authority, ...], tuple[Loss, ...]]:
    """Leave out keys and identities that the deny list names: they sign nothing any more."""
    kept: list[Authority] = []
    losses: list[Loss] = []
    for authority in authorities:
        if authority.key is not None and authority.key.fingerprint in policy.deny.keys:
            message = f"{authority.name}: its key is denied, so the target does not get it"
            losses.append(remark("deny-keys", message, rule=rule))
            continue
        left, lost = _identities(policy, authority, rule)
        losses += lost
        if authority.key is not None or left:
            kept.append(replace(authority, identities=left))
    return tuple(kept), tuple(losses)


def open_now(
    authorities: Sequence[Authority], now: datetime, *, rule: str
) -> tuple[tuple[Authority, ...], tuple[Loss, ...]]:
    """Leave out keys that are not valid today, for a target that knows no time.

    What such a key signed in its time, and a timestamp proves it, is lost; the rest of it counts
    for nothing anyway.
    """
    kept: list[Authority] = []
    losses: list[Loss] = []
    for authority in authorities:
        early = authority.not_before is not None and now < authority.not_before
        late = authority.not_after is not None and now >= authority.not_after
        if early or late:
            why = "not valid yet" if early else "not valid any more"
            message = f"{authority.name} is {why}, so the target does not get it"
            losses.append(stricter("key-window", message, rule=rule))
            continue
        kept.append(authority)
        losses += _window_losses(authority, rule=rule)
    return tuple(kept), tuple(losses)


def clauses(authorities: Sequence[Authority], threshold: int) -> tuple[Clause, ...] | None:
    """Write "so many of these" as lists of which each has one signer: None where they are too many.

    Of ``n`` authorities ``t`` have signed exactly if one has of each ``n - t + 1`` of them.
    """
    size = len(authorities) - threshold + 1
    if size < 1 or comb(len(authorities), size) > MAX_CLAUSES:
        return None
    return tuple(combinations(authorities, size))


def counted(authorities: Sequence[Authority], threshold: int, *, rule: str) -> Signers:
    """Return the clauses for a threshold; all must sign where there would be too many.

    There are none where so many can never have signed.
    """
    if threshold > len(authorities):
        return Signers(clauses=())
    combinations = clauses(authorities, threshold)
    if combinations is not None:
        return Signers(clauses=combinations)
    message = (
        f"{threshold} of {len(authorities)} authorities would take more than {MAX_CLAUSES} lists: "
        "the target wants all of them to have signed"
    )
    every = tuple((authority,) for authority in authorities)
    return Signers(clauses=every, losses=(stricter("threshold", message, rule=rule),))


def too_few(rule: str) -> Loss:
    """Return the loss that no image can satisfy the rule at the target."""
    message = "not enough authorities are left of it: these images are rejected"
    return stricter("threshold", message, rule=rule)


def _window_losses(authority: Authority, *, rule: str) -> list[Loss]:
    losses = []
    if authority.not_after is not None:
        message = (
            f"{authority.name} counts until {authority.not_after.isoformat()} (notAfter); "
            "the target goes on to accept its signatures"
        )
        losses.append(weaker("key-window", message, rule=rule))
    if authority.not_before is not None and authority.trust_root is not None:
        message = (
            f"signatures of {authority.name} that were made before "
            f"{authority.not_before.isoformat()} (notBefore) do not count; "
            "the target looks at no time of a signature"
        )
        losses.append(weaker("key-window", message, rule=rule))
    return losses


def _identities(
    policy: Policy, authority: Authority, rule: str
) -> tuple[tuple[Identity, ...], list[Loss]]:
    kept, losses = [], []
    for identity in authority.identities:
        who = f"{identity.subject.text} of {identity.issuer.text}"
        if _denied(policy, identity):
            message = f"{authority.name}: {who} is denied, so the target does not get it"
            losses.append(remark("deny-identities", message, rule=rule))
            continue
        kept.append(identity)
        if policy.deny.identities and (identity.subject.regexp or identity.issuer.regexp):
            message = (
                f"{authority.name}: the pattern {who} may match an identity that is on the deny "
                "list, which the target does not know"
            )
            losses.append(weaker("deny-identities", message, rule=rule))
    return tuple(kept), losses


def _denied(policy: Policy, identity: Identity) -> bool:
    """Return whether all whom the identity matches are surely denied."""
    if identity in policy.deny.identities:
        return True
    if identity.subject.regexp or identity.issuer.regexp:
        return False
    certified = Certified(issuer=identity.issuer.text, subject=identity.subject.text)
    return any(identifies(certified, denied) for denied in policy.deny.identities)
