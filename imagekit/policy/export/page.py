"""A policy as a page for people: what it demands, rule by rule, in Markdown.

It says everything that the policy says, so nothing is lost; but it enforces nothing.
"""

from collections.abc import Iterator
from datetime import datetime

from imagekit.policy.export.conditions import say, span
from imagekit.policy.export.result import Document, PolicyExport
from imagekit.policy.overlap import ambiguous
from imagekit.policy.ruleset import ImageRule, Level, Policy, Proof, SignedIdentity
from imagekit.signatures.authority import Authority, Identity, Need, Pattern
from imagekit.signatures.publickey import describe

_NAMES = {
    SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT: (
        "the name that is asked for: with its tag where it is asked for by tag, else the repository"
    ),
    SignedIdentity.MATCH_EXACT: "exactly the reference that is asked for",
    SignedIdentity.MATCH_REPOSITORY: "the repository, under any tag",
    SignedIdentity.DIGEST_ONLY: "any name, or none: only the digest is bound",
}
_LEVELS = {
    Level.TOP: "Signed and attested is what the reference points to: the index, or the manifest",
    Level.MANIFESTS: "Signed and attested is the manifest of every platform",
    Level.ALL: "Signed is the index, and signed and attested the manifest of every platform",
}


def export(policy: Policy, *, now: datetime) -> PolicyExport:
    """Write the page.

    Args:
        policy: what is described.
        now: the present time: what has ended or not begun is said to have.
    """
    lines = [*_head(policy, now)]
    for number, rule in enumerate(policy.images, start=1):
        lines += _rule(number, rule, now)
    lines += [*_overlaps(policy), *_deny(policy), *_exceptions(policy, now)]
    return PolicyExport(
        target="a page for people",
        documents=(Document(name="policy.md", text="\n".join(lines).rstrip("\n") + "\n"),),
        losses=(),
    )


def _head(policy: Policy, now: datetime) -> Iterator[str]:
    yield f"# Policy {policy.name}, version {policy.version}"
    yield ""
    yield f"- File: `{policy.digest}`"
    if policy.issued is not None:
        yield f"- In force from {_day(policy.issued)}"
    ended = " **It has expired.**" if now >= policy.expires else ""
    yield f"- Until {_day(policy.expires)}; from then on it allows nothing.{ended}"
    yield "- An image that no rule below matches is refused."
    yield "- Where several rules match a name, the longest decides alone."
    yield ""


def _rule(number: int, rule: ImageRule, now: datetime) -> Iterator[str]:
    yield f"## Rule {number}: {_code(rule.glob)}"
    yield ""
    if rule.exclude:
        yield f"It says nothing about {_list(rule.exclude)}."
        yield ""
    yield from _mode(rule, now)
    yield from _proof(rule)
    yield ""
    yield "| authority | who | counts |"
    yield "| --- | --- | --- |"
    for authority in rule.authorities:
        yield _row(authority, now)
    yield ""
    yield from _points(rule, now)


def _mode(rule: ImageRule, now: datetime) -> Iterator[str]:
    if rule.warn_until is not None and now < rule.warn_until:
        yield f"**Until {_day(rule.warn_until)} it only warns**; then it refuses."
        yield ""


def _proof(rule: ImageRule) -> Iterator[str]:
    several = len(rule.authorities) > 1
    count = f"At least {rule.threshold} of these authorities" if several else "This authority"
    if rule.proof is Proof.SIGNATURE:
        yield f"{count} must have signed the image{', each by a signer of its own' * several}:"
        return
    if rule.proof is Proof.ATTESTATIONS:
        yield "Attestations are proof enough; the image itself need not be signed. Who may attest:"
        return
    yield f"{count} must have made a verification summary (VSA) of the image, which says:"
    for sentence in say(rule.vsa) if rule.vsa else ():
        yield f"- {_text(sentence)}"


def _row(authority: Authority, now: datetime) -> str:
    return f"| {_text(authority.name)} | {_who(authority)} | {'; '.join(_counts(authority, now))} |"


def _who(authority: Authority) -> str:
    if authority.key is not None:
        return f"key {_code(authority.key.fingerprint)} ({describe(authority.key)})"
    people = "<br>or ".join(_person(identity) for identity in authority.identities)
    root = authority.trust_root
    trusted = f"<br>trusted root {_text(root.name)}, {_code(str(root.digest))}" if root else ""
    return f"{people}{trusted}"


def _person(identity: Identity) -> str:
    return f"{_pattern(identity.subject)} by the issuer {_pattern(identity.issuer)}"


def _pattern(pattern: Pattern) -> str:
    kind = "what matches " if pattern.regexp else ""
    return f"{kind}{_code(pattern.text)}"


