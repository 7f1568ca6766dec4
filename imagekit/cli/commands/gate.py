r"""Serve only images that a policy allows: a registry gate in front of registries or a layout.

  imagekit gate --policy site.yaml --upstream registry.example.org --listen 0.0.0.0:5443 \
      --tls-cert gate.pem --tls-key gate.key
  imagekit gate --policy site.yaml --upstream oci:FOLDER --listen 127.0.0.1:5000
  imagekit gate --policy site.yaml --config gate.yaml

Clients pull from the gate instead of the registry; a mirror setting does not enforce, since
clients go on to the origin after a refusal (docs/gate.md). A policy and a signature have the
upstream's name: /v2/apps/x/manifests/1 is judged as HOST/apps/x:1. SIGHUP or a changed file reloads
the policy; SIGTERM ends the gate when running answers are finished. Decisions and refusals
are written to standard output, a JSON document a line.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from imagekit.cli.console import Console
from imagekit.cli.options import add_policy_signers, configured, policy_file, policy_signers
from imagekit.errors import ToolNotFoundError, UsageError

if TYPE_CHECKING:
    from imagekit.gate.config import Config

_CACHE_SIZE = 20 << 30
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    parser.add_argument("--policy", type=Path, metavar="FILE", help="the policy to judge by")
    add_policy_signers(parser)
    parser.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="[NAME=]UPSTREAM",
        help="HOST[:PORT], http://HOST:PORT or oci:FOLDER; several with a NAME each, which is "
        "then the first part of their images' names here",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="where clients connect")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain (PEM)")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key (PEM)")
    parser.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help="certificate authorities (PEM) to trust for upstreams, besides the system's",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="everything else: logins, rights, times (imagekit schema gate)",
    )
    parser.add_argument(
        "--redis", default="", metavar="URL", help="share decisions with other gates by Redis"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FOLDER",
        help="where decisions are recorded (default: $STATE_DIRECTORY, else "
        "imagekit/gate in XDG_STATE_HOME)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="where verified blobs are kept (default: $CACHE_DIRECTORY, else /var/cache/imagekit "
        "for root, else imagekit/gate in XDG_CACHE_HOME)",
    )
    parser.add_argument(
        "--cache-size",
        type=_size,
        default=_CACHE_SIZE,
        metavar="BYTES",
        help="most that it may take, as 500M or 20G (default 20G); 0 for no cache",
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Run the gate until it is told to stop.

    Raises:
        ImagekitError: it cannot begin.
    """
    import logging

    try:
        from imagekit.gate.serve import GateOptions, run
    except ImportError as error:
        raise ToolNotFoundError(
            f"the gate needs {error.name}, which is not installed",
            hint="pip install 'imagekit[gate]'",
            code="gate/not-installed",
        ) from error
    from imagekit.hosts.preflight import preflight
    from imagekit.process import Runner

    preflight("gate", Runner(), progress=console.progress)
    logging.basicConfig(level=logging.INFO, format="imagekit gate: %(message)s", stream=console.err)
    setting = GateOptions(
        policy=policy_file(arguments),
        signers=policy_signers(arguments),
        config=_config(arguments),
        state=arguments.state or _folder("STATE_DIRECTORY", "XDG_STATE_HOME", "~/.local/state"),
        cache=arguments.cache or _cache(),
        cache_size=arguments.cache_size,
    )
    run(setting, ready=lambda address: console.note(f"serving on {address}"))
    return 0


def _config(arguments: argparse.Namespace) -> "Config":
    from imagekit.gate.config import Config, Tls, load_config, parse_address
    from imagekit.gate.upstreams import Upstream
    from imagekit.oci.registry.options import RegistryOptions

    config = load_config(arguments.config) if arguments.config else Config()
    if arguments.upstream:
        options = RegistryOptions(
            ca_file=configured(arguments, "ca-file"), connect_seconds=5, read_seconds=15, attempts=2
        )
        upstreams = tuple(Upstream.parse(text, options) for text in arguments.upstream)
        config = replace(config, upstreams=upstreams)
    if not config.upstreams:
        raise UsageError("no upstream", hint="give --upstream HOST, or name some in --config")
    if arguments.listen:
        config = replace(config, listen=parse_address(arguments.listen))
    if arguments.redis:
        config = replace(config, redis=arguments.redis)
    if config.listen is None:
        raise UsageError("no address to listen on", hint="give --listen HOST:PORT")
    if bool(arguments.tls_cert) != bool(arguments.tls_key):
        raise UsageError(
            "--tls-cert and --tls-key go together", hint="give both: --tls-cert FILE --tls-key FILE"
        )
    if arguments.tls_cert:
        tls = Tls(certificate=arguments.tls_cert, key=arguments.tls_key)
        config = replace(config, tls=tls)
    return config


def _size(text: str) -> int:
    unit = _UNITS.get(text[-1:].upper(), 1)
    digits = text[:-1] if unit > 1 else text
    if not digits.isascii() or not digits.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write BYTES, 500M or 20G")
    return int(digits) * unit


def _cache() -> Path:
    if os.getuid() == 0 and "CACHE_DIRECTORY" not in os.environ:
        return Path("/var/cache/imagekit")
    return _folder("CACHE_DIRECTORY", "XDG_CACHE_HOME", "~/.cache")


def _folder(systemd: str, xdg: str, home: str) -> Path:
    given = os.environ.get(systemd)
    if given:
        return Path(given.partition(":")[0])
    base = Path(os.environ.get(xdg, ""))
    from imagekit.paths import expanded

    return (base if base.is_absolute() else expanded(home, os.environ)) / "imagekit" / "gate"
