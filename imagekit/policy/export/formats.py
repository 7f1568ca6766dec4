"""The formats that a policy can be exported to, by the words of the command line."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from imagekit.errors import UsageError
from imagekit.policy.export import containers, page
from imagekit.policy.export.podman_version import PodmanVersion
from imagekit.policy.export.result import PolicyExport
from imagekit.policy.ruleset import Policy

_Exporter = Callable[[Policy, str, datetime], PolicyExport]


def export_policy(policy: Policy, target: str, *, now: datetime) -> PolicyExport:
    """Write a policy in the words of another tool.

    Args:
        policy: what is exported.
        target: one of ``FORMATS``, with ``:VERSION`` where it has versions.
        now: the present time.

    Raises:
        UsageError: there is no such format or version.
        PolicyError: the policy is not in force, or names a trusted root that cannot be read.
    """
    name, colon, version = target.partition(":")
    exporter = FORMATS.get(name)
    if exporter is None or (colon and not version):
        raise UsageError(
            f"{target!r:.80} is not a format that policies can be exported to",
            hint=f"one of: {', '.join(FORMATS)}; containers-policy:5.4 is for Podman 5.4 and newer",
        )
    return exporter(policy, version, now)


def _containers(policy: Policy, version: str, now: datetime) -> PolicyExport:
    return containers.export(policy, podman=PodmanVersion.parse(version), now=now)


def _page(policy: Policy, version: str, now: datetime) -> PolicyExport:
    if version:
        raise UsageError(
            f"{version!r:.40}: only containers-policy has versions", hint="leave the version out"
        )
    return page.export(policy, now=now)


FORMATS: Mapping[str, _Exporter] = MappingProxyType(
    {"containers-policy": _containers, "docs": _page}
)
