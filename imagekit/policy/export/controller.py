"""Policies for Sigstore's policy-controller: ClusterImagePolicy v1beta1, and TrustRoot.

https://docs.sigstore.dev/policy-controller/overview/ What must hold of the objects:

1. All policies that match an image must be satisfied, and one of the authorities of each. So a
   threshold is several policies, and so are attestations besides a signature.
2. There is no "but not these": names that a rule excludes get a policy that always fails.
3. Signatures by a key are read in the legacy form only, keyless ones as bundles; and of a bundle
   it is said that its statement is a signature, since any other would do as well.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import Any

from imagekit.oci.hostname import HUB, HUB_SIGNED
from imagekit.policy.export.demands import in_force, policy_losses, rule_losses
from imagekit.policy.export.globs import covers, overlap
from imagekit.policy.export.kubernetes import (
    anchorable,
    identity_words,
    object_name,
    root_name,
    rule_name,
    trust_root,
)
from imagekit.policy.export.result import (
    Document,
    Loss,
    PolicyExport,
    dropped,
    remark,
    stricter,
    weaker,
)
from imagekit.policy.export.signers import Clause, counted, open_now, same_person, too_few, undenied
from imagekit.policy.export.text import headline, lost_lines, yaml_text
from imagekit.policy.export.trustroot import services
from imagekit.policy.types import ImageRule, Policy, Proof, RequiredAttestation
from imagekit.signatures.authority import Authority, Need, TrustRoot
from imagekit.signatures.intoto import COSIGN_SIGN, VSA
from imagekit.signatures.publickey import public_key_pem

_MADE = frozenset({"deny-digests", "attestations", "warn-until"})
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:/*.")
Value = Mapping[str, Any]


def export(policy: Policy, *, now: datetime) -> PolicyExport:
    """Write ClusterImagePolicy and TrustRoot objects.

    Args:
        policy: what decides here.
        now: the present time.

    Raises:
        PolicyError: the policy is not in force, or a trusted root of it cannot be read.
    """
    in_force(policy, now)
    objects = _Objects(policy=policy, now=now)
    for number, rule in enumerate(policy.images, start=1):
        objects.add(number, rule)
    objects.deny()
    losses = (*policy_losses(policy, _MADE), *objects.losses, *_overlaps(policy), *_remarks())
    losses = tuple(dict.fromkeys(losses))
    roots = [trust_root(policy, root) for root in objects.roots.values()]
    head = [headline(policy), *lost_lines(losses)]
    text = yaml_text([*roots, *objects.policies], head=head)
    return PolicyExport(
        target="ClusterImagePolicy (policy.sigstore.dev/v1beta1)",
        documents=(Document(name="cluster-image-policy.yaml", text=text),),
        losses=losses,
    )


def globs_of(glob: str) -> tuple[str, ...]:
    """Return globs of policy-controller for the references of exactly these repositories.

    Its ``*`` and ``**`` stand for any characters, the latter for slashes too, and it matches them
    with tag or digest. Empty where it has no words for the glob.
    """
    host, _, path = glob.partition("/")
    glob = f"{HUB_SIGNED}/{path}" if host == HUB else glob
    before, star, behind = glob.rpartition("/")[2].partition("*")
    if not set(glob) <= _LETTERS or glob == "*/*" or (behind and behind != "*" and "*" in behind):
        return ()
    if star and behind in {"", "*"}:
        return () if behind and before else (glob,)
    if star and "@sha256".endswith(behind):
        # `*6:*` would take the digest's own name for the end of the repository's.
        return ()
    return (f"{glob}:*", f"{glob}@*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Objects:
    """The objects so far."""

    policy: Policy
    now: datetime
    policies: list[Value] = field(default_factory=list)
    roots: dict[str, TrustRoot] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)

    def add(self, number: int, rule: ImageRule) -> None:
        """Add the policies of a rule."""
        if _is_empty(rule):
            return
        globs = globs_of(rule.glob)
        if not globs:
            message = "policy-controller has no words for this glob: the rule is left out"
            self.losses.append(dropped("glob", message, rule=rule.glob))
            return
        self.losses.extend(rule_losses(rule, self.now, _MADE))
        mode = self._mode(rule)
        for words, authorities in self._demands(rule):
            name = rule_name(self.policy, number, *words)
            self.policies.append(_cip(name, globs, authorities, mode=mode))
        self._exclude(number, rule)

    def deny(self) -> None:
        """Add the policy that refuses denied digests, whatever their names."""
        digests = sorted(str(digest) for digest in self.policy.deny.digests)
        if digests:
            globs = tuple(f"**@{digest}" for digest in digests)
            name = object_name(self.policy.name, "denied")
            self.policies.append(_cip(name, globs, _never("the digest is on the deny list")))

    def _mode(self, rule: ImageRule) -> str:
        if rule.warn_until is None or self.now >= rule.warn_until:
            return "enforce"
        message = (
            f"from {rule.warn_until.isoformat()} on it refuses; the target only warns then too"
        )
        self.losses.append(weaker("warn-until", message, rule=rule.glob))
        return "warn"

    def _demands(self, rule: ImageRule) -> Iterator[tuple[tuple[str, ...], list[Value]]]:
        """Yield what must hold, all of it, with words for the name of each."""
        if rule.proof is not Proof.ATTESTATIONS:
            yield from self._signed(rule)
        for each in rule.attestations:
            yield (each.type,), self._attested(each, rule)

    def _signed(self, rule: ImageRule) -> Iterator[tuple[tuple[str, ...], list[Value]]]:
        signers = self._signers(rule.authorities, rule.threshold, rule)
        if not signers:
            self.losses.append(too_few(rule.glob))
            yield ("rejected",), _never("too few of the rule's authorities are left")
        wanted = VSA if rule.proof is Proof.VSA else ""
        for number, clause in enumerate(signers, start=1):
            words = ("signature", *([str(number)] if len(signers) > 1 else []))
            yield words, self._authorities(clause, rule, wanted)

    def _attested(self, each: RequiredAttestation, rule: ImageRule) -> list[Value]:
        signers = self._signers(each.authorities, 1, rule)
        if not signers:
            return _never(f"nobody is left who may attest {each.type}")
        return self._authorities(signers[0], rule, each.predicate_type)

    def _signers(
        self, authorities: tuple[Authority, ...], threshold: int, rule: ImageRule
    ) -> tuple[Clause, ...]:
        kept, denied = undenied(self.policy, authorities, rule=rule.glob)
        valid, windows = open_now(kept, self.now, rule=rule.glob)
        known = tuple(one for one in valid if self._known(one, rule))
        signers = counted(known, threshold, rule=rule.glob)
        twice = same_person(known, threshold, rule=rule.glob)
        self.losses.extend((*denied, *windows, *signers.losses, *twice))
        return signers.clauses

    def _known(self, one: Authority, rule: ImageRule) -> bool:
        if one.key is None and (one.trust_root is None or not any(map(anchorable, one.identities))):
            why = "no pattern of it can be bound to the whole subject there"
        elif one.key is not None and one.tlog is Need.REQUIRED and one.trust_root is None:
            why = "it has no trusted root"
        else:
            return True
        message = f"signatures of {one.name} do not count for the target: {why}"
        self.losses.append(stricter("authorities", message, rule=rule.glob))
        return False

    def _authorities(self, clause: Clause, rule: ImageRule, wanted: str) -> list[Value]:
        """Return one entry for each key and identity; ``wanted`` is the type of an attestation."""
        found: list[Value] = []
        for one in clause:
            if one.trust_root is not None and (one.key is None or one.tlog is Need.REQUIRED):
                self.roots[str(one.trust_root.digest)] = one.trust_root
            if one.key is not None:
                found.append(self._key(one, rule, wanted))
            else:
                found += self._keyless(one, wanted or COSIGN_SIGN)
        return found

    def _key(self, one: Authority, rule: ImageRule, wanted: str) -> Value:
        pem = public_key_pem(one.key).decode() if one.key else ""
        entry: dict[str, Any] = {
            "name": object_name(one.name),
            "key": {"data": pem, "hashAlgorithm": "sha256"},
        }
        if one.tlog is Need.REQUIRED and one.trust_root is not None:
            entry["ctlog"] = self._log(one.trust_root)
        if wanted:
            message = (
                f"attestations by the key of {one.name} are read in cosign's legacy form (.att) "
                "only, which imagekit does not write"
            )
            self.losses.append(stricter("attestations", message, rule=rule.glob))
            entry["attestations"] = [_attestation(wanted)]
        return entry

    def _keyless(self, one: Authority, wanted: str) -> Iterator[Value]:
        if one.trust_root is None:
            return
        authorities = services(one.trust_root).authorities
        url = {"url": authorities[0].uri} if authorities and authorities[0].uri else {}
        root = {"trustRootRef": root_name(self.policy, one.trust_root)}
        several = len(one.identities) > 1
        for number, identity in enumerate(filter(anchorable, one.identities), start=1):
            yield {
                "name": object_name(one.name, *([str(number)] if several else [])),
                "keyless": {**url, "identities": [identity_words(identity)], **root},
                "ctlog": root,
                "signatureFormat": "bundle",
                "attestations": [_attestation(wanted)],
            }

    def _log(self, root: TrustRoot) -> Value:
        logs = services(root).logs
        url = {"url": logs[0].url} if logs and logs[0].url else {}
        return {**url, "trustRootRef": root_name(self.policy, root)}

    def _exclude(self, number: int, rule: ImageRule) -> None:
        for count, glob in enumerate(rule.exclude, start=1):
            if not overlap(glob, rule.glob):
                continue
            others = [one for one in self.policy.images if one is not rule and _is_written(one)]
            if any(_speaks_of(one, glob) for one in others):
                message = (
                    f"{glob}, which it excludes, falls to another rule; both must be satisfied"
                )
                self.losses.append(stricter("exclude", message, rule=rule.glob))
                continue
            globs = globs_of(glob)
            if not globs:
                message = f"it excludes {glob}, for which policy-controller has no words"
                self.losses.append(weaker("exclude", message, rule=rule.glob))
                continue
            if any(overlap(one.glob, glob) for one in others):
                message = f"all of {glob} is refused, also what another rule speaks of"
                self.losses.append(stricter("exclude", message, rule=rule.glob))
            name = rule_name(self.policy, number, "excluded", str(count))
            self.policies.append(_cip(name, globs, _never("no rule speaks of this image")))


def _is_empty(rule: ImageRule) -> bool:
    """Return whether a rule excludes all that it matches."""
    return any(covers(glob, rule.glob) for glob in rule.exclude)


def _is_written(rule: ImageRule) -> bool:
    """Return whether there are policies of this rule in what is exported."""
    return not _is_empty(rule) and bool(globs_of(rule.glob))


def _speaks_of(rule: ImageRule, glob: str) -> bool:
    """Return whether policies of this rule match all names of a glob that another one excludes.

    Narrower globs that this rule excludes from it get a policy or another rule in their turn.
    """
    excluded = [one for one in rule.exclude if overlap(one, glob)]
    narrower = all(covers(glob, one) and not covers(one, glob) for one in excluded)
    return covers(rule.glob, glob) and narrower


def _cip(
    name: str, globs: tuple[str, ...], authorities: list[Value], *, mode: str = "enforce"
) -> Value:
    return {
        "apiVersion": "policy.sigstore.dev/v1beta1",
        "kind": "ClusterImagePolicy",
        "metadata": {"name": name},
        "spec": {
            "images": [{"glob": glob} for glob in globs],
            "authorities": authorities,
            "mode": mode,
        },
    }


def _never(why: str) -> list[Value]:
    return [{"name": "never", "static": {"action": "fail", "message": why}}]


def _attestation(predicate_type: str) -> Value:
    word = "signature" if predicate_type == COSIGN_SIGN else predicate_type.rpartition("//")[2]
    return {"name": object_name(word), "predicateType": predicate_type}


def _overlaps(policy: Policy) -> Iterator[Loss]:
    for one, other in combinations(policy.images, 2):
        if overlap(one.glob, other.glob):
            message = (
                f"images that {other.glob} matches too must satisfy both, not the longest only"
            )
            yield stricter("overlap", message, rule=one.glob)


def _remarks() -> Iterator[Loss]:
    yield remark(
        "default",
        "what no policy matches is refused by no-match-policy: deny (its default), and only in "
        'namespaces with the label policy.sigstore.dev/include: "true"',
    )
    yield remark("withdrawal", "signed withdrawals are not seen; deny the digest instead")
