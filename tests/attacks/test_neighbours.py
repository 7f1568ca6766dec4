"""Attack 47: what was learnt of one repository, subject or client answers for no other."""

import base64
import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bcrypt
import pytest
from msgspec.structs import replace

from imagekit.errors import InputError, NotFoundError
from imagekit.gate.auth.authenticate import Grant, Rights
from imagekit.gate.decisions.service import Times
from imagekit.gate.upstreams import Upstream, Upstreams
from imagekit.oci.reference import TaggedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.policy.ruleset import OpenedPolicy, SignedIdentity
from imagekit.signatures.release import WITHDRAWAL
from imagekit.verify.rollback import NoRollbackStore
from imagekit.verify.verify import Verifier
from tests.e2e.gate.local import Clock, LocalGate, Making
from tests.e2e.gate.origin import QUICK, Origin
from tests.support.attacks_kit import errors
from tests.support.fakes import FixedClock
from tests.support.hostile import Answer, Asked
from tests.support.replay import truth

pytestmark = pytest.mark.real

NOW = datetime(2026, 11, 23, tzinfo=UTC)
OTHER = "/v2/apps/other/manifests/1"
CONTENT = b"layer" * 50_000


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A registry with a signed image, and a neighbour of the attacker's that has it, too."""
    with Origin(CONTENT) as running:
        running.lie = neighbour(running)
        yield running


def neighbour(
    origin: Origin, lie: Callable[[str], Answer | None] = lambda _: None
) -> Callable[[Asked, Answer], Answer | None]:
    """Serve everything in the neighbour's repository as well, but for what is given."""

    def answer(asked: Asked, _honest: Answer) -> Answer | None:
        path = asked.path.partition("?")[0]
        if not path.startswith("/v2/apps/other/"):
            return None
        return lie(path) or truth(origin.world, path.replace("apps/other", "apps/demo"))

    return answer


def without_api(path: str) -> Answer | None:
    """Answer as if there were no referrers API."""
    return Answer(404) if "/referrers/" in path else None


def by_digest(origin: Origin) -> OpenedPolicy:
    """Return a policy by which the neighbour's copy is allowed as well."""
    return origin.world.policy(signed_identity=SignedIdentity.DIGEST_ONLY)


def withdraw(origin: Origin) -> None:
    """Let the publisher withdraw the image."""
    origin.world.attach(WITHDRAWAL, {"reason": "broken", "time": NOW.isoformat()})


