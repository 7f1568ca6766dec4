"""Verifying an image by a policy: what ``imagekit verify``, ``pull`` and ``run`` ask first."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from imagekit.adapters.clock import SystemClock
from imagekit.adapters.memory import SqliteMemory, default_path
from imagekit.adapters.sigstore import SigstoreVerifier
from imagekit.errors import ImagekitError
from imagekit.model.policy import Policy
from imagekit.model.reference import Reference, Repository, parse_reference
from imagekit.model.registry import RegistryOptions
from imagekit.model.verdict import Verdict
from imagekit.pipeline import registries
from imagekit.ports import Clock, Memory, RegistryReader
from imagekit.verify.judge import Bench, judge

MAX_REFERENCES = 10_000
_WORKERS = 16


def verify(
    reference: Reference | str,
    *,
    policy: Policy,
    reader: RegistryReader | None = None,
    options: RegistryOptions | None = None,
    clock: Clock | None = None,
    memory: Memory | None = None,
) -> Verdict:
    """Judge an image by a policy. Nothing is pulled, and no signature service is asked.

    Args:
        reference: the image, by tag or digest, in a registry or a layout.
        policy: what decides; ``imagekit.load_policy`` reads one.
        reader: the way to the registry; made from ``options`` where it is left out.
        options: how the registry is reached.
        clock: the time; the system's where it is left out.
        memory: what was seen before; the user's where it is left out.

    Returns:
        The verdict. Use ``verdict.digest`` and not the tag for all that follows.

    Raises:
        InvalidReferenceError: the reference is not one; nothing was asked.
        RegistryError: the registry did not answer as it should, so that there is no verdict.
    """
    wanted = parse_reference(reference) if isinstance(reference, str) else reference

    def open_reader() -> RegistryReader:
        if reader is not None:
            return reader
        return registries.reader(wanted.repository, options or RegistryOptions())

    bench = Bench(
        now=(clock or SystemClock()).now(),
        open_reader=open_reader,
        certificates=SigstoreVerifier(),
        memory=memory or SqliteMemory(default_path()),
    )
    return judge(wanted, policy, bench)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of one of many references: a verdict, or why there is none."""

    reference: str
    verdict: Verdict | None = None
    error: ImagekitError | None = None


def verify_many(
    references: Sequence[str],
    *,
    policy: Policy,
    options: RegistryOptions | None = None,
    memory: Memory | None = None,
) -> Iterator[Judged]:
    """Judge many images at once, and yield what came of each in the order that they were given.

    All that lie in one registry are asked for over the same connections. An image without a
    verdict does not keep the others from theirs.

    Args:
        references: the images.
        policy: what decides.
        options: how registries are reached.
        memory: what was seen before; the user's where it is left out.
    """
    readers: dict[tuple[str, object], RegistryReader] = {}
    lock = threading.Lock()

    def reader_of(repository: Repository) -> RegistryReader:
        with lock:
            key = (repository.host, repository.layout)
            if key not in readers:
                readers[key] = registries.reader(repository, options or RegistryOptions())
            return readers[key]

    def one(text: str) -> Judged:
        try:
            reference = parse_reference(text)
            reader = reader_of(reference.repository)
            verdict = verify(reference, policy=policy, reader=reader, memory=memory)
        except ImagekitError as error:
            return Judged(reference=text, error=error)
        return Judged(reference=text, verdict=verdict)

    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        yield from pool.map(one, references)
