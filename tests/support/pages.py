"""Pages whose console blocks are run as they stand there, in their order, in one shell.

In a ``console`` block a line that begins with ``$`` is a command, with the lines that continue it
(by a backslash, or as a here-document); what follows is what it prints. A remark ``# ends with N``
behind a command says its exit code, else it is 0. A ``python`` block is given to ``python3``.

Of what is printed, ``...`` alone on a line stands for any lines, elsewhere for any text, as does
``…``. Numbers, digests and spaces may be others than the page's.
"""

import argparse
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_REMARK = re.compile(r"\s+# ends with (\d+)$")
_HERE = re.compile(r"<<-?\s*'?(\w+)'?")
_BEGIN, _END = "\x1e", "\x1f"
_PROMPT = re.compile(rb"(?i)(password|once more)[^\n]*: $")
PASSWORD = "the password"
"""What is typed where a command asks for one; the program of docs/library.md knows it."""


class Command(NamedTuple):
    """A command of a page, and what the page promises of it."""

    text: str
    status: int = 0
    printed: str = ""


class Ran(NamedTuple):
    """How a command went."""

    command: Command
    status: int | None
    """None where it did not end."""
    output: str


def commands(page: str) -> Iterator[Command]:
    """Yield the commands of a page, in their order."""
    for kind, block in _BLOCK.findall(page):
        if kind == "python":
            yield Command(f"python3 - <<'END OF PROGRAM'\n{block}END OF PROGRAM")
        else:
            yield from _of_block(block)


def _of_block(block: str) -> Iterator[Command]:
    lines = block.splitlines()
    if not lines or not lines[0].startswith("$ "):
        raise ValueError(f"a console block begins with no command: {block[:60]!r}")
    while lines:
        first = lines.pop(0).removeprefix("$ ")
        remark = _REMARK.search(first)
        text = [first if remark is None else first[: remark.start()]]
        while text[-1].endswith("\\"):
            text.append(lines.pop(0))
        if here := _HERE.search(text[-1]):
            while text[-1] != here[1]:
                text.append(lines.pop(0))
        printed = []
        while lines and not lines[0].startswith("$ "):
            printed.append(lines.pop(0))
        status = 0 if remark is None else int(remark[1])
        yield Command("\n".join(text), status, "\n".join(printed).strip("\n"))


def fault(ran: Ran) -> str:
    """Return what is not as the page says, or nothing."""
    if ran.status != ran.command.status:
        return f"ended with {ran.status}, and not with {ran.command.status}"
    if not ran.command.printed or _expected(ran.command.printed).search(ran.output):
        return ""
    return f"printed something else than the page says, which is:\n{ran.command.printed}"


def _expected(printed: str) -> re.Pattern[str]:
    lines = [
        r"(?:.*\n)*?" if line.strip() == "..." else _line(line) for line in printed.splitlines()
    ]
    return re.compile("^" + "".join(lines), re.MULTILINE)


def _line(line: str) -> str:
    parts = re.split(r"(\.{3}|…|\b[0-9a-f]{12,}\b|\d+(?:[.,]\d+)*|\s+)", line.strip())
    return r"\s*" + "".join(map(_part, parts)) + r"[ \t]*\n"


def _part(text: str) -> str:
    if text in {"...", "…"}:
        return ".*"
    if re.fullmatch(r"[0-9a-f]{12,}", text):
        return "[0-9a-f]+"
    if re.fullmatch(r"\d+(?:[.,]\d+)*", text):
        return r"\d+(?:[.,]\d+)*"
    return r"\s+" if text.isspace() else re.escape(text)


def script(wanted: Sequence[Command]) -> str:
    """Return a script of bash that runs them, and ends behind the first that goes wrong."""
    lines = ["exec 2>&1"]
    for number, command in enumerate(wanted):
        lines += [f"printf '\\036{number}\\n'", command.text]
        lines += ["status=$?", "printf '\\037%s\\n' $status"]
        lines += [f"[ $status = {command.status} ] || exit 99"]
    return "\n".join([*lines, "kill $(jobs -p) 2> /dev/null", "wait", ""])


def run(wanted: Sequence[Command], shell: Sequence[str], *, limit: float) -> list[Ran]:
    """Run commands in one shell, and type the password where one is asked for.

    Args:
        wanted: the commands.
        shell: what runs a script that is its last argument, behind ``-c``.
        limit: seconds that all of them may take.

    Returns:
        Those that began; the last one went wrong if they are not all.
    """
    terminal, own = pty.openpty()
    # setsid(1) makes the terminal that of the session which the shell leads.
    process = subprocess.Popen(
        ["setsid", "--ctty", *shell, "-c", script(wanted)],
        stdin=own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    os.close(own)
    threading.Thread(target=_type, args=(terminal,), daemon=True).start()
    timer = threading.Timer(limit, _stop, args=(process,))
    timer.start()
    with process:
        try:
            return list(_ran(process, wanted))
        finally:
            timer.cancel()
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the shell and what it started, which is the process group that it leads."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


def _type(terminal: int) -> None:
    """Answer every question for a password."""
    seen = b""
    while True:
        try:
            seen = (seen + os.read(terminal, 1024))[-200:]
        except OSError:  # nobody has the terminal any more
            os.close(terminal)
            return
        if _PROMPT.search(seen):
            os.write(terminal, f"{PASSWORD}\n".encode())
            seen = b""


def _ran(process: "subprocess.Popen[bytes]", wanted: Sequence[Command]) -> Iterator[Ran]:
    """Yield the commands as they end; what they print is passed on."""
    assert process.stdout is not None
    command, output = Command(""), ""
    began = False
    for raw in process.stdout:
        line = raw.decode(errors="replace")
        before, begin, number = line.partition(_BEGIN)
        if begin:
            command, output, began = wanted[int(number)], "", True
            _show(f"\n$ {command.text}\n")
            continue
        before, end, status = line.partition(_END)
        output += before
        _show(before)
        if end:
            began = False
            yield Ran(command, int(status), output if output.endswith("\n") else f"{output}\n")
    if began:
        yield Ran(command, None, output)


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> None:
    """Run the blocks of pages, and end with 1 where one is not as the page says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--limit", type=float, default=1800.0, metavar="SECONDS")
    parser.add_argument(
        "--shell",
        nargs=argparse.REMAINDER,
        default=["bash"],
        help="what is given -c and a script; takes all the words behind it",
    )
    parser.add_argument("--root", action="store_true", help="leave out sudo, as root does")
    arguments = parser.parse_args()
    wanted = [command for page in arguments.pages for command in commands(page.read_text())]
    if arguments.root:
        wanted = [each._replace(text=each.text.removeprefix("sudo ")) for each in wanted]
    ran = run(wanted, arguments.shell, limit=arguments.limit)
    wrong = [f"$ {each.command.text}\n{fault(each)}" for each in ran if fault(each)]
    _show(f"\n{len(ran)} of {len(wanted)} commands ran, {len(wrong)} went wrong\n")
    sys.exit("\n\n".join(wrong) or len(ran) != len(wanted))


if __name__ == "__main__":
    main()
