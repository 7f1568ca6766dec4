"""Linting policies: each remark by a policy that earns only this one."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from imagekit.errors import Diagnostic, PolicyError
from imagekit.policy.lint import lint, lint_file
from imagekit.signatures.publickey import public_key_pem
from tests.support.fakes import MemorySigner

NOW = datetime(2026, 11, 23, tzinfo=UTC)
_KEYS = [MemorySigner().public_key for _ in range(5)]
_PEMS = [public_key_pem(key).decode() for key in _KEYS]
_ISSUER = "https://ci.example.org"


def _key(number: int = 0, **validity: str) -> dict[str, Any]:
    return {"name": f"a{number}", "key": {"data": _PEMS[number], **validity}}


def _rule(glob: str = "r.site/apps/**", exclude: tuple[str, ...] = (), **rule: Any) -> Any:
    match = {"glob": glob, **({"exclude": [*exclude]} if exclude else {})}
    return {"match": match, "authorities": [_key()], **rule}


def _keyless(**identity: str) -> dict[str, Any]:
    return {"name": "ci", "keyless": {"identities": [identity], "trustRoot": "site"}}


def _document(*rules: Any, expires: str = "2027-06-30T00:00:00Z", **parts: Any) -> dict[str, Any]:
    return {
        "apiVersion": "imagekit/v1",
        "kind": "ImagePolicy",
        "metadata": {"name": "site", "version": 7, "expires": expires},
        "images": [*(rules or (_rule(),))],
        **parts,
    }


def _linted(folder: Path, document: object) -> tuple[Diagnostic, ...]:
    root = '{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'
    (folder / "root.json").write_text(root)
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(document, width=1000))
    return lint_file(file, now=NOW)


def _rooted(*rules: Any, **parts: Any) -> dict[str, Any]:
    return _document(*rules, trustRoots={"site": {"path": "root.json"}}, **parts)


def test_a_good_policy_has_no_remarks(tmp_path: Path) -> None:
    """What is well written is left alone: also two rules of which one is longer."""
    ci = _keyless(
        issuer=_ISSUER, subjectRegExp=r"https://ci\.example\.org/apps/[^/]+@refs/tags/v.*"
    )
    good = _rooted(_rule("r.site/**"), _rule("r.site/apps/**", authorities=[ci, _key()]))

    assert _linted(tmp_path, good) == ()


_DENIED: dict[str, Any] = {"deny": {"keys": [_KEYS[1].fingerprint]}}
_WAIVER = {"reason": "r", "owner": "o", "expires": "2027-01-01T00:00:00Z"}
_IMAGE = f"r.site/apps/x@sha256:{'0' * 64}"
_MAIN = f"{_ISSUER}/apps/publish.yml@refs/heads/main"
_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "overlap": ("overlap", _document(_rule("r.site/a*"), _rule("r.site/*a"))),
    "expired": ("expired", _document(expires="2026-11-23T00:00:00Z")),
    "expires-soon": ("expires-soon", _document(expires="2026-12-23T00:00:00Z")),
    "not-issued": (
        "not-issued",
        _document()
        | {
            "metadata": {
                "name": "site",
                "version": 1,
                "issued": "2026-11-24T00:00:00Z",
                "expires": "2027-06-30T00:00:00Z",
            }
        },
    ),
    "warning-over": (
        "warning-over",
        _document(_rule(mode="warn", warnUntil="2026-11-23T00:00:00Z")),
    ),
    "exception-over": (
        "exception-over",
        _document(
            exceptions=[_WAIVER | {"image": _IMAGE, "expires": "2026-11-23T00:00:00Z"}],
        ),
    ),
    "unmatched-exception": (
        "unmatched-exception",
        _document(exceptions=[_WAIVER | {"image": _IMAGE.replace("apps", "other")}]),
    ),
    "key-over": (
        "key-over",
        _document(_rule(authorities=[_key(), _key(1, notAfter="2026-11-23T00:00:00Z")])),
    ),
    "key-over of an attestation": (
        "key-over",
        _document(
            _rule(
                attestations=[
                    {
                        "type": "vuln",
                        "authorities": ["a0", _key(1, notAfter="2026-11-23T00:00:00Z")],
                    }
                ]
            )
        ),
    ),
    "key-ends-soon": (
        "key-ends-soon",
        _document(_rule(authorities=[_key(0, notAfter="2026-12-23T00:00:00Z")])),
    ),
    "denied-authority": (
        "denied-authority",
        _document(_rule(authorities=[_key(), _key(1)]), **_DENIED),
    ),
    "denied identity": (
        "denied-authority",
        _rooted(
            _rule(authorities=[_key(), _keyless(issuer=_ISSUER, subject=_MAIN)]),
            deny={"identities": [{"issuer": _ISSUER, "subjectRegExp": ".*"}]},
        ),
    ),
    "never-matches, excluded": (
        "never-matches",
        _document(_rule("r.site/a", exclude=("r.site/*",))),
    ),
    "useless-exclude": ("useless-exclude", _document(_rule(exclude=("r.site/app/old",)))),
    "any-registry": ("any-registry", _document(_rule("*/apps/**"))),
    "digest-only": ("digest-only", _document(_rule(signedIdentity="digestOnly"))),
    "one-of-many": ("one-of-many", _document(_rule(authorities=[_key(n) for n in range(4)]))),
    "unused-root": ("unused-root", _rooted()),
    "idle-root": (
        "idle-root",
        _rooted(
            _rule(authorities=[_key() | {"trustRoot": "site", "tlog": "off", "timestamp": "off"}])
        ),
    ),
}
_SUBJECTS = {
    "any-subject": [".*", "(.|x)+", "[^ ]*"],
    "loose-dot": [r"https://ci.example\.org/apps/x", r"a@example.org", r"a@example\.or."],
    "open-pattern": [r"https://ci\.example\.org.*", r"https://ci\.example\.org/apps.+", ".*/x@y"],
    "partial-pattern": [r"example\.org", "apps"],
}
_ISSUERS = {
    "loose-dot": ["https://ci.example\\.org"],
    "open-pattern": [r"https://ci\.example\.org.*"],
    "partial-pattern": [r"ci\.example\.org"],
}
_PATTERNS = [
    *(
        (code, {"issuer": _ISSUER, "subjectRegExp": t})
        for code, ts in _SUBJECTS.items()
        for t in ts
    ),
    *((code, {"issuerRegExp": t, "subject": _MAIN}) for code, ts in _ISSUERS.items() for t in ts),
]


@pytest.mark.parametrize(("code", "document"), _CASES.values(), ids=_CASES)
def test_one_remark(tmp_path: Path, code: str, document: dict[str, Any]) -> None:
    """Each remark comes alone, with its place in the file and a remedy."""
    (found,) = _linted(tmp_path, document)

    assert found.code == f"policy/{code}"
    assert found.line > 0
    assert found.column > 0
    assert found.source
    assert found.hint
    assert found.severity == ("error" if code == "expired" else "warning")


@pytest.mark.parametrize(("code", "identity"), _PATTERNS)
def test_one_remark_on_a_pattern(tmp_path: Path, code: str, identity: dict[str, str]) -> None:
    """What an expression matches besides what was meant is told at its place."""
    (found,) = _linted(tmp_path, _rooted(_rule(authorities=[_keyless(**identity)])))

    assert (found.code, found.severity) == (f"policy/{code}", "warning")
    assert "RegExp" in found.source


@pytest.mark.parametrize(
    "subject",
    [
        r"https://github\.com/org/.*",
        r"^https://github\.com/org/[^/]+/\.github/workflows/.*@refs/tags/v.*$",
        r".*@example\.org",
        r"[a-z.]+@example\.org",
        r"release@example\.org",
    ],
)
def test_usual_patterns_have_no_remarks(tmp_path: Path, subject: str) -> None:
    """A warning that everybody earns is read by nobody."""
    identity = _keyless(issuer=_ISSUER, subjectRegExp=subject)

    assert _linted(tmp_path, _rooted(_rule(authorities=[identity]))) == ()


def test_nobody_left(tmp_path: Path) -> None:
    """A threshold that denied and expired keys cannot meet any more is an error."""
    rule = _rule(authorities=[_key(), _key(1)], threshold=2)

    found = _linted(tmp_path, _document(rule, **_DENIED))

    assert [each.code for each in found if each.severity == "error"] == ["policy/nobody-left"]


def test_old_key_with_trusted_times(tmp_path: Path) -> None:
    """Rotation: what an old key signed counts by its timestamp, so it stays in the policy."""
    old = _key(1, notAfter="2026-01-01T00:00:00Z") | {"trustRoot": "site"}

    assert _linted(tmp_path, _rooted(_rule(authorities=[_key(), old]))) == ()


def test_a_tie_is_settled_by_an_exclusion(tmp_path: Path) -> None:
    """Rules of one length may tie where some name matches both, unless one excludes the other."""
    crossing = [_rule("r.site/*/x"), _rule("r.site/y/*")]
    excluded = [_rule("r.site/*/x", exclude=("r.site/y/*",)), crossing[1]]

    assert [each.code for each in _linted(tmp_path, _document(*crossing))] == ["policy/overlap"]
    assert _linted(tmp_path, _document(*excluded)) == ()
    assert _linted(tmp_path, _document(_rule("r.site/*/x"), _rule("r.site/y/a*"))) == ()


def test_faults_come_without_remarks(tmp_path: Path) -> None:
    """What does not load is told as it is when it is loaded."""
    (found,) = _linted(tmp_path, _document(_rule(treshold=1), expires="2026-01-01T00:00:00Z"))

    assert found.code == "policy/unknown-key"


def test_a_folder_is_all_its_policies(tmp_path: Path) -> None:
    """Other files of the folder are none of the linter's business."""
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(_document()))
    (tmp_path / "cases.yaml").write_text("kind: PolicyTest\n")

    assert lint([tmp_path], now=NOW).policies == 1