def _counts(authority: Authority, now: datetime) -> Iterator[str]:
    if authority.not_before is not None:
        early = " (**not yet**)" if now < authority.not_before else ""
        yield f"from {_day(authority.not_before)}{early}"
    if authority.not_after is not None:
        late = " (**ended**)" if now >= authority.not_after else ""
        yield f"until {_day(authority.not_after)}{late}"
    if authority.not_before is None and authority.not_after is None:
        yield "at any time" if authority.key is not None else "while its certificate was valid"
    for proof, need in (("log entry", authority.tlog), ("timestamp", authority.timestamp)):
        if need is not Need.OPTIONAL:
            yield f"{proof} {need}"


def _points(rule: ImageRule, now: datetime) -> Iterator[str]:
    if rule.proof is Proof.SIGNATURE:
        yield f"- The signature is for {_signed(rule)}."
    yield f"- {_LEVELS[rule.platforms.verify]}."
    if rule.platforms.require:
        yield f"- The image has the platforms {_list(rule.platforms.require)}."
    yield from _attestations(rule, now)
    yield from _freshness(rule)
    for expression in rule.expressions:
        meant = f" ({_text(expression.message)})" if expression.message else ""
        yield f"- True of the image is {_code(expression.cel)}{meant}."
    yield ""


def _signed(rule: ImageRule) -> str:
    if rule.remap is None:
        return _NAMES.get(rule.signed_identity, str(rule.signed_identity))
    asked, signed = _code(rule.remap.prefix), _code(rule.remap.signed_prefix)
    return f"the name that is asked for, with {signed} where it says {asked}"


def _attestations(rule: ImageRule, now: datetime) -> Iterator[str]:
    for attestation in rule.attestations:
        names = ", ".join(_text(authority.name) for authority in attestation.authorities)
        kind = f"{_text(attestation.type)} ({_code(attestation.predicate_type)})"
        yield f"- There is an attestation of type {kind}, signed by {names}."
        own = [
            authority for authority in attestation.authorities if authority not in rule.authorities
        ]
        for authority in own:
            counts = "; ".join(_counts(authority, now))
            yield f"    - {_text(authority.name)}: {_who(authority)}; {counts}"
        for sentence in say(attestation.condition) if attestation.condition else ():
            yield f"    - {_text(sentence)}"


def _freshness(rule: ImageRule) -> Iterator[str]:
    fresh = rule.freshness
    if fresh.max_age is not None:
        yield f"- Its newest release or signature is not older than {span(fresh.max_age)}."
    if fresh.monotonic:
        must = " A verifier that cannot remember refuses." * (fresh.remember is Need.REQUIRED)
        yield f"- Its tag never goes back behind a release that was seen.{must}"


def _overlaps(policy: Policy) -> Iterator[str]:
    pairs = list(ambiguous(policy.images))
    if pairs:
        yield "## Ambiguous names"
        yield ""
        yield "Names that two rules match equally well are refused:"
        yield ""
        for first, second in pairs:
            yield f"- {_code(first.glob)} and {_code(second.glob)}"
        yield ""


def _deny(policy: Policy) -> Iterator[str]:
    deny = policy.deny
    if not (deny.digests or deny.keys or deny.identities):
        return
    yield "## Denied, whoever signed"
    yield ""
    for digest in sorted(str(digest) for digest in deny.digests):
        yield f"- the image {_code(digest)}"
    for key in sorted(deny.keys):
        yield f"- signatures by the key {_code(key)}"
    for identity in deny.identities:
        yield f"- signatures by {_person(identity)}"
    yield ""


def _exceptions(policy: Policy, now: datetime) -> Iterator[str]:
    if not policy.exceptions:
        return
    yield "## Exceptions"
    yield ""
    yield "| image, allowed without signatures | until | owner | reason |"
    yield "| --- | --- | --- | --- |"
    for exception in policy.exceptions:
        image = _code(f"{exception.repository.name}@{exception.digest}")
        late = " (**ended**)" if now >= exception.expires else ""
        until = f"{_day(exception.expires)}{late}"
        yield f"| {image} | {until} | {_text(exception.owner)} | {_text(exception.reason)} |"
    yield ""


def _day(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="minutes")


def _list(words: tuple[str, ...]) -> str:
    return ", ".join(_code(word) for word in words)


def _code(text: str) -> str:
    """Return text as it is, whatever it holds: in as many backticks as it needs."""
    shown = _line(text).replace("|", "\\|")
    ticks = "`" * (1 + max((len(run) for run in _ticks(shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def _ticks(text: str) -> list[str]:
    return ["`" * len(run) for run in "".join(c if c == "`" else " " for c in text).split()]


def _text(text: str) -> str:
    """Return text that Markdown takes for nothing else."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|!&" else c for c in _line(text))


def _line(text: str) -> str:
    """Return text of several lines in one, without what steers a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
