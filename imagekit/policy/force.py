"""Whether a policy is in force, and which of its rules decides on a name: one answer for all.

A policy is in force from when it is issued, but for the clock skew that is allowed, until it
expires. Of its rules the one with the longest match of the full name decides; what no rule matches,
and what two match equally well, is refused.
"""

from imagekit.policy.authorities import CLOCK_SKEW
from imagekit.policy.findings import Finding, error, ok
from imagekit.policy.glob import applicable
from imagekit.policy.now import Now
from imagekit.policy.ruleset import ImageRule, Policy


def not_in_force(policy: Policy, now: Now) -> Finding | None:
    """Return why a policy allows nothing at a time; None where it is in force."""
    version = f"{policy.name} version {policy.version}"
    if not now.is_before(policy.expires):
        return error(
            "policy",
            "POLICY_EXPIRED",
            f"the policy {version} expired at {policy.expires.isoformat()}",
            hint="get the present version of the policy; if it is yours, review it, raise "
            "metadata.version and set metadata.expires anew",
        )
    if policy.issued is not None and now.is_before(policy.issued - CLOCK_SKEW):
        return error(
            "policy",
            "CLOCK",
            f"this machine's clock says {now.isoformat()}, which is before the policy {version} "
            f"was issued ({policy.issued.isoformat()})",
            hint="set the clock",
        )
    return None


def rule_in_force(policy: Policy, name: str, now: Now) -> tuple[Finding, ImageRule | None]:
    """Return the rule that decides on a repository's full name, and the finding that says so.

    None is the rule where nothing can be allowed; the finding says why.
    """
    fault = not_in_force(policy, now)
    if fault is not None:
        return fault, None
    version = f"{policy.name} version {policy.version}"
    rules = applicable(policy, name)
    if not rules:
        return error(
            "policy",
            "NO_POLICY",
            f"no rule of the policy {version} matches {name}, and what no rule allows is refused",
            hint=f"add an image rule for it: imagekit policy new --image {name} --key PUBLIC",
        ), None
    if len(rules) > 1:
        globs = ", ".join(rule.glob for rule in rules)
        return error(
            "policy",
            "AMBIGUOUS_POLICY",
            f"{len(rules)} rules of the policy {version} match {name} equally well: {globs}",
            hint="make one of them longer, or exclude the name from the others",
        ), None
    return ok("policy", f"{version}, rule {rules[0].glob}"), rules[0]
