"""Answer Podman, or another runtime's engine, whether a container may start: an OCI hook.

In /usr/share/containers/oci/hooks.d/imagekit.json:

  {"version": "1.0.0",
   "hook": {"path": "/usr/local/bin/imagekit", "args": ["imagekit", "oci-hook"]},
   "when": {"always": true}, "stages": ["createRuntime"]}

The container's state comes on stdin. Its image is looked up in the storage: one of a staged store
is judged by its receipt, another by its name and digest, by the policy in
/etc/imagekit/verifier.yaml or by the gate that it names; receipts need the policy. Where the
annotation dev.imagekit.digest is set, the image must be of that digest. Ends with 0 where the
container may start; with anything else Podman does not start it.

A user who may run Podman may also run it without hooks: this guards hosts where root starts
containers, and other users' honest mistakes.
"""

import argparse
from pathlib import Path

from imagekit.cli.console import Console
from imagekit.errors import DeniedError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="default: /etc/imagekit/verifier.yaml"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Answer by the exit code, with the reason on stderr, which Podman shows."""
    from imagekit.hosts.hook import load_hook_config, stdin_bytes, within
    from imagekit.hosts.oci_hook import MAX_STATE, answer

    config = load_hook_config(arguments.config)
    with within(config.seconds):
        allow, reason = answer(config, stdin_bytes(MAX_STATE))
    if not allow:
        console.note(reason)
    console.result("", {"schema": 1, "allow": allow, "reason": reason})
    return 0 if allow else DeniedError.exit_code
