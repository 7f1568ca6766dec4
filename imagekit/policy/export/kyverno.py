"""Policies for Kyverno: ImageValidatingPolicy, policies.kyverno.io/v1.

https://kyverno.io/docs/policy-types/image-validating-policy/ This API and not ClusterPolicy's
verifyImages, which it replaces: its CEL can say exactly which names a rule speaks of, count
distinct authorities, and look at the time. ``trustedRoot`` and the served v1 want Kyverno 1.19.
What must hold of the objects:

1. A policy matches just the references whose repository the rule is the only longest match of;
   one more policy refuses what no rule speaks of.
2. Every validation holds for every image of every kind of container.
3. A signature is a statement of the type that cosign signs with: verifyImageSignatures would take
   any attestation by the key for one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from imagekit.policy.export.attestors import attestors, why_not
from imagekit.policy.export.cel import applies, moment, named
from imagekit.policy.export.demands import in_force, policy_losses, rule_losses
from imagekit.policy.export.globs import covers
from imagekit.policy.export.kubernetes import (
    object_name,
    rule_name,
)
from imagekit.policy.export.result import Document, Loss, PolicyExport, remark, stricter
from imagekit.policy.export.signers import same_person, too_few, undenied, window_losses
from imagekit.policy.export.text import headline, lost_lines, yaml_text
from imagekit.policy.types import ImageRule, Policy, Proof
from imagekit.signatures.authority import Authority
from imagekit.signatures.intoto import COSIGN_SIGN, VSA

_MADE = frozenset(
    {
        "expiry",
        "issued",
        "deny-digests",
        "ambiguous",
        "attestations",
        "warn-until",
        "timestamp",
    }
)
_IMAGES = "(images.containers + images.initContainers + images.ephemeralContainers)"
Value = Mapping[str, Any]


def export(policy: Policy, *, now: datetime) -> PolicyExport:
    """Write ImageValidatingPolicy objects.

    Args:
        policy: what decides here.
        now: the present time.

    Raises:
        PolicyError: the policy is not in force, or a trusted root of it cannot be read.
    """
    in_force(policy, now)
    losses: list[Loss] = list(policy_losses(policy, _MADE))
    objects: list[Value] = []
    for number, rule in enumerate(policy.images, start=1):
        if any(covers(glob, rule.glob) for glob in rule.exclude):
            continue
        made = _Rule(policy=policy, rule=rule, now=now, losses=losses)
        objects += made.objects(number)
    objects.append(_rest(policy))
    found = tuple(dict.fromkeys((*losses, *_remarks())))
    text = yaml_text(objects, head=[headline(policy), *lost_lines(found)])
    return PolicyExport(
        target="ImageValidatingPolicy (policies.kyverno.io/v1, Kyverno 1.19)",
        documents=(Document(name="image-validating-policy.yaml", text=text),),
        losses=found,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """One rule on its way; attestors and attestations are those that its checks name."""

    policy: Policy
    rule: ImageRule
    now: datetime
    losses: list[Loss]
    attestors: dict[str, Value] = field(default_factory=dict)
    """By their names, which CEL selects them by."""
    attestations: dict[str, str] = field(default_factory=dict)
    """Their predicate types by their names."""

    def objects(self, number: int) -> Iterator[Value]:
        """Yield the policy of the rule, and the one that warns until the rule refuses."""
        rule, until = self.rule, self.rule.warn_until
        self.losses.extend(rule_losses(rule, self.now, _MADE))
        checks = [*self._signatures(), *self._attested()]
        where = applies(self.policy, rule)
        name = rule_name(self.policy, number)
        if until is None or self.now >= until:
            yield self._object(name, where, [*self._conditions(), *checks])
            return
        # What is denied, or judged by an expired policy, is refused under a warning too.
        later = [(f"time.now() < {moment(until)} || {check}", said) for check, said in checks]
        yield self._object(name, where, [*self._conditions(), *later], required=False)
        name = rule_name(self.policy, number, "warn")
        yield self._object(name, where, checks, required=False, action="Warn")

    def _object(
        self,
        name: str,
        where: str,
        checks: Sequence[tuple[str, str]],
        /,
        *,
        required: bool = True,
        action: str = "Deny",
    ) -> Value:
        said = [_check(check, message) for check, message in checks]
        spec = _spec(where, said, action=action, required=required)
        spec["attestors"] = [
            {"name": name, "cosign": entry} for name, entry in self.attestors.items()
        ] or [_NOBODY]
        if self.attestations:
            spec["attestations"] = [
                {"name": name, "intoto": {"type": kind}} for name, kind in self.attestations.items()
            ]
        return _object(name, spec)

    def _conditions(self) -> Iterator[tuple[str, str]]:
        policy = self.policy
        yield (
            f"time.now() < {moment(policy.expires)}",
            f"the policy {policy.name} version {policy.version} has expired",
        )
        if policy.issued is not None:
            message = f"the clock is before the policy {policy.name} was issued"
            yield f"time.now() >= {moment(policy.issued)}", message
        if policy.deny.digests:
            digests = json.dumps(sorted(f"@{digest}" for digest in policy.deny.digests))
            yield f"!{digests}.exists(d, i.endsWith(d))", "the digest is on the deny list"

    def _signatures(self) -> Iterator[tuple[str, str]]:
        rule = self.rule
        if rule.proof is Proof.ATTESTATIONS:
            return
        known = self._known(rule.authorities)
        self.losses.extend(same_person(known, rule.threshold, rule=rule.glob))
        kind = VSA if rule.proof is Proof.VSA else COSIGN_SIGN
        names = ", ".join(one.name for one in rule.authorities)
        message = f"{rule.threshold} of {names} must have signed it"
        if rule.threshold > len(known):
            self.losses.append(too_few(rule.glob))
            yield "false", message
        elif len(known) == 1:
            yield self._counts(known[0], kind), message
        else:
            counts = " + ".join(f"({self._counts(one, kind)} ? 1 : 0)" for one in known)
            yield f"{counts} >= {rule.threshold}", message

    def _attested(self) -> Iterator[tuple[str, str]]:
        for each in self.rule.attestations:
            known = self._known(each.authorities)
            names = ", ".join(one.name for one in each.authorities)
            message = f"an attestation of type {each.type} by {names} is missing"
            checks = [self._counts(one, each.predicate_type) for one in known]
            yield " || ".join(checks) or "false", message

    def _known(self, authorities: Sequence[Authority]) -> tuple[Authority, ...]:
        kept, denied = undenied(self.policy, authorities, rule=self.rule.glob)
        self.losses.extend(denied)
        known = []
        for one in kept:
            why = why_not(one)
            if why:
                message = f"signatures of {one.name} do not count for the target: {why}"
                self.losses.append(stricter("authorities", message, rule=self.rule.glob))
            else:
                known.append(one)
                self.losses.extend(window_losses(one, rule=self.rule.glob, ends=False))
        return tuple(known)

    def _counts(self, one: Authority, kind: str) -> str:
        """Return the CEL of whether the authority has made a statement of this type."""
        attestors = ", ".join(f"attestors.{name}" for name in self._attestors(one))
        word = "signature" if kind == COSIGN_SIGN else kind.rpartition("//")[2]
        name = named(word, kind, self.attestations)
        check = f"verifyAttestationSignatures(i, attestations.{name}, [{attestors}]) > 0"
        if one.not_before is not None:
            check = f"time.now() >= {moment(one.not_before)} && {check}"
        if one.not_after is not None:
            check = f"time.now() < {moment(one.not_after)} && {check}"
        return f"({check})"

    def _attestors(self, one: Authority) -> list[str]:
        """Return the names of an authority's attestors: one for its key or each identity."""
        return [named(word, entry, self.attestors) for word, entry in attestors(one)]


