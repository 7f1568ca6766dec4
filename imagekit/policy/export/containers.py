"""Policies for Podman, Skopeo, Buildah and CRI-O: policy.json and a file for registries.d.

containers-policy.json(5), containers-registries.d(5). What must hold of the policy.json, so that
it accepts nothing that the policy refuses but for the losses that are reported:

1. What no scope matches is rejected, and so are all other transports.
2. The most specific scope decides alone: where two rules share one, it demands what both do.
3. The requirements of a scope all hold; "one of several keys" is one requirement.
"""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct, field

from imagekit.policy.export.demands import in_force, policy_losses, rule_losses
from imagekit.policy.export.document_text import headline, json_text, lost_lines, yaml_text
from imagekit.policy.export.named_signers import counted, open_now, too_few, undenied
from imagekit.policy.export.podman_version import PodmanVersion
from imagekit.policy.export.requirements import REJECT, Requirement, Writer
from imagekit.policy.export.result import (
    Document,
    Loss,
    PolicyExport,
    dropped,
    remark,
    stricter,
    weaker,
)
from imagekit.policy.export.scopes import Scope, scope_of
from imagekit.policy.glob import ANY, literal_length
from imagekit.policy.overlap import covers, overlap
from imagekit.policy.ruleset import ImageRule, Level, Policy, Proof


def export(policy: Policy, *, podman: PodmanVersion, now: datetime) -> PolicyExport:
    """Write policy.json and the file that lets Podman look for signatures.

    Args:
        policy: what decides here.
        podman: the oldest version that reads it.
        now: the present time.

    Raises:
        PolicyError: the policy is not in force, or a trusted root of it cannot be read.
    """
    in_force(policy, now)
    table = _Table(policy=policy, podman=podman, now=now)
    for rule in policy.images:
        table.add(rule)
    for rule in policy.images:
        table.exclude(rule)
    losses = tuple(dict.fromkeys((*policy_losses(policy), *table.losses, *_remarks())))
    return PolicyExport(
        target=f"containers-policy.json of Podman {podman}",
        documents=(
            Document(name="policy.json", text=json_text(table.policy_json())),
            Document(name="registries.d/imagekit.yaml", text=table.registries(losses)),
        ),
        losses=losses,
    )


