r"""Verify an image, then write it out for nodes without a registry, with a signed receipt.

  imagekit stage registry.example.org/apps/solver:2.1 --policy policy.yaml --key staging.key \
    --to /srv/images                             (makes /srv/images/solver.sqsh)
  ... --to squashfs:/srv/images/big.sqsh
  ... --to bundle:/srv/images/solver
  ... --to podman-store:/srv/images/store        (additionalimagestores of storage.conf)
  ... --to oci:/srv/images/solver                (imagekit verify REFERENCE --from oci:FOLDER)

For nodes that share a file system a squashfs file is best: every user can check and run it. PATH
is a link to the current version; all versions lie in PATH.d, each with a receipt. The receipt is
a verification summary (VSA) that binds the staged bytes as well. A node checks it offline:
imagekit receipt check PATH --policy FILE. A second time with the same image makes nothing; a
receipt older than a day is renewed.

Ends with 3, and changes nothing, where the policy says no.
"""

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_policy_option,
    add_registry_options,
    add_signer_options,
    needed,
    registry_of,
    signer_of,
)
from imagekit.errors import DeniedError, UsageError

if TYPE_CHECKING:
    from imagekit.offline.stage_target import Bind, Target

VERIFIER = "urn:imagekit:stage"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("reference", metavar="REFERENCE", help="the image")
    parser.add_argument(
        "--to",
        metavar="[KIND:]PATH",
        help="a folder, which gets a squashfs file; or oci:, bundle:, squashfs:, sif: (needs "
        "apptainer) or podman-store: with a path",
    )
    parser.add_argument(
        "--verifier-id",
        default=VERIFIER,
        metavar="URI",
        help=f"who verified, as the nodes' policy lists it (default: {VERIFIER})",
    )
    parser.add_argument(
        "--platform",
        default="",
        metavar="OS/ARCH[/VARIANT]",
        help="of an image of several (default: this host's; all for oci:)",
    )
    parser.add_argument(
        "--keep", type=int, metavar="N", help="keep the newest N versions (default: all)"
    )
    parser.add_argument(
        "--renew-hours",
        type=int,
        default=24,
        metavar="N",
        help="sign a receipt anew that is older than this (default: 24)",
    )
    parser.add_argument(
        "--driver",
        choices=("overlay", "vfs"),
        default="overlay",
        help="storage driver of podman-store: that of its readers (default: overlay)",
    )
    parser.add_argument(
        "--compression",
        choices=("gzip", "zstd", "xz", "lz4", "lzo"),
        default="gzip",
        help="of squashfs (default: gzip, which every kernel reads)",
    )
    parser.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="SOURCE[:DESTINATION]",
        help="of bundle: a folder of the nodes that its containers see, such as /home",
    )
    parser.add_argument("--dry-run", action="store_true", help="only verify")
    add_policy_option(parser)
    add_signer_options(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Verify and stage."""
    from imagekit.cli.commands.pull import make_judge
    from imagekit.oci.location import parse_located
    from imagekit.oci.registry.connect import reader
    from imagekit.offline.stage import StageContext, StageOptions, stage
    from imagekit.offline.stage_target import Target
    from imagekit.verify.verdict_text import document, text

    target = Target.parse(needed(arguments, "stage-to", metavar="[KIND:]PATH"))
    if not arguments.dry_run:
        _look_at_host(target, console)
    wanted = parse_located(arguments.reference)
    options = registry_of(arguments)
    done = stage(
        wanted.reference,
        target,
        StageContext(
            judge=make_judge(arguments, wanted.location),
            reader=reader(wanted.location, options),
            signer=signer_of(arguments),
            options=StageOptions(
                verifier=arguments.verifier_id,
                platform=arguments.platform,
                keep=_keep(arguments.keep),
                renew=timedelta(hours=arguments.renew_hours),
                driver=arguments.driver,
                compression=arguments.compression,
                binds=_binds(arguments.bind, target),
                dry_run=arguments.dry_run,
            ),
            progress=console.progress,
        ),
    )
    report = dict(document(done.verdict)) | {"to": str(target)}
    if not done.verdict.allowed:
        console.result(text(done.verdict), report)
        return DeniedError.exit_code
    console.note(text(done.verdict))
    if done.path is None:
        console.result(f"would stage to {target}", report)
        return 0
    console.note(_said(new=done.new, renewed=done.renewed))
    console.result(
        str(done.path),
        report
        | {
            "path": str(done.path),
            "receipt": str(done.receipt),
            "staged": str(done.digest),
            "new": done.new,
            "renewed": done.renewed,
            "removed": list(done.removed),
        },
    )
    return 0


def _look_at_host(target: "Target", console: Console) -> None:
    """Check the host for what makes the target, before anything is asked or downloaded.

    Raises:
        ToolError: it lacks that.
    """
    from imagekit.hosts.preflight import preflight
    from imagekit.offline.stage_target import StageKind
    from imagekit.process import Runner

    # A layout needs no program, and SIF one that says so itself.
    if target.kind in {StageKind.OCI, StageKind.SIF}:
        return
    skipped = set() if target.kind is StageKind.SQUASHFS else {"mksquashfs"}
    preflight("stage", Runner(), progress=console.progress, skipped=skipped)


def _binds(texts: list[str], target: "Target") -> "tuple[Bind, ...]":
    from imagekit.offline.stage_target import Bind, StageKind

    if texts and target.kind is not StageKind.BUNDLE:
        raise UsageError("--bind goes with bundle:PATH only")
    return tuple(Bind.parse(text) for text in texts)


def _keep(number: int | None) -> int | None:
    if number is not None and number < 1:
        raise UsageError("--keep is a number of versions, at least 1")
    return number


def _said(*, new: bool, renewed: bool) -> str:
    if new:
        return "  staged, with a new receipt"
    return "  staged already; the receipt was renewed" if renewed else "  staged already"
