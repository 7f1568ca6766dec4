"""The condition of a test result: all tests passed, and some at least, in a run of some age.

What must hold:

1. It says ``PASSED``; neither a test that failed nor one that passed with a warning is listed.
2. It says by which configuration was tested, and names tests that passed: a run of no tests shows
   nothing, and neither does one that does not say what it ran.
3. The tests that the policy names are among those that passed, letter by letter.
4. The run is young enough, by ``finishedOn``. That is an extension of the predicate, which imagekit
   writes: the specification has no time.

https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
"""

from collections.abc import Mapping

from imagekit.documents.fields import Fields
from imagekit.policy.condition import PassedTestsCondition
from imagekit.policy.now import Now
from imagekit.signatures.results import Refusal
from imagekit.verify.conditions.untrusted_json import (
    by_lower_case,
    exactly,
    fields_of,
    finished_fault,
    objects,
    shown,
    texts,
)

MAX_TESTS = 100_000
MAX_CONFIGURATIONS = 1000
_RESULTS = frozenset({"PASSED", "WARNED", "FAILED"})
_NAMES = by_lower_case(
    "result", "configuration", "passedTests", "warnedTests", "failedTests", "finishedOn"
)
_HINT = "mend what was found, and publish it anew"


def check_tests(
    predicate: Mapping[str, object], condition: PassedTestsCondition, *, now: Now
) -> Refusal | None:
    """Return why a test result does not do, or None.

    Raises:
        DocumentError: it is no test result that can be read whole.
    """
    document = exactly(fields_of(predicate, "the test result"), _NAMES)
    # test-result v0.1, "configuration": required.
    if not tuple(objects(document, "configuration", limit=MAX_CONFIGURATIONS)):
        raise document.fault("does not say what was tested by: it has no 'configuration'")
    fault = _result_fault(document) or _name_fault(document, condition.tests)
    return fault or finished_fault(document, condition.max_age, now=now, what="the test result")


def _result_fault(document: Fields) -> Refusal | None:
    result = document.text("result")
    if result not in _RESULTS:
        raise document.fault(f"has the result {shown(result)!r}, which is none")
    for key, what in (("failedTests", "failed"), ("warnedTests", "passed with a warning")):
        bad = texts(document, key, limit=MAX_TESTS)
        if bad:
            message = f"the test {shown(bad[0])!r} {what}, one of {len(bad)}"
            return Refusal(code="TESTS_FAILED", message=message, hint=_HINT)
    if result != "PASSED":
        message = f"the tests say {result}; the policy wants PASSED"
        return Refusal(code="TESTS_FAILED", message=message, hint=_HINT)
    return None


def _name_fault(document: Fields, wanted: tuple[str, ...]) -> Refusal | None:
    passed = frozenset(texts(document, "passedTests", limit=MAX_TESTS))
    if not passed:
        return Refusal(
            code="TESTS_MISSING",
            message="the test result names no test that passed",
            hint="let what tests the image name its tests",
        )
    missing = [name for name in wanted if name not in passed]
    if missing:
        return Refusal(
            code="TESTS_MISSING",
            message=f"the policy wants the tests {', '.join(map(repr, missing))}, which are not "
            "among those that passed",
            hint="add them to the image's recipe by these names, and publish a new version",
        )
    return None
