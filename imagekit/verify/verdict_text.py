"""Verdicts for people and for programs."""

from imagekit.policy.findings import plain
from imagekit.verify.verdict import Verdict

_MARKS = {"ok": "✓", "warning": "!", "error": "✗"}
_WIDTH = 11
_WORDS = {"allow": "allowed", "deny": "denied"}


def text(verdict: Verdict) -> str:
    """Return the verdict as a person reads it: the decision, then a line for each check."""
    lines = heading(verdict)
    for finding in verdict.findings:
        code = "" if finding.severity == "ok" else f"{finding.code}: "
        head = f"  {_MARKS[finding.severity]} {finding.check:<{_WIDTH}} "
        lines.append(f"{head}{code}{finding.message}")
        if finding.hint:
            lines.append(" " * len(head) + finding.hint)
    return "\n".join(lines)


def heading(verdict: Verdict) -> list[str]:
    """Return the two lines that every verdict begins with: the decision, and of what by what."""
    word = _WORDS[verdict.decision]
    digest = verdict.digest.short + "…" if verdict.digest else "no digest"
    policy = f"{plain(verdict.policy)} version {verdict.policy_version}"
    return [f"{word}  {verdict.located.full}", " " * len(word) + f"  {digest}, policy {policy}"]


def document(verdict: Verdict) -> dict[str, object]:
    """Return the verdict as ``--json`` prints it, schema 1."""
    return {
        "schema": 1,
        "decision": verdict.decision,
        "reference": verdict.located.full,
        "digest": str(verdict.digest) if verdict.digest else None,
        "policy": {
            "name": verdict.policy,
            "version": verdict.policy_version,
            "digest": str(verdict.policy_digest),
        },
        "findings": [
            {
                "check": finding.check,
                "code": finding.code,
                "severity": finding.severity,
                "message": finding.message,
                "hint": finding.hint,
            }
            for finding in verdict.findings
        ],
    }
