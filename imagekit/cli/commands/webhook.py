"""Answer Kubernetes' question whether an object's images may run: a validating webhook.

  imagekit webhook --policy site.yaml --listen 0.0.0.0:8443 --tls-cert tls.crt --tls-key tls.key

API servers send AdmissionReview documents (admission.k8s.io/v1) to /validate; docs/kubernetes.md
has the configuration, with failurePolicy: Fail. An image by its tag is refused with the digest to
write, as a node resolves the tag again; with --allow-tags it is judged and accepted, for clusters
whose nodes pull through a gate. SIGHUP reads the policy anew. Decisions are written to standard
output, a JSON document a line.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_policy_option,
    add_registry_options,
    memory_of,
    policy_of,
    registry_of,
)
from imagekit.errors import ToolNotFoundError, UsageError

if TYPE_CHECKING:
    from imagekit.gate.config import Tls


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    parser.add_argument("--listen", required=True, metavar="HOST:PORT", help="where it answers")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain (PEM)")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key (PEM)")
    parser.add_argument(
        "--client-ca",
        type=Path,
        metavar="FILE",
        help="authorities (PEM) of the API servers' certificates; others are turned away",
    )
    parser.add_argument(
        "--allow-tags",
        action="store_true",
        help="accept images by their tag: the nodes pull through a gate, which judges them again",
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="how much a client may use, as connectionsPerClient=64 (docs/kubernetes.md)",
    )
    parser.add_argument("--contact", default="", metavar="TEXT", help="whom users ask")
    add_policy_option(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Run the webhook until it is told to stop.

    Raises:
        ImagekitError: it cannot begin.
    """
    import logging

    try:
        from imagekit.gate.config import parse_address, parse_limits
        from imagekit.hosts.kubernetes.serve_webhook import WebhookSetting, run_webhook
    except ImportError as error:
        raise ToolNotFoundError(
            f"the webhook needs {error.name}, which is not installed",
            hint="pip install 'imagekit[gate]'",
            code="gate/not-installed",
        ) from error
    logging.basicConfig(
        level=logging.INFO, format="imagekit webhook: %(message)s", stream=console.err
    )
    memory = memory_of(arguments)
    setting = WebhookSetting(
        listen=parse_address(arguments.listen),
        tls=_tls(arguments),
        load=lambda: policy_of(arguments, memory=memory),
        options=registry_of(arguments),
        memory=memory,
        allow_tags=arguments.allow_tags,
        contact=arguments.contact,
        limits=parse_limits(arguments.limit),
    )
    run_webhook(setting, ready=lambda address: console.note(f"answering at {address}"))
    return 0


def _tls(arguments: argparse.Namespace) -> "Tls | None":
    from imagekit.gate.config import Tls

    if (arguments.tls_cert is None) != (arguments.tls_key is None):
        raise UsageError("--tls-cert and --tls-key belong together", hint="give both")
    if arguments.tls_cert is None:
        if arguments.client_ca is not None:
            raise UsageError("--client-ca needs TLS", hint="give --tls-cert and --tls-key")
        return None
    return Tls(
        certificate=arguments.tls_cert,
        key=arguments.tls_key,
        client_ca=arguments.client_ca,
        client_required=arguments.client_ca is not None,
    )