def test_what_is_not_there(tmp_path: Path) -> None:
    """A file that is missing is a fault of its own; an empty folder is no success."""
    assert lint([tmp_path / "x.yaml"], now=NOW).errors == 1
    with pytest.raises(PolicyError, match="holds no policy"):
        lint([tmp_path], now=NOW)


def test_the_policies_of_the_project(project: Path) -> None:
    """What we hand out as an example has no faults."""
    linted = lint([project / "policies"], now=NOW)

    assert (linted.policies, linted.diagnostics) == (2, ())


def test_hostile_globs_cost_little(tmp_path: Path) -> None:
    """Globs of many stars are compared in the time that their length takes."""
    hard = [_rule(f"r.site/{one}{'*a*b' * 100}") for one in "abcdefgh"]
    same = [_rule(f"r.site/*{one}{'*a*b' * 100}") for one in "abcdefgh"]
    began = time.process_time()

    assert _linted(tmp_path, _document(*hard)) == ()
    assert len(_linted(tmp_path, _document(*same))) == len(same) * (len(same) - 1) // 2
    assert time.process_time() - began < 2


def test_every_code_is_on_the_page(project: Path) -> None:
    """docs/policy-commands.md has all codes that are tested here, and no other."""
    tested = {code for code, _ in _CASES.values()} | {code for code, _ in _PATTERNS}
    page = (project / "docs/policy-commands.md").read_text(encoding="utf-8")
    table = page.partition("| code |")[2].partition("## Test")[0]

    listed = set(re.findall(r"`policy/([a-z-]+)`", table))
    assert listed == tested | {"nobody-left"}
