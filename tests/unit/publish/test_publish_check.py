"""Publishing checks the image, signs what was found, and refuses what is not excepted."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.errors import NotFoundError, RecipeError
from imagekit.oci.reference import Repository, TaggedReference
from imagekit.policy.condition import SelfContainedCondition
from imagekit.policy.now import Now
from imagekit.progress import Done, Event, Note
from imagekit.publish.check_stage import REFUSED, check_built, tell_check
from imagekit.publish.published import PublishedImage
from imagekit.sign.own import own_statements
from imagekit.signatures.intoto import SELF_CONTAINED, Statement
from imagekit.verify.conditions.self_contained import check_self_contained
from tests.support.built import built_recipe, layered_image
from tests.support.counting import CountingRegistry
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.planted import FAULTS, PATH, PlantedFault

HEALTHY = PlantedFault(code="", path="")
EXCEPT = """\
check:
  except:
    - {finding: IK301, path: "/opt/*", reason: every node lets it}
"""
Publish = Callable[..., PublishedImage]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publish_to: Any) -> Publish:
    """Publish a recipe whose image has a fault."""

    def publish_it(registry: CountingRegistry, fault: PlantedFault, more: str = "") -> Any:
        recipe, built = built_recipe(tmp_path, "1.0", more=more)
        image = layered_image(tmp_path / "planted", fault.layers, env=(PATH,))
        made = replace(image, version=built.version)
        monkeypatch.setattr("imagekit.publish.publish.build_tested", lambda *_, **__: made)
        return publish_to(registry, recipe)

    return publish_it


def _attested(
    registry: CountingRegistry, image: PublishedImage, signer: MemorySigner
) -> Sequence[Statement]:
    own = own_statements(registry, image.reference, signer)
    return [one.statement for one in own if one.statement.predicate_type == SELF_CONTAINED]


def _refusal(statement: Statement, condition: SelfContainedCondition) -> str:
    now = Now(FixedClock().now())
    refusal = check_self_contained(statement.predicate, condition, now=now)
    return refusal.code if refusal else ""


def test_that_nothing_was_found_is_signed(run: Publish, signer: MemorySigner) -> None:
    """About the image's digest, and a policy that asks for it is met."""
    registry = CountingRegistry()

    image = run(registry, HEALTHY)

    assert SELF_CONTAINED in image.written
    (statement,) = _attested(registry, image, signer)
    assert [subject.digest for subject in statement.subjects] == [image.reference.digest]
    assert statement.predicate["result"] == "PASSED"
    assert _refusal(statement, SelfContainedCondition(allow_excepted=frozenset())) == ""


def test_what_was_found_is_signed_and_no_policy_takes_it(
    run: Publish, signer: MemorySigner
) -> None:
    """A recipe without `check` is published all the same."""
    registry = CountingRegistry()

    image = run(registry, FAULTS["setuid"])

    (statement,) = _attested(registry, image, signer)
    assert statement.predicate["result"] == "FAILED"
    assert _refusal(statement, SelfContainedCondition()) == "NOT_SELF_CONTAINED"


def test_a_recipe_with_check_is_not_published_with_a_finding(run: Publish) -> None:
    """Nothing is named in the registry; the place is that of the key."""
    registry = CountingRegistry()

    with pytest.raises(RecipeError) as raised:
        run(registry, FAULTS["setuid"], "check: {}\n")

    assert raised.value.code == REFUSED
    (diagnostic,) = raised.value.diagnostics
    assert "IK301 /opt/helper" in diagnostic.message
    assert diagnostic.line == 8
    with pytest.raises(NotFoundError):
        registry.resolve(TaggedReference(Repository("r.site", "apps/hello"), "1.0"))


def test_what_is_excepted_is_signed_with_its_reason(run: Publish, signer: MemorySigner) -> None:
    """A policy may still refuse it, by its number."""
    registry = CountingRegistry()

    image = run(registry, FAULTS["setuid"], EXCEPT)

    (statement,) = _attested(registry, image, signer)
    assert statement.predicate["excepted"] == [
        {
            "code": "IK301",
            "path": "/opt/helper",
            "message": "whoever starts it becomes the user 0",
            "reason": "every node lets it",
        }
    ]
    assert _refusal(statement, SelfContainedCondition()) == ""
    none = SelfContainedCondition(allow_excepted=frozenset())
    assert _refusal(statement, none) == "EXCEPTION_NOT_ALLOWED"


def test_published_again_it_is_checked_again_where_that_was_lost(
    run: Publish, signer: MemorySigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the image in the registry, whose recipe demands it."""
    registry = CountingRegistry()
    with monkeypatch.context() as patched:
        patched.setattr("imagekit.publish.publish.attest_check", lambda *_: None)
        first = run(registry, FAULTS["setuid"], EXCEPT)
    assert _attested(registry, first, signer) == []

    again = run(registry, FAULTS["setuid"], EXCEPT)

    assert again.status == "completed"
    (statement,) = _attested(registry, again, signer)
    assert statement.predicate["exceptedCount"] == 1
    assert run(registry, FAULTS["setuid"], EXCEPT).status == "unchanged"


def test_findings_and_exceptions_are_told(tmp_path: Path) -> None:
    """With their remedy, and the time that it took."""
    recipe, _ = built_recipe(tmp_path, "1.0", more="")
    image = layered_image(tmp_path / "planted", FAULTS["setuid"].layers, env=(PATH,))
    events: list[Event] = []

    tell_check(check_built(image, recipe), recipe, events.append)

    *notes, done = events
    told = [event.message for event in notes if isinstance(event, Note)]
    assert told[0].startswith("IK301")
    assert told[-1].strip().startswith("= chmod")
    assert isinstance(done, Done)
    assert done.stage == "check"
    assert done.seconds > 0
