r"""Answer containerd whether an image may be pulled: its image verifier plugin (bindir).

containerd (2.0 and newer) runs every program in /opt/containerd/image-verifier/bin and passes it no
options of yours. Link the program imagekit-verifier there, and write /etc/imagekit/verifier.yaml:

  policy: /etc/imagekit/policy.yaml
  policyKeys: [/etc/imagekit/policy.pub]     # optional
  state: /var/lib/imagekit/seen.db

or, where a gate runs (imagekit gate), let it judge: that is a small question to it, with nothing of
its policy and keys on this host. Images of other registries than these are refused:

  gate: https://gate.example.org:5443        # http:// on loopback only
  gateCa: /etc/imagekit/gate-ca.pem          # optional: the only authorities for it
  registries: [registry.example.org]         # or [NAME=HOST, ...], as its --upstream has it

By hand, as containerd does it:

  echo '{"mediaType":"...","digest":"sha256:...","size":1}' | imagekit verifier \
    -name HOST/NAME:TAG -digest sha256:... -stdin-media-type application/vnd.oci.descriptor.v1+json

Ends with 0 where the policy or the gate allows the image, and with another code otherwise, whatever
the reason: a broken configuration, a silent registry or gate refuses as well. The reason stands on
stdout.
"""

import argparse
import sys

from imagekit.cli.console import Console
from imagekit.errors import DeniedError, ImagekitError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words that containerd passes."""
    parser.add_argument("-name", required=True, metavar="REFERENCE", help="what is pulled")
    parser.add_argument("-digest", required=True, metavar="DIGEST", help="of the manifest or index")
    parser.add_argument(
        "-stdin-media-type", required=True, metavar="TYPE", help="what stands on stdin"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Answer; every error is a refusal with its reason."""
    try:
        allowed, reason = _answer(arguments)
    except ImagekitError as error:
        reason = f"imagekit: refused, as there is no verdict: {error.message}"
        console.result(reason, {"schema": 1, "allow": False, "reason": reason})
        return error.exit_code
    console.result(reason, {"schema": 1, "allow": allowed, "reason": reason})
    return 0 if allowed else DeniedError.exit_code


def main() -> int:
    """Run as the program ``imagekit-verifier``."""
    from imagekit.cli.main import main as imagekit

    # Not as an argument: what a process of its own does to start fast is done for its own words.
    sys.argv.insert(1, "verifier")
    return imagekit()


def _answer(arguments: argparse.Namespace) -> tuple[bool, str]:
    from imagekit.hosts.containerd import MAX_DESCRIPTOR, PullQuestion, image_of
    from imagekit.hosts.hook import judge_of, load_hook_config, stdin_bytes, within

    config = load_hook_config()
    with within(config.seconds):
        question = PullQuestion(
            name=arguments.name,
            digest=arguments.digest,
            media_type=arguments.stdin_media_type,
            descriptor=stdin_bytes(MAX_DESCRIPTOR),
        )
        image = image_of(question)
        ruling = judge_of(config)(image)
    return ruling.allows(image.digest), ruling.reason
