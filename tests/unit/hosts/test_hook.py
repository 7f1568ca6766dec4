"""What runtimes call: told by one file, in time, and a no where anything is wrong."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imagekit.errors import ImagekitError, InputError, ToolTimeoutError
from imagekit.hosts.docker.answer import answer
from imagekit.hosts.docker.request import DockerRequest
from imagekit.hosts.hook import judge_of, load_hook_config, policy_of, within
from imagekit.hosts.hook_config import VARIABLE, parse_config
from imagekit.hosts.hook_types import GateConfig, HookConfig
from imagekit.needs.compare import Lack
from imagekit.needs.needs import Needs
from imagekit.needs.predicate import needs_predicate
from imagekit.oci.digest import Digest
from imagekit.policy.new import new_policy
from imagekit.signatures.intoto import NEEDS
from tests.support.attacks_kit import Liar
from tests.support.hostile import Answer, HostileRegistry
from tests.support.signed import sparse_index


def test_a_configuration_is_read(tmp_path: Path) -> None:
    """All keys of it."""
    raw = (
        b"policy: /p.yaml\npolicyKeys: [/k.pub]\nstate: /s.db\nplainHttp: true\n"
        b"caFile: /ca.pem\nseconds: 3\nrealms: [GitLab.com]\n"
    )

    assert parse_config(raw, file="x") == HookConfig(
        policy=Path("/p.yaml"),
        policy_keys=(Path("/k.pub"),),
        state=Path("/s.db"),
        plain_http=True,
        ca_file=Path("/ca.pem"),
        realms=("gitlab.com",),
        seconds=3,
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"policy: relative.yaml",
        b"state: /s.db",
        b"policy: /p.yaml\nsecond: 3",
        b"policy: /p.yaml\nseconds: 0",
        b"policy: /p.yaml\nseconds: 9999",
        b"policy: /p.yaml\npolicy: /q.yaml",
        b"policy: /p.yaml\npolicyKeys: []",
    ],
)
def test_a_configuration_that_is_not_right_is_refused(raw: bytes) -> None:
    """Half of it verifies nothing."""
    with pytest.raises(InputError):
        parse_config(raw, file="x")


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the runtime passes it on; else it is in /etc."""
    (tmp_path / "v.yaml").write_text("policy: /p.yaml\n")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "v.yaml"))

    assert load_hook_config().policy == Path("/p.yaml")


def test_a_missing_configuration_is_an_error(tmp_path: Path) -> None:
    """And no default policy."""
    with pytest.raises(InputError, match="cannot be read"):
        load_hook_config(tmp_path / "none")


def test_a_policy_key_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """It is never taken for none."""
    config = HookConfig(policy=tmp_path / "p", policy_keys=(tmp_path / "none",))

    with pytest.raises(ImagekitError):
        policy_of(config)


@pytest.mark.real
def test_an_index_that_could_not_be_read_whole_is_refused(tmp_path: Path) -> None:
    """The runtime chooses from it by itself: also what was hidden from the verifier."""
    server = Liar()
    try:
        world = server.world
        text = new_policy(
            f"{world.repository.host}/apps/**", world.signer.public_key, now=datetime.now(UTC)
        )
        (tmp_path / "policy.yaml").write_text(text)
        judge = judge_of(HookConfig(policy=tmp_path / "policy.yaml", state=tmp_path / "seen.db"))
        whole = judge(world.reference)
        sparse_index(world, Digest.of(b"hidden"))
        sparse = judge(world.reference)
    finally:
        server.close()

    assert (whole.allowed, sparse.allowed) == (True, False)
    assert "MISSING_MANIFEST" in sparse.reason


