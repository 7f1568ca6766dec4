"""The result of a recipe's tests as an attestation: in-toto's test result v0.1.

https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from imagekit.oci.digest import Digest
from imagekit.recipe.recipe import Recipe
from imagekit.signatures.intoto import TEST_RESULT, Statement, StatementSubject

_TIME = "finishedOn"
"""An extension of the predicate, which its parsing rules let others pass over."""


def result_statement(
    recipe: Recipe,
    passed: Sequence[str],
    *,
    subjects: Sequence[StatementSubject],
    finished: datetime,
) -> Statement:
    """Return the statement that tests passed in an image; one that failed is never published.

    Args:
        recipe: whose tests they are.
        passed: the names of all of them.
        subjects: what the statement is about.
        finished: when they were run, with its zone.
    """
    return Statement(
        subjects=tuple(subjects),
        predicate_type=TEST_RESULT,
        predicate={
            "result": "PASSED",
            "configuration": list(_configuration(recipe)),
            "passedTests": list(passed),
            "warnedTests": [],
            "failedTests": [],
            _TIME: finished.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )


def passed_tests(statements: Iterable[Statement]) -> tuple[str, ...]:
    """Return the tests that passed, as the first result among some statements says."""
    for statement in statements:
        names = statement.predicate.get("passedTests")
        if statement.predicate_type == TEST_RESULT and isinstance(names, list):
            return tuple(name for name in names if isinstance(name, str))
    return ()


def same_tests(first: Statement, other: Statement) -> bool:
    """Return whether two test results differ only in their times."""
    return without_time(first) == without_time(other)


def _configuration(recipe: Recipe) -> Iterator[Mapping[str, object]]:
    """Yield what was tested by: the recipe with all of its files, and each file of tests."""
    yield _descriptor(f"{recipe.folder.name}/{recipe.file.name}", recipe.digest)
    for test in recipe.tests:
        if test.structure is not None:
            name = f"{recipe.folder.name}/{test.structure.file}"
            yield _descriptor(name, test.structure.digest)


def _descriptor(name: str, digest: Digest) -> Mapping[str, object]:
    # in-toto v1, ResourceDescriptor.
    return {"name": name, "digest": {digest.algorithm: digest.hex}}


def without_time(statement: Statement) -> tuple[object, ...]:
    """Return what two statements of the same must share: all but when it was seen."""
    predicate = {key: value for key, value in statement.predicate.items() if key != _TIME}
    return statement.subjects, statement.predicate_type, predicate
