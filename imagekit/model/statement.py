"""in-toto statements: a claim about things that are named by digest.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from imagekit.oci.digest import Digest

_NOTHING: Mapping[str, object] = MappingProxyType({})

COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"
CYCLONEDX = "https://cyclonedx.org/bom"
SLSA_PROVENANCE = "https://slsa.dev/provenance/v1"
VSA = "https://slsa.dev/verification_summary/v1"

SHORT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "cyclonedx": CYCLONEDX,
        "link": "https://in-toto.io/Link/v1",
        "openvex": "https://openvex.dev/ns",
        "slsaprovenance": "https://slsa.dev/provenance/v0.2",
        "slsaprovenance02": "https://slsa.dev/provenance/v0.2",
        "slsaprovenance1": SLSA_PROVENANCE,
        "spdx": "https://spdx.dev/Document",
        "spdxjson": "https://spdx.dev/Document",
        "vsa": VSA,
        "vuln": "https://cosign.sigstore.dev/attestation/vuln/v1",
    }
)
"""The short words of ``cosign attest --type`` and what they stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a statement is about."""

    digest: Digest
    name: str = ""
    """``HOST/PATH:TAG`` where imagekit signed; empty where cosign did."""
    annotations: Mapping[str, object] = field(default_factory=lambda: _NOTHING, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A claim of a kind, ``predicate_type``, about its subjects.

    Statements that say the same compare equal, whatever bytes they were written in.
    """

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, object] = field(default_factory=lambda: _NOTHING, hash=False)


def full_type(word: str) -> str:
    """Return the predicate type that a short word stands for, or the text itself."""
    return SHORT_TYPES.get(word, word)
