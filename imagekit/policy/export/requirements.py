"""Requirements of containers-policy.json(5) for the signatures that a rule wants."""

import base64
from collections.abc import Mapping

from msgspec import Struct, field

from imagekit.policy.export.named_signers import Clause
from imagekit.policy.export.podman_version import PodmanVersion
from imagekit.policy.export.result import Loss, stricter, weaker
from imagekit.policy.export.trustroot import services
from imagekit.policy.ruleset import ImageRule, SignedIdentity
from imagekit.signatures.authority import Authority, Identity, Need
from imagekit.signatures.publickey import public_key_pem

Requirement = Mapping[str, object]
REJECT: Requirement = {"type": "reject"}


class Writer(Struct, frozen=True, kw_only=True):
    """Writes the requirements of one rule; what is lost on the way is added to ``losses``."""

    rule: ImageRule
    podman: PodmanVersion
    losses: list[Loss] = field(default_factory=list)

    def expressible(self, authorities: tuple[Authority, ...]) -> tuple[Authority, ...]:
        """Return the authorities that policy.json can name; the others do not count there."""
        return tuple(authority for authority in authorities if not self._unknown(authority))

    def requirements(self, clauses: tuple[Clause, ...]) -> list[Requirement]:
        """Return what must hold, all of it: one signature of each clause."""
        if not clauses:
            return [REJECT]
        if any(len(clause) > 1 for clause in clauses) and not self._several(clauses):
            everybody = tuple(
                dict.fromkeys(authority for clause in clauses for authority in clause)
            )
            clauses = tuple((authority,) for authority in everybody)
        return [self._requirement(clause) for clause in clauses]

    def _several(self, clauses: tuple[Clause, ...]) -> bool:
        """Return whether one of several signers can be said; else all of them must have signed."""
        logged = {_log_of(authority) for clause in clauses for authority in clause}
        keys = all(authority.key is not None for clause in clauses for authority in clause)
        if keys and self.podman.several and len(logged) == 1:
            return True
        why = (
            f"Podman {self.podman} knows no keyDatas (5.3 does)"
            if not self.podman.several
            else "policy.json cannot say one of several identities, or logs"
        )
        message = f"{why}: every authority must have signed, where some of them would do"
        self.losses.append(stricter("threshold", message, rule=self.rule.glob))
        return False

    def _requirement(self, clause: Clause) -> Requirement:
        first = clause[0]
        requirement: dict[str, object] = {"type": "sigstoreSigned"}
        if first.key is None:
            requirement["fulcio"] = self._fulcio(first)
        elif len(clause) == 1:
            requirement["keyData"] = _key_data(first)
        else:
            requirement["keyDatas"] = [_key_data(authority) for authority in clause]
        if _logged(first):
            requirement |= self._log(first)
        requirement["signedIdentity"] = self._identity()
        return requirement

    def _unknown(self, authority: Authority) -> bool:
        why = self._why_not(authority)
        if why:
            message = f"signatures of {authority.name} do not count for the target: {why}"
            self.losses.append(stricter("authorities", message, rule=self.rule.glob))
        return bool(why)

    def _why_not(self, authority: Authority) -> str:
        if _logged(authority):
            if not self.podman.fulcio:
                return f"Podman {self.podman} knows neither Fulcio nor Rekor (4.4 does)"
            if not _logs(authority):
                return "it reads logs with an ECDSA key only (Rekor v1), and there is none"
        if authority.key is None and not _chains(authority):
            return "its trusted root has no certificate authority"
        if authority.key is None and not any(
            _person(identity) for identity in authority.identities
        ):
            return "it knows exact issuers and exact e-mail addresses only"
        return ""

    def _fulcio(self, authority: Authority) -> Requirement:
        people = [identity for identity in authority.identities if _person(identity)]
        person = people[0]
        if len(authority.identities) > 1:
            message = (
                f"of the identities of {authority.name} only {person.subject.text} counts: "
                "policy.json takes one e-mail address"
            )
            self.losses.append(stricter("authorities", message, rule=self.rule.glob))
        message = (
            f"certificates for {authority.name} need no proof of a log of certificates (SCT) "
            "there; here they do"
        )
        self.losses.append(weaker("sct", message, rule=self.rule.glob))
        chains = "".join(_chains(authority))
        return {
            "caData": _base64(chains),
            "oidcIssuer": person.issuer.text,
            "subjectEmail": person.subject.text,
        }

    def _log(self, authority: Authority) -> Requirement:
        logs = [_base64(key) for key in _logs(authority)]
        if len(logs) == 1:
            return {"rekorPublicKeyData": logs[0]}
        if self.podman.several:
            return {"rekorPublicKeyDatas": logs}
        message = f"Podman {self.podman} knows one log; only the first of {len(logs)} counts"
        self.losses.append(stricter("tlog", message, rule=self.rule.glob))
        return {"rekorPublicKeyData": logs[0]}

    def _identity(self) -> Requirement:
        kind, remap = self.rule.signed_identity, self.rule.remap
        if kind is SignedIdentity.REMAP_IDENTITY and remap is not None:
            return {
                "type": kind.value,
                "prefix": remap.prefix,
                "signedPrefix": remap.signed_prefix,
            }
        if kind is SignedIdentity.DIGEST_ONLY:
            message = "a signature for any name counts; the target wants the repository's"
            self.losses.append(stricter("signed-identity", message, rule=self.rule.glob))
            return {"type": SignedIdentity.MATCH_REPOSITORY.value}
        return {"type": kind.value}


def _person(identity: Identity) -> bool:
    """Return whether Podman can match this identity: an exact e-mail address."""
    exact = not (identity.issuer.regexp or identity.subject.regexp)
    return exact and "@" in identity.subject.text and not set(identity.subject.text) & set(":/")


def _logged(authority: Authority) -> bool:
    """Return whether signatures must be in a log; keyless ones always."""
    return authority.tlog is Need.REQUIRED or authority.key is None


def _chains(authority: Authority) -> tuple[str, ...]:
    return services(authority.trust_root).chains if authority.trust_root else ()


def _logs(authority: Authority) -> tuple[str, ...]:
    return services(authority.trust_root).logs if authority.trust_root else ()


def _log_of(authority: Authority) -> object:
    return authority.trust_root if _logged(authority) else None


def _key_data(authority: Authority) -> str:
    return "" if authority.key is None else _base64(public_key_pem(authority.key).decode())


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
