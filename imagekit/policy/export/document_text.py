"""Documents as text: JSON and YAML that people can read and that always come out the same."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from imagekit.policy.export.result import Effect, Loss
from imagekit.policy.findings import plain
from imagekit.policy.ruleset import Policy

Value = Mapping[str, Any]


def json_text(value: Value) -> str:
    """Return an object as JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def yaml_text(value: Value, *, head: Iterable[str]) -> str:
    """Return an object as YAML, below lines of comment."""
    import yaml  # exports are rare, and the verifier is to start quickly

    class Dumper(yaml.SafeDumper):
        """Writes nothing as an alias."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the base class's words
            return True

    body = yaml.dump(
        value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000, explicit_start=True
    )
    return "".join(f"# {plain(line)}\n" for line in head) + str(body)


def headline(policy: Policy) -> str:
    """Return what a document says of where it comes from."""
    return (
        f"Exported by imagekit from the policy {policy.name} version {policy.version} "
        f"({policy.digest}); change that and export again."
    )


def lost_lines(losses: Iterable[Loss]) -> list[str]:
    """Return what readers of a document must know that it does not say."""
    lost = [loss for loss in losses if loss.effect in {Effect.WEAKER, Effect.DROPPED}]
    if not lost:
        return []
    return [
        "Not in it, by --allow-loss:",
        *(f"- {loss.code}: {f'{loss.rule}: ' if loss.rule else ''}{loss.message}" for loss in lost),
    ]
