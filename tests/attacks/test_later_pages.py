"""A withdrawal on a later page is read, however the registry writes the way to it."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from imagekit.errors import RegistryError
from imagekit.oci.codec import index_bytes
from imagekit.oci.types import INDEX, Index
from imagekit.signatures.release import WITHDRAWAL
from imagekit.verify.verify import verify
from tests.e2e.gate.origin import QUICK, Origin
from tests.support.attacks_kit import errors
from tests.support.fakes import FixedClock
from tests.support.hostile import Answer, Asked

pytestmark = pytest.mark.real

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def paged(origin: Origin, link: str) -> Callable[[Asked, Answer], Answer | None]:
    """List one referrer on each page, the withdrawal on the last."""
    path = f"/v2/apps/demo/referrers/{origin.image.digest}"
    listed = origin.world.registry.referrers(origin.image)

    def answer(asked: Asked, _honest: Answer) -> Answer | None:
        if asked.path.partition("?")[0] != path:
            return None
        at = int(asked.path.partition("?at=")[2] or 0)
        raw = index_bytes(Index(media_type=INDEX, manifests=listed[at : at + 1]))
        headers = {"Content-Type": INDEX}
        if at + 1 < len(listed):
            headers["Link"] = link.format(first=f"{path}?at=0", next=f"{path}?at={at + 1}")
        return Answer(200, headers, raw)

    return answer


def withdrawn(origin: Origin) -> None:
    """Sign the image twice, and withdraw it."""
    origin.world.sign(name=f"{origin.world.repository.name}:2")
    origin.world.attach(WITHDRAWAL, {"reason": "broken", "time": NOW.isoformat()})


@pytest.mark.parametrize(
    "link",
    [
        '<{next}>; rel="next"',
        "<{next}>; rel=next",
        '<{next}>; Rel="Next"',
        '<{next}>; title="a"; rel="next last"',
        '<{first}>; rel="first", <{next}>; rel="next"',
        '<{first}>; rel="first"; title="x, y; z", <{next}>; rel=NEXT',
    ],
)
def test_withdrawal_on_a_later_page(link: str) -> None:
    """Attack 31: the page that has it is read."""
    with Origin(b"layer") as origin:
        withdrawn(origin)
        origin.lie = paged(origin, link)
        verdict = verify(
            origin.world.reference,
            policy=origin.world.policy(),
            options=QUICK,
            clock=FixedClock(NOW),
        )

    assert errors(verdict) == {"withdrawal": "WITHDRAWN"}


def test_way_that_cannot_be_read() -> None:
    """Attack 31: no verdict, and none without the page."""
    with Origin(b"layer") as origin:
        withdrawn(origin)
        origin.lie = paged(origin, '{next}; rel="next"')
        with pytest.raises(RegistryError, match="cannot be read"):
            verify(
                origin.world.reference,
                policy=origin.world.policy(),
                options=QUICK,
                clock=FixedClock(NOW),
            )
