"""What this host can do, and the remedy for what it cannot: ``imagekit doctor``."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.job import IsolationProbe
from imagekit.build.tools.podman import Programs
from imagekit.documents.quantity import count
from imagekit.errors import ImagekitError, ToolError
from imagekit.hosts.host import Host, HostCheck, Purpose
from imagekit.hosts.host_checks import judge
from imagekit.hosts.probe import glance, read, with_directory_ids

_MARKS = {"ok": "✓", "remark": "!", "problem": "✗"}
_WIDTH = 13


class Diagnosis(Struct, frozen=True, kw_only=True):
    """The host and the checks of it."""

    host: Host
    checks: tuple[HostCheck, ...]

    @property
    def exit_code(self) -> int:
        """0 where there is no problem; remarks are none."""
        return ToolError.exit_code if _count(self.checks, "problem") else 0


def diagnose(host: Host, purpose: Purpose | None = None) -> Diagnosis:
    """Judge a host, for all that it may be used for or for one purpose."""
    return Diagnosis(host=host, checks=judge(host, purpose))


def read_host(programs: Programs, env: Mapping[str, str], purpose: Purpose | None = None) -> Host:
    """Return what is to be known of this host; what a purpose does not concern is not asked.

    Args:
        programs: runs programs.
        env: for the folders of imagekit.
        purpose: what the host is to be judged for; None for all.
    """
    if purpose in {"verify", "gate", "stage"}:
        return with_directory_ids(glance(env), programs)
    host = read(programs, env)
    return host if purpose == "run" else with_isolation(host, env)


def with_isolation(host: Host, env: Mapping[str, str]) -> Host:
    """Return the host with how build steps are contained on it, found by starting a container.

    Args:
        host: the host.
        env: for the folders of imagekit.
    """
    from imagekit.build.tools.run_worker import find_isolation
    from imagekit.build.tools.storage import Folders, container_store, job_folder

    try:
        folders = Folders.of(env)
        store = container_store(folders, env)
        probe = IsolationProbe(
            folder=job_folder(folders, store),
            store=store,
            locks=folders.locks,
            record=folders.isolation,
        )
        return replace(host, isolation=str(find_isolation(probe)))
    except (ImagekitError, OSError) as error:
        return replace(host, isolation_fault=f"build steps cannot be run: {error}")


def text(diagnosis: Diagnosis) -> str:
    """Return the diagnosis as text for a terminal."""
    host = diagnosis.host
    lines = [f"{'host':<{_WIDTH}}{host.system}, kernel {host.kernel}, cgroups {host.cgroups}"]
    for check in diagnosis.checks:
        head = f"  {_MARKS[check.status]} {check.name:<{_WIDTH}} "
        lines.append(f"{head}{check.message}")
        if check.hint:
            lines.append(" " * len(head) + check.hint)
    remarks, problems = _count(diagnosis.checks, "remark"), _count(diagnosis.checks, "problem")
    lines.append(f"{count(remarks, 'remark')}, {count(problems, 'problem')}")
    return "\n".join(lines)


def document(diagnosis: Diagnosis) -> Mapping[str, object]:
    """Return the diagnosis as ``--json`` prints it, schema 1."""
    return {
        "schema": 1,
        "checks": [
            {
                "name": check.name,
                "status": check.status,
                "message": check.message,
                "hint": check.hint,
            }
            for check in diagnosis.checks
        ],
    }


def _count(checks: Sequence[HostCheck], status: str) -> int:
    return sum(check.status == status for check in checks)
