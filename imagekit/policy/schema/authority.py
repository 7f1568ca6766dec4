"""Authorities: a key with its time, or identities under a trusted root."""

from collections.abc import Mapping
from typing import Any

from imagekit.documents.report import Report, shown
from imagekit.documents.scalars import LINES, Choice, Found, ListOf, Located, Text, plain
from imagekit.documents.shape import Field, Record, Values, item
from imagekit.errors import PolicyError
from imagekit.policy import patterns
from imagekit.policy.schema.draft import AuthorityDraft, KeyDraft
from imagekit.policy.schema.named_files import KEY_FILE
from imagekit.policy.schema.single_values import MAX_AUTHORITIES, MAX_LISTED, MOMENT, NAME
from imagekit.signatures.authority import Authority, Identity, Need, Pattern
from imagekit.signatures.publickey import MAX_KEY_FILE, parse_public_key

_NEEDS = Choice("whether it is needed", tuple(need.value for need in Need))
_UNRELATED = ("https://evil.example", "x", "https://evil.example/a/b.yml@refs/heads/main")


def _regexp(text: str) -> Pattern:
    problem = patterns.problem(text)
    if problem:
        raise PolicyError(
            f"`{shown(text)}` cannot be used: {problem}",
            hint="the syntax is RE2's, without look-around and back references: "
            "https://github.com/google/re2/wiki/Syntax",
        )
    return Pattern(text=text, regexp=True)


def _pattern(values: Values, name: str) -> Pattern:
    pattern: Pattern | None = values[f"{name}RegExp"]
    return Pattern(text=values[name]) if pattern is None else pattern


def _identity(values: Values) -> Identity:
    return Identity(issuer=_pattern(values, "issuer"), subject=_pattern(values, "subject"))


def _some_issuer(values: Values, report: Report) -> None:
    """Refuse a pattern for any issuer: whoever runs an issuer can certify any subject."""
    pattern: Pattern | None = values.get("issuerRegExp")
    if pattern is not None and all(patterns.matches(pattern, text) for text in _UNRELATED):
        report.error(
            values.value("issuerRegExp"),
            "any-issuer",
            f"`{shown(pattern.text)}` matches every issuer, also an attacker's own",
            hint="name the issuer: issuer: https://token.actions.githubusercontent.com",
        )


_IDENTITY_FIELDS: Mapping[str, Field[Any]] = {
    "issuer": item(
        plain("an issuer", max_length=2048, examples=("https://ci.example.org",)),
        "who authenticated the identity: exactly the issuer in the certificate",
    ),
    "issuerRegExp": item(
        Text("a regular expression", parse=_regexp, code="bad-pattern", max_length=2048),
        "the same as a regular expression (RE2) that the whole issuer matches",
    ),
    "subject": item(
        plain("a subject", max_length=4096, examples=("release@example.org",)),
        "the identity: exactly the e-mail address or URI in the certificate",
    ),
    "subjectRegExp": item(
        Text("a regular expression", parse=_regexp, code="bad-pattern", max_length=2048),
        "the same as a regular expression (RE2) that the whole subject matches",
    ),
}
_PAIRS = (("issuer", "issuerRegExp"), ("subject", "subjectRegExp"))
_ALIASES = {
    "issuerRegex": "issuerRegExp",
    "subjectRegex": "subjectRegExp",
    "oidcIssuer": "issuer",
    "subjectEmail": "subject",
}
IDENTITY: Record[Identity] = Record(
    "an identity",
    _IDENTITY_FIELDS,
    make=_identity,
    rules=(_some_issuer,),
    one_of=_PAIRS,
    aliases=_ALIASES,
)
DENIED_IDENTITY: Record[Identity] = Record(
    "an identity", _IDENTITY_FIELDS, make=_identity, one_of=_PAIRS, aliases=_ALIASES
)


def _window(values: Values, report: Report) -> None:
    first, last = values.get("notBefore"), values.get("notAfter")
    if first is not None and last is not None and first >= last:
        message = "the key ends to count before it begins to"
        report.error(values.value("notAfter"), "window", message, hint="notBefore is the earlier")


