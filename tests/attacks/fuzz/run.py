"""Fuzzes targets for a given time each: what ``scripts/fuzz`` runs."""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.fuzz import collection, properties, target

_RSS_MIB = 1024
_STUCK = 10
_GRACE = 120
_MAX_WORDS = 300
_WORD = re.compile(rb"[A-Za-z][A-Za-z0-9_./+-]{2,60}")
_RUNS = re.compile(r"Done (\d+) runs|#(\d+)\t")
_RSS = re.compile(r"rss: (\d+)Mb")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How fuzzing one target ended."""

    name: str
    runs: int
    rss: int
    seconds: float
    found: tuple[Path, ...]
    said: str
    good: bool


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a target is fuzzed."""

    seconds: int
    runs: int
    """So many inputs instead, the same ones each time; 0 where the time decides."""

    def words(self) -> tuple[str, ...]:
        """Return libFuzzer's options."""
        if self.runs:
            return f"-runs={self.runs}", "-seed=1"
        return (f"-max_total_time={self.seconds}",)


def main() -> int:
    """Run the command; 0: nothing found, 1: something was."""
    arguments = _arguments()
    if arguments.replay is not None:
        return _replay(arguments.replay)
    folder: Path = arguments.folder
    limits = Limits(seconds=arguments.seconds, runs=arguments.runs)
    began = time.monotonic()

    def fuzz(name: str) -> Outcome:
        if name == properties.NAME:
            return _properties(limits.seconds)
        return _fuzz(name, folder, limits)

    with ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = list(pool.map(fuzz, arguments.targets))
    bad = [outcome for outcome in outcomes if not outcome.good]
    total = sum(outcome.runs for outcome in outcomes)
    print(
        f"{len(outcomes)} targets, {total} inputs in {time.monotonic() - began:.0f} s, "
        f"{len(bad)} with findings"
    )
    return 1 if bad else 0


def _arguments() -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument(
        "--runs", type=int, default=0, help="so many inputs for each instead, the same every time"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at once")
    parser.add_argument(
        "--folder",
        type=Path,
        default=cache / "imagekit-fuzz",
        help="where inputs and findings are kept (~/.cache/imagekit-fuzz)",
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one finding again")
    parser.add_argument("--list", action="store_true", help="name the targets and end")
    arguments = parser.parse_args()
    if arguments.list:
        print(*collection.NAMES, properties.NAME, sep="\n")
        sys.exit(0)
    # The examples of property tests are never the same here, so --runs leaves them out.
    random = [] if arguments.runs else [properties.NAME]
    arguments.targets = arguments.targets or [*collection.NAMES, *random]
    unknown = sorted(set(arguments.targets) - set(collection.NAMES) - {properties.NAME})
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; --list names them")
    return arguments


def _replay(file: Path) -> int:
    """Run the input with the target that the file's folder is called by; a fault is a traceback."""
    target.run(collection.load(file.resolve().parent.name), file.read_bytes())
    print(f"{file}: nothing is wrong any more")
    return 0


def _properties(seconds: int) -> Outcome:
    """Run the property tests, at least once, with other examples each time."""
    began = time.monotonic()
    rounds = properties.run(seconds)
    outcome = Outcome(
        name=properties.NAME,
        runs=rounds.passed,
        rss=0,
        seconds=time.monotonic() - began,
        found=(),
        said=rounds.said,
        good=rounds.good,
    )
    _tell(outcome)
    return outcome


def _fuzz(name: str, folder: Path, limits: Limits) -> Outcome:
    corpus, found = folder / "inputs" / name, folder / "found" / name
    for path in (corpus, found):
        path.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    chosen = collection.load(name)
    for number, seed in enumerate(chosen.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    argv = [
        *(sys.executable, "-m", "tests.attacks.fuzz.one", name),
        *limits.words(),
        f"-rss_limit_mb={_RSS_MIB}",
        f"-timeout={_STUCK}",
        f"-artifact_prefix={found}/",
        f"-dict={_dictionary(folder / f'{name}.dict', chosen.seeds)}",
        str(corpus),
    ]
    began = time.monotonic()
    status, said = _ran(argv, limit=limits.seconds + _GRACE)
    new = tuple(sorted(set(found.iterdir()) - before))
    outcome = Outcome(
        name=name,
        runs=_largest(_RUNS, said),
        rss=_largest(_RSS, said),
        seconds=time.monotonic() - began,
        found=new,
        said=said,
        good=status == 0 and not new,
    )
    _tell(outcome)
    return outcome


def _ran(argv: list[str], *, limit: float) -> tuple[int, str]:
    """Run a process to its end, or kill it; return its status and what it said."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return -1, (error.stdout or b"").decode("utf-8", "replace") + "\nit did not end: killed"
    return done.returncode, done.stdout.decode("utf-8", "replace")


def _dictionary(path: Path, seeds: Iterable[bytes]) -> Path:
    """Write the words of the seeds, which libFuzzer puts into inputs."""
    words = {word.decode() for seed in seeds for word in _WORD.findall(seed)}
    chosen = sorted(words, key=len)[:_MAX_WORDS]
    path.write_text("".join(f'"{word}"\n' for word in chosen))
    return path


def _largest(pattern: re.Pattern[str], text: str) -> int:
    found = [int(number) for match in pattern.finditer(text) for number in match.groups() if number]
    return max(found, default=0)


def _tell(outcome: Outcome) -> None:
    rate = int(outcome.runs / outcome.seconds)
    word = "ok   " if outcome.good else "FOUND"
    line = f"{word} {outcome.name:<14} {outcome.runs:>8} inputs {rate:>6}/s {outcome.rss:>5} MiB"
    print(line, flush=True)
    if outcome.good:
        return
    lines = outcome.said.splitlines()
    interesting = [line for line in lines if not line.startswith(("#", "INFO:", "MS:", "0x"))]
    print("\n".join(f"      {line[:300]}" for line in interesting[-40:]))
    for file in outcome.found:
        print(f"      replay: scripts/fuzz --replay {file}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
