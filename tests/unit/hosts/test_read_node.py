"""What a node shows of itself, and that what it does not show is not known."""

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from imagekit.errors import ToolTimeoutError
from imagekit.hosts.read_node import read_node
from imagekit.needs.compare import Node
from imagekit.process import Outcome

# As srun 22.05.8 writes it.
_LIST = """\
MPI plugin types are...
\tpmix
\tnone
\tcray_shasta
\tpmi2
specific pmix plugin versions available: pmix_v4
"""


class Srun:
    """Slurm's srun, which says this."""

    def __init__(
        self, stdout: str = _LIST, status: int = 0, *, stderr: str = "", hangs: bool = False
    ) -> None:
        """Say it."""
        self.stdout, self.stderr, self.status, self.hangs = stdout, stderr, status, hangs

    def run(self, argv: Sequence[str], **how: object) -> Outcome:
        """Answer."""
        assert how["check"] is False
        if self.hangs:
            raise ToolTimeoutError("srun took too long")
        return Outcome(
            argv=tuple(argv), status=self.status, stdout=self.stdout, stderr=self.stderr, seconds=0
        )

    def foreground(self, argv: Sequence[str]) -> int:
        """Fail: a node is only asked."""
        raise AssertionError(f"{argv} has no business in the foreground")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty root of a node, with srun among its programs."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/srun").touch(mode=0o755)
    return tmp_path


def put(root: Path, place: str, content: str | bytes) -> None:
    """Write a file of the node."""
    file = root / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def read(root: Path, programs: Srun | None = None, **env: str) -> Node:
    """Read the node."""
    return read_node(programs or Srun(), {"PATH": str(root / "bin"), **env}, root)


def test_flags_are_those_that_all_processors_have(root: Path) -> None:
    """A rank may run on the older one."""
    put(root, "proc/cpuinfo", "processor: 0\nflags\t: sse avx2 fma\n\nflags\t\t: sse avx2\n")

    assert read(root).flags == frozenset({"sse", "avx2"})


@pytest.mark.parametrize("place", ["boot/config-{}", "lib/modules/{}/config"])
def test_options_are_read_where_they_are(root: Path, place: str) -> None:
    """Built in or modules, and nothing that is off or a number."""
    text = "CONFIG_USER_NS=y\nCONFIG_FUSE_FS=m\nCONFIG_HZ=250\n# CONFIG_IMA is not set\n"
    put(root, place.format(os.uname().release), text)

    assert read(root).config == frozenset({"USER_NS", "FUSE_FS"})


def test_options_of_the_running_kernel_come_first(root: Path) -> None:
    """It says them itself, packed."""
    put(root, "proc/config.gz", gzip.compress(b"CONFIG_A=y\n"))
    put(root, f"boot/config-{os.uname().release}", "CONFIG_B=y\n")

    assert read(root).config == frozenset({"A"})


def test_what_is_damaged_is_not_known(root: Path) -> None:
    """No error comes of it."""
    put(root, "proc/config.gz", gzip.compress(b"CONFIG_A=y\n")[:12])
    put(root, "etc/cdi/a.yaml", "{[")
    put(root, "etc/cdi/b.json", json.dumps({"kind": "a.org/b", "devices": "all"}))
    put(root, "etc/cdi/c.json", json.dumps([1]))

    node = read(root)

    assert node.config is None
    assert node.devices == frozenset()


def test_an_empty_node_knows_nothing(root: Path) -> None:
    """All of it counts as lacking."""
    node = read(root)

    assert (node.flags, node.config, node.cuda, node.devices) == (None, None, "", frozenset())


@pytest.mark.parametrize(
    ("driver", "cuda"),
    [
        ("535.104.05", "12.2"),
        ("550.54.14", "12.4"),
        ("549.1", "12.3"),
        ("999.1", "13.0"),
        ("390.157", ""),
    ],
)
@pytest.mark.parametrize("module_name", ["", " for x86_64"])
def test_the_driver_tells_the_newest_cuda(
    root: Path, driver: str, cuda: str, module_name: str
) -> None:
    """By its branch; the open module names itself otherwise."""
    line = f"NVRM version: NVIDIA UNIX Open Kernel Module{module_name}  {driver}  Release Build\n"
    put(root, "proc/driver/nvidia/version", line)

    assert read(root).cuda == cuda


@pytest.mark.parametrize("folder", ["etc/cdi", "var/run/cdi"])
def test_devices_are_those_of_cdi(root: Path, folder: str) -> None:
    """In YAML and in JSON; the kind alone stands for any of them."""
    put(
        root,
        f"{folder}/nvidia.yaml",
        "cdiVersion: 0.6.0\nkind: nvidia.com/gpu\ndevices:\n- name: '0'\n- name: all\n",
    )
    put(root, f"{folder}/nic.json", json.dumps({"kind": "a.org/nic", "devices": [{"name": "x"}]}))
    put(root, f"{folder}/nvidia.yaml.bak", "kind: b.org/c\ndevices: [{name: d}]\n")

    assert read(root).devices == {
        *("nvidia.com/gpu", "nvidia.com/gpu=0", "nvidia.com/gpu=all"),
        *("a.org/nic", "a.org/nic=x"),
    }


def test_a_kind_without_devices_is_none(root: Path) -> None:
    """A file that describes nothing gives nothing."""
    put(root, "etc/cdi/nvidia.yaml", "kind: nvidia.com/gpu\ndevices: []\n")

    assert read(root).devices == frozenset()


def test_srun_says_how_it_wires_up(root: Path) -> None:
    """Versions of a plugin are the plugin."""
    assert read(root).launches == frozenset({"pmix", "pmi2"})
    assert read(
        root, Srun("", stderr="srun: MPI types are...\nsrun: pmi2\n")
    ).launches == frozenset({"pmi2"})
    assert read(root, Srun("MPI plugin types are...\n\tnone\n\tpmix_v4\n")).launches == frozenset(
        {"pmix"}
    )


def test_without_srun_there_is_no_launcher(root: Path) -> None:
    """A laptop."""
    (root / "bin/srun").unlink()

    assert read(root).launches is None


def test_an_srun_that_is_not_set_up_is_none(root: Path) -> None:
    """It is installed, and there is no cluster."""
    assert read(root, Srun("fatal", 1)).launches is None


def test_in_a_job_an_srun_that_fails_offers_nothing(root: Path) -> None:
    """There it should work, and nothing is taken for granted."""
    assert read(root, Srun("pmix", 1), SLURM_JOB_ID="7").launches == frozenset()
    assert read(root, Srun(hangs=True)).launches == frozenset()


def test_this_machine_is_read() -> None:
    """What every Linux shows: machine and release."""
    node = read_node(Srun(), {"PATH": ""})

    assert node.machine == os.uname().machine
    assert os.uname().release.startswith(node.kernel)
    assert node.kernel
