"""What runtimes call: told by one file, in time, and a no where anything is wrong."""

import time
from pathlib import Path

import pytest

from imagekit.errors import ImagekitError, InputError, ToolTimeoutError
from imagekit.model.face import FaceConfig
from imagekit.pipeline.dockerauthz import answer
from imagekit.pipeline.face import load_face, policy_of, within
from imagekit.runtime.faceconfig import VARIABLE, parse_config


def test_a_configuration_is_read(tmp_path: Path) -> None:
    """All keys of it."""
    raw = (
        b"policy: /p.yaml\npolicyKeys: [/k.pub]\nstate: /s.db\nplainHttp: true\n"
        b"caFile: /ca.pem\nseconds: 3\n"
    )

    assert parse_config(raw, file="x") == FaceConfig(
        policy=Path("/p.yaml"),
        policy_keys=(Path("/k.pub"),),
        state=Path("/s.db"),
        plain_http=True,
        ca_file=Path("/ca.pem"),
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

    assert load_face().policy == Path("/p.yaml")


def test_a_missing_configuration_is_an_error(tmp_path: Path) -> None:
    """And no default policy."""
    with pytest.raises(InputError, match="cannot be read"):
        load_face(tmp_path / "none")


def test_a_policy_key_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """It is never taken for none."""
    config = FaceConfig(policy=tmp_path / "p", policy_keys=(tmp_path / "none",))

    with pytest.raises(ImagekitError):
        policy_of(config)


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
    config = FaceConfig(policy=tmp_path / "none", state=tmp_path / "s.db")
    digest = "sha256:" + "1" * 64

    allow, said = answer(
        config, method="POST", uri=f"/v1.41/images/create?fromImage=r.site/a@{digest}", body=None
    )

    assert not allow
    assert "cannot be read" in said
