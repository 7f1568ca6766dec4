"""Fuzzes targets for a given time each: what ``scripts/fuzz`` runs."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
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

    def fuzz(names: Sequence[str]) -> list[Outcome]:
        if names == [properties.NAME]:
            return [_properties(limits.seconds)]
        return _fuzz(names, folder, limits)

    with ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = [
            outcome
            for several in pool.map(fuzz, _groups(arguments.targets, limits))
            for outcome in several
        ]
    bad = [outcome for outcome in outcomes if not outcome.good]
    total = sum(outcome.runs for outcome in outcomes)
    print(
        f"{len(outcomes)} targets, {total} inputs in {time.monotonic() - began:.0f} s, "
        f"{len(bad)} with findings"
    )
    return 1 if bad else 0


def _groups(names: Sequence[str], limits: Limits) -> list[list[str]]:
    """Return what one process fuzzes: few inputs of many targets, or one target for long."""
    if not limits.runs:
        return [[name] for name in names]
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(collection.module_of(name), []).append(name)
    return list(groups.values())


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
    rounds = properties.run(seconds)
    outcome = Outcome(
        name=properties.NAME,
        runs=rounds.passed,
        rss=0,
        found=(),
        said=rounds.said,
        good=rounds.good,
    )
    _tell(outcome)
    return outcome


def _fuzz(names: Sequence[str], folder: Path, limits: Limits) -> list[Outcome]:
    places = {name: (folder / "inputs" / name, folder / "found" / name) for name in names}
    before, jobs = {}, []
    for name, (corpus, found) in places.items():
        for path in (corpus, found):
            path.mkdir(parents=True, exist_ok=True)
        before[name] = set(found.iterdir())
        jobs.append([name, str(_log(folder, name)), _options(name, folder, limits)])
        _log(folder, name).unlink(missing_ok=True)
    argv = [sys.executable, "-m", "tests.attacks.fuzz.one", json.dumps(jobs)]
    _, said = _ran(argv, limit=len(names) * (limits.seconds + _GRACE))
    outcomes = []
    for name, (_, found) in places.items():
        new = tuple(sorted(set(found.iterdir()) - before[name]))
        outcomes.append(_outcome(name, _read(_log(folder, name)) or said, new))
        _tell(outcomes[-1])
    return outcomes


def _options(name: str, folder: Path, limits: Limits) -> list[str]:
    """Write the seeds of a target, and return libFuzzer's options."""
    corpus, found = folder / "inputs" / name, folder / "found" / name
    seeds = collection.load(name).seeds
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    return [
        *limits.words(),
        f"-rss_limit_mb={_RSS_MIB}",
        f"-timeout={_STUCK}",
        f"-artifact_prefix={found}/",
        f"-dict={_dictionary(folder / f'{name}.dict', seeds)}",
        str(corpus),
    ]


def _log(folder: Path, name: str) -> Path:
    return folder / f"{name}.log"


def _read(log: Path) -> str:
    return log.read_bytes().decode("utf-8", "replace") if log.exists() else ""


def _outcome(name: str, said: str, found: tuple[Path, ...]) -> Outcome:
    return Outcome(
        name=name,
        runs=_largest(_RUNS, said),
        rss=_largest(_RSS, said),
        found=found,
        said=said,
        # What was not run to its end has no exit code, and found something by that.
        good=said.rstrip().endswith("\nexit code 0") and not found,
    )


def _ran(argv: list[str], *, limit: float) -> tuple[int, str]:
    """Run a process to its end, or kill it and its children; return its status and its output."""
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=limit)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            said, _ = process.communicate()
            return -1, said.decode("utf-8", "replace") + "\nit did not end: killed"
    return process.returncode, said.decode("utf-8", "replace")


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
    word = "ok   " if outcome.good else "FOUND"
    line = f"{word} {outcome.name:<14} {outcome.runs:>8} inputs {outcome.rss:>5} MiB"
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
