"""Decisions: what they are kept by, how long they hold, and what belongs to an image."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from imagekit.errors import RegistryError
from imagekit.gate.decisions.decide import ActivePolicy, Lifetimes, VerifierDeps, decide
from imagekit.gate.decisions.decision import Decision, fingerprint, moments
from imagekit.gate.decisions.recording_reader import RecordingReader
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, LocatedReference
from imagekit.oci.types import Descriptor
from imagekit.policy.ruleset import Deny, Expression, Freshness, OpenedPolicy, PolicyException
from imagekit.signatures.release import RELEASE, Release, release_predicate
from imagekit.verify.ports import HighWaterMark
from imagekit.verify.rollback import NoRollbackStore
from tests.support.fakes import MemorySigner
from tests.support.signed import World

NOW = datetime(2026, 11, 23, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Remembering:
    """A memory that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, HighWaterMark]] = []

    def highest(self, name: str) -> HighWaterMark | None:
        """Nothing was seen."""
        del name
        return None

    def remember(self, name: str, seen: HighWaterMark) -> None:
        """Note it."""
        self.told.append((name, seen))


def world() -> World:
    """Return a signed image."""
    made = World()
    made.sign()
    return made


def decided(made: World, policy: OpenedPolicy, **lifetimes: timedelta) -> Decision:
    """Judge the image by its tag."""
    times = {"allowed": HOUR, "stale": HOUR} | lifetimes
    return decide(
        LocatedReference(REGISTRY, made.reference),
        ActivePolicy(policy=policy, fingerprint=fingerprint(policy)),
        RecordingReader(made.registry),
        deps=VerifierDeps(memory=NoRollbackStore(), certificates=None),  # type: ignore[arg-type]
        now=NOW,
        lifetimes=Lifetimes(**times),
    )


def test_allowed() -> None:
    """The very bytes, and all that they consist of."""
    made = world()

    decision = decided(made, made.policy())

    raw = made.registry.manifest(made.image)
    assert decision.allowed
    assert decision.manifest == raw
    assert len(decision.closure.blobs) == 2
    assert decision.fresh == decision.until == NOW + HOUR


def test_denied_is_kept_for_a_short_time() -> None:
    """Somebody may just be signing it."""
    made = World()

    decision = decided(made, made.policy(), denied=timedelta(seconds=7))

    assert not decision.allowed
    assert decision.manifest is None
    assert decision.fresh == NOW + timedelta(seconds=7)


@pytest.mark.parametrize("minutes", [1, 17, 59])
def test_holds_until_the_policy_expires(minutes: int) -> None:
    """A decision ends with its policy."""
    made = world()
    end = NOW + timedelta(minutes=minutes)

    assert decided(made, replace(made.policy(), expires=end)).until == end


def test_holds_until_the_warning_ends() -> None:
    """What is only warned of is denied from then on."""
    made = World()
    end = NOW + timedelta(minutes=9)

    decision = decided(made, made.policy(warn_until=end))

    assert decision.allowed
    assert decision.until == end


def test_holds_until_the_exception_ends() -> None:
    """A dated exception ends at its date."""
    made = World()
    end = NOW + timedelta(minutes=9)
    exception = PolicyException(
        repository=made.repository, digest=made.image.digest, reason="r", owner="o", expires=end
    )

    decision = decided(made, replace(made.policy(), exceptions=(exception,)))

    assert decision.allowed
    assert decision.until == end


@pytest.mark.parametrize(
    ("cel", "minutes"),
    [
        ("now < timestamp('2026-11-23T00:20:00Z')", 20),
        # It comes back before the hour is over, and is false in between.
        ("now.getMinutes() < 20 || now.getMinutes() > 40", 20),
        ("now.getMinutes() < 58 || now.getMinutes() > 59", 58),
    ],
)
def test_holds_until_an_expression_changes(cel: str, minutes: int) -> None:
    """Also where it changes back later; to the second."""
    made = world()

    decision = decided(made, made.policy(expressions=(Expression(cel=cel),)))

    assert decision.allowed
    end = NOW + timedelta(minutes=minutes)
    assert end - timedelta(seconds=2) <= decision.until <= end


