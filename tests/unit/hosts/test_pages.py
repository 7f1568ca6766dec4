"""What the pages say to write into configuration files is what these are read as."""

import re
from pathlib import Path

import yaml

from imagekit.hosts.hook_config import parse_config
from imagekit.hosts.kubernetes.review import parse_review
from tests.unit.hosts.kubernetes.test_review import review

# The resources of the page's rules, as their objects call themselves.
KINDS = {
    "pods": "Pod",
    "pods/ephemeralcontainers": "Pod",
    "podtemplates": "PodTemplate",
    "replicationcontrollers": "ReplicationController",
    "deployments": "Deployment",
    "replicasets": "ReplicaSet",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    "jobs": "Job",
    "cronjobs": "CronJob",
}
_SPEC: dict[str, object] = {"containers": []}
_TEMPLATE = {"template": {"spec": _SPEC}}


def _blocks(page: Path, kind: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_verifiers_configurations_are_taken(project: Path) -> None:
    """By a policy, and by a gate."""
    first, second = _blocks(project / "docs/offline.md", "yaml")

    by_policy = parse_config(first.encode(), file="x")
    by_gate = parse_config(second.encode(), file="x")

    assert by_policy.policy_keys
    assert by_gate.gate is not None


def test_the_webhooks_rules_name_what_is_understood(project: Path) -> None:
    """Another kind would be refused whatever its images; and each is asked about."""
    text, _ = _blocks(project / "docs/kubernetes.md", "yaml")
    (hook,) = yaml.safe_load(text)["webhooks"]
    named = [each for rule in hook["rules"] for each in rule["resources"]]

    assert sorted(named) == sorted(KINDS)
    assert hook["failurePolicy"] == "Fail"
    assert all(set(rule["operations"]) == {"CREATE", "UPDATE"} for rule in hook["rules"])
    for kind in set(KINDS.values()):
        inner = _SPEC if kind == "Pod" else {**_TEMPLATE, "jobTemplate": {"spec": _TEMPLATE}}
        document = {"spec": inner, **_TEMPLATE}
        assert parse_review(review(kind, document)).images == ()
