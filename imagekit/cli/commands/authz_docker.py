"""Answer Docker's daemon whether images may come in or start: its authorization plugin.

  imagekit authz-docker --listen unix:///run/docker/plugins/imagekit.sock

with {"authorization-plugins": ["imagekit"]} in /etc/docker/daemon.json, and the policy, or the gate
to ask, in /etc/imagekit/verifier.yaml (see: imagekit verifier --help). Images are pulled and run by
digest only: who asks by a tag is told the digest that was verified. What is allowed is a list (see
docs/offline.md): running and managing containers, volumes and networks. Whatever brings code from
elsewhere or leads out of a container is refused: building, loading, importing and committing
images, copying into containers, plugins, swarms, privileges, devices, and folders of the host, but
those of --bind. Where this does not run, Docker refuses everything.
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
    from imagekit.hosts.docker.request import DockerRequest
    from imagekit.hosts.docker.server import Decide
    from imagekit.hosts.hook_types import HookConfig

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
    parser.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="PATH",
        help="a folder of this host that containers may mount, by exactly this path; repeatable",
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Answer until a signal comes."""
    from imagekit.hosts.docker.server import AuthzServer
    from imagekit.hosts.hook import judge_of, load_hook_config

    if not arguments.listen.startswith(_UNIX):
        raise UsageError("--listen is unix:// and the absolute path of a socket")
    path = Path(arguments.listen.removeprefix(_UNIX))
    if not path.is_absolute():
        raise UsageError("--listen is unix:// and the absolute path of a socket")
    binds = frozenset(_folder(path) for path in arguments.bind)
    config = load_hook_config(arguments.config)
    judge_of(config)  # a broken one is reported now, and not at the first question
    decide = _decider(config, binds, console)
    with AuthzServer(path, decide) as server:
        _stop_on_signal(server.shutdown)
        console.note(f"  answering on {path}")
        server.serve_forever(poll_interval=0.2)
    path.unlink(missing_ok=True)
    return 0


def _folder(text: str) -> str:
    """Return a folder as it is written in requests.

    Raises:
        UsageError: it is no plain absolute path.
    """
    path = Path(text)
    if not path.is_absolute() or str(path) != text or ".." in path.parts or ":" in text:
        raise UsageError(
            f"--bind {text} is no plain absolute path", hint="such as --bind /srv/data"
        )
    return text


def _decider(config: "HookConfig", binds: frozenset[str], console: Console) -> "Decide":
    from imagekit.hosts.docker.answer import answer
    from imagekit.policy.findings import plain

    def decide(request: "DockerRequest") -> tuple[bool, str]:
        allow, message = answer(config, request, binds=binds)
        if message:
            decision = "allowed" if allow else "refused"
            console.note(
                f"  {decision}  {plain(request.method)} {plain(request.uri[:200])}: {message}"
            )
        return allow, message

    return decide


def _stop_on_signal(stop: Callable[[], None]) -> None:
    import threading

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        # It waits for the loop that this thread runs.
        threading.Thread(target=stop, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
