"""Remove what nobody needs of all that builds keep on this host.

  imagekit prune --dry-run
  imagekit prune
  imagekit prune --keep 2 --older-than 30d

Without options every named image stays. What goes: images whose name another build took, layers
that no image and no record of the cache needs, records that are too old to be used, packages and
other downloads that no build has used for 30 days (with --older-than, for so long), all logs but
each recipe's newest, and the containers and images of imagekit's own storage that no job uses. A
build that goes on keeps all that it needs.
"""

import argparse
import re
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.errors import UsageError

if TYPE_CHECKING:
    from imagekit.build.prune import Freed, Pruned

_TEXTS = {
    "images": "images",
    "layers": "layers and documents",
    "cache": "records of the cache",
    "steps": "files of steps",
    "downloads": "downloads",
    "logs": "logs",
    "storage": "images of the container storage",
}
_DURATION = re.compile(r"([0-9]{1,5})([dhms])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--keep",
        type=int,
        metavar="N",
        help="keep only the newest N images of each recipe (default: all)",
    )
    parser.add_argument(
        "--older-than",
        metavar="D",
        help="remove nothing that is younger: 30d, 12h, ...; images that old go too, but not the "
        "newest of a recipe",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would go; nothing does")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Prune, and print what was freed."""
    from imagekit.build.prune import PruneOptions, prune

    if arguments.keep is not None and arguments.keep < 0:
        raise UsageError("--keep is a number of images, 0 or more")
    options = PruneOptions(
        keep=arguments.keep,
        older_than=_seconds(arguments.older_than),
        dry_run=arguments.dry_run,
    )
    pruned = prune(options, progress=console.progress)
    for name in pruned.images:
        console.note(f"  {name}")
    for reason in pruned.left:
        console.note(f"  {console.paint('!', 'warn')} {reason}")
    console.result(
        _text(pruned, console, dry=options.dry_run), _document(pruned, dry=options.dry_run)
    )
    return 0


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    parts = _DURATION.fullmatch(text)
    if parts is None:
        raise UsageError(
            f"--older-than {text[:40]!r} is no time span", hint="write a number and d, h, m or s"
        )
    return float(int(parts[1]) * _SECONDS[parts[2]])


def _kinds(pruned: "Pruned") -> "list[Freed]":
    """Return one entry for each kind, in the order in which they are shown."""
    from imagekit.build.prune import KINDS, Freed

    return [
        Freed(
            kind=kind,
            count=sum(freed.count for freed in pruned.freed if freed.kind == kind),
            size=sum(freed.size for freed in pruned.freed if freed.kind == kind),
        )
        for kind in KINDS
    ]


def _text(pruned: "Pruned", console: Console, *, dry: bool) -> str:
    from imagekit.cli.table import size_text, table

    terminal = console.out.isatty()

    def shown(size: int) -> str:
        return size_text(size) if terminal else str(size)

    rows = [(_TEXTS[freed.kind], str(freed.count), shown(freed.size)) for freed in _kinds(pruned)]
    rows.append(("total", "", shown(pruned.size)))
    return table(("WOULD GO" if dry else "REMOVED", "COUNT", "FREED"), rows, terminal=terminal)


def _document(pruned: "Pruned", *, dry: bool) -> dict[str, object]:
    return {
        "schema": 1,
        "dry_run": dry,
        "freed": {
            freed.kind: {"count": freed.count, "size": freed.size} for freed in _kinds(pruned)
        },
        "size": pruned.size,
        "images": list(pruned.images),
        "left": list(pruned.left),
    }
