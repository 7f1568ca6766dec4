"""What a policy file may hold: its shape, for the parser and the JSON Schema alike.

The words are those that admins know: ``match.glob``, ``authorities`` and ``attestations`` of
ClusterImagePolicy, ``signedIdentity`` of containers-policy.json, ``threshold`` of TUF.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from imagekit.errors import InputError, PolicyError
from imagekit.formats.pem import MAX_KEY_FILE, parse_public_key
from imagekit.formats.report import Report, Span, shown
from imagekit.formats.scalars import LINES, ByKind, Choice, Integer, ListOf, Text
from imagekit.formats.shape import INVALID, Invalid, OneKey, Record, Values, item
from imagekit.formats.strictyaml import Node
from imagekit.model.digest import Digest
from imagekit.model.key import PublicKey
from imagekit.model.policy import (
    Authority,
    Deny,
    ImageRule,
    Policy,
    RequiredAttestation,
    SignedIdentity,
)
from imagekit.model.statement import SHORT_TYPES, full_type
from imagekit.verify.glob import fault

MAX_RULES = 500
MAX_AUTHORITIES = 64
MAX_DENIED = 1000

_EMPTY_DIGEST = Digest.of(b"")


@dataclass(frozen=True, slots=True)
class _Required:
    """An attestation whose authorities may be names of the rule's."""

    type: str
    authorities: tuple[str | Authority, ...] | None


@dataclass(frozen=True, slots=True)
class _Placed:
    """A rule and where its glob stands."""

    rule: ImageRule
    span: Span


class KeyFile:
    """The path of a public key, read when the policy is: half a policy verifies nothing."""

    _path: Text[str] = Text(
        "the path of a public key in PEM, relative to the policy", examples=("keys/a.pub",)
    )

    def read(self, node: Node, report: Report) -> PublicKey | Invalid:
        """Read the path, then the key."""
        path = self._path.read(node, report)
        if path is INVALID:
            return INVALID
        if report.folder is None:
            report.error(
                node.span,
                "bad-key",
                "this policy has no folder that a path could be relative to",
                hint="write the key itself into the policy: key: {data: ...}",
            )
            return INVALID
        file = report.folder / path
        try:
            with file.open("rb") as stream:
                raw = stream.read(MAX_KEY_FILE + 1)
            return parse_public_key(raw, what=f"`{shown(path)}`")
        except OSError as error:
            why = error.strerror or type(error).__name__
            message = f"the key `{shown(path)}` cannot be read: {why}"
            report.error(node.span, "bad-key", message, hint=f"it is looked for at {file}")
        except InputError as error:
            report.error(node.span, "bad-key", error.message, hint=error.hint)
        return INVALID

    def schema(self) -> dict[str, Any]:
        """Return the schema of the path."""
        return self._path.schema()


def _glob(text: str) -> str:
    problem = fault(text)
    if problem:
        raise PolicyError(f"`{shown(text)}` can never match a repository", hint=problem)
    return text


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise PolicyError(f"`{shown(text)}` is not a time: {error}") from error


def _type(text: str) -> str:
    if text in SHORT_TYPES or ":" in text:
        return text
    raise PolicyError(
        f"`{shown(text)}` is not a known type of attestation",
        hint=f"write the URI of its predicate type, or one of: {', '.join(SHORT_TYPES)}",
    )


