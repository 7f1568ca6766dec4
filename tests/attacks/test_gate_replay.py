"""The replayed image behind a gate: whatever the registry does, nothing unverified is served.

The lies are those that the verifier has to see through; here it is held besides that no layer was
asked for and that the client got either the very bytes that were signed or a refusal.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from imagekit.gate.decisions.service import Times
from imagekit.gate.upstreams import Upstream
from imagekit.oci.digest import Digest
from imagekit.oci.types import INDEX
from tests.e2e.gate.kit import Reply
from tests.e2e.gate.local import Clock, LocalGate, Making
from tests.support.attacks_kit import layers
from tests.support.hostile import Answer
from tests.support.misbehaviours import (
    Change,
    Where,
    at,
    body,
    bundle,
    config,
    cut_off,
    declaring,
    document,
    dripping,
    endless,
    error,
    flood,
    headers,
    manifest,
    page,
    redirect,
    referrer,
    referrers,
    silent,
    text,
)
from tests.support.replay import OPTIONS, Lie, Stage, started
from tests.support.signed import NOW

pytestmark = pytest.mark.real

DEADLINE = 20.0


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """An honest image, recorded once."""
    yield from started()


@dataclass
class Play:
    """A gate in front of the stage, for one lie."""

    stage: Stage
    folder: Path

    def pull(self, lie: Lie | None) -> Reply:
        """Ask for the image's manifest, and hold what has to hold whatever comes."""
        stage = self.stage
        stage._lie, stage._times = lie, {}
        stage.server.asked.clear()
        upstream = Upstream(host=stage.server.host, options=OPTIONS)
        making = Making(
            folder=self.folder, policy=stage.policy, upstreams=(upstream,), clock=Clock(NOW)
        )
        with LocalGate(making) as gate:
            began = time.monotonic()
            answer = gate.get(stage.manifest)
            assert time.monotonic() - began < DEADLINE
            self.hold(gate, answer)
        return answer

    def hold(self, gate: LocalGate, answer: Reply) -> None:
        """Hold that it is the signed image or a refusal, and that no layer was asked for."""
        image = self.stage.world.image
        wanted = {str(digest) for digest in layers(self.stage.world)}
        if answer.status == 200:
            assert Digest.of(answer.body) == image.digest
        else:
            assert answer.status in {403, 404, 503}
            assert answer.message.isprintable()
            for digest in wanted:
                assert gate.get(f"/v2/apps/demo/blobs/{digest}").status == 404
        assert not [one for one in self.stage.server.asked if one.path.rpartition("/")[2] in wanted]


@pytest.fixture
def play(stage: Stage, tmp_path: Path) -> Play:
    """A gate of the test's own."""
    return Play(stage, tmp_path)


def test_00_an_honest_registry(play: Play) -> None:
    """Without a lie the image is served."""
    assert play.pull(None).status == 200


_LIES: dict[str, tuple[Where, Change | Answer, int, str]] = {
    "23-other-body": (manifest, body(lambda raw: raw + b" "), 403, "CONTENT_DIGEST_MISMATCH"),
    "23-other-digest": (
        manifest,
        headers(Docker_Content_Digest=f"sha256:{'0' * 64}"),
        403,
        "CONTENT_DIGEST_MISMATCH",
    ),
    "23-other-config": (config, body(lambda raw: raw + b" "), 403, "CONTENT_DIGEST_MISMATCH"),
    "24-called-an-index": (manifest, headers(Content_Type=INDEX), 403, "BAD_MEDIA_TYPE"),
    "24-also-an-index": (manifest, document(manifests=[]), 403, "BAD_DOCUMENT"),
    "24-schema-1": (
        manifest,
        headers(Content_Type="application/vnd.docker.distribution.manifest.v1+json"),
        403,
        "BAD_MEDIA_TYPE",
    ),
    "24-html": (manifest, headers(Content_Type="text/html"), 403, "BAD_MEDIA_TYPE"),
    "25-key-in-another-case": (
        manifest,
        text('"config":', '"Config": {}, "config":'),
        403,
        "AMBIGUOUS_JSON",
    ),
    "25-key-twice": (manifest, text('"layers":', '"layers": [], "layers":'), 403, "AMBIGUOUS_JSON"),
    "30-endless-manifest": (manifest, endless, 403, "TOO_LARGE"),
    "30-endless-signature": (bundle, endless, 403, ""),
    "30-endless-referrers": (referrers, endless, 403, "TOO_LARGE"),
    "30-a-byte-now-and-then": (manifest, dripping, 503, ""),
    "30-declares-more": (bundle, declaring("5000000000"), 503, ""),
    "30-silence": (manifest, silent, 503, ""),
    "30-cut-off": (manifest, cut_off, 403, "CONTENT_DIGEST_MISMATCH"),
    "31-flood-of-referrers": (referrers, flood(100_000), 403, "TOO_LARGE"),
    "31-pages-on-another-host": (
        referrers,
        page('<http://127.0.0.2:1/v2/x>; rel="next"'),
        403,
        "FOREIGN_LINK",
    ),
    "31-pages-without-end": (
        referrers,
        page('</v2/apps/demo/referrers/again>; rel="next"'),
        403,
        "INCOMPLETE",
    ),
    "32-no-referrers": (referrers, document(manifests=[]), 403, "NO_SIGNATURE"),
    "32-lost-referrer": (referrer, error(404), 403, ""),
    "33-referrers-fail": (referrers, error(500), 503, ""),
    "33-referrers-forbidden": (referrers, error(403), 403, ""),
    "manifest-fails": (manifest, error(500), 503, ""),
    "manifest-too-many": (manifest, error(429), 503, ""),
    "manifest-not-there": (manifest, error(404), 404, ""),
    "manifest-forbidden": (manifest, error(403), 403, ""),
    "manifest-elsewhere": (manifest, redirect("http://169.254.169.254/latest"), 403, ""),
}


