r"""Sign a policy, and with it every file that it names, for verifiers that obey signed ones only.

  imagekit policy sign site.yaml --key admin.key      writes site.yaml.sigstore.json
  imagekit verify REFERENCE --policy site.yaml --policy-key admin.pub

Give nodes both files, and raise metadata.version with every change: a verifier remembers the
highest version that it accepted, and denies everything by an older one, or by the same version with
other content. Use another key than the one that signs images.

The signature is a Sigstore bundle over an in-toto statement; cosign reads it, too:

  cosign verify-blob-attestation --bundle site.yaml.sigstore.json --key admin.pub \
    --type https://imagekit.dev/policy/v1 --insecure-ignore-tlog site.yaml
"""

import argparse
from pathlib import Path

from imagekit.cli.console import Console
from imagekit.cli.options import add_signer_options, signer_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the verb."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the policy")
    add_signer_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Sign.

    Raises:
        ImagekitError: the policy or the key cannot be accepted.
    """
    from datetime import UTC, datetime

    from imagekit.verify.policies import sign_policy

    target, policy, new = sign_policy(arguments.file, signer_of(arguments))
    files = ", ".join(path for path, _ in policy.files)
    console.note(f"  {policy.name} version {policy.version}" + (f", with {files}" if files else ""))
    if not new:
        console.note("  it was already signed")
    if policy.expires <= datetime.now(UTC):
        console.note(f"  it expired at {policy.expires.isoformat()} and allows nothing")
    console.result(
        str(target),
        {
            "schema": 1,
            "file": str(target),
            "name": policy.name,
            "version": policy.version,
            "digest": str(policy.digest),
            "files": [{"path": path, "digest": str(digest)} for path, digest in policy.files],
            "new": new,
        },
    )
    return 0