def login(password: str) -> dict[str, str]:
    """Return the header of a login."""
    pair = base64.b64encode(f"alice:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def making(origin: Origin, folder: Path, *, rights: Rights | None = None) -> Making:
    """Return a gate whose tags are asked for each time."""
    made = Making(
        folder=folder,
        policy=by_digest(origin),
        upstreams=(origin.upstream(),),
        clock=Clock(NOW),
        times=Times(pin=timedelta(0)),
    )
    return made if rights is None else replace(made, rights=rights)


def test_47_api_that_a_neighbour_does_not_have(origin: Origin) -> None:
    """A verifier that lives long asks for each subject whether the registry has the API."""
    verifier = Verifier(
        by_digest(origin), options=QUICK, clock=FixedClock(NOW), memory=NoRollbackStore()
    )
    origin.lie = neighbour(origin, without_api)
    other = replace(origin.world.repository, path="apps/other")
    verifier.verify(TaggedReference(other, "1"))
    assert verifier.verify(origin.world.reference).allowed

    withdraw(origin)

    assert errors(verifier.verify(origin.world.reference)) == {"withdrawal": "WITHDRAWN"}


def test_47_api_that_a_neighbour_does_not_have_behind_the_gate(
    origin: Origin, tmp_path: Path
) -> None:
    """Nor does the gate, which has one reader for all repositories."""
    origin.lie = neighbour(origin, without_api)
    made = making(origin, tmp_path)
    with LocalGate(made) as gate:
        gate.get(OTHER)
        first = gate.get(origin.manifest)
        withdraw(origin)
        made.clock.time = NOW + timedelta(minutes=11)
        second = gate.get(f"{origin.manifest}?x=1")

    assert (first.status, second.status) == (200, 403)
    assert "WITHDRAWN" in second.message


def test_47_outage_of_a_neighbour(origin: Origin, tmp_path: Path) -> None:
    """A repository that fails lets no other be served by what was decided long ago."""
    made = making(origin, tmp_path)
    with LocalGate(made) as gate:
        first = gate.get(origin.manifest)
        made.clock.time = NOW + timedelta(minutes=11)
        withdraw(origin)
        origin.lie = neighbour(origin, lambda _: Answer(503))
        failed = gate.get(OTHER)
        second = gate.get(f"{origin.manifest}?x=1")

    assert (first.status, failed.status, second.status) == (200, 503, 403)
    assert "WITHDRAWN" in second.message


def test_47_later_page_that_is_not_there(origin: Origin) -> None:
    """An empty page with a next one that is gone is no word that there is no API."""
    first = f"/v2/apps/demo/referrers/{origin.image.digest}"
    kind = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
    empty = b'{"schemaVersion":2,"manifests":[]}'
    page = Answer(200, {**kind, "Link": f'<{first}?2>; rel="next"'}, empty)

    def lie(asked: Asked, _honest: Answer) -> Answer | None:
        return {first: page, f"{first}?2": Answer(404)}.get(asked.path)

    origin.world.sign_legacy()
    withdraw(origin)
    origin.lie = lie
    verifier = Verifier(
        by_digest(origin), options=QUICK, clock=FixedClock(NOW), memory=NoRollbackStore()
    )

    with pytest.raises(NotFoundError, match="the referrers of"):
        verifier.verify(origin.world.reference)


def test_47_login_that_was_refused(origin: Origin, tmp_path: Path) -> None:
    """Who shows a wrong password is refused, and nobody else is by that."""
    rights = Rights(
        passwords={"alice": bcrypt.hashpw(b"secret", bcrypt.gensalt(4))},
        tokens={},
        grants=(Grant(users=("anonymous",), repositories=("**",)),),
    )
    made = making(origin, tmp_path, rights=rights)
    # What is hot goes by the machine's clock.
    made = replace(made, clock=Clock(datetime.now(UTC)), times=Times())
    with LocalGate(made) as gate:
        known = gate.get(origin.manifest, headers=login("secret"))
        refused = gate.get(origin.manifest, headers=login("wrong"))
        anonymous = gate.get(origin.manifest)

    assert [answer.status for answer in (known, refused, anonymous)] == [200, 401, 200]


def test_47_blob_that_a_neighbour_does_not_send(origin: Origin, tmp_path: Path) -> None:
    """Who waits for a blob of a good repository does not wait for a bad one."""
    begun, over = threading.Event(), threading.Event()

    def drip(write: Callable[[bytes], None]) -> None:
        write(b"x" * 10)
        begun.set()
        over.wait(20)

    def lie(path: str) -> Answer | None:
        return Answer(200, drip=drip) if path.endswith(str(origin.digest)) else None

    origin.lie = neighbour(origin, lie)
    with LocalGate(making(origin, tmp_path)) as gate:
        assert [gate.get(path).status for path in (origin.manifest, OTHER)] == [200, 200]
        bad = f"/v2/apps/other/blobs/{origin.digest}"
        waiting = threading.Thread(target=lambda: _ask(gate, bad))
        waiting.start()
        assert begun.wait(10)
        try:
            good = gate.get(origin.blob)
        finally:
            over.set()
            waiting.join(20)

    assert (good.status, good.body) == (200, CONTENT)


def test_47_two_ways_to_one_registry() -> None:
    """What came without TLS would answer for what comes with it."""
    options = RegistryOptions()
    plain = Upstream.parse("plain=http://10.0.0.5:5000", options)
    safe = Upstream.parse("safe=10.0.0.5:5000", options)

    with pytest.raises(InputError, match="two upstreams"):
        Upstreams.of((plain, safe))


def _ask(gate: LocalGate, path: str) -> None:
    # Its body is cut, which is not what this is about.
    with contextlib.suppress(OSError, http.client.HTTPException):
        gate.get(path)
