"""What a command looks at before its first download: the checks of ``doctor`` that concern it.

Only those that start no program, so that nobody waits for them; what a check finds that the command
cannot do without ends it, with the remedy, and all else is a remark.
"""

import os
from collections.abc import Collection, Mapping

from msgspec.structs import replace

from imagekit.build.tools.podman import Programs
from imagekit.errors import ToolError
from imagekit.hosts.host import Host, HostCheck, Purpose
from imagekit.hosts.host_checks import CHECKS
from imagekit.hosts.probe import glance, with_directory_ids
from imagekit.progress import Note, Progress

_TOLD = frozenset({"builds", "subuids", "disk: builds", "disk: images", "disk: gate", "memory"})
"""What may end the command later. The rest is for ``doctor``: it would be said at every run."""


def preflight(
    purpose: Purpose,
    programs: Programs,
    *,
    progress: Progress,
    env: Mapping[str, str] = os.environ,
    vital: Collection[str] = (),
    skipped: Collection[str] = (),
) -> None:
    """Check the host for what is about to be done on it.

    Args:
        purpose: what it is.
        programs: asks a directory for ids, where the host's files have none.
        progress: told of remarks.
        env: for the folders of imagekit.
        vital: names of checks that this case cannot do without, besides those of the purpose.
        skipped: names of checks that do not concern this case.

    Raises:
        ToolError: the host lacks what is needed.
    """
    host = with_directory_ids(glance(env), programs)
    for check in find_lacks(host, purpose, vital=vital, skipped=skipped):
        if check.status == "problem":
            raise ToolError(f"{check.name}: {check.message}", hint=check.hint, code="HOST")
        remedy = f" ({check.hint})" if check.hint else ""
        progress(Note(message=f"{check.name}: {check.message}{remedy}"))


def find_lacks(
    host: Host, purpose: Purpose, *, vital: Collection[str] = (), skipped: Collection[str] = ()
) -> tuple[HostCheck, ...]:
    """Return what the host lacks for the purpose: problems first, which end it, then remarks.

    Whatever does not certainly end it is a remark here: an image without files of others needs no
    subordinate ids, and what is cached needs no tool.
    """
    problems: list[HostCheck] = []
    remarks: list[HostCheck] = []
    for row in CHECKS:
        found = row.check(host) if row.seen and purpose in row.purposes else None
        if found is None or found.status == "ok" or found.name in skipped:
            continue
        if purpose in row.vital or found.name in vital:
            problems.append(replace(found, status="problem"))
        elif found.name in _TOLD:
            remarks.append(replace(found, status="remark"))
    return (*problems, *remarks)