_GLOB = Text(
    "a glob of repositories: `*` within a component, `**` for several",
    parse=_glob,
    code="bad-glob",
    max_length=512,
    examples=("registry.example.org/apps/**",),
)
_NAME: Text[str] = Text(
    "a name: letters, digits, '.', '_' and '-'",
    pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    max_length=128,
    examples=("release",),
)
_KEY: OneKey[PublicKey] = OneKey(
    "a public key",
    {
        "path": item(KeyFile(), "file of the public key, relative to the policy"),
        "data": item(
            Text(
                "a public key in PEM",
                pattern=LINES,
                parse=lambda text: parse_public_key(text.encode(), what="the key"),
                code="bad-key",
                max_length=MAX_KEY_FILE,
            ),
            "the public key itself, in PEM",
        ),
    },
    make=lambda _, value, __: value,
)
_AUTHORITY: Record[Authority] = Record(
    "an authority",
    {
        "name": item(_NAME, "how people call who holds the key", required=True),
        "key": item(_KEY, "the public key that verifies its signatures", required=True),
    },
    make=lambda values: Authority(name=values["name"], key=values["key"]),
)
_AUTHORITIES = ListOf(_AUTHORITY, min_items=1, max_items=MAX_AUTHORITIES)
_ATTESTATION: Record[_Required] = Record(
    "a required attestation",
    {
        "type": item(
            Text(
                "the predicate type: a short word or a URI",
                parse=_type,
                code="unknown-type",
                examples=("cyclonedx", "slsaprovenance1"),
            ),
            "which attestation",
            required=True,
        ),
        "authorities": item(
            ListOf(
                ByKind(
                    "the name of an authority of this rule, or another authority",
                    scalar=_NAME,
                    mapping=_AUTHORITY,
                ),
                min_items=1,
                max_items=MAX_AUTHORITIES,
            ),
            "who must have signed it; all authorities of the rule count where this is left out",
        ),
    },
    make=lambda values: _Required(values["type"], values["authorities"]),
)
_MATCH: Record[tuple[str, tuple[str, ...]]] = Record(
    "a match",
    {
        "glob": item(
            _GLOB, "which repositories; the longest match of all rules wins", required=True
        ),
        "exclude": item(
            ListOf(_GLOB, max_items=MAX_RULES),
            "which of them this rule says nothing about",
            default=(),
        ),
    },
    make=lambda values: (values["glob"], values["exclude"]),
)


def _distinct_authorities(values: Values, report: Report) -> None:
    """A threshold means nothing where one key has two names, or two keys have one."""
    authorities = values.get("authorities") or ()
    for what, seen in (
        ("name", [authority.name for authority in authorities]),
        ("key", [authority.key.fingerprint for authority in authorities]),
    ):
        for twice in _repeated(seen):
            report.error(
                values.value("authorities"),
                f"same-{what}",
                f"the {what} {twice} stands here twice",
                hint=f"each authority has a {what} of its own",
            )


def _reachable_threshold(values: Values, report: Report) -> None:
    threshold, authorities = values.get("threshold"), values.get("authorities")
    if threshold is None or authorities is None:
        return
    keys = len({authority.key for authority in authorities})
    if threshold > keys:
        report.error(
            values.value("threshold"),
            "threshold",
            f"{threshold} signatures are wanted of {keys} distinct "
            f"{'key' if keys == 1 else 'keys'}: nothing could ever pass",
            hint="list more authorities, or lower the threshold",
        )


def _known_attestors(values: Values, report: Report) -> None:
    required: tuple[_Required, ...] = values.get("attestations") or ()
    for twice in _repeated(full_type(each.type) for each in required):
        message = f"an attestation of type {shown(twice)} is required twice"
        report.error(values.value("attestations"), "same-type", message, hint="join the two")
    if values.get("authorities") is None:
        return
    known = {authority.name for authority in values["authorities"]}
    named = [name for each in required for name in each.authorities or () if isinstance(name, str)]
    for name in dict.fromkeys(named):
        if name not in known:
            report.error(
                values.value("attestations"),
                "unknown-authority",
                f"`{shown(name)}` is not an authority of this rule",
                hint=f"known are: {', '.join(sorted(known))}; or give it a key here",
            )


def _rule(values: Values) -> _Placed:
    authorities: tuple[Authority, ...] = values["authorities"]
    glob, exclude = values["match"]
    rule = ImageRule(
        glob=glob,
        exclude=exclude,
        authorities=authorities,
        threshold=values["threshold"],
        signed_identity=SignedIdentity(values["signedIdentity"]),
        attestations=tuple(_required(each, authorities) for each in values["attestations"]),
    )
    return _Placed(rule, values.value("match"))


def _required(each: _Required, authorities: tuple[Authority, ...]) -> RequiredAttestation:
    named = {authority.name: authority for authority in authorities}
    chosen = (
        tuple(named[one] if isinstance(one, str) else one for one in each.authorities)
        if each.authorities is not None
        else authorities
    )
    return RequiredAttestation(
        type=each.type, predicate_type=full_type(each.type), authorities=chosen
    )