class _Table(Struct, frozen=True, kw_only=True):
    """The scopes so far, with what each demands."""

    policy: Policy
    podman: PodmanVersion
    now: datetime
    scopes: dict[str, list[Requirement]] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    losses: list[Loss] = field(default_factory=list)

    def add(self, rule: ImageRule) -> None:
        """Add the scope of a rule."""
        if _void(rule):
            return
        scope = scope_of(rule.glob)
        if scope is None:
            message = "a scope is the beginning of a name: this rule is left out"
            self.losses.append(dropped("glob", message, rule=rule.glob))
            return
        self.losses.extend(self._losses(rule, scope))
        wanted = self._wanted(rule)
        self.hosts.add(scope.host)
        if scope.text in self.scopes:
            message = f"it shares the scope {scope.text} with another rule: it demands what both do"
            self.losses.append(stricter("overlap", message, rule=rule.glob))
        before = self.scopes.setdefault(scope.text, [])
        before += [requirement for requirement in wanted if requirement not in before]

    def exclude(self, rule: ImageRule) -> None:
        """Take out of a rule's scope what it says nothing about."""
        scope = scope_of(rule.glob)
        if scope is None or _void(rule):
            return
        for glob in rule.exclude:
            if overlap(glob, rule.glob):
                self._exclude(rule, glob, below=scope.text)

    def policy_json(self) -> dict[str, object]:
        """Return the policy.json."""
        scopes = {text: self.scopes[text] for text in sorted(self.scopes)}
        return {"default": [REJECT], "transports": {"docker": scopes}}

    def registries(self, losses: tuple[Loss, ...]) -> str:
        """Return the file for registries.d, which says where signatures are looked for."""
        attached = {"use-sigstore-attachments": True}
        document: dict[str, object] = {} if "" not in self.hosts else {"default-docker": attached}
        document["docker"] = dict.fromkeys(sorted(self.hosts - {""}), attached)
        places = "policy.json to /etc/containers, this file to /etc/containers/registries.d."
        head = [headline(self.policy), f"For Podman {self.podman} and newer: {places}"]
        return yaml_text(document, head=[*head, *lost_lines(losses)])

    def _wanted(self, rule: ImageRule) -> list[Requirement]:
        if rule.proof is Proof.VSA:
            message = "the target reads no verification summaries: these images are rejected"
            self.losses.append(stricter("vsa", message, rule=rule.glob))
            return [REJECT]
        if rule.proof is Proof.ATTESTATIONS:
            message = "the target reads signatures only: images that are attested are rejected"
            self.losses.append(stricter("attested-only", message, rule=rule.glob))
            return [REJECT]
        writer = Writer(rule=rule, podman=self.podman)
        kept, denied = undenied(self.policy, rule.authorities, rule=rule.glob)
        known = writer.expressible(kept)
        valid, windows = open_now(known, self.now, rule=rule.glob)
        signers = counted(valid, rule.threshold, rule=rule.glob)
        requirements = writer.requirements(signers.clauses)
        self.losses.extend((*denied, *windows, *signers.losses, *writer.losses))
        if not signers.clauses:
            self.losses.append(too_few(rule.glob))
        return requirements

    def _losses(self, rule: ImageRule, scope: Scope) -> Iterator[Loss]:
        yield from rule_losses(rule, self.now)
        if rule.platforms.verify is Level.ALL:
            message = "the index must be signed too (platforms.verify: all); the target never asks"
            yield weaker("platforms-verify", message, rule=rule.glob)
        globs = {image_rule.glob for image_rule in self.policy.images}
        if scope.wider and not {scope.text, f"{scope.text}/{ANY}"} <= globs:
            message = f"the scope {scope.text} holds {scope.wider} as well"
            yield weaker("scope", message, rule=rule.glob)

    def _exclude(self, rule: ImageRule, glob: str, *, below: str) -> None:
        scope = scope_of(glob)
        if scope is None or not _narrower(scope.text, below):
            message = f"it excludes {glob}, for which there is no scope"
            self.losses.append(weaker("exclude", message, rule=rule.glob))
            return
        if scope.text in self.scopes:
            return
        heir = self._heir(rule, glob)
        if heir is None:
            self.scopes[scope.text] = [REJECT]
        else:
            requirements = [*self._wanted(heir), *self._wanted(rule)]
            self.scopes[scope.text] = [
                requirement
                for n, requirement in enumerate(requirements)
                if requirement not in requirements[:n]
            ]
            message = f"{glob}, which it excludes, falls to {heir.glob}; the target asks for both"
            self.losses.append(stricter("exclude", message, rule=rule.glob))
        if scope.wider:
            message = f"{glob} is excluded, and with it {scope.wider}"
            self.losses.append(stricter("scope", message, rule=rule.glob))

    def _heir(self, rule: ImageRule, glob: str) -> ImageRule | None:
        """Return the rule that what is excluded falls to."""
        heirs = (
            other
            for other in self.policy.images
            if other is not rule
            and covers(other.glob, glob)
            and not any(overlap(excluded, glob) for excluded in other.exclude)
            and scope_of(other.glob) is not None
        )
        return max(heirs, key=lambda other: literal_length(other.glob), default=None)


def _void(rule: ImageRule) -> bool:
    """Return whether the rule excludes all that it matches."""
    return any(covers(glob, rule.glob) for glob in rule.exclude)


def _narrower(scope: str, below: str) -> bool:
    """Return whether the scope decides before the one that is below it."""
    if not below:
        return bool(scope)
    if below.startswith("*."):
        host = scope.partition("/")[0].partition(":")[0]
        return scope != below and host.endswith(below[1:])
    return scope.startswith(f"{below}/")


def _remarks() -> Iterator[Loss]:
    yield remark(
        "index",
        "Podman looks at the signature of the platform's manifest that it pulls, in the legacy "
        "form (.sig), and never at the index's: of an index that nobody signed it takes a manifest "
        "that is signed for the name; imagekit signs both",
    )
    yield remark(
        "withdrawal", "signed withdrawals are not seen; take the image's key or scope out instead"
    )
    yield remark(
        "spelling",
        "names are compared as they are written: capital letters in a host, a dot at its end or "
        "HOST:443 make another name, which falls to the scope of `**` where there is one and is "
        "rejected where there is none",
    )
    yield remark(
        "local",
        "it is asked where images are pulled or copied, not where they run, and a user's own "
        "~/.config/containers/policy.json goes before /etc/containers/policy.json",
    )
