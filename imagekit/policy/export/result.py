"""What an export comes to: documents for the target, and what they cannot say."""

from enum import StrEnum

from msgspec import Struct


class Effect(StrEnum):
    """How the target differs from the policy."""

    WEAKER = "weaker"
    """It accepts images that the policy refuses: only by permission."""
    DROPPED = "dropped"
    """A rule is left out whole, since the target has no words for its names: by permission too."""
    STRICTER = "stricter"
    """It refuses images that the policy allows."""
    REMARK = "remark"
    """Nothing that the policy says, but something to know about the target."""


CODES = frozenset(
    {
        "ambiguous",
        "attestations",
        "deny-digests",
        "deny-identities",
        "exclude",
        "expiry",
        "expressions",
        "glob",
        "issued",
        "key-window",
        "max-age",
        "monotonic",
        "platforms",
        "platforms-verify",
        "scope",
        "sct",
        "timestamp",
    }
)
"""Codes of the losses that want permission."""


class Loss(Struct, frozen=True, kw_only=True):
    """One thing that the target says differently, or not at all."""

    code: str
    """Stable word for programs and for ``--allow-loss``, such as ``expiry``."""
    effect: Effect
    message: str
    rule: str = ""
    """The glob of the rule that it is about; empty for the policy as a whole."""


class Document(Struct, frozen=True, kw_only=True):
    """A file for the target."""

    name: str
    """Relative path, with ``/`` between folders."""
    text: str


class PolicyExport(Struct, frozen=True, kw_only=True):
    """Documents for a target, and everything in which they differ from the policy."""

    target: str
    """For people: ``containers-policy.json of Podman 5.5``."""
    documents: tuple[Document, ...]
    losses: tuple[Loss, ...]

    @property
    def blocking(self) -> tuple[Loss, ...]:
        """What wants permission."""
        wanted = (Effect.WEAKER, Effect.DROPPED)
        return tuple(loss for loss in self.losses if loss.effect in wanted)


def weaker(code: str, message: str, *, rule: str = "") -> Loss:
    """Return a loss that makes the target accept more."""
    return Loss(code=code, effect=Effect.WEAKER, message=message, rule=rule)


def dropped(code: str, message: str, *, rule: str) -> Loss:
    """Return the loss of a whole rule."""
    return Loss(code=code, effect=Effect.DROPPED, message=message, rule=rule)


def stricter(code: str, message: str, *, rule: str = "") -> Loss:
    """Return a difference that makes the target refuse more."""
    return Loss(code=code, effect=Effect.STRICTER, message=message, rule=rule)


def remark(code: str, message: str, *, rule: str = "") -> Loss:
    """Return something to know about the target."""
    return Loss(code=code, effect=Effect.REMARK, message=message, rule=rule)
