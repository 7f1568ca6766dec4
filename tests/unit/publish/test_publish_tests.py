"""The result of a recipe's tests is published and signed, and a policy can require it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.oci.reference import TaggedReference
from imagekit.policy.condition import PassedTestsCondition
from imagekit.policy.ruleset import RequiredAttestation
from imagekit.publish.own_policy import own_policy
from imagekit.publish.published import PublishedImage
from imagekit.sign.own import own_statements
from imagekit.sign.tested import result_statement, same_tests
from imagekit.signatures.intoto import TEST_RESULT, Statement, StatementSubject
from imagekit.verify.context import VerifyContext
from imagekit.verify.judge import judge
from imagekit.verify.rollback import ScratchRollbackStore
from imagekit.verify.verdict import Verdict
from tests.support.built import built_recipe
from tests.support.counting import CountingRegistry
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.signed import finding
from tests.unit.publish.conftest import PublishTo

STRUCTURE = "schemaVersion: 2.0.0\nmetadataTest: {user: x}\n"
TESTS = "tests:\n  - {name: starts, run: [a]}\n  - {structure: s.yaml}\n"
PASSED = ("starts", "metadataTest")
Publish = Callable[..., PublishedImage]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publish_to: PublishTo) -> Publish:
    """Publishes a recipe whose tests passed with these names."""

    def publish_it(registry: CountingRegistry, passed: tuple[str, ...] = PASSED) -> PublishedImage:
        (tmp_path / "1.0").mkdir(exist_ok=True)
        (tmp_path / "1.0/s.yaml").write_text(STRUCTURE)
        recipe, built = built_recipe(tmp_path, "1.0", more=TESTS)
        tested = replace(built, passed_tests=passed)
        monkeypatch.setattr("imagekit.publish.publish.build_tested", lambda *_, **__: tested)
        return publish_to(registry, recipe)

    return publish_it


def _attested(
    registry: CountingRegistry, image: PublishedImage, signer: MemorySigner
) -> list[Statement]:
    return [
        own.statement
        for own in own_statements(registry, image.reference, signer)
        if own.statement.predicate_type == TEST_RESULT
    ]


def test_the_result_says_what_was_tested_and_by_what(run: Publish, signer: MemorySigner) -> None:
    """By the recipe with all of its files, and by the file of tests."""
    registry = CountingRegistry()

    image = run(registry)

    assert TEST_RESULT in image.written
    (statement,) = _attested(registry, image, signer)
    assert [subject.digest for subject in statement.subjects] == [image.reference.digest]
    said = dict(statement.predicate)
    recipe, structure = cast("list[Any]", said.pop("configuration"))
    assert (recipe["name"], list(recipe["digest"])) == ("1.0/recipe.yaml", ["sha256"])
    digest = {"sha256": Digest.of(STRUCTURE.encode()).hex}
    assert structure == {"name": "1.0/s.yaml", "digest": digest}
    assert said == {
        "result": "PASSED",
        "passedTests": ["starts", "metadataTest"],
        "warnedTests": [],
        "failedTests": [],
        "finishedOn": FixedClock().now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def test_nothing_is_said_of_tests_that_were_not_run(run: Publish, signer: MemorySigner) -> None:
    """As with --no-test."""
    registry = CountingRegistry()

    assert _attested(registry, run(registry, ()), signer) == []


def test_a_second_run_of_the_same_tests_says_the_same(tmp_path: Path) -> None:
    """Two results that differ only in their times; the second is not signed again."""
    recipe, _ = built_recipe(tmp_path, "1.0", more="tests: [{run: a}]\n")
    subjects = (StatementSubject(digest=Digest.of(b"image")),)
    now, later = FixedClock().now(), FixedClock().now() + timedelta(hours=1)

    first = result_statement(recipe, PASSED, subjects=subjects, finished=now)
    other = result_statement(recipe, PASSED, subjects=subjects, finished=later)
    more = result_statement(recipe, (*PASSED, "more"), subjects=subjects, finished=now)

    assert first != other
    assert same_tests(first, other)
    assert not same_tests(first, more)


def test_an_unchanged_publish_keeps_it(run: Publish, signer: MemorySigner) -> None:
    """Once, though the tests may have been run twice."""
    registry = CountingRegistry()
    run(registry)

    image = run(registry)

    assert image.status == "unchanged"
    assert len(_attested(registry, image, signer)) == 1


@pytest.mark.parametrize(
    ("wanted", "code"),
    [(PASSED, "OK"), (("starts", "stops"), "TESTS_MISSING")],
    ids=["there", "not there"],
)
def test_a_policy_requires_it(
    run: Publish, signer: MemorySigner, wanted: tuple[str, ...], code: str
) -> None:
    """By the names that the recipe gave its tests."""
    registry = CountingRegistry()
    image = run(registry)
    condition = PassedTestsCondition(tests=wanted, max_age=timedelta(days=1))

    verdict = _judged(registry, image, signer, condition)

    assert finding(verdict, "tests").code == code
    assert verdict.allowed is (code == "OK")


def test_a_policy_refuses_an_image_without_it(run: Publish, signer: MemorySigner) -> None:
    """With the remedy: an unchanged release is not published again."""
    registry = CountingRegistry()

    verdict = _judged(registry, run(registry, ()), signer, PassedTestsCondition())

    found = finding(verdict, "tests")
    assert (found.code, verdict.allowed) == ("MISSING_ATTESTATION", False)
    assert "publish a new version" in found.hint


def _judged(
    registry: CountingRegistry,
    image: PublishedImage,
    signer: MemorySigner,
    condition: PassedTestsCondition,
) -> Verdict:
    now = FixedClock().now()
    policy = own_policy(image.reference.repository.name, signer.authority, now)
    required = RequiredAttestation(
        type="test-result",
        predicate_type=TEST_RESULT,
        authorities=(signer.authority,),
        condition=condition,
    )
    (rule,) = policy.images
    rule = replace(rule, attestations=(*rule.attestations, required))
    context = VerifyContext(
        now=now,
        open_reader=lambda: registry,
        memory=ScratchRollbackStore(),
    )
    tagged = TaggedReference(image.reference.repository, "1.0")
    return judge(tagged, replace(policy, images=(rule,)), context)