@pytest.mark.real
@pytest.mark.parametrize("lacking", [False, True])
def test_a_runtime_is_told_what_its_node_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, lacking: bool
) -> None:
    """Where the policy says that needs are checked: it runs the image on this node."""
    lack = Lack(need="cuda", message="the image needs X, and the node has none", hint="elsewhere")
    found = (lack,) if lacking else ()
    monkeypatch.setattr("imagekit.hosts.read_node.find_lacks_here", lambda _: found)
    server = Liar()
    try:
        world = server.world
        world.attach(NEEDS, needs_predicate(Needs(cuda="12")))
        text = new_policy(
            f"{world.repository.host}/apps/**", world.signer.public_key, now=datetime.now(UTC)
        )
        asking = text.replace("    authorities:", "    needs: checked\n    authorities:")
        (tmp_path / "policy.yaml").write_text(asking)
        judge = judge_of(HookConfig(policy=tmp_path / "policy.yaml", state=tmp_path / "seen.db"))

        decision = judge(world.reference)
    finally:
        server.close()

    assert decision.allowed is not lacking
    assert ("NODE_LACKS" in decision.reason) is lacking


def test_what_takes_too_long_ends() -> None:
    """The runtime hears a reason before it gives up itself."""
    began = time.monotonic()

    with pytest.raises(ToolTimeoutError, match="no verdict"), within(0.05):
        time.sleep(10)

    assert time.monotonic() - began < 5


def test_the_alarm_is_off_afterwards() -> None:
    """What was in time is not interrupted later."""
    with within(0.05):
        pass
    time.sleep(0.1)


def test_without_a_policy_docker_may_do_nothing_with_images(tmp_path: Path) -> None:
    """The answer is a no, and never an exception."""
    config = HookConfig(policy=tmp_path / "none", state=tmp_path / "s.db")
    digest = "sha256:" + "1" * 64

    allow, said = answer(config, _pull(f"fromImage=r.site/a@{digest}"))

    assert not allow
    assert "cannot be read" in said


MANIFEST = b'{"schemaVersion": 2}'
DIGEST = Digest.of(MANIFEST)
ALLOWED = Answer(200, {"Docker-Content-Digest": str(DIGEST)}, MANIFEST)


def ask_docker(gate_says: Answer, uri: str) -> tuple[bool, str]:
    """Ask as Docker does, where the host's configuration names a gate."""
    with HostileRegistry(lambda _: gate_says) as gate:
        asked = GateConfig(address=gate.host, tls=False, registries={"r.site": ""})
        config = HookConfig(gate=asked)
        return answer(config, _pull(uri))


def _pull(query: str) -> DockerRequest:
    return DockerRequest(method="POST", uri=f"/v1.41/images/create?{query}", length="0")


def test_by_a_gate_docker_may_pull_what_it_serves() -> None:
    """By that digest only; by a tag Docker would look again."""
    assert ask_docker(ALLOWED, f"fromImage=r.site/a@{DIGEST}")[0]
    assert not ask_docker(ALLOWED, f"fromImage=r.site/a@sha256:{'1' * 64}")[0]

    allow, said = ask_docker(ALLOWED, "fromImage=r.site/a&tag=1")

    assert not allow
    assert f"docker pull r.site/a@{DIGEST}" in said


@pytest.mark.parametrize("gate_says", [Answer(403), Answer(500), Answer(200, {}, MANIFEST)])
@pytest.mark.parametrize("uri", [f"fromImage=r.site/a@{DIGEST}", "fromImage=r.site/a&tag=1"])
def test_by_a_gate_docker_may_not_pull_what_it_does_not_serve(gate_says: Answer, uri: str) -> None:
    """Neither what it refuses nor what it cannot tell; no digest is offered, either."""
    allow, said = ask_docker(gate_says, uri)

    assert not allow
    assert "the gate" in said
    assert "ask by its digest" not in said


def test_a_gate_is_no_policy_for_receipts() -> None:
    """A staged image is judged by its receipt, which the gate knows nothing of."""
    config = HookConfig(gate=GateConfig(address="127.0.0.1:1", registries={"r.site": ""}))

    with pytest.raises(InputError, match="receipts are checked by a policy"):
        policy_of(config)
