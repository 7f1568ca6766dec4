"""The check ``platforms``: whether an image has the platforms that a rule requires."""

from collections.abc import Iterable

from imagekit.policy.findings import Finding, error, ok
from imagekit.policy.ruleset import ImageRule
from imagekit.verify.content import ImageContent

_CHECK = "platforms"


def check_platforms(rule: ImageRule, content: ImageContent) -> tuple[Finding, ...]:
    """Return the finding on the required platforms; none where the rule requires none."""
    required = rule.platforms.require
    if not required:
        return ()
    platforms = [part.platform for part in content.parts]
    missing = [wanted for wanted in required if not _has(platforms, wanted)]
    if not missing:
        return (ok(_CHECK, f"has {', '.join(required)}"),)
    return (
        error(
            _CHECK,
            "MISSING_PLATFORM",
            f"the policy requires {', '.join(missing)}; the image has "
            f"{', '.join(filter(None, platforms)) or 'none that it names'}",
            hint="publish the image for every platform that the policy requires",
        ),
    )


def _has(platforms: Iterable[str], wanted: str) -> bool:
    """Return whether a platform is there; one that is required without variant has any."""
    return any(platform == wanted or platform.startswith(f"{wanted}/") for platform in platforms)
