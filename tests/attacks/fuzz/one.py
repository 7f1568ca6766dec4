"""Runs targets under libFuzzer: ``python -m tests.attacks.fuzz.one JOBS``.

JOBS is a JSON list of ``[target, log, options of libFuzzer]``, which ``tests.attacks.fuzz.run``
writes. What is under test is imported and instrumented once, which takes longer than some hundred
inputs; each target then has a process of its own, whose output and exit code are in its log.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

if TYPE_CHECKING:
    from tests.attacks.fuzz.target import Target

_INSTRUMENTED = ["imagekit", "yaml", "packageurl"]


def main() -> None:
    """Fuzz one target after the other, until libFuzzer ends each."""
    jobs = json.loads(sys.argv[1])
    # Whatever is under test must be imported in here, or libFuzzer would see nothing of it.
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from tests.attacks.fuzz import collection

        targets = [collection.load(name) for name, _, _ in jobs]
    for target, (_, log, options) in zip(targets, jobs, strict=True):
        child = os.fork()
        if child == 0:
            _fuzz(target, Path(log), options)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with Path(log).open("a") as file:
            file.write(f"\nexit code {status}\n")


def _fuzz(target: "Target", log: Path, options: Sequence[str]) -> None:
    """Fuzz until libFuzzer is told to stop; it ends the process itself."""
    from tests.attacks.fuzz.target import run

    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(handle, stream)
    arguments = [sys.argv[0], f"-max_len={target.max_length}", *options]
    kinds = {"custom_mutator": _document_mutator(target.max_length)} if target.json else {}
    atheris.Setup(arguments, lambda data: run(target, data), **kinds)
    atheris.Fuzz()


def _document_mutator(limit: int) -> Callable[[bytes, int, int], bytes]:
    from tests.attacks.fuzz.mutate import mutate

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        changed = mutate(data, seed=seed, limit=min(limit, max_size)) if seed % 4 else None
        return atheris.Mutate(data, max_size) if changed is None else changed

    return change


if __name__ == "__main__":
    main()
