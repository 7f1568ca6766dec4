"""How far programs are, by their own lines."""

import pytest

from imagekit.build.counted import counting
from imagekit.progress import Advanced, Event, Note, OutputLine, Started

APT = """\
Get:1 http://mirror.example.org/debian bookworm InRelease [151 kB]
Reading package lists...
Building dependency tree...
The following NEW packages will be installed:
  libfoo foo
1 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.
Need to get 12.3 kB of archives.
Get:1 http://mirror.example.org/debian bookworm/main amd64 libfoo amd64 1.2 [12.3 kB]
Get:2 http://mirror.example.org/debian bookworm/main amd64 foo amd64 1.2 [12.3 kB]
Fetched 24.6 kB in 0s (1,234 kB/s)
Selecting previously unselected package libfoo.
Preparing to unpack .../libfoo_1.2_amd64.deb ...
Unpacking libfoo (1.2) ...
Setting up libfoo (1.2) ...
Unpacking foo (1.2) ...
Setting up foo (1.2) ...
Processing triggers for libc-bin (2.36-9) ...
"""
PIP = """\
Collecting numpy==2.1.0
  Downloading numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.whl (16.3 MB)
Saved /tmp/wheels/numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.whl
Looking in links: /run/imagekit/wheels
Processing ./run/imagekit/wheels/numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.whl
Installing collected packages: numpy
"""
BUILDAH = """\
STEP 1/3: FROM base
STEP 2/3: RUN make
"""


def _told(lines: str, first: Event | None = None) -> list[tuple[str, int, int, str]]:
    events: list[Event] = []
    tell = counting(events.append)
    if first is not None:
        tell(first)
    for line in lines.splitlines():
        tell(OutputLine(stage="packages", line=line))
    advanced = [event for event in events if isinstance(event, Advanced) and event is not first]
    assert {event.stage for event in advanced} <= {"packages"}
    return [(event.doing, event.done, event.total, event.unit) for event in advanced]


def test_apt_and_dpkg_tell_packages() -> None:
    """How many there are apt says once; dpkg unpacks and sets up in turns."""
    assert _told(APT) == [
        ("downloading", 1, 3, "package"),
        ("downloading", 2, 3, "package"),
        ("unpacking", 1, 3, "package"),
        ("setting up", 1, 3, "package"),
        ("unpacking", 2, 3, "package"),
        ("setting up", 2, 3, "package"),
    ]


def test_a_second_run_of_apt_counts_anew() -> None:
    """A bootstrap installs what is essential, and then the rest."""
    assert _told(APT + APT)[6:] == [
        # Its lists are got before it has said how many packages there are this time.
        ("downloading", 1, 3, "package"),
        *_told(APT),
    ]


def test_a_stage_counts_from_its_beginning() -> None:
    """How many packages the one before had says nothing of this one."""
    events: list[Event] = []
    tell = counting(events.append)
    for line in APT.splitlines():
        tell(OutputLine(stage="base", line=line))

    tell(Started(stage="packages"))
    before = len(events)
    tell(OutputLine(stage="packages", line=APT.splitlines()[0]))

    assert len(events) == before + 1


def test_pip_tells_wheels() -> None:
    """How many there are knows whoever runs it."""
    known = Advanced(stage="packages", done=0, total=5, unit="package", doing="downloading")

    assert _told(PIP, known) == [
        ("downloading", 1, 5, "package"),
        ("installing", 1, 5, "package"),
    ]
    assert _told(PIP)[0] == ("downloading", 1, 0, "package")


def test_buildah_tells_steps() -> None:
    """Those of a Containerfile."""
    assert _told(BUILDAH) == [("", 1, 3, "step"), ("", 2, 3, "step")]


def test_more_is_never_done_than_there_is() -> None:
    """A package that is set up twice raises the number of all."""
    twice = "0 upgraded, 1 newly installed, 0 to\n" + "Setting up a (1) ...\n" * 2

    assert _told(twice)[-1] == ("setting up", 2, 2, "package")


@pytest.mark.parametrize(
    "line", ["", "\0", "Get:x y", "STEP 1/", "1 upgraded", "9" * 10_000, "Get:" + "9" * 5000]
)
def test_other_lines_count_nothing(line: str) -> None:
    """Whatever a program prints, it is only shown."""
    assert _told(line) == []


def test_every_event_is_passed_on() -> None:
    """Also those that are not read."""
    events: list[Event] = []

    for event in (Note(message="x"), OutputLine(stage="steps", line="y")):
        counting(events.append)(event)

    assert events == [Note(message="x"), OutputLine(stage="steps", line="y")]
