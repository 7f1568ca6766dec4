"""What a policy demands of an attestation, said in plain words."""

from collections.abc import Iterator
from datetime import timedelta
from typing import assert_never

from imagekit.policy.condition import (
    Condition,
    NeedsCondition,
    PassedTestsCondition,
    ProvenanceCondition,
    RebuildCondition,
    SbomCondition,
    SelfContainedCondition,
    VsaCondition,
    VulnerabilityCondition,
)


def say(condition: Condition) -> tuple[str, ...]:
    """Return one sentence, without its full stop, for each thing that must hold."""
    match condition:
        case SbomCondition():
            said = _sbom(condition)
        case ProvenanceCondition():
            said = _provenance(condition)
        case VulnerabilityCondition():
            said = _vulnerabilities(condition)
        case VsaCondition():
            said = _summary(condition)
        case PassedTestsCondition():
            said = _tests(condition)
        case RebuildCondition():
            said = _rebuild(condition)
        case SelfContainedCondition():
            said = _self_contained(condition)
        case NeedsCondition():
            said = iter(("the node that is to run the image has what it says that it needs",))
        case _:
            assert_never(condition)
    return tuple(said)


def span(length: timedelta) -> str:
    """Return a span of time for people: ``180 days``, ``1 hour 30 minutes``."""
    minutes = length // timedelta(minutes=1)
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((days, "day"), (hours, "hour"), (minutes, "minute"))
    phrases = [f"{count} {unit}{'s' * (count != 1)}" for count, unit in parts if count]
    return " ".join(phrases) or "0 minutes"


def _sbom(condition: SbomCondition) -> Iterator[str]:
    if condition.min_components:
        yield f"it names at least {condition.min_components} component(s)"
    if condition.deny_licences:
        yield f"no component has the licence {_or(condition.deny_licences)}"
    if condition.allow_licences:
        yield f"each licence that a component names is {_or(condition.allow_licences)}"
    for package in condition.deny_packages:
        versions = f" in a version of {package.versions}" if package.versions else ""
        yield f"{package.purl}{versions} is not in it"


def _provenance(condition: ProvenanceCondition) -> Iterator[str]:
    if condition.builder_ids:
        yield f"the builder is {_or(condition.builder_ids)}"
    if condition.build_types:
        yield f"the type of the build is {_or(condition.build_types)}"
    if condition.base_images:
        yield f"every base image comes from {_or(condition.base_images)}"


def _vulnerabilities(condition: VulnerabilityCondition) -> Iterator[str]:
    if condition.max_severity is not None:
        fixed = " that has a fix" if condition.fixed_only else ""
        worst = condition.max_severity.name.lower()
        yield f"no vulnerability{fixed} is worse than {worst}; an unknown severity is the worst"
    if condition.max_age is not None:
        yield f"the scan is not older than {span(condition.max_age)}"


def _summary(condition: VsaCondition) -> Iterator[str]:
    yield f"the verifier is {_or(condition.verifier_ids)}"
    if condition.policy_digests:
        yield f"it was made by the policy {_or(condition.policy_digests)}"
    if condition.levels:
        yield f"the verified levels hold {', '.join(condition.levels)}"
    if condition.max_age is not None:
        yield f"it is not older than {span(condition.max_age)}"


def _tests(condition: PassedTestsCondition) -> Iterator[str]:
    yield "all tests passed, without a warning"
    if condition.tests:
        yield f"among them {', '.join(condition.tests)}"
    if condition.max_age is not None:
        yield f"they were not run longer ago than {span(condition.max_age)}"


def _rebuild(condition: RebuildCondition) -> Iterator[str]:
    yield "another builder built it again, and it came out the same"
    if condition.builder_ids:
        yield f"that builder is {_or(condition.builder_ids)}"
    if condition.max_age is not None:
        yield f"that was not longer ago than {span(condition.max_age)}"


def _self_contained(condition: SelfContainedCondition) -> Iterator[str]:
    yield "imagekit check found nothing that its recipe does not except"
    if condition.allow_excepted is not None:
        but = f" but {_or(condition.allow_excepted)}" if condition.allow_excepted else ""
        yield f"its recipe excepts nothing{but}"
    if condition.max_age is not None:
        yield f"it was not checked longer ago than {span(condition.max_age)}"


def _or(words: frozenset[str] | tuple[str, ...]) -> str:
    ordered = sorted(words) if isinstance(words, frozenset) else words
    return " or ".join(ordered)
