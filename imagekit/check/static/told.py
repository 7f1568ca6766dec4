"""What was found in an image, for people."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from imagekit.build.catalogued import shown
from imagekit.check.static.portability_finding import CONFIG, PortabilityFinding
from imagekit.check.static.static_check import MAX_FINDINGS, CheckedImage
from imagekit.documents.quantity import count

_MOST_PLACES, _MOST_BROKEN = 5, 8


def summary(checked: CheckedImage) -> str:
    """Return one line of what was checked and what came of it."""
    what = f"{count(checked.files, 'file')}, {count(checked.programs, 'program')} and libraries"
    but = f", {len(checked.excepted)} excepted" if checked.excepted else ""
    if checked.passed:
        return f"nothing found in {what}{but}"
    return f"{count(len(checked.findings), 'finding')} in {what}{but}"


def finding_lines(checked: CheckedImage, *, most: int = MAX_FINDINGS) -> Iterator[str]:
    """Yield lines for each cause, and at most so many: what, where, what it breaks, the remedy."""
    by_cause: dict[tuple[str, str], list[PortabilityFinding]] = defaultdict(list)
    for finding in checked.findings:
        by_cause[finding.code, finding.message].append(finding)
    for (code, message), findings in list(by_cause.items())[:most]:
        yield f"{code}  {findings[0].kind.title}: {plain(message)}"
        yield f"       {_some([place(one.path) for one in findings], most=_MOST_PLACES)}"
        places = {one.path for one in findings}
        broken = sorted({path for one in findings for path in one.breaks} - places)
        if broken:
            yield f"       breaks {_some([place(path) for path in broken], most=_MOST_BROKEN)}"
        yield f"       = {findings[0].hint}"
    if len(by_cause) > most:
        yield f"and {len(by_cause) - most} more causes: imagekit check shows all"


def exception_lines(checked: CheckedImage) -> Iterator[str]:
    """Yield a line for each finding that is excepted, and for exceptions of nothing."""
    for finding in checked.excepted:
        yield f"{finding.code}  {place(finding.path)}: excepted, {finding.reason}"
    for exception in checked.unused:
        yield f"{exception.finding}  nothing is found at {exception.path}: take the exception out"


def place(path: str) -> str:
    """Return the place of a finding, without what a terminal or an encoder cannot take."""
    return path if path == CONFIG else shown(path.removeprefix("/"))


def plain(message: str) -> str:
    """Return a message without what a terminal or an encoder cannot take."""
    return shown(message).removeprefix("/")


def _some(paths: Sequence[str], *, most: int) -> str:
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(paths[:most]) + more
