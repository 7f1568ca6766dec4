"""Nothing is pulled or run but what a verdict allowed."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from imagekit.hosts.run import pull, run
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, parse_reference
from imagekit.policy.findings import Finding
from imagekit.verify.verdict import Verdict

GOOD, OTHER = Digest.of(b"good"), Digest.of(b"other")
TAGGED = parse_reference("registry.example.org/app:1")


class Recorder:
    """A runtime that only remembers."""

    def __init__(self) -> None:
        """Begin with nothing used."""
        self.used: list[tuple[PinnedReference, tuple[str, ...]]] = []
        self.among: list[Collection[Digest] | None] = []

    def pull(self, reference: PinnedReference, *, among: Collection[Digest] | None = None) -> str:
        """Remember the reference."""
        self.used.append((reference, ()))
        self.among.append(among)
        return "id"

    def run(
        self,
        reference: PinnedReference,
        arguments: Sequence[str],
        *,
        among: Collection[Digest] | None = None,
    ) -> int:
        """Remember reference and arguments."""
        self.used.append((reference, tuple(arguments)))
        self.among.append(among)
        return 7


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
    """Neither pull nor run reaches the runtime."""
    runtime = Recorder()

    def judge(asked: Reference) -> Verdict:
        return _verdict(asked, digest, good=good)

    assert pull(reference, judge=judge, runtime=runtime).reference is None
    ran = run(reference, ["x"], judge=judge, runtime=runtime, show=lambda _: None)
    assert ran.status is None
    assert runtime.used == []


def test_what_was_judged_is_what_runs() -> None:
    """The tag takes no part after the verdict; arguments and exit code pass through."""
    runtime = Recorder()
    shown: list[Verdict] = []

    ran = run(
        TAGGED,
        ["--flag", "7"],
        judge=lambda asked: _verdict(asked, GOOD, good=True),
        runtime=runtime,
        show=shown.append,
    )

    assert ran.status == 7
    assert [(str(r), a) for r, a in runtime.used] == [
        (f"registry.example.org/app@{GOOD}", ("--flag", "7"))
    ]
    assert len(shown) == 1


def test_of_an_index_only_what_was_judged_may_be_chosen() -> None:
    """The runtime is told the manifests that the verdict speaks for."""
    runtime = Recorder()

    def judge(asked: Reference) -> Verdict:
        return replace(_verdict(asked, GOOD, good=True), judged=(OTHER,))

    pull(TAGGED, judge=judge, runtime=runtime)
    run(TAGGED, [], judge=judge, runtime=runtime, show=lambda _: None)

    assert runtime.among == [(OTHER,), (OTHER,)]
