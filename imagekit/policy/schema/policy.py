"""The whole policy."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from imagekit.documents.report import Report, SourceSpan, shown
from imagekit.documents.scalars import Choice, Found, Integer, ListOf, Located, MapOf, Text
from imagekit.documents.shape import Record, Values, item
from imagekit.errors import PolicyError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, parse_reference
from imagekit.policy.ruleset import Deny, Policy, PolicyException
from imagekit.policy.schema.authority import DENIED_IDENTITY
from imagekit.policy.schema.draft import RuleDraft
from imagekit.policy.schema.named_files import TRUST_ROOT_FILE
from imagekit.policy.schema.rule import IMAGE
from imagekit.policy.schema.single_values import (
    DIGEST,
    MAX_AUTHORITIES,
    MAX_LISTED,
    MAX_RULES,
    MOMENT,
    NAME,
    SENTENCE,
    repeated,
)
from imagekit.signatures.authority import TrustRoot

_EMPTY_DIGEST = Digest.of(b"")


class _Metadata(Struct, frozen=True):
    """What a policy says of itself."""

    name: str
    version: int
    issued: datetime | None
    expires: datetime


def _pinned(text: str) -> PinnedReference:
    reference = parse_reference(text)
    if not isinstance(reference, PinnedReference) or reference.tag:
        raise PolicyError(
            f"`{shown(text)}` is not one image: an exception names a repository and a digest",
            hint="write HOST/PATH@sha256:...; a tag may move",
        )
    return reference


def _lifetime(values: Values, report: Report) -> None:
    issued, expires = values.get("issued"), values.get("expires")
    if issued is not None and expires is not None and issued >= expires:
        message = "the policy expires before it is issued"
        report.error(values.value("expires"), "window", message, hint="issued is the earlier")


_METADATA: Record[_Metadata] = Record(
    "the metadata",
    {
        "name": item(NAME, "name of the policy, as verdicts show it", required=True),
        "version": item(
            Integer("the policy's version", minimum=1, maximum=1_000_000_000),
            "rises with every change",
            required=True,
        ),
        "issued": item(MOMENT, "before it the policy allows nothing: the clock is wrong"),
        "expires": item(MOMENT, "from then on the policy allows nothing", required=True),
    },
    make=lambda values: _Metadata(
        values["name"], values["version"], values["issued"], values["expires"]
    ),
    rules=(_lifetime,),
)
_TRUST_ROOT: Record[TrustRoot] = Record(
    "a trusted root",
    {
        "path": item(
            TRUST_ROOT_FILE,
            "file of the Sigstore trusted root, relative to the policy",
            required=True,
        )
    },
    make=lambda values: values["path"],
)
_DENY: Record[Deny] = Record(
    "a deny list",
    {
        "digests": item(
            ListOf(DIGEST, min_items=1, max_items=MAX_LISTED),
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
                min_items=1,
                max_items=MAX_LISTED,
            ),
            "keys that sign nothing any more",
            default=(),
        ),
        "identities": item(
            ListOf(DENIED_IDENTITY, min_items=1, max_items=MAX_LISTED),
            "identities whose certificates count no more",
            default=(),
        ),
    },
    make=lambda values: Deny(
        digests=frozenset(values["digests"]),
        keys=frozenset(values["keys"]),
        identities=values["identities"],
    ),
)
_EXCEPTION: Record[PolicyException] = Record(
    "an exception",
    {
        "image": item(
            Text(
                "an image by its digest",
                parse=_pinned,
                code="bad-image",
                examples=("registry.example.org/apps/solver@sha256:...",),
            ),
            "which image is allowed without signatures",
            required=True,
        ),
        "reason": item(SENTENCE, "why, for whoever reads the verdict", required=True),
        "owner": item(SENTENCE, "who answers for it", required=True),
        "expires": item(MOMENT, "from then on it is no exception any more", required=True),
    },
    make=lambda values: PolicyException(
        repository=values["image"].repository,
        digest=values["image"].digest,
        reason=values["reason"],
        owner=values["owner"],
        expires=values["expires"],
    ),
)


def _one_rule_a_glob(values: Values, report: Report) -> None:
    seen: dict[str, SourceSpan] = {}
    for draft in values.get("images") or ():
        first = seen.setdefault(draft.rule.glob, draft.span)
        if first is not draft.span:
            report.error(
                draft.span,
                "overlap",
                f"there are two rules for `{shown(draft.rule.glob)}`",
                hint=f"the first is in line {first.line}; join them",
            )


def _one_exception_an_image(values: Values, report: Report) -> None:
    exceptions: tuple[Found[PolicyException], ...] = values.get("exceptions") or ()
    names = [f"{exception.value.repository}@{exception.value.digest}" for exception in exceptions]
    for twice in repeated(names):
        span = exceptions[len(names) - 1 - names[::-1].index(twice)].span
        message = f"there are two exceptions for `{shown(twice)}`"
        report.error(span, "same-image", message, hint="keep the one that holds")


def _known_roots(values: Values, report: Report) -> None:
    """A name of a root that is itself bad is not reported a second time."""
    if "trustRoots" in values and values.get("trustRoots") is None:
        return
    drafts: tuple[RuleDraft, ...] = values.get("images") or ()
    for draft in drafts:
        draft.check(values.get("trustRoots") or {}, report)


def _roots(values: Values) -> Mapping[str, TrustRoot]:
    roots: Mapping[str, TrustRoot] = values["trustRoots"] or {}
    return MappingProxyType({name: replace(root, name=name) for name, root in roots.items()})


def _policy(values: Values) -> Policy:
    metadata: _Metadata = values["metadata"]
    roots = _roots(values)
    return Policy(
        name=metadata.name,
        version=metadata.version,
        issued=metadata.issued,
        expires=metadata.expires,
        images=tuple(draft.resolved(roots) for draft in values["images"]),
        digest=_EMPTY_DIGEST,
        deny=values["deny"] or Deny(),
        exceptions=tuple(exception.value for exception in values["exceptions"]),
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
        "trustRoots": item(
            MapOf(NAME, _TRUST_ROOT, max_items=MAX_AUTHORITIES),
            "Sigstore trusted roots, by the names that authorities call them",
        ),
        "images": item(ListOf(IMAGE, min_items=1, max_items=MAX_RULES), "the rules", required=True),
        "deny": item(_DENY, "what is refused whoever signed it"),
        "exceptions": item(
            ListOf(Located(_EXCEPTION), min_items=1, max_items=MAX_LISTED),
            "single images that are allowed without signatures, for a time",
            default=(),
        ),
    },
    make=_policy,
    rules=(_one_rule_a_glob, _one_exception_an_image, _known_roots),
)


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of policies."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "imagekit policy",
        **POLICY.schema(),
    }
