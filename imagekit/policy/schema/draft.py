"""Parts of a policy as they were read, before the names in them are looked up.

An authority names a trusted root, an attestation names authorities; both may stand further down.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from imagekit.documents.report import Report, SourceSpan, did_you_mean, shown
from imagekit.documents.scalars import Found
from imagekit.policy.condition import Condition
from imagekit.policy.ruleset import ImageRule, RequiredAttestation
from imagekit.signatures.authority import Authority, TrustRoot
from imagekit.signatures.intoto import full_type
from imagekit.signatures.publickey import PublicKey

Roots = Mapping[str, TrustRoot]


class KeyDraft(Struct, frozen=True):
    """A key with the time in which it counts."""

    key: PublicKey
    not_before: datetime | None
    not_after: datetime | None


class AuthorityDraft(Struct, frozen=True):
    """An authority, and the name of its trusted root."""

    authority: Authority
    root: Found[str] | None

    def check(self, roots: Roots, report: Report) -> None:
        """Report a name that no trusted root has."""
        if self.root is None or self.root.value in roots:
            return
        hint = did_you_mean(self.root.value, roots) or (
            f"known are: {', '.join(sorted(roots))}"
            if roots
            else "add at the top: trustRoots: {NAME: {path: trusted_root.json}}"
        )
        message = f"`{shown(self.root.value)}` is not one of this policy's trustRoots"
        report.error(self.root.span, "unknown-trust-root", message, hint=hint)

    def resolved(self, roots: Roots) -> Authority:
        """Return the authority with its trusted root."""
        return replace(self.authority, trust_root=roots[self.root.value] if self.root else None)


class AttestationDraft(Struct, frozen=True):
    """An attestation whose authorities may be names of the rule's."""

    type: str
    authorities: tuple[Found[str | AuthorityDraft], ...] | None
    condition: Condition | None

    def drafts(self) -> Sequence[AuthorityDraft]:
        """Return the authorities that are written out here."""
        return [
            entry.value
            for entry in self.authorities or ()
            if isinstance(entry.value, AuthorityDraft)
        ]

    def resolved(self, rule: Sequence[Authority], roots: Roots) -> RequiredAttestation:
        """Return the attestation with authorities for their names."""
        by_name = {authority.name: authority for authority in rule}
        chosen = tuple(rule)
        if self.authorities is not None:
            chosen = tuple(
                by_name[entry.value]
                if isinstance(entry.value, str)
                else entry.value.resolved(roots)
                for entry in self.authorities
            )
        return RequiredAttestation(
            type=self.type,
            predicate_type=full_type(self.type),
            authorities=chosen,
            condition=self.condition,
        )


class RuleDraft(Struct, frozen=True):
    """A rule, and where its glob stands."""

    rule: ImageRule
    authorities: tuple[AuthorityDraft, ...]
    attestations: tuple[AttestationDraft, ...]
    span: SourceSpan

    def check(self, roots: Roots, report: Report) -> None:
        """Report every name of a trusted root that is not known."""
        for draft in self.authorities:
            draft.check(roots, report)
        for attestation in self.attestations:
            for draft in attestation.drafts():
                draft.check(roots, report)

    def resolved(self, roots: Roots) -> ImageRule:
        """Return the rule with authorities and trusted roots for their names."""
        authorities = tuple(draft.resolved(roots) for draft in self.authorities)
        return replace(
            self.rule,
            authorities=authorities,
            attestations=tuple(
                attestation.resolved(authorities, roots) for attestation in self.attestations
            ),
        )
