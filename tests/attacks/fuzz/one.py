"""Runs one target under libFuzzer: ``python -m tests.attacks.fuzz.one TARGET [LIBFUZZER OPTIONS]``.

``tests.attacks.fuzz.run`` starts this, a process for each target.
"""

import sys
from collections.abc import Callable

import atheris

_INSTRUMENTED = ["imagekit", "yaml", "packageurl"]


def main() -> None:
    """Fuzz until libFuzzer is told to stop; it ends the process itself."""
    # Whatever is under test must be imported in here, or libFuzzer would see nothing of it.
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from tests.attacks.fuzz import collection, target

        chosen = collection.load(sys.argv[1])
    arguments = [sys.argv[0], f"-max_len={chosen.max_length}", *sys.argv[2:]]
    kinds = {"custom_mutator": _document_mutator(chosen.max_length)} if chosen.json else {}
    atheris.Setup(arguments, lambda data: target.run(chosen, data), **kinds)
    atheris.Fuzz()


def _document_mutator(limit: int) -> Callable[[bytes, int, int], bytes]:
    from tests.attacks.fuzz.mutate import mutate

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        changed = mutate(data, seed=seed, limit=min(limit, max_size)) if seed % 4 else None
        return atheris.Mutate(data, max_size) if changed is None else changed

    return change


if __name__ == "__main__":
    main()
