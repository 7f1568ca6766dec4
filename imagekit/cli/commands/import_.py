"""Verify an exported file, all of it, and only then place the image that it holds.

  imagekit import solver.tar --policy /etc/imagekit/policy.yaml --to oci:/srv/images
  imagekit import solver.tar --policy policy.yaml --to mirror.example.org/apps
  imagekit import solver.tar --policy policy.yaml --to containers-storage

No network is asked. The policy is yours, not the one in the file: that one is only used without
--policy, where --policy-key or --policy-authority say who must have signed it, or where you trust
whoever made the file: --trust-enclosed-policy. In a layout the image keeps
its name, and is verified there by it: imagekit verify REFERENCE --from oci:FOLDER. In a registry
HOST/PREFIX its path comes behind the prefix, and a policy allows it there by remapIdentity. A tag
that is another image's there is not moved, unless --move-tag says so.

Ends with 3 where the policy says no, with 2 or 5 where the file is damaged or made to mislead;
nothing is placed then.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_policy_option,
    add_registry_options,
    configured,
    memory_of,
    missing,
    names_policy_signers,
    policy_of,
    registry_of,
    said_by,
)
from imagekit.documents.quantity import size
from imagekit.errors import DeniedError, UsageError

if TYPE_CHECKING:
    from imagekit.oci.archive import Archive
    from imagekit.offline.exported import Exported
    from imagekit.policy.ruleset import OpenedPolicy


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("file", metavar="FILE", help="what imagekit export wrote")
    parser.add_argument(
        "--to",
        required=True,
        metavar="DESTINATION",
        help="oci:FOLDER, HOST[/PREFIX], or containers-storage (Podman's, without signatures)",
    )
    parser.add_argument(
        "--trust-enclosed-policy",
        action="store_true",
        help="judge by the policy in the file: then whoever made the file is trusted",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="verify everything and place nothing"
    )
    parser.add_argument(
        "--move-tag",
        action="store_true",
        help="move the image's tag where it is another image's at the destination",
    )
    add_policy_option(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Verify and import."""
    from imagekit.build.tools.podman import Podman
    from imagekit.hosts.podman_setup import podman
    from imagekit.oci.location import LocatedReference
    from imagekit.oci.registry.ports import RegistryReader
    from imagekit.offline.import_ import ImportOptions, import_archive, opened
    from imagekit.verify.verdict import Verdict
    from imagekit.verify.verdict_text import document, text
    from imagekit.verify.verify import verify

    _one_policy(arguments)
    memory = memory_of(arguments)
    options = registry_of(arguments)

    def make_podman() -> Podman:
        return podman(options, network="", progress=console.progress)

    with (
        opened(Path(arguments.file)) as (archive, record),
        _policy(arguments, archive, record) as policy,
    ):

        def judge(reference: LocatedReference, reader: RegistryReader) -> Verdict:
            return verify(reference, policy=policy, reader=reader, memory=memory)

        done = import_archive(
            archive,
            record,
            to=arguments.to,
            judge=judge,
            make_podman=make_podman,
            options=ImportOptions(
                registry=options, dry_run=arguments.dry_run, move_tag=arguments.move_tag
            ),
            progress=console.progress,
        )
    report = dict(document(done.verdict)) | {"from": arguments.file}
    if done.closure is None:
        console.result(text(done.verdict), report)
        return DeniedError.exit_code
    console.note(text(done.verdict))
    placed, name = done.placed, record.reference.full
    console.result(
        placed or f"would import {name}, {size(done.closure.size)}",
        report | {"name": name, "placed": placed, "sent": done.sent, "image": done.image},
    )
    return 0


def _one_policy(arguments: argparse.Namespace) -> None:
    if arguments.trust_enclosed_policy:
        if arguments.policy is not None:
            raise UsageError("--policy and --trust-enclosed-policy: only one may be given")
        return
    arguments.policy = configured(arguments, "policy")
    if arguments.policy is None and not names_policy_signers(arguments):
        raise UsageError(
            missing("policy"),
            hint=said_by("policy", metavar="FILE") + ", judges by yours; --policy-key PUBLIC by "
            "that of the file if the key signed it, --trust-enclosed-policy by that of the file "
            "whoever made it",
        )


@contextmanager
def _policy(
    arguments: argparse.Namespace, archive: "Archive", record: "Exported"
) -> Iterator["OpenedPolicy"]:
    from imagekit.offline.import_ import enclosed_policy
    from imagekit.verify.policies import load_unsigned

    if arguments.policy is not None:
        yield policy_of(arguments)
        return
    with enclosed_policy(archive, record) as enclosed:
        if arguments.trust_enclosed_policy:
            yield load_unsigned(enclosed)
        else:
            yield policy_of(argparse.Namespace(**{**vars(arguments), "policy": enclosed}))
