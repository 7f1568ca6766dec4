"""What a container without an engine can be given, and what it cannot."""

from pathlib import Path
from typing import Any

import pytest

from imagekit.errors import UsageError
from imagekit.hosts.run_options import RunOptions
from imagekit.hosts.user_container import Container, Volume
from imagekit.hosts.user_options import without_engine


def _made(more: tuple[str, ...] = (), **chosen: Any) -> Container:
    return without_engine(RunOptions(**chosen), more=more, network="host", terminal=False)


def test_folders_and_variables_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Podman's words; one without a value is the caller's own, if there is one."""
    monkeypatch.setenv("MINE", "1")
    monkeypatch.delenv("NONE", raising=False)
    made = _made(
        volumes=(f"{tmp_path}:/data:ro", f"{tmp_path}:/out"),
        env=("A=b", "MINE", "NONE"),
        workdir="/data",
        userns="keep-id",
    )

    assert made.volumes == (
        Volume(source=str(tmp_path), target="/data", read_only=True),
        Volume(source=str(tmp_path), target="/out"),
    )
    assert made.env == ("A=b", "MINE=1")
    assert made.workdir == "/data"


@pytest.mark.parametrize(
    "chosen",
    [
        {"devices": ("/dev/x",)},
        {"gpus": ("all",)},
        {"user": "0"},
        {"userns": "host"},
        {"more": ("--shm-size=1g",)},
        {"volumes": ("named:/data",)},
        {"volumes": ("/data",)},
        {"volumes": ("/:/data:z",)},
        {"volumes": ("/nowhere/at/all:/data",)},
    ],
)
def test_what_needs_an_engine_is_refused(chosen: dict[str, Any]) -> None:
    """It is never left out in silence."""
    with pytest.raises(UsageError):
        _made(**chosen)


@pytest.mark.parametrize("folder", ["/", "//", "/x/.."])
def test_nothing_covers_the_whole_image(folder: str) -> None:
    """Also not what a launcher's variables name, which a caller can set."""
    with pytest.raises(UsageError, match="covers the whole image"):
        _made(volumes=(f"/:{folder}",))
