"""Memory that is left: the host's, and that of the groups which limit this process."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from imagekit.graph.machine import has_memory, memory_left, processors

MIB = 1 << 20
MEMINFO = "MemTotal:        8000000 kB\nMemAvailable:    2048000 kB\n"
GROUP = "sys/fs/cgroup/job"


def _root(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 1 kB\n"}, None),
        ({"proc/meminfo": MEMINFO}, 2000 * MIB),
        ({"proc/self/cgroup": "1:memory:/old\n", "proc/meminfo": MEMINFO}, 2000 * MIB),
        ({f"{GROUP}/step/memory.max": "max\n"}, 2000 * MIB),
        (
            {
                f"{GROUP}/memory.max": f"{1000 * MIB}\n",
                f"{GROUP}/memory.current": f"{800 * MIB}\n",
                f"{GROUP}/memory.stat": f"anon {700 * MIB}\ninactive_file {100 * MIB}\n",
            },
            300 * MIB,
        ),
    ],
)
def test_the_least_that_is_left(tmp_path: Path, files: dict[str, str], left: int | None) -> None:
    """A job of a batch system sees the memory of the whole host, and may not use it."""
    if any(name.startswith(GROUP) for name in files):
        files = {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/job/step\n", **files}

    assert memory_left(_root(tmp_path, files)) == left


def test_one_more_needs_memory(tmp_path: Path) -> None:
    """Half a gibibyte, whatever the number of processors is."""
    enough = {"proc/meminfo": f"MemAvailable: {512 * 1024} kB\n"}
    too_little = {"proc/meminfo": f"MemAvailable: {512 * 1024 - 1} kB\n"}

    assert has_memory(_root(tmp_path / "enough", enough))
    assert not has_memory(_root(tmp_path / "little", too_little))


def test_nothing_that_tells_is_no_limit(tmp_path: Path) -> None:
    """Else nothing would be done at once where /proc is hidden."""
    assert has_memory(tmp_path)


def test_this_machine_has_a_processor() -> None:
    """At least one, of those that this process may use."""
    assert processors() >= 1
