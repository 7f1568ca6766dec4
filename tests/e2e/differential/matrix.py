"""Plays the table: every case once, several at a time, and keeps what everybody said."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from imagekit.errors import ImagekitError
from imagekit.verify.policies import load_unsigned
from imagekit.verify.verify import Verifier
from tests.e2e.differential.bed import Bed, Form
from tests.e2e.differential.case import OK, Case
from tests.e2e.differential.changes import Attack
from tests.e2e.differential.copies import Copy
from tests.e2e.differential.peers import (
    PEERS,
    SECONDS,
    Answer,
    Question,
    SigstoreJs,
    Verdict,
)
from tests.e2e.differential.policies import write_imagekit
from tests.support.sigstore.issuer import EMAIL

_AT_ONCE = 6


@dataclass(frozen=True, kw_only=True)
class Row:
    """What everybody said of a case in one kind of registry."""

    case: Case
    referrers: bool
    ours: str
    message: str
    command: str
    """What the command said, or nothing where it was not asked."""
    peers: dict[str, Answer]

    @property
    def name(self) -> str:
        """The case, and the registry if it is the one with referrers."""
        return f"{self.case.name}{' (referrers API)' if self.referrers else ''}"

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """What each peer said."""
        return {name: answer.verdict for name, answer in self.peers.items()}

    def details(self) -> list[str]:
        """Return what each said about it, a line for each who gave a reason."""
        said = {"imagekit": self.message} | {name: each.said for name, each in self.peers.items()}
        return [f"{name}: {text}" for name, text in said.items() if text]


class Matrix:
    """The rows of the table."""

    def __init__(self, bed: Bed, bench: Path, wanted: Iterable[tuple[Case, bool]]) -> None:
        self._bed = bed
        self._bench = bench
        self._js = SigstoreJs(bench)
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._rows: dict[tuple[str, bool], Future[Row]] = {
            (case.name, referrers): self._pool.submit(self._play, case, referrers=referrers)
            for case, referrers in wanted
        }

    def play(self) -> None:
        """Wait until all rows have come to an end.

        No test may end meanwhile: pytest takes a variable out of the environment then, while the
        threads go through it.
        """
        wait(self._rows.values())

    def row(self, case: Case, *, referrers: bool) -> Row:
        """Return a row."""
        return self._rows[case.name, referrers].result()

    def rows(self) -> list[Row]:
        """Return all rows that came to an end."""
        done = [one for one in self._rows.values() if one.done() and not one.cancelled()]
        return [one.result() for one in done if one.exception() is None]

    def close(self) -> None:
        """Play no more."""
        self._pool.shutdown(cancel_futures=True)
        self._js.close()

    def _play(self, case: Case, /, *, referrers: bool) -> Row:
        folder = self._bed.folder / f"{case.name.replace('/', '-')}-{int(referrers)}"
        folder.mkdir()
        copy = self._pushed(case, referrers=referrers)
        question = self._question(case, copy, folder)
        ours, message = _judge(question)
        return Row(
            case=case,
            referrers=referrers,
            ours=ours,
            message=message,
            command=_command(question) if case.command and not referrers else "",
            peers={
                name: ask(question)
                if case.verdicts[name] is not Verdict.NOT_APPLICABLE
                else Answer(Verdict.NOT_APPLICABLE, "")
                for name, ask in PEERS.items()
            },
        )

    def _pushed(self, case: Case, *, referrers: bool) -> Copy:
        if case.form is Form.PUBLISHED:
            return self._bed.image
        path = f"cases/{case.name}"
        copy = self._bed.signed(
            path, case.form, referrers=referrers, before=case.before, blindly=case.blindly
        )
        case.change(Attack(self._bed, copy, case.form))
        copy.push()
        return copy

    def _question(self, case: Case, copy: Copy, folder: Path, /) -> Question:
        stack = self._bed.stack
        first = case.form is not Form.REKOR2
        if copy.top.bundles:
            (folder / "bundle.json").write_bytes(copy.bundle.bundle)
        question = Question(
            reference=f"{copy.store.name}:{case.tag}",
            digest=copy.top.document.digest,
            legacy=case.form.legacy,
            folder=folder,
            bench=self._bench,
            js=self._js,
            root=stack.trusted_root_v1 if first else stack.trusted_root,
            key=None if case.form.keyless else self._bed.public,
            identity=case.expect.get("identity", EMAIL),
            issuer=case.expect.get("issuer", stack.issuer),
            fulcio=stack.fulcio_pem,
            rekor=stack.rekor1_pub,
            level=case.level,
            denied=case.denied(copy) if case.denied else "",
            neighbour=f"{copy.store.name}{case.neighbour}:{case.tag}" if case.neighbour else "",
        )
        write_imagekit(question)
        return question


def _judge(question: Question) -> tuple[str, str]:
    """Return our verdict, by the library."""
    policy = load_unsigned(question.folder / "imagekit.yaml")
    verifier = Verifier(policy)
    if question.neighbour:
        assert not verifier.verify(question.neighbour).allowed
    try:
        verdict = verifier.verify(question.reference)
    except ImagekitError as error:
        return f"no verdict: {error.code}", error.message
    if verdict.allowed:
        return OK, ""
    first = next(each for each in verdict.findings if each.severity == "error")
    return f"{first.check}: {first.code}", first.message


def _command(question: Question) -> str:
    """Return our verdict, by the command in a process of its own."""
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "imagekit", "verify", question.reference, "--json"),
            *("--policy", question.folder / "imagekit.yaml"),
        ],
        env={**os.environ, "HOME": str(question.folder)},
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    findings = json.loads(done.stdout)["findings"]
    first = next((each for each in findings if each["severity"] == "error"), None)
    assert done.returncode == (3 if first else 0), done.stderr
    return f"{first['check']}: {first['code']}" if first else OK
