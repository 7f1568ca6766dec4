"""Which authorities a rule names, and whom they list."""

from datetime import timedelta

from imagekit.policy.patterns import matches
from imagekit.policy.ruleset import ImageRule
from imagekit.signatures.authority import Authority, Identity
from imagekit.signatures.publickey import PublicKey
from imagekit.signatures.results import Certified, Signatory

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clocks of two machines may be apart."""


def is_of(signatory: Signatory, authority: Authority) -> bool:
    """Return whether the authority lists who signed; nothing else is looked at."""
    if isinstance(signatory, PublicKey):
        return authority.key == signatory
    return any(identifies(signatory, identity) for identity in authority.identities)


def identifies(certified: Certified, identity: Identity) -> bool:
    """Return whether issuer and subject are, wholly, what is listed."""
    return matches(identity.issuer, certified.issuer) and matches(
        identity.subject, certified.subject
    )


def authorities_of(rule: ImageRule) -> tuple[Authority, ...]:
    """Return the authorities of the rule and of its attestations, each once."""
    authorities = [*rule.authorities]
    for required in rule.attestations:
        authorities += required.authorities
    return tuple(dict.fromkeys(authorities))