_NOBODY: Value = {
    "name": "nobody",
    "cosign": {"keyless": {"identities": [{"issuer": "https://nobody.invalid", "subject": "-"}]}},
}
"""Kyverno wants one attestor at least; no check names it."""


def _rest(policy: Policy) -> Value:
    """Return the policy that refuses what no rule speaks of."""
    rules = [f"({applies(policy, rule)})" for rule in policy.images]
    checks = [_check("false", f"no rule of the policy {policy.name} speaks of this image")]
    spec = _spec(f"!({' || '.join(rules)})", checks, action="Deny", required=False)
    spec["attestors"] = [_NOBODY]
    return _object(object_name(policy.name, "default"), spec)


def _spec(where: str, checks: list[Value], *, action: str, required: bool) -> dict[str, Any]:
    return {
        "failurePolicy": "Fail",
        "validationActions": [action],
        "validationConfigurations": {
            "mutateDigest": True,
            "verifyDigest": True,
            "required": required,
        },
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["pods", "pods/ephemeralcontainers"],
                }
            ]
        },
        "matchImageReferences": [{"expression": where}],
        "validations": checks,
    }


def _object(name: str, spec: Value) -> Value:
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "ImageValidatingPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def _check(expression: str, message: str) -> Value:
    return {"expression": f"{_IMAGES}.all(i, {expression})", "message": message}


def _remarks() -> Iterator[Loss]:
    yield remark(
        "bundles",
        "signatures are read from bundles, which imagekit and cosign 3 write; an image that is "
        "signed in the legacy form only is refused",
    )
    yield remark(
        "default",
        "what no rule speaks of is refused in every namespace that Kyverno's webhooks watch",
    )
    yield remark("withdrawal", "signed withdrawals are not seen; deny the digest instead")
