"""The words of ``imagekit authz-docker`` are checked before anything listens."""

from pathlib import Path

import pytest

from imagekit.cli.main import main


@pytest.mark.parametrize("folder", ["data", "/srv/../etc", "/srv//data", "/srv/data/", "/srv/a:b"])
def test_a_folder_is_named_as_docker_is_asked_for_it(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another spelling would never be what a request says, or would say two things."""
    words = ["authz-docker", "--listen", f"unix://{tmp_path}/sock", "--bind", folder]

    assert main(words) == 64
    assert "no plain absolute path" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("listen", ["/run/x.sock", "unix://x.sock", "tcp://127.0.0.1:1"])
def test_it_listens_on_sockets_only(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By an absolute path, as Docker looks for it."""
    assert main(["authz-docker", "--listen", listen]) == 64
    assert "unix://" in capsys.readouterr().err
