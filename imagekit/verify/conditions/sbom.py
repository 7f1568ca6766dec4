"""The conditions of an SBOM: how many components, under which licences, which packages not.

CycloneDX and SPDX 2 in JSON are read. Each component is looked at once.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from msgspec import Struct, field

from imagekit.documents.quantity import count
from imagekit.policy.condition import SbomCondition
from imagekit.signatures.results import Refusal
from imagekit.verify.conditions.components import SbomComponent, components_of
from imagekit.verify.conditions.licences import covered, named_in, normal, states_nothing
from imagekit.verify.conditions.packages import DeniedPackages
from imagekit.verify.conditions.untrusted_json import shown


def check_sbom(predicate: Mapping[str, object], condition: SbomCondition) -> Refusal | None:
    """Return why an SBOM does not do, or None.

    Raises:
        DocumentError: it is no SBOM that can be read whole.
    """
    licences = _Licences.of(condition)
    packages = DeniedPackages.of(condition.deny_packages) if condition.deny_packages else None
    parts: set[tuple[str, str, tuple[str, ...]]] = set()
    faults: list[Refusal] = []
    for component in components_of(predicate):
        if component.part and (component.name or component.purls):
            # A component that is named several times is counted once.
            parts.add((component.name, component.version, component.purls))
        if faults:
            # The rest is read all the same: what is too large or malformed is no SBOM at all.
            continue
        fault = licences.fault(component)
        if fault is None and packages is not None:
            fault = _package_fault(component, packages)
        if fault is not None:
            faults.append(fault)
    if faults:
        return faults[0]
    return _too_small(len(parts), condition.min_components)


def _too_small(number: int, least: int) -> Refusal | None:
    if number >= least:
        return None
    return Refusal(
        code="SBOM_TOO_SMALL",
        message=f"the SBOM names {count(number, 'component')}; the policy wants at least {least}",
        hint="make it of the whole image: imagekit sign REFERENCE --sbom",
    )


class _Licences(Struct):
    """What a policy says of licences; each text is judged once, since most stand in many places."""

    denied: Mapping[str, str]
    allowed: AbstractSet[str]
    _named: dict[str, str] = field(default_factory=dict)
    _covered: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, condition: SbomCondition) -> "_Licences":
        denied = {normal(licence): licence for licence in condition.deny_licences}
        return cls(denied, frozenset(normal(licence) for licence in condition.allow_licences))

    def fault(self, component: SbomComponent) -> Refusal | None:
        for text in (*component.licences, *component.aliases):
            if self._denies(text):
                return Refusal(
                    code="LICENSE_DENIED",
                    message=f"{shown(component.title)} is under {shown(text)!r}, "
                    f"and the policy denies {self.denied[self._denies(text)]}",
                    hint="leave it out of the image; where another licence was chosen, "
                    "let the SBOM state that one only",
                )
        for text in component.licences:
            if not self._allows(text):
                return Refusal(
                    code="LICENSE_NOT_ALLOWED",
                    message=f"{shown(component.title)} is under {shown(text)!r}, "
                    "which the policy does not allow",
                    hint="leave it out of the image, or let the policy allow the licence",
                )
        return None

    def _denies(self, text: str) -> str:
        if self.denied and text not in self._named:
            self._named[text] = named_in(text, self.denied.keys())
        return self._named.get(text, "")

    def _allows(self, text: str) -> bool:
        if self.allowed and text not in self._covered:
            self._covered[text] = states_nothing(text) or covered(text, self.allowed)
        return self._covered.get(text, True)


def _package_fault(component: SbomComponent, packages: DeniedPackages) -> Refusal | None:
    why = packages.fault(component)
    if not why:
        return None
    return Refusal(
        code="PACKAGE_DENIED",
        message=f"the image has {shown(component.title)}; the policy denies {why}",
        hint="rebuild the image without it, or with another version",
    )