def test_holds_until_the_key_expires() -> None:
    """A key's lifetime ends what it signed without a trusted time."""
    made = world()
    policy = made.policy()
    end = NOW + timedelta(minutes=9)
    rule = policy.images[0]
    authorities = tuple(replace(one, not_after=end) for one in rule.authorities)
    policy = replace(policy, images=(replace(rule, authorities=authorities),))

    assert decided(made, policy).until == end


def test_holds_until_the_image_is_too_old() -> None:
    """What no policy names as a time, but judges by age, is found to the second."""
    made = world()
    release = Release(
        repository=made.repository.name,
        tags=("1",),
        sequence=1,
        time=NOW - timedelta(days=1) + timedelta(minutes=20),
    )
    made.attach(RELEASE, release_predicate(release))
    policy = made.policy(freshness=Freshness(max_age=timedelta(days=1)))

    decision = decided(made, policy)

    assert decision.allowed
    left = decision.until - NOW
    assert timedelta(minutes=19, seconds=58) <= left <= timedelta(minutes=20, seconds=2)


def test_look_into_the_future_is_not_remembered() -> None:
    """The clock of the second judgement must not be taken for the present."""
    made = world()
    memory = Remembering()
    policy = made.policy()

    decide(
        LocatedReference(REGISTRY, made.reference),
        ActivePolicy(policy=policy, fingerprint="f"),
        RecordingReader(made.registry),
        deps=VerifierDeps(memory=memory, certificates=None),  # type: ignore[arg-type]
        now=NOW,
        lifetimes=Lifetimes(),
    )

    assert all(seen.sequence <= NOW.timestamp() for _, seen in memory.told)


def test_fingerprint_is_of_everything() -> None:
    """Another key, date, list or text is another policy; the same again is the same."""
    made, other = World(), MemorySigner()
    policy = made.policy()
    changed = [
        made.policy(signers=(other,)),
        replace(policy, expires=policy.expires + HOUR),
        replace(policy, deny=Deny(digests=frozenset({Digest.of(b"x")}))),
        replace(policy, digest=Digest.of(b"text")),
        made.policy(threshold=2),
    ]

    found = {fingerprint(one) for one in [policy, *changed]}

    assert len(found) == 6
    assert fingerprint(made.policy()) == fingerprint(policy)


def test_fingerprint_does_not_depend_on_the_order_of_sets() -> None:
    """Sets have no order that another process would share."""
    made = World()
    digests = [Digest.of(b"%d" % number) for number in range(20)]
    there = replace(made.policy(), deny=Deny(digests=frozenset(digests)))
    back = replace(made.policy(), deny=Deny(digests=frozenset(reversed(digests))))

    assert fingerprint(there) == fingerprint(back)


def test_moments() -> None:
    """Every time in a policy, however deep."""
    made = World()
    policy = replace(made.policy(warn_until=NOW), issued=NOW - HOUR)

    assert {NOW, NOW - HOUR, policy.expires} <= set(moments(policy))


def test_recorder_asks_once() -> None:
    """The same bytes whenever they are asked for again, errors included."""
    made = world()
    recorder = RecordingReader(made.registry)
    first = recorder.manifest(made.reference)
    evil = made.registry.put_manifest(made.repository, first.media_type, first.raw + b" ")
    made.registry.tag(made.reference, made.registry.manifest(evil))

    assert recorder.manifest(made.reference) is first
    assert recorder.resolve(made.reference).digest == made.image.digest
    assert recorder.manifest(made.image) is first


def test_recorder_reads_no_layer() -> None:
    """A judgement never pulls."""
    made = world()
    wanted = Descriptor(media_type="x/y", digest=Digest.of(b"x"), size=1)

    with pytest.raises(RegistryError):
        RecordingReader(made.registry).stream(made.repository, wanted)
