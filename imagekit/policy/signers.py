"""Who may sign policies, as a file: for keyless signers, and to bind them to names of policies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from imagekit.documents import strictyaml
from imagekit.documents.report import Report
from imagekit.documents.scalars import Choice, ListOf, MapOf
from imagekit.documents.shape import INVALID, Record, Values, item
from imagekit.errors import PolicyError
from imagekit.policy.load import policy_bytes
from imagekit.policy.schema.authority import AUTHORITIES
from imagekit.policy.schema.draft import AuthorityDraft
from imagekit.policy.schema.named_files import TRUST_ROOT_FILE
from imagekit.policy.schema.single_values import MAX_AUTHORITIES, MAX_LISTED, NAME
from imagekit.signatures.authority import Authority, TrustRoot


class PolicySigners(Struct, frozen=True, kw_only=True):
    """Who may sign policies for this verifier."""

    authorities: tuple[Authority, ...]
    policies: tuple[str, ...] = ()
    """The names that a policy of theirs may have; any where none is listed."""


_ROOT: Record[TrustRoot] = Record(
    "a trusted root",
    {"path": item(TRUST_ROOT_FILE, "file of the Sigstore trusted root", required=True)},
    make=lambda values: values["path"],
)


def _known_roots(values: Values, report: Report) -> None:
    drafts: tuple[AuthorityDraft, ...] = values.get("authorities") or ()
    if "trustRoots" in values and values.get("trustRoots") is None:
        return
    for draft in drafts:
        draft.check(values.get("trustRoots") or {}, report)


def _signers(values: Values) -> PolicySigners:
    roots: Mapping[str, TrustRoot] = values["trustRoots"] or {}
    named = {name: replace(root, name=name) for name, root in roots.items()}
    drafts: tuple[AuthorityDraft, ...] = values["authorities"]
    return PolicySigners(
        authorities=tuple(draft.resolved(named) for draft in drafts),
        policies=values["policies"],
    )


SIGNERS: Record[PolicySigners] = Record(
    "a policy authority",
    {
        "apiVersion": item(
            Choice("the version", ("imagekit/v1",)), "always imagekit/v1", required=True
        ),
        "kind": item(
            Choice("the kind", ("PolicyAuthority",)), "always PolicyAuthority", required=True
        ),
        "policies": item(
            ListOf(NAME, min_items=1, max_items=MAX_LISTED),
            "names that a policy may have; any where this is left out",
            default=(),
        ),
        "trustRoots": item(
            MapOf(NAME, _ROOT, max_items=MAX_AUTHORITIES),
            "Sigstore trusted roots, by the names that authorities call them",
        ),
        "authorities": item(AUTHORITIES, "who may sign policies: any one of these", required=True),
    },
    make=_signers,
    rules=(_known_roots,),
)


def load_signers(file: Path) -> PolicySigners:
    """Read who may sign policies.

    Raises:
        PolicyError: the file cannot be read or accepted, with the place of every fault.
    """
    report = Report(str(file), "policy-authority", folder=file.parent)
    signers = SIGNERS.read(strictyaml.compose(policy_bytes(file), report), report)
    report.check(PolicyError, what="the policy authority")
    if signers is INVALID:
        raise PolicyError(f"{file} cannot be accepted", code="policy-authority/invalid")
    return signers


def signers_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of policy authorities."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "imagekit policy authority",
        **SIGNERS.schema(),
    }
