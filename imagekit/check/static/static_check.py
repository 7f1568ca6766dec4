"""All static checks of an image, and what a recipe excepts of their findings."""

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from imagekit.check.static.host_traces import trace_findings
from imagekit.check.static.image_tree import ImageTree
from imagekit.check.static.left_secrets import secret_findings
from imagekit.check.static.libraries import library_findings
from imagekit.check.static.links import link_findings
from imagekit.check.static.permissions import permission_findings
from imagekit.check.static.portability_finding import PortabilityFinding, found
from imagekit.check.static.scripts import script_findings
from imagekit.check.static.surroundings import surrounding_findings
from imagekit.recipe.check_key import FindingException

MAX_FINDINGS = 10_000
"""Most findings of an image; that there are more is one, too."""
NOT_ALL = "IK001"
_CHECKS = (
    library_findings,
    script_findings,
    link_findings,
    permission_findings,
    secret_findings,
    surrounding_findings,
    trace_findings,
)


class CheckedImage(Struct, frozen=True, kw_only=True):
    """What the checks of an image came to."""

    findings: tuple[PortabilityFinding, ...]
    """Sorted by number and path."""
    excepted: tuple[PortabilityFinding, ...] = ()
    """Those that the recipe excepts, each with its reason."""
    unused: tuple[FindingException, ...] = ()
    """What the recipe excepts and nothing is found of."""
    files: int
    programs: int

    @property
    def passed(self) -> bool:
        """Whether nothing was found but what is excepted."""
        return not self.findings


def check_tree(tree: ImageTree) -> CheckedImage:
    """Return all that is found in an image."""
    listed = sorted(_bounded(tree), key=lambda one: (one.code, one.message, one.path))
    return CheckedImage(
        findings=tuple(listed), files=len(tree.files.files), programs=len(tree.objects)
    )


def with_exceptions(checked: CheckedImage, exceptions: Sequence[FindingException]) -> CheckedImage:
    """Return what was found with what a recipe excepts apart from it.

    That not all was looked at cannot be excepted.
    """
    kept: list[PortabilityFinding] = []
    excepted: list[PortabilityFinding] = []
    used: set[FindingException] = set()
    for finding in checked.findings:
        covers = next((e for e in exceptions if e.covers(finding.code, finding.path)), None)
        if covers is None or finding.code == NOT_ALL:
            kept.append(finding)
        else:
            used.add(covers)
            excepted.append(replace(finding, reason=covers.reason))
    return replace(
        checked,
        findings=tuple(kept),
        excepted=tuple(excepted),
        unused=tuple(exception for exception in exceptions if exception not in used),
    )


def _bounded(tree: ImageTree) -> Iterator[PortabilityFinding]:
    if tree.examined.missed:
        yield found(NOT_ALL, "", f"{tree.examined.missed} files were not read: too many, too large")
    left = MAX_FINDINGS
    for check in _CHECKS:
        for finding in check(tree):
            if not left:
                yield found(NOT_ALL, "", f"there are more than {MAX_FINDINGS} findings")
                return
            left -= 1
            yield finding
