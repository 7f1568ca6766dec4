"""Tables of cases: images, and the verdicts that a policy is expected to give."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.documents import strictyaml
from imagekit.documents.report import Report, SourceSpan, shown
from imagekit.documents.scalars import ByKind, Choice, Found, Integer, ListOf, Located, MapOf, Text
from imagekit.documents.shape import INVALID, Record, Values, item
from imagekit.errors import DocumentError, PolicyError
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, LocatedReference, parse_located
from imagekit.oci.reference import TaggedReference, parse_reference
from imagekit.policy.load import policy_bytes
from imagekit.policy.schema.single_values import DIGEST, MOMENT, SENTENCE, repeated
from imagekit.signatures.release import MAX_SEQUENCE
from imagekit.verify.ports import HighWaterMark
from imagekit.verify.verdict import Verdict

MAX_CASES = 1000
_AREA = "policy-test"
# Stands for any other image: no manifest is empty.
_UNKNOWN = Digest.of(b"")
_NOTHING: Mapping[str, HighWaterMark] = MappingProxyType({})


class Expected(Struct, frozen=True, kw_only=True):
    """One case: an image, and what the policy is expected to say of it."""

    name: str
    reference: LocatedReference
    expect: Literal["allow", "deny"]
    evidence: Path | None = None
    """A layout folder that is read as the reference's registry; None asks the registry itself."""
    code: str = ""
    """A finding with this code must be there: an error of a denial, a warning of an allowance."""
    now: datetime | None = None
    """The time of the verdict; None for that of the table."""
    seen: Mapping[str, HighWaterMark] = field(default_factory=lambda: _NOTHING)
    """What the verifier has seen before, by ``HOST/PATH:TAG``."""

    def why_not(self, verdict: Verdict) -> str:
        """Return how a verdict differs from what is expected, or an empty text."""
        severity = "error" if self.expect == "deny" else "warning"
        codes = [finding.code for finding in verdict.findings if finding.severity == severity]
        came = verdict.decision + (f" {', '.join(codes)}" if codes else "")
        wanted = self.expect + (f" {self.code}" if self.code else "")
        good = verdict.decision == self.expect and (not self.code or self.code in codes)
        return "" if good else f"expected {wanted}, came {came}"


class Table(Struct, frozen=True, kw_only=True):
    """A file of cases for one policy."""

    file: Path
    policy: Path
    cases: tuple[Expected, ...]
    now: datetime | None = None
    """The time of all verdicts that say no other; None for the present."""


class _Folder(Struct, frozen=True):
    """The path of a folder, relative to the table."""

    def read(self, node: Any, report: Report) -> Any:
        """Read the path; the folder must be there."""
        path = _PATH.read(node, report)
        if not isinstance(path, str) or report.folder is None:
            return INVALID
        folder = report.folder / path
        if not folder.is_dir():
            message = f"there is no folder `{shown(path)}`"
            hint = f"save the evidence: imagekit policy save REFERENCE --to {shown(str(folder))}"
            report.error(node.span, "no-evidence", message, hint=hint)
            return INVALID
        return folder

    def schema(self) -> dict[str, Any]:
        """Return the schema of the path."""
        return _PATH.schema()


_PATH: Text[str] = Text("a path, relative to this file", examples=("evidence/solver",))
_SEQUENCE = Integer("a release's sequence", minimum=1, maximum=MAX_SEQUENCE)
_SEEN: Record[HighWaterMark] = Record(
    "a release that was seen",
    {
        "sequence": item(_SEQUENCE, "the highest sequence that was seen", required=True),
        "digest": item(DIGEST, "the image that had it; another one where this is left out"),
    },
    make=lambda values: HighWaterMark(
        sequence=values["sequence"], digest=values["digest"] or _UNKNOWN
    ),
)


class _Bare(Struct, frozen=True):
    """A sequence alone: of another image than the one that is judged."""

    def read(self, node: Any, report: Report) -> Any:
        """Read the number."""
        sequence = _SEQUENCE.read(node, report)
        return (
            HighWaterMark(sequence=sequence, digest=_UNKNOWN)
            if isinstance(sequence, int)
            else sequence
        )

    def schema(self) -> dict[str, Any]:
        """Return the schema of the number."""
        return _SEQUENCE.schema()


def _tagged(text: str) -> str:
    reference = parse_reference(text)
    if not isinstance(reference, TaggedReference):
        raise DocumentError(f"`{shown(text)}` is not HOST/PATH:TAG: only tags go back")
    return reference.identity


