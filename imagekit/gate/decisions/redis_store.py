"""Decisions that several gates behind a balancer share, by Redis.

Redis is believed no more than a disk: manifests are hashed again, and a decision counts only under
the same policy. Who can write there can allow images, so it wants a password and a network of its
own. Without it every gate decides for itself, which costs verifications and nothing else.
"""

import json
import logging
from datetime import UTC, datetime

import redis

from imagekit.errors import ImagekitError, InputError
from imagekit.gate.decisions.decision import Decision, DecisionClosure, DecisionSubject
from imagekit.oci.digest import Digest
from imagekit.oci.location import LocatedRepository
from imagekit.oci.types import RawManifest

_log = logging.getLogger(__name__)
_PREFIX = "imagekit:gate:1:"
# A judgement of our own takes hardly longer.
_SECONDS = 0.5
_KEPT = 30 * 24 * 3600
_MOST_ROOTS = 8
_MAX_BYTES = 64 << 20


class RedisShared:
    """Decisions in Redis; safe in several threads.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.

    Raises:
        InputError: it is no URL of Redis.
    """

    def __init__(self, url: str) -> None:
        try:
            self._redis = redis.Redis.from_url(
                url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
            )
        except ValueError as error:
            raise InputError(f"{url} is no URL of Redis: {error}", code="gate/redis") from error

    def keep(self, subject: DecisionSubject, decision: Decision) -> None:
        """Share an allowed image; a denied one takes its place away."""
        key = _key(subject)
        try:
            if not decision.allowed or decision.manifest is None:
                self._redis.delete(key)
                return
            members = (
                subject.digest,
                *decision.closure.manifests,
                *decision.closure.blobs,
            )
            made = decision.made.timestamp()
            # No transaction: a decision of which a part is missing is not found, and is made again.
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.set(key, _packed(decision), ex=_KEPT)
                for digest in members:
                    place = f"{_PREFIX}member:{subject.place.key}@{digest}"
                    pipe.zadd(place, {f"{subject.digest} {subject.tag}": made})
                    # By the time of judgement: the newest stay.
                    pipe.zremrangebyrank(place, 0, -1 - _MOST_ROOTS)
                    pipe.expire(place, _KEPT)
                if subject.tag:
                    latest = f"{_PREFIX}latest:{subject.place.key}:{subject.tag}"
                    pipe.set(latest, str(subject.digest), ex=_KEPT)
                pipe.execute()
        except redis.RedisError as error:
            _log.warning("decisions cannot be shared: %s", error)

    def decision(self, subject: DecisionSubject) -> Decision | None:
        """Return a shared decision, or None."""
        try:
            raw = self._redis.get(_key(subject))
        except redis.RedisError as error:
            _log.warning("shared decisions cannot be read: %s", error)
            return None
        if not isinstance(raw, bytes) or len(raw) > _MAX_BYTES:
            return None
        try:
            return _unpacked(subject, raw)
        except (ImagekitError, ValueError, LookupError, TypeError, AttributeError):
            # Whatever wrote that, it is no decision of a gate.
            return None

    def latest(self, place: LocatedRepository, tag: str) -> DecisionSubject | None:
        """Return what a tag pointed to when a gate allowed it last."""
        try:
            raw = self._redis.get(f"{_PREFIX}latest:{place.key}:{tag}")
            return DecisionSubject(place, Digest.parse(_text(raw)), tag) if raw else None
        except (redis.RedisError, ImagekitError, UnicodeDecodeError):
            return None

    def roots(self, place: LocatedRepository, digest: Digest) -> tuple[DecisionSubject, ...]:
        """Return the images that something is part of, those judged last first."""
        try:
            members = self._redis.zrevrange(f"{_PREFIX}member:{place.key}@{digest}", 0, _MOST_ROOTS)
            pairs = [_text(member).partition(" ") for member in members]
            return tuple(DecisionSubject(place, Digest.parse(root), tag) for root, _, tag in pairs)
        except (redis.RedisError, ImagekitError, UnicodeDecodeError):
            return ()

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()


def _text(raw: object) -> str:
    return raw.decode() if isinstance(raw, bytes) else ""


def _key(subject: DecisionSubject) -> str:
    return f"{_PREFIX}decision:{subject.place.key}:{subject.tag}@{subject.digest}"


def _packed(decision: Decision) -> bytes:
    top = decision.manifest
    manifests = [*decision.closure.manifests.values(), *([] if top is None else [top])]
    return json.dumps(
        {
            "policy": decision.policy,
            "policy_name": decision.policy_name,
            "times": [t.timestamp() for t in (decision.made, decision.fresh, decision.until)],
            "manifests": [
                # JSON has no bytes; in latin-1 each is one character.
                [str(m.digest), m.media_type, m.raw.decode("latin-1")]
                for m in manifests
            ],
            "blobs": {str(digest): size for digest, size in decision.closure.blobs.items()},
        }
    ).encode()


def _unpacked(subject: DecisionSubject, raw: bytes) -> Decision | None:
    document = json.loads(raw)
    manifests: dict[Digest, RawManifest] = {}
    for text, media_type, body in document["manifests"]:
        digest, content = Digest.parse(text), body.encode("latin-1")
        digest.check(content, what="a shared manifest")
        manifests[digest] = RawManifest(media_type=str(media_type), digest=digest, raw=content)
    top = manifests.pop(subject.digest, None)
    made, fresh, until = (datetime.fromtimestamp(float(t), UTC) for t in document["times"])
    if top is None:
        return None
    return Decision(
        reference=subject.reference,
        digest=subject.digest,
        allowed=True,
        policy=str(document["policy"]),
        policy_name=str(document["policy_name"]),
        made=made,
        fresh=fresh,
        until=until,
        manifest=top,
        closure=DecisionClosure(
            manifests=manifests,
            blobs={Digest.parse(text): int(size) for text, size in document["blobs"].items()},
        ),
    )
