"""How bad a vulnerability is, from what advisories say: CVSS vectors, and words.

https://ossf.github.io/osv-schema/#severity-field
"""

from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from imagekit.policy.condition import Severity
from imagekit.verify.conditions.vulnerabilities import stated_severity

_LONGEST_VECTOR = 512
"""All metrics of CVSS 4.0 are 180 characters."""


class Rating(Struct, frozen=True, array_like=True):
    """A severity as it is stated: the method, and its score, which CVSS writes as a vector."""

    type: str = ""
    score: str = ""


def severity_of(ratings: Iterable[Rating]) -> Severity:
    """Return the worst of all known ratings; unknown where none is known."""
    known = [severity for rating in ratings if (severity := _rated(rating)) != Severity.UNKNOWN]
    return max(known, default=Severity.UNKNOWN)


@lru_cache(maxsize=65536)
def _rated(rating: Rating) -> Severity:
    if not rating.type.startswith("CVSS_"):
        return stated_severity(rating.score)
    from cvss import CVSS2, CVSS3, CVSS4  # 20 ms
    from cvss.exceptions import CVSSError

    calculators = {"CVSS_V2": CVSS2, "CVSS_V3": CVSS3, "CVSS_V4": CVSS4}
    calculator = calculators.get(rating.type)
    if calculator is None or len(rating.score) > _LONGEST_VECTOR:
        return Severity.UNKNOWN
    try:
        return stated_severity(float(calculator(rating.score).base_score))
    except CVSSError:
        return Severity.UNKNOWN