_KNOWN: MapOf[str, HighWaterMark] = MapOf(
    Text("HOST/PATH:TAG", parse=_tagged, code="bad-reference"),
    ByKind("a sequence, or one with its digest", number=_Bare(), mapping=_SEEN),
)


def _saved_of_a_registry(values: Values, report: Report) -> None:
    reference = values.get("reference")
    if "evidence" in values and reference is not None and reference.location != REGISTRY:
        message = "evidence stands for a registry, and this reference is of a layout"
        hint = "write HOST/PATH:TAG as the nodes do, or take evidence out"
        report.error(values.value("reference"), "contradiction", message, hint=hint)


_CASE: Record[Expected] = Record(
    "a case",
    {
        "name": item(SENTENCE, "what this case shows", required=True),
        "reference": item(
            Text(
                "a reference",
                parse=parse_located,
                code="bad-reference",
                examples=("registry.example.org/apps/solver:2.1",),
            ),
            "the image, as somebody would ask for it",
            required=True,
        ),
        "evidence": item(
            _Folder(),
            "folder that `imagekit policy save` wrote, read instead of the registry",
        ),
        "expect": item(
            Choice("what the policy says", ("allow", "deny")), "allow or deny", required=True
        ),
        "code": item(
            Text("a code of a finding", pattern=r"[A-Z][A-Z0-9_]*", examples=("ROLLBACK",)),
            "the code of an error that must be there; with allow, of a warning",
            default="",
        ),
        "now": item(MOMENT, "the time of the verdict"),
        "seen": item(_KNOWN, "releases that this verifier saw before, by HOST/PATH:TAG"),
    },
    make=lambda values: Expected(
        name=values["name"],
        reference=values["reference"],
        evidence=values["evidence"],
        expect=values["expect"],
        code=values["code"],
        now=values["now"],
        seen=values["seen"] or _NOTHING,
    ),
    rules=(_saved_of_a_registry,),
    aliases={"image": "reference", "time": "now", "expected": "expect", "decision": "expect"},
)


def _names_once(values: Values, report: Report) -> None:
    cases: tuple[Found[Expected], ...] = values.get("cases") or ()
    names = [case.value.name for case in cases]
    for twice in repeated(names):
        span: SourceSpan = cases[len(names) - 1 - names[::-1].index(twice)].span
        message = f"there are two cases called `{shown(twice)}`"
        report.error(span, "same-name", message, hint="each case has a name of its own")


def _table(values: Values) -> Table:
    return Table(
        file=Path(values.report.file),
        policy=Path(values["policy"]),
        now=values["now"],
        cases=tuple(case.value for case in values["cases"]),
    )


TABLE: Record[Table] = Record(
    "a policy test",
    {
        "apiVersion": item(
            Choice("the version", ("imagekit/v1",)), "always imagekit/v1", required=True
        ),
        "kind": item(Choice("the kind", ("PolicyTest",)), "always PolicyTest", required=True),
        "policy": item(_PATH, "the policy that is tested, relative to this file", required=True),
        "now": item(MOMENT, "the time of all verdicts; the present where this is left out"),
        "cases": item(
            ListOf(Located(_CASE), min_items=1, max_items=MAX_CASES), "the cases", required=True
        ),
    },
    make=_table,
    rules=(_names_once,),
    aliases={"tests": "cases", "time": "now"},
)


def load_table(file: Path) -> Table:
    """Read a table of cases.

    Raises:
        PolicyError: it cannot be read or accepted, with the place of every fault.
    """
    return parse_table(policy_bytes(file), file=file)


def parse_table(raw: bytes, *, file: Path) -> Table:
    """Read a table from its exact bytes; paths in it are relative to the file's folder.

    Raises:
        PolicyError: it cannot be accepted, with the place of every fault.
    """
    report = Report(str(file), _AREA, folder=file.parent)
    table = TABLE.read(strictyaml.compose(raw, report), report)
    report.check(PolicyError, what="the policy test")
    if table is INVALID:
        raise PolicyError(f"{file} cannot be accepted", code=f"{_AREA}/invalid")
    cases = tuple(_anchored(case, file.parent) for case in table.cases)
    return replace(table, policy=file.parent / table.policy, cases=cases)


def table_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of tables of cases."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "imagekit policy test",
        **TABLE.schema(),
    }


def _anchored(case: Expected, folder: Path) -> Expected:
    """Let the layout of a reference be relative to the table, as every other path is."""
    here = case.reference.location.below(folder)
    return replace(case, reference=replace(case.reference, location=here))
