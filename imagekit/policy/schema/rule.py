"""Image rules: what holds for the images of a glob."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from imagekit.documents.report import Report, did_you_mean, shown
from imagekit.documents.scalars import LINES, Boolean, ByKind, Choice, Integer, ListOf, Text
from imagekit.documents.shape import Record, Values, item
from imagekit.errors import PolicyError
from imagekit.policy.condition import NeedsCondition, VsaCondition
from imagekit.policy.glob import host_fault
from imagekit.policy.ruleset import (
    Expression,
    Freshness,
    ImageRule,
    Level,
    Platforms,
    Proof,
    Remap,
    SignedIdentity,
)
from imagekit.policy.schema.attestation import ATTESTATION, SUMMARY_FIELDS, summary
from imagekit.policy.schema.authority import AUTHORITIES
from imagekit.policy.schema.draft import AttestationDraft, AuthorityDraft, RuleDraft
from imagekit.policy.schema.single_values import (
    DURATION,
    GLOB,
    MAX_AUTHORITIES,
    MAX_RULES,
    MOMENT,
    SENTENCE,
    repeated,
)
from imagekit.signatures.authority import Authority, Need
from imagekit.signatures.intoto import NEEDS, full_type

_MAX_EXPRESSION = 4096
_MODES = ("enforce", "warn")
_MATCH: Record[tuple[str, tuple[str, ...]]] = Record(
    "a match",
    {
        "glob": item(
            GLOB, "which repositories; the longest match of all rules wins", required=True
        ),
        "exclude": item(
            ListOf(GLOB, min_items=1, max_items=MAX_RULES),
            "which of them this rule says nothing about",
            default=(),
        ),
    },
    make=lambda values: (values["glob"], values["exclude"]),
)


def _remapped(values: Values, report: Report) -> None:
    remap = values.get("type") == SignedIdentity.REMAP_IDENTITY.value
    for word in ("prefix", "signedPrefix"):
        if remap and word not in values:
            message = f"remapIdentity has no `{word}`"
            hint = "write prefix: MIRROR, signedPrefix: ORIGINAL"
            report.error(values.span, "remap", message, hint=hint)
        elif word in values and values.get("type") is not None and not remap:
            message = f"`{word}` belongs to remapIdentity, not to {values['type']}"
            hint = "write type: remapIdentity, or take it out"
            report.error(values.key(word), "remap", message, hint=hint)


def _remap(values: Values) -> tuple[SignedIdentity, Remap | None]:
    kind = SignedIdentity(values["type"])
    if kind is not SignedIdentity.REMAP_IDENTITY:
        return kind, None
    return kind, Remap(prefix=values["prefix"], signed_prefix=values["signedPrefix"])


def _prefix(text: str) -> str:
    problem = host_fault(text.partition("/")[0])
    if problem:
        raise PolicyError(f"`{shown(text)}` is the beginning of no name", hint=problem)
    return text


_PREFIX: Text[str] = Text(
    "the beginning of a repository's name, up to the end of a component",
    pattern=r"[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*(?:/[a-z0-9][a-z0-9._-]*)*",
    parse=_prefix,
    code="bad-prefix",
    max_length=255,
    examples=("mirror.example.org/upstream",),
)
_REMAP: Record[tuple[SignedIdentity, Remap | None]] = Record(
    "a signed identity",
    {
        "type": item(
            Choice("which name counts", tuple(kind.value for kind in SignedIdentity)),
            "what the name in the signature must be",
            required=True,
        ),
        "prefix": item(_PREFIX, "remapIdentity: what the name asked for begins with"),
        "signedPrefix": item(_PREFIX, "remapIdentity: what the signed name begins with instead"),
    },
    make=_remap,
    rules=(_remapped,),
)
_IDENTITY: ByKind[Any] = ByKind(
    "a word, or a mapping for remapIdentity",
    scalar=Choice(
        "what the name in the signature must be",
        tuple(kind.value for kind in SignedIdentity if kind is not SignedIdentity.REMAP_IDENTITY),
    ),
    mapping=_REMAP,
)


def _some_verifier(values: Values, report: Report) -> None:
    if "verifierIds" not in values:
        message = "a verification summary without verifierIds may be by any verifier"
        hint = "add verifierIds: [URI of the verifier]"
        report.error(values.span, "no-verifier", message, hint=hint)


_VSA: Record[VsaCondition] = Record(
    "a demand on verification summaries", SUMMARY_FIELDS, make=summary, rules=(_some_verifier,)
)


def _asks_for_something(values: Values, report: Report) -> None:
    if values.whole and values["maxAge"] is None and not values["monotonic"]:
        message = "this freshness asks for nothing"
        hint = "write maxAge: 180d or monotonic: true, or take it out"
        report.error(values.span, "contradiction", message, hint=hint)
    elif "remember" in values and values.whole and not values["monotonic"]:
        message = "what was seen is remembered for monotonic, which is not asked for"
        report.error(values.key("remember"), "contradiction", message, hint="add monotonic: true")


_FRESHNESS: Record[Freshness] = Record(
    "a demand on freshness",
    {
        "maxAge": item(
            DURATION, "how long ago the newest release or trusted time of a signature may be"
        ),
        "monotonic": item(
            Boolean("whether"),
            "a tag never goes back behind the highest release that the verifier has seen",
            default=False,
        ),
        "remember": item(
            Choice("whether", (Need.REQUIRED.value, Need.OPTIONAL.value)),
            "whether a verifier that cannot remember what it saw must refuse",
            default=Need.OPTIONAL.value,
        ),
    },
    make=lambda values: Freshness(
        max_age=values["maxAge"],
        monotonic=values["monotonic"],
        remember=Need(values["remember"]),
    ),
    rules=(_asks_for_something,),
)
_PLATFORMS: Record[Platforms] = Record(
    "a demand on platforms",
    {
        "verify": item(
            Choice("which manifests", tuple(level.value for level in Level)),
            "which manifests are signed and attested: top, what the reference points to; "
            "manifests, that of each platform; all, both",
            default=Level.TOP.value,
        ),
        "require": item(
            ListOf(
                Text(
                    "a platform",
                    pattern=r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?",
                    max_length=64,
                    examples=("linux/amd64", "linux/arm64/v8"),
                ),
                min_items=1,
                max_items=MAX_AUTHORITIES,
            ),
            "platforms that the image must have",
            default=(),
        ),
    },
    make=lambda values: Platforms(verify=Level(values["verify"]), require=values["require"]),
)


def _expression(text: str) -> str:
    from imagekit.policy.cel import compiled  # few policies have expressions

    return compiled(text)


_CEL: Text[str] = Text(
    "an expression in CEL that is true or false",
    pattern=LINES,
    parse=_expression,
    code="bad-expression",
    max_length=_MAX_EXPRESSION,
    examples=("config.config.User != ''",),
)
_MESSAGED: Record[Expression] = Record(
    "an expression",
    {
        "cel": item(_CEL, "what must be true of the image", required=True),
        "message": item(SENTENCE, "what a person reads where it is not", default=""),
    },
    make=lambda values: Expression(cel=values["cel"], message=values["message"]),
    aliases={"expression": "cel"},
)


class _Bare:
    """An expression without a message of its own."""

    def read(self, node: Any, report: Report) -> Any:
        """Read the text of the expression."""
        text = _CEL.read(node, report)
        return Expression(cel=text) if isinstance(text, str) else text

    def schema(self) -> dict[str, Any]:
        """Return the schema of the text."""
        return _CEL.schema()


_EXPRESSIONS: ListOf[Expression] = ListOf(
    ByKind("an expression, or one with a message", scalar=_Bare(), mapping=_MESSAGED),
    min_items=1,
    max_items=MAX_AUTHORITIES,
)


def _distinct_authorities(values: Values, report: Report) -> None:
    """A threshold means nothing where one key has two names, or two keys have one."""
    authorities = _authorities(values)
    identities = [identity for authority in authorities for identity in authority.identities]
    for kind, seen in (
        ("name", [authority.name for authority in authorities]),
        (
            "key",
            [authority.key.fingerprint for authority in authorities if authority.key is not None],
        ),
        (
            "identity",
            [f"{identity.subject.text} of {identity.issuer.text}" for identity in identities],
        ),
    ):
        for twice in repeated(seen):
            report.error(
                values.value("authorities"),
                f"same-{kind}",
                f"the {kind} {shown(twice)} stands here twice",
                hint=f"each authority has a {kind} of its own",
            )


def _reachable_threshold(values: Values, report: Report) -> None:
    threshold, authorities = values.get("threshold"), _authorities(values)
    if threshold is None or values.get("authorities") is None:
        return
    signers = len({authority.key or authority.identities for authority in authorities})
    if threshold > signers:
        report.error(
            values.value("threshold"),
            "threshold",
            f"{threshold} signatures are wanted of {signers} distinct "
            f"{'authority' if signers == 1 else 'authorities'}: nothing could ever pass",
            hint="list more authorities, or lower the threshold",
        )


def _known_attestors(values: Values, report: Report) -> None:
    required: Iterable[AttestationDraft] = values.get("attestations") or ()
    for twice in repeated(full_type(attestation.type) for attestation in required):
        message = f"an attestation of type {shown(twice)} is required twice"
        report.error(values.value("attestations"), "same-type", message, hint="join the two")
    if values.get("authorities") is None:
        return
    known = {authority.name for authority in _authorities(values)}
    for entry in (entry for attestation in required for entry in attestation.authorities or ()):
        if isinstance(entry.value, str) and entry.value not in known:
            hint = did_you_mean(entry.value, known)
            hint = hint or f"known are: {', '.join(sorted(known))}; or give it a key here"
            message = f"`{shown(entry.value)}` is not an authority of this rule"
            report.error(entry.span, "unknown-authority", message, hint=hint)


def _ending_warning(values: Values, report: Report) -> None:
    """A warning without an end is never enforced."""
    if values.get("mode") == "warn" and "warnUntil" not in values:
        message = "mode warn has no end, so this rule would never be enforced"
        hint = "add warnUntil: 2027-01-31T00:00:00Z, a day of this year's work"
        report.error(values.value("mode"), "no-end", message, hint=hint)
    if "warnUntil" in values and values.get("mode") in {None, "enforce"}:
        message = "warnUntil belongs to mode: warn"
        hint = "add mode: warn, or take warnUntil out"
        report.error(values.key("warnUntil"), "contradiction", message, hint=hint)


def _summary_for_its_proof(values: Values, report: Report) -> None:
    wanted = values.get("proof") == Proof.VSA.value
    if wanted and "vsa" not in values:
        message = "proof vsa does not say whose verification summaries count"
        hint = "add vsa: {verifierIds: [URI]}"
        report.error(values.value("proof"), "no-verifier", message, hint=hint)
    if "vsa" in values and not wanted and ("proof" not in values or values.get("proof")):
        message = "vsa says what summaries must say, and none is asked for"
        hint = "add proof: vsa; or demand it besides: attestations: [{type: vsa, ...}]"
        report.error(values.key("vsa"), "contradiction", message, hint=hint)


def _attested_for_its_proof(values: Values, report: Report) -> None:
    """Attestations that are the only proof must be asked for, and each is one signer's."""
    if values.get("proof") != Proof.ATTESTATIONS.value:
        return
    if not values.get("attestations") and (values.whole or "attestations" not in values):
        message = "proof attestations asks for none, so that nothing would be proven"
        hint = "add attestations: [{type: slsaprovenance1}]"
        report.error(values.value("proof"), "no-attestation", message, hint=hint)
    if (values.get("threshold") or 1) > 1:
        message = "a threshold counts signatures, and proof attestations asks for none"
        hint = "take it out; each attestation may name authorities of its own"
        report.error(values.value("threshold"), "contradiction", message, hint=hint)


