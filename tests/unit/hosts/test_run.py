"""Nothing is pulled or run but what a verdict allowed."""

import pytest
from msgspec.structs import replace

from imagekit.build.tools.podman import Podman
from imagekit.errors import IntegrityError
from imagekit.hosts.run import EngineOnDemand, pull, run
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Reference, parse_reference
from imagekit.policy.findings import Finding
from imagekit.verify.verdict import Verdict
from tests.support.fake_podman import FakePodman

GOOD, OTHER = Digest.of(b"good"), Digest.of(b"other")
TAGGED = parse_reference("registry.example.org/app:1")


def _verdict(reference: Reference, digest: Digest | None, *, good: bool) -> Verdict:
    finding = Finding(check="signature", code="X", message="x", severity="ok" if good else "error")
    return Verdict(
        reference=reference, digest=digest, policy="p", policy_digest=OTHER, findings=(finding,)
    )


@pytest.mark.parametrize(
    ("reference", "digest", "good"),
    [
        (TAGGED, GOOD, False),
        (TAGGED, None, True),
        (parse_reference(f"registry.example.org/app@{OTHER}"), GOOD, True),
    ],
    ids=["denied", "no digest", "verdict for another digest"],
)
def test_without_a_verdict_for_it_nothing_is_touched(
    reference: Reference,
    digest: Digest | None,
    good: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """Neither pull nor run reaches Podman."""
    programs = FakePodman()
    podman = Podman(programs=programs)

    def judge(asked: Reference) -> Verdict:
        return _verdict(asked, digest, good=good)

    assert (
        pull(reference, judge=judge, make_podman=lambda: podman, show=lambda _: None).reference
        is None
    )
    ran = run(reference, ["x"], judge=judge, engine=podman, show=lambda _: None)
    assert ran.status is None
    assert programs.asked == []


def test_what_was_judged_is_what_runs() -> None:
    """The tag takes no part after the verdict; arguments and exit code pass through."""
    programs = FakePodman()
    shown: list[Verdict] = []

    ran = run(
        TAGGED,
        ["--flag", "7"],
        judge=lambda asked: replace(_verdict(asked, GOOD, good=True), judged=(GOOD,)),
        engine=Podman(programs=programs),
        show=shown.append,
    )

    assert ran.status == 7
    assert programs.asked[0][-1] == f"registry.example.org/app@{GOOD}"
    assert programs.asked[-1][-2:] == ("--flag", "7")
    assert len(shown) == 1


@pytest.mark.parametrize("command", ["pull", "run"])
def test_of_an_index_only_what_was_judged_may_be_chosen(command: str) -> None:
    """Podman's choice is compared with the manifests that the verdict speaks for."""

    def judge(asked: Reference) -> Verdict:
        return replace(_verdict(asked, GOOD, good=True), judged=(OTHER,))

    def do(chosen: Digest) -> object:
        podman = Podman(programs=FakePodman(chosen=(str(chosen),)))
        if command == "pull":
            return pull(TAGGED, judge=judge, make_podman=lambda: podman, show=lambda _: None).image
        return run(TAGGED, [], judge=judge, engine=podman, show=lambda _: None).status

    assert do(OTHER)
    with pytest.raises(IntegrityError, match="was not judged"):
        do(Digest.of(b"hidden"))


@pytest.mark.parametrize("command", ["pull", "run"])
def test_the_verdict_is_shown_before_podman_is_asked(command: str) -> None:
    """Podman takes seconds to tell how it is set up, and longer to pull."""
    done: list[str] = []

    def make() -> Podman:
        done.append("podman")
        return Podman(programs=FakePodman())

    def show(verdict: Verdict) -> None:
        done.append(verdict.decision)

    def judge(asked: Reference) -> Verdict:
        return replace(_verdict(asked, GOOD, good=True), judged=(GOOD,))

    if command == "pull":
        pull(TAGGED, judge=judge, make_podman=make, show=show)
    else:
        run(TAGGED, [], judge=judge, engine=EngineOnDemand(make=make), show=show)

    assert done == ["allow", "podman"]
