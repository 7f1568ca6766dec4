"""Answer Docker's daemon whether images may come in or start: its authorization plugin.

  imagekit authz-docker --listen unix:///run/docker/plugins/imagekit.sock

with {"authorization-plugins": ["imagekit"]} in /etc/docker/daemon.json, and the policy, or the gate
to ask, in /etc/imagekit/verifier.yaml (see: imagekit verifier --help). Images are pulled and run by
digest only: who asks by a tag is told the digest that was verified. Building, loading, importing
and committing images, and plugins, are refused. Where this does not run, Docker refuses everything.
"""

import argparse
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.errors import UsageError

if TYPE_CHECKING:
    from imagekit.adapters.authz import Decide
    from imagekit.model.face import FaceConfig

_UNIX = "unix://"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--listen",
        required=True,
        metavar="unix://PATH",
        help="the socket; Docker looks for it in /run/docker/plugins",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="default: /etc/imagekit/verifier.yaml"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Answer until a signal comes."""
    from imagekit.adapters.authz import AuthzServer
    from imagekit.pipeline.face import judge_of, load_face

    if not arguments.listen.startswith(_UNIX):
        raise UsageError("--listen is unix:// and the absolute path of a socket")
    path = Path(arguments.listen.removeprefix(_UNIX))
    if not path.is_absolute():
        raise UsageError("--listen is unix:// and the absolute path of a socket")
    config = load_face(arguments.config)
    judge_of(config)  # a broken one is told now, and not at the first question
    decide = _decider(config, console)
    with AuthzServer(path, decide) as server:
        _stop_on_signal(server.shutdown)
        console.note(f"  answering on {path}")
        server.serve_forever(poll_interval=0.2)
    path.unlink(missing_ok=True)
    return 0


def _decider(config: "FaceConfig", console: Console) -> "Decide":
    from imagekit.pipeline.dockerauthz import answer

    def decide(method: str, uri: str, body: bytes | None) -> tuple[bool, str]:
        allow, message = answer(config, method=method, uri=uri, body=body)
        if message:
            console.note(f"  {'allowed' if allow else 'refused'}  {method} {uri[:200]}: {message}")
        return allow, message

    return decide


def _stop_on_signal(stop: Callable[[], None]) -> None:
    import threading

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        # It waits for the loop that this very thread runs.
        threading.Thread(target=stop, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