@pytest.mark.parametrize("name", _LIES)
def test_lie(play: Play, name: str) -> None:
    """One lie: refused, with a code that says why, and never served."""
    where, change, status, code = _LIES[name]

    answer = play.pull(at(where, change))

    assert answer.status == status
    assert code in answer.message
    if status == 403 and code in {"NO_SIGNATURE", "AMBIGUOUS_JSON"}:
        assert "platform@site.example" in answer.message
    if status == 503:
        assert int(answer.headers["Retry-After"]) > 0


def test_22_another_manifest_at_the_second_get(stage: Stage, tmp_path: Path) -> None:
    """Attack 22: who asks twice (ch-image) gets one image, and the registry was asked once."""
    evil = body(lambda raw: raw.replace(b"{", b'{"x":1,', 1))
    lie = at(manifest, evil)
    stage._lie, stage._times = lambda s, a, n: lie(s, a, n) if n else None, {}
    stage.server.asked.clear()
    upstream = Upstream(host=stage.server.host, options=OPTIONS)
    making = Making(folder=tmp_path, policy=stage.policy, upstreams=(upstream,), clock=Clock(NOW))

    with LocalGate(making) as gate:
        first, second = gate.get(stage.manifest), gate.get(stage.manifest)
        by_digest = gate.get(f"/v2/apps/demo/manifests/{stage.world.image.digest}")

    assert first.body == second.body == by_digest.body
    assert Digest.of(first.body) == stage.world.image.digest
    assert [one.path for one in stage.server.asked].count(stage.manifest) == 1


def test_22_after_the_pin_the_tag_is_judged_again(stage: Stage, tmp_path: Path) -> None:
    """Once the tag is asked for again, what it became is refused, and the old one is not served."""
    evil = at(manifest, document(annotations={"evil": "1"}))
    stage._lie, stage._times = lambda s, a, n: evil(s, a, n) if n else None, {}
    upstream = Upstream(host=stage.server.host, options=OPTIONS)
    clock = Clock(NOW)
    making = Making(
        folder=tmp_path,
        policy=stage.policy,
        upstreams=(upstream,),
        clock=clock,
        times=Times(pin=timedelta(seconds=0)),
    )

    with LocalGate(making) as gate:
        first = gate.get(stage.manifest)
        second = gate.get(stage.manifest)

    assert (first.status, second.status) == (200, 403)
    assert "NO_SIGNATURE" in second.message


def test_36_all_media_types_are_asked_for(stage: Stage, tmp_path: Path) -> None:
    """Attack 36: the upstream is asked for every kind, whatever the client's Accept says."""
    stage._lie, stage._times = None, {}
    stage.server.asked.clear()
    upstream = Upstream(host=stage.server.host, options=OPTIONS)
    making = Making(folder=tmp_path, policy=stage.policy, upstreams=(upstream,), clock=Clock(NOW))

    with LocalGate(making) as gate:
        gate.get(stage.manifest, headers={"Accept": "text/plain", "X-Evil": "yes"})

    asked = next(one for one in stage.server.asked if one.path == stage.manifest)
    assert asked.headers["accept"].count("application/vnd.") == 4
    assert "x-evil" not in asked.headers
