"""Judges policies without an image: every fault, and what their authors may not have meant."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from imagekit.documents.report import Report, SourceSpan
from imagekit.documents.strictyaml import MAX_BYTES
from imagekit.errors import Diagnostic, PolicyError
from imagekit.policy.lint.globs import check_globs
from imagekit.policy.lint.places import Places
from imagekit.policy.lint.times import check_times
from imagekit.policy.lint.trusted import check_trust
from imagekit.policy.load import policy_bytes, read_policy

MAX_FILES = 1000


class LintedPolicy(Struct, frozen=True, kw_only=True):
    """What became of linting."""

    policies: int
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> int:
        """How many faults there are: the policy does not load, or does not do what it says."""
        return sum(diagnostic.severity == "error" for diagnostic in self.diagnostics)

    @property
    def warnings(self) -> int:
        """How many remarks there are."""
        return len(self.diagnostics) - self.errors

    @property
    def faulty(self) -> int:
        """How many files have errors."""
        return len(
            {diagnostic.file for diagnostic in self.diagnostics if diagnostic.severity == "error"}
        )


def lint(paths: Sequence[Path], *, now: datetime) -> LintedPolicy:
    """Judge policies.

    Args:
        paths: files, and folders whose files with policies are meant.
        now: the present time, for what has expired or soon will.

    Raises:
        PolicyError: a path does not exist, or is a folder without policies.
    """
    files = _files(paths)
    diagnostics: list[Diagnostic] = []
    for file in files:
        diagnostics += lint_file(file, now=now)
    return LintedPolicy(policies=len(files), diagnostics=tuple(dict.fromkeys(diagnostics)))


def lint_file(file: Path, *, now: datetime) -> tuple[Diagnostic, ...]:
    """Return every fault of one policy, and the remarks on it where it loads."""
    report = Report(str(file), "policy", folder=file.parent)
    try:
        raw = policy_bytes(file)
    except PolicyError as error:
        code = error.code.removeprefix("policy/")
        report.error(SourceSpan(), code, error.message, hint=error.hint)
        return report.diagnostics
    policy, node = read_policy(raw, report)
    if policy is not None:
        places = Places(node)
        check_globs(policy, places, report)
        check_times(policy, places, report, now=now)
        check_trust(policy, places, report, now=now)
    return report.diagnostics


def _files(paths: Iterable[Path]) -> list[Path]:
    policies: list[Path] = []
    for path in paths:
        inside = _policies_in(path) if path.is_dir() else [path]
        if not inside:
            raise PolicyError(
                f"the folder {path} holds no policy",
                hint="a policy is a file NAME.yaml with kind: ImagePolicy",
                code="policy/not-found",
            )
        policies += inside
    return list(dict.fromkeys(policies))


def _policies_in(folder: Path) -> list[Path]:
    """Return the policies of a folder: test cases and others of the same ending are none."""
    try:
        named = sorted(path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"})
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise PolicyError(
            f"the folder {folder} cannot be read: {why}", code="policy/unreadable"
        ) from error
    return [path for path in named[:MAX_FILES] if path.is_file() and _is_policy(path)]


def _is_policy(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return b"ImagePolicy" in stream.read(MAX_BYTES)
    except OSError:
        # It may be one: that it cannot be read is reported as a fault of its own.
        return True
