"""Homes on NFS: a virtual machine, and an image that was made outside of it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.nfs.machine import Machine, machine
from tests.support import offline_site
from tests.support.command import imagekit, recipe
from tests.support.programs import bench_program
from tests.support.tinyroot import tiny_root

IMAGE = "oci:/payload/images:tiny:1.0.0"
POLICY = ("--policy", "/payload/policy.yaml")
KEY = "/payload/imagekit.key"
NODES = ("--policy", "/payload/nodes.yaml")
TABLE: dict[str, tuple[str, str]] = {}
"""What users with homes on NFS do, and what came of it."""
# As Debian's base has it, of a group that no user is in.
_SHADOW = (
    "open F, '>/etc/gshadow'; print F 'x'; chown 0, 42, '/etc/gshadow'; chmod 0640, '/etc/gshadow'"
)
_NODES = offline_site.NODES.replace("GLOB", "localhost/**").replace("staging/", "")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if TABLE:
        terminalreporter.section("homes on NFS")
        terminalreporter.line("| NFS home | outcome | what its user sees |")
        terminalreporter.line("|---|---|---|")
    for name, cells in TABLE.items():
        terminalreporter.line(f"| {name} | {' | '.join(cells)} |")


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory, bench: Path) -> Iterator[Machine]:
    """The machine: alice has subordinate ids, bob has none, both have their homes on NFS."""
    parts = bench_program(bench.parent, "nfs")
    files = tmp_path_factory.mktemp("nfs") / "payload"
    _publish(files)
    # Sockets have short paths.
    folder = Path(tempfile.mkdtemp(prefix="ik-nfs-", dir="/tmp"))
    try:
        with machine(parts, folder, files) as running:
            yield running
    finally:
        shutil.rmtree(folder)


def _publish(folder: Path) -> None:
    """Make a signed image of a shell, with a file of another group, and a policy that takes it."""
    folder.mkdir()
    root = folder / "recipe/root"
    tiny_root(root)
    (root / "etc").mkdir()
    steps = "\n".join(
        (
            "base: scratch",
            "steps:",
            "  - copy: {from: root, to: /}",
            f'  - run: "perl -e \\"{_SHADOW}\\""',
            "entrypoint: [/bin/sh, -c, 'echo ran as $(cat /etc/gshadow)']",
        )
    )
    recipe(folder / "recipe", "tiny", steps + "\n")
    plain = "base: scratch\nsteps:\n  - copy: {from: hello, to: /hello}\n"
    (recipe(folder / "plain", "plain", plain) / "hello").write_text("hello")
    for words in (
        ("key", "generate"),
        ("publish", "recipe", "--to", "oci:images", "--key", "imagekit.key"),
    ):
        done = imagekit(folder, *words)
        assert done.returncode == 0, done.stderr
    made = imagekit(folder, "policy", "new", "--image", "**", "--key", "imagekit.pub")
    rule = "    threshold: 1\n"
    fresh = made.stdout.replace(rule, f"    freshness: {{monotonic: true}}\n{rule}")
    assert fresh != made.stdout
    (folder / "policy.yaml").write_text(fresh)
    (folder / "nodes.yaml").write_text(_NODES)