_KEY: Record[KeyDraft] = Record(
    "a public key",
    {
        "path": item(KEY_FILE, "file of the public key, relative to the policy"),
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
        "notBefore": item(MOMENT, "signatures that were made earlier do not count"),
        "notAfter": item(MOMENT, "signatures that were made from then on do not count"),
    },
    make=lambda values: KeyDraft(
        values["path"] or values["data"], values["notBefore"], values["notAfter"]
    ),
    rules=(_window,),
    one_of=(("path", "data"),),
    aliases={"file": "path", "expires": "notAfter"},
)
_KEYLESS: Record[tuple[tuple[Identity, ...], Found[str]]] = Record(
    "a keyless authority",
    {
        "identities": item(
            ListOf(IDENTITY, min_items=1, max_items=MAX_LISTED),
            "whose certificates count: any one of these",
            required=True,
        ),
        "trustRoot": item(Located(NAME), "name of one of the policy's trustRoots", required=True),
    },
    make=lambda values: (values["identities"], values["trustRoot"]),
    aliases={"trustRootRef": "trustRoot"},
)


def _logged(values: Values, report: Report) -> None:
    """A certificate lives ten minutes: without the log's entry nothing says it was used in them."""
    if "keyless" in values and values.get("tlog") in {Need.OFF.value, Need.OPTIONAL.value}:
        message = f"a keyless signature counts by its log entry, and tlog is {values['tlog']}"
        hint = "write tlog: required, or leave it out"
        report.error(values.value("tlog"), "contradiction", message, hint=hint)


def _rooted(values: Values, report: Report) -> None:
    """What proves a time or an entry of a log stands in a trusted root."""
    if "keyless" in values:
        if "trustRoot" in values:
            message = "the trustRoot of a keyless authority stands inside of `keyless`"
            hint = "keyless: {identities: [...], trustRoot: NAME}"
            report.error(values.key("trustRoot"), "contradiction", message, hint=hint)
        return
    for word in ("tlog", "timestamp"):
        if values.get(word) == Need.REQUIRED.value and "trustRoot" not in values:
            message = f"{word} is required, and nothing says whose {word} counts"
            hint = "add trustRoot: NAME, and trustRoots: {NAME: {path: trusted_root.json}}"
            report.error(values.value(word), "no-trust-root", message, hint=hint)


def _authority(values: Values) -> AuthorityDraft:
    if values["keyless"] is not None:
        identities, root = values["keyless"]
        made = Authority(
            name=values["name"],
            identities=identities,
            tlog=Need.REQUIRED,
            timestamp=Need(values["timestamp"]),
        )
        return AuthorityDraft(made, root)
    key: KeyDraft = values["key"]
    made = Authority(
        name=values["name"],
        key=key.key,
        not_before=key.not_before,
        not_after=key.not_after,
        tlog=Need(values["tlog"] or Need.OPTIONAL),
        timestamp=Need(values["timestamp"]),
    )
    return AuthorityDraft(made, values["trustRoot"])


AUTHORITY: Record[AuthorityDraft] = Record(
    "an authority",
    {
        "name": item(NAME, "how people call who signs", required=True),
        "key": item(_KEY, "the public key that verifies its signatures"),
        "keyless": item(_KEYLESS, "the identities whose certificates count"),
        "tlog": item(
            _NEEDS,
            "entry in a transparency log; keyless always required, with a key optional where "
            "nothing is said",
        ),
        "timestamp": item(_NEEDS, "signed timestamp (RFC 3161)", default=Need.OPTIONAL.value),
        "trustRoot": item(
            Located(NAME),
            "with a key: name of the trusted root that log entries and timestamps are verified by",
        ),
    },
    make=_authority,
    rules=(_logged, _rooted),
    one_of=(("key", "keyless"),),
    aliases={"ctlog": "tlog", "rfc3161timestamp": "timestamp", "identities": "keyless"},
)
AUTHORITIES = ListOf(AUTHORITY, min_items=1, max_items=MAX_AUTHORITIES)
