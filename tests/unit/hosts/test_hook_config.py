"""A host's verifier is told by its policy, or by the gate to ask: by one of them, and whole."""

from pathlib import Path

import pytest

from imagekit.errors import InputError
from imagekit.hosts.hook_config import parse_config
from imagekit.hosts.hook_types import GateConfig, HookConfig


def test_a_gate_is_read() -> None:
    """All keys that go with it; a registry is written as the gate's --upstream has it."""
    raw = (
        b"gate: https://gate.site:5443/\ngateCa: /ca.pem\nseconds: 3\n"
        b"registries: [site=R.site., hub=index.docker.io:443]\n"
    )

    assert parse_config(raw, file="x") == HookConfig(
        gate=GateConfig(
            address="gate.site:5443",
            ca_file=Path("/ca.pem"),
            registries={"r.site": "site", "docker.io": "hub"},
        ),
        seconds=3,
    )


@pytest.mark.parametrize("address", ["127.0.0.1:5000", "localhost:5000", "[::1]:5000"])
def test_on_loopback_no_tls_is_needed(address: str) -> None:
    """A gate of the host's own."""
    read = parse_config(f"gate: http://{address}\nregistries: [r.site]".encode(), file="x")

    assert read.gate is not None
    assert read.gate.url == f"http://{address}"
    assert read.gate.registries == {"r.site": ""}


GATE = "gate: https://gate.site\n"
HOW = "registries: [r.site]\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("seconds: 3", "one-key"),
        (f"policy: /p.yaml\n{GATE}{HOW}", "one-key"),
        (GATE, "missing-key"),
        (f"{GATE}registries: []", "out-of-range"),
        (f"{GATE}registries: [r]", "bad-registry"),
        (f"{GATE}registries: [a/b=r.site]", "bad-registry"),
        (f"{GATE}registries: [A=r.site]", "bad-registry"),
        (f"{GATE}registries: [r.site, b=s.site]", "bad-registry"),
        (f"{GATE}registries: [a=r.site, b=r.site]", "twice"),
        (f"gate: http://gate.site\n{HOW}", "bad-gate"),
        (f"gate: http://127.0.0.1.gate.site\n{HOW}", "bad-gate"),
        (f"gate: ftp://gate.site\n{HOW}", "bad-gate"),
        (f"gate: gate.site\n{HOW}", "bad-gate"),
        (f"gate: https://gate.site/v2\n{HOW}", "bad-gate"),
        (f"gate: https://user@gate.site\n{HOW}", "bad-gate"),
        (f"{GATE}{HOW}gateCa: ca.pem", "bad-path"),
        (f"{GATE}{HOW}policyKeys: [/k.pub]", "bad-combination"),
        (f"{GATE}{HOW}state: /s.db", "bad-combination"),
        (f"{GATE}{HOW}plainHttp: true", "bad-combination"),
        (f"{GATE}{HOW}caFile: /ca.pem", "bad-combination"),
        (f"{GATE}{HOW}realms: [a.site]", "bad-combination"),
        ("policy: /p.yaml\nrealms: ['https://a.site']", "bad-host"),
        (f"policy: /p.yaml\n{HOW}", "bad-combination"),
        ("policy: /p.yaml\ngateCa: /ca.pem", "bad-combination"),
    ],
)
def test_a_gate_that_is_not_right_is_refused(text: str, code: str) -> None:
    """With one fault, at its place: a key without effect would be taken for a protection."""
    with pytest.raises(InputError) as caught:
        parse_config(text.encode(), file="x")

    assert [each.code for each in caught.value.diagnostics] == [f"verifier/{code}"]
    assert all(each.line for each in caught.value.diagnostics)
