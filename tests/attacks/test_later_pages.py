"""A withdrawal on a later page is read, however the registry writes the way to it.

So is one that only the fallback tag lists, and one that is listed and gone refuses.
"""

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


def split(origin: Origin) -> Callable[[Asked, Answer], Answer | None]:
    """List the withdrawal, which is the last, under the fallback tag only."""
    listed = origin.world.registry.referrers(origin.image)
    lists = {
        f"/v2/apps/demo/referrers/{origin.image.digest}": listed[:-1],
        f"/v2/apps/demo/manifests/sha256-{origin.image.digest.hex}": listed[-1:],
    }

    def answer(asked: Asked, _honest: Answer) -> Answer | None:
        entries = lists.get(asked.path)
        if entries is None:
            return None
        raw = index_bytes(Index(media_type=INDEX, manifests=entries))
        return Answer(200, {"Content-Type": INDEX}, raw)

    return answer


def judged(origin: Origin) -> dict[str, str]:
    """Return the errors of a verdict."""
    return errors(
        verify(
            origin.world.reference,
            policy=origin.world.policy(),
            options=QUICK,
            clock=FixedClock(NOW),
        )
    )


def test_withdrawal_under_the_fallback_tag() -> None:
    """Attack 47: that a registry has the API by now does not hide what was attached before."""
    with Origin(b"layer") as origin:
        withdrawn(origin)
        origin.lie = split(origin)

        assert judged(origin) == {"withdrawal": "WITHDRAWN"}


def test_withdrawal_that_is_listed_and_gone() -> None:
    """Attack 47: a registry that lists it and has it not hides nothing."""
    with Origin(b"layer") as origin:
        withdrawn(origin)
        gone = origin.world.registry.referrers(origin.image)[-1]
        origin.lie = lambda asked, _: (
            Answer(404) if asked.path.endswith(f"/manifests/{gone.digest}") else None
        )

        assert judged(origin) == {"withdrawal": "REFERRERS_LOST"}
