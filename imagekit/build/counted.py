"""How far apt, dpkg, mmdebstrap, pip and Buildah are, read from the lines that they print.

Nothing is decided by it: it is shown, and a line that is not known counts nothing.
"""

import re

from msgspec import Struct, field

from imagekit.progress import Advanced, Event, OutputLine, Progress, Started

_PACKAGE = "package"
_TOTAL = re.compile(r"([0-9]{1,6}) upgraded, ([0-9]{1,6}) newly installed, ")
_GET = re.compile(r"Get:([0-9]{1,6}) ")
_STEP = re.compile(r"STEP ([0-9]{1,6})/([0-9]{1,6})\b")
_BEGINNINGS = {
    # dpkg(1) says both of each package; pip the others, of each wheel.
    "Unpacking ": "unpacking",
    "Setting up ": "setting up",
    "Collecting ": "downloading",
    "Processing ./run/": "installing",
    "Processing /run/": "installing",
}


def counting(progress: Progress) -> Progress:
    """Return a callback that passes events on, and adds how far their lines say that a stage is.

    Args:
        progress: gets the events.
    """
    counter = _Counter()

    def tell(event: Event) -> None:
        progress(event)
        if isinstance(event, Started):
            counter.total, counter.done = 0, {}
        elif isinstance(event, Advanced) and event.unit == _PACKAGE:
            # Whoever runs the program may know better how many there are.
            counter.total, counter.done = event.total, {}
        elif isinstance(event, OutputLine):
            advanced = counter.read(event)
            if advanced is not None:
                progress(advanced)

    return tell


class _Counter(Struct):
    """How many packages there are, and with how many each thing was done that is done to them."""

    total: int = 0
    done: dict[str, int] = field(default_factory=dict)

    def read(self, event: OutputLine) -> Advanced | None:
        """Return how far the stage is by this line, or None where the line does not tell."""
        line, stage = event.line, event.stage
        if total := _TOTAL.match(line):
            self.total, self.done = int(total[1]) + int(total[2]), {}
            return None
        if step := _STEP.match(line):
            return Advanced(stage=stage, done=int(step[1]), total=int(step[2]), unit="step")
        if got := _GET.match(line):
            # Before apt has said how many there are, it gets lists of packages.
            return self._advanced(stage, "downloading", int(got[1])) if self.total else None
        for beginning, doing in _BEGINNINGS.items():
            if line.startswith(beginning):
                return self._advanced(stage, doing, self.done.get(doing, 0) + 1)
        return None

    def _advanced(self, stage: str, doing: str, done: int) -> Advanced:
        self.done[doing] = done
        # One package can be set up twice, and what was there before can be unpacked again.
        total = max(self.total, done) if self.total else 0
        return Advanced(stage=stage, done=done, total=total, unit=_PACKAGE, doing=doing)