_IMAGE: Record[_Placed] = Record(
    "an image rule",
    {
        "match": item(_MATCH, "which images this rule is about", required=True),
        "authorities": item(_AUTHORITIES, "whose signatures count", required=True),
        "threshold": item(
            Integer("how many", minimum=1, maximum=MAX_AUTHORITIES),
            "how many distinct keys must have signed",
            default=1,
        ),
        "signedIdentity": item(
            Choice(
                "what the name in the signature must be",
                tuple(
                    each.value
                    for each in SignedIdentity
                    if each is not SignedIdentity.REMAP_IDENTITY
                ),
            ),
            "matchRepoDigestOrExact: by tag exactly that reference, by digest the repository; "
            "digestOnly: for images that others sign without a name",
            default=SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT.value,
        ),
        "attestations": item(
            ListOf(_ATTESTATION, max_items=MAX_AUTHORITIES),
            "what else must be there, signed: SBOM, provenance, ...",
            default=(),
        ),
    },
    make=_rule,
    rules=(_distinct_authorities, _reachable_threshold, _known_attestors),
    aliases={"keys": "authorities", "identity": "signedIdentity", "glob": "match"},
)
_DENY: Record[Deny] = Record(
    "a deny list",
    {
        "digests": item(
            ListOf(
                Text("a digest", pattern=r"[a-z0-9]+:[0-9a-f]+", parse=Digest.parse),
                max_items=MAX_DENIED,
            ),
            "images that are refused, whoever signed them",
            default=(),
        ),
        "keys": item(
            ListOf(
                Text(
                    "a key's fingerprint: SHA256: and 64 hexadecimal digits",
                    pattern=r"SHA256:[0-9a-f]{64}",
                    hint="`imagekit key show FILE` prints it",
                ),
                max_items=MAX_DENIED,
            ),
            "keys that sign nothing any more",
            default=(),
        ),
    },
    make=lambda values: Deny(digests=frozenset(values["digests"]), keys=frozenset(values["keys"])),
)
_METADATA: Record[tuple[str, int, datetime]] = Record(
    "the metadata",
    {
        "name": item(_NAME, "name of the policy, as verdicts show it", required=True),
        "version": item(
            Integer("the policy's version", minimum=1, maximum=1_000_000_000),
            "rises with every change",
            required=True,
        ),
        "expires": item(
            Text(
                "a time with its zone",
                pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2})",
                parse=_moment,
                examples=("2027-06-30T00:00:00Z",),
            ),
            "from then on the policy allows nothing",
            required=True,
        ),
    },
    make=lambda values: (values["name"], values["version"], values["expires"]),
)


def _one_rule_a_glob(values: Values, report: Report) -> None:
    seen: dict[str, Span] = {}
    for placed in values.get("images") or ():
        first = seen.setdefault(placed.rule.glob, placed.span)
        if first is not placed.span:
            report.error(
                placed.span,
                "overlap",
                f"there are two rules for `{shown(placed.rule.glob)}`",
                hint=f"the first is in line {first.line}; join them",
            )


def _policy(values: Values) -> Policy:
    name, version, expires = values["metadata"]
    return Policy(
        name=name,
        version=version,
        expires=expires,
        images=tuple(placed.rule for placed in values["images"]),
        digest=_EMPTY_DIGEST,
        deny=values["deny"] or Deny(),
    )


POLICY: Record[Policy] = Record(
    "a policy",
    {
        "apiVersion": item(
            Choice("the version", ("imagekit/v1",)), "always imagekit/v1", required=True
        ),
        "kind": item(Choice("the kind", ("ImagePolicy",)), "always ImagePolicy", required=True),
        "metadata": item(_METADATA, "name, version and expiry", required=True),
        "default": item(
            Choice("what happens to all other images", ("reject",)),
            "what no rule matches is refused",
            default="reject",
        ),
        "images": item(
            ListOf(_IMAGE, min_items=1, max_items=MAX_RULES), "the rules", required=True
        ),
        "deny": item(_DENY, "what is refused whoever signed it"),
    },
    make=_policy,
    rules=(_one_rule_a_glob,),
)


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of policies."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "imagekit policy",
        **POLICY.schema(),
    }


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]
