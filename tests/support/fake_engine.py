"""The client of an engine, which keeps what it is asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from imagekit.process import Outcome


@dataclass
class FakeEngine:
    """Answers every command with one text, and ends every container with 7."""

    stdout: str = ""
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def run(
        self, argv: Sequence[str], *, stage: str = "", limit: float = 60.0, check: bool = True
    ) -> Outcome:
        """Answer."""
        del stage, check
        assert limit > 0
        self.asked.append(tuple(argv))
        return Outcome(argv=tuple(argv), status=0, stdout=self.stdout, stderr="", seconds=0.0)

    def foreground(self, argv: Sequence[str]) -> int:
        """Run a container."""
        self.asked.append(tuple(argv))
        return 7