def _authorities(values: Values) -> tuple[Authority, ...]:
    drafts: tuple[AuthorityDraft, ...] = values.get("authorities") or ()
    return tuple(draft.authority for draft in drafts)


def _rule(values: Values) -> RuleDraft:
    glob, exclude = values["match"]
    identity = values["signedIdentity"]
    kind, remap = identity if isinstance(identity, tuple) else (SignedIdentity(identity), None)
    until: datetime | None = values["warnUntil"]
    rule = ImageRule(
        glob=glob,
        exclude=exclude,
        authorities=(),
        threshold=values["threshold"],
        signed_identity=kind,
        remap=remap,
        proof=Proof(values["proof"]),
        vsa=values["vsa"],
        freshness=values["freshness"] or Freshness(),
        platforms=values["platforms"] or Platforms(),
        expressions=values["expressions"],
        warn_until=until,
    )
    attestations = values["attestations"]
    if values["needs"] is not None:
        attestations += (AttestationDraft(NEEDS, None, NeedsCondition()),)
    return RuleDraft(rule, values["authorities"], attestations, values.value("match"))


IMAGE: Record[RuleDraft] = Record(
    "an image rule",
    {
        "match": item(_MATCH, "which images this rule is about", required=True),
        "mode": item(
            Choice("what a refusal does", _MODES),
            "enforce: refuse; warn: say so and allow, until warnUntil",
            default="enforce",
        ),
        "warnUntil": item(MOMENT, "from then on mode warn is enforced"),
        "authorities": item(AUTHORITIES, "whose signatures count", required=True),
        "threshold": item(
            Integer("how many", minimum=1, maximum=MAX_AUTHORITIES),
            "how many distinct authorities must have signed, each by a signer of its own",
            default=1,
        ),
        "signedIdentity": item(
            _IDENTITY,
            "matchRepoDigestOrExact: by tag exactly that reference, by digest the repository; "
            "digestOnly: for images that others sign without a name",
            default=SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT.value,
        ),
        "proof": item(
            Choice("what makes an image acceptable", tuple(proof.value for proof in Proof)),
            "signature; vsa: another node's signed verdict; or attestations: those that the rule "
            "asks for, of images that are attested and not signed",
            default=Proof.SIGNATURE.value,
        ),
        "vsa": item(_VSA, "proof vsa: what the verification summary must say"),
        "attestations": item(
            ListOf(ATTESTATION, min_items=1, max_items=MAX_AUTHORITIES),
            "what else must be there, signed: SBOM, provenance, ...",
            default=(),
        ),
        "needs": item(
            Choice("whether", ("checked",)),
            "checked: the image must say, signed, what it needs of its node, and a node that lacks "
            "some of it does not run it",
        ),
        "freshness": item(_FRESHNESS, "how old an image may be, and whether its tag may go back"),
        "platforms": item(_PLATFORMS, "which platforms there must be, and what is signed of them"),
        "expressions": item(
            _EXPRESSIONS, "CEL expressions, each of which must be true of the image", default=()
        ),
    },
    make=_rule,
    rules=(
        _distinct_authorities,
        _reachable_threshold,
        _known_attestors,
        _ending_warning,
        _summary_for_its_proof,
        _attested_for_its_proof,
    ),
    aliases={"keys": "authorities", "identity": "signedIdentity", "glob": "match"},
)
