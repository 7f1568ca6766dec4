"""Man pages, made of the parsers: man(7), as groff and mandoc read it."""

import argparse
import re
from collections.abc import Iterator, Sequence
from datetime import date

from msgspec import Struct

from imagekit.cli.help import COMMANDS
from imagekit.cli.parsers import Parser, whole_parser
from imagekit.settings.keys import KEYS

_ESCAPES = str.maketrans(
    # Else groff prints typographic characters, which cannot be pasted into a shell.
    {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
)
_CODES = (
    ("0", "done"),
    ("1", "a fault of imagekit"),
    ("2", "a bad recipe, policy, key or reference"),
    ("3", "denied by the policy"),
    ("4", "a published image failed its own verification"),
    ("5", "bytes differ from their digest"),
    ("6", "a tool or a registry failed"),
    ("64", "wrong usage"),
    ("141", "the output was closed before its end"),
)


class ManPage(Struct, frozen=True, kw_only=True):
    """One page of section 1."""

    name: str
    text: str

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.1"


def man_pages(version: str, day: date) -> tuple[ManPage, ...]:
    """Return the page of ``imagekit``, and one for each command.

    Args:
        version: of imagekit.
        day: that the pages are dated by.
    """
    commands = whole_parser().verbs()
    foot = f'"{day.isoformat()}" "imagekit {version}" "imagekit"'
    pages = [ManPage(name="imagekit", text=_page("imagekit", foot, _whole()))]
    for name, parser in commands.items():
        title = f"imagekit-{name}"
        pages.append(ManPage(name=title, text=_page(title, foot, _command(name, parser))))
    return tuple(pages)


def _page(name: str, foot: str, body: Iterator[str]) -> str:
    return "\n".join((f".TH {_text(name.upper())} 1 {foot}", *body)) + "\n"


def _whole() -> Iterator[str]:
    yield from _name("imagekit", "build, publish, verify and gate container images")
    yield from (".SH SYNOPSIS", r".B imagekit", r".I COMMAND", r"[\fIOPTIONS\fR] ...")
    yield ".SH DESCRIPTION"
    yield _text("Recipes to self-contained OCI images: built by Buildah, with SBOM and signatures,")
    yield _text("verified before any runtime pulls them.")
    yield ".SH COMMANDS"
    for name, text in COMMANDS.items():
        yield from (".TP", rf"\fBimagekit\-{_text(name)}\fR(1)", _text(text))
    yield from _codes()
    yield ".SH ENVIRONMENT"
    for key in KEYS:
        yield from (".TP", rf"\fB{_text(key.variable)}\fR", _text(key.text))
    yield from (".TP", r"\fBIMAGEKIT_KEY_PASSWORD\fR", _text("the password of the key"))
    yield ".SH FILES"
    files = {
        "imagekit.toml": "in the working folder or above it",
        "~/.config/imagekit/imagekit.toml": "the user's settings",
        "/etc/imagekit/imagekit.toml": "the system's; imagekit-config(1) explains all three",
    }
    for file, text in files.items():
        yield from (".TP", rf"\fI{_text(file)}\fR", _text(text))


def _command(name: str, parser: Parser) -> Iterator[str]:
    yield from _name(f"imagekit-{name}", COMMANDS[name])
    yield from (".SH SYNOPSIS", *_usage(parser))
    yield from (".SH DESCRIPTION", *_described(parser))
    yield from (".SH OPTIONS", *_options(parser))
    for verb in parser.verbs().values():
        yield from (f".SH {_text(verb.prog.upper())}", *_usage(verb))
        described = list(_described(verb))
        yield from (".PP", *described) if described else ()
        yield from _options(verb)
    yield from _codes()
    yield from (".SH SEE ALSO", r"\fBimagekit\fR(1), \fBimagekit\-config\fR(1)")


def _name(name: str, text: str) -> Iterator[str]:
    yield from (".SH NAME", rf"{_text(name)} \- {_text(text)}")


def _codes() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, text in _CODES:
        yield from (".TP", rf"\fB{code}\fR", _text(text))


def _usage(parser: Parser) -> Iterator[str]:
    # Further lines are indented by the first word of the first one, too.
    lines = parser.format_usage().rstrip().splitlines()
    yield from (".nf", *(_text(line[len("usage: ") :]) for line in lines), ".fi")


def _described(parser: Parser) -> Iterator[str]:
    """Yield the paragraphs of a docstring; lines that are indented stay as they are."""
    text = (parser.description or "").strip("\n")
    blocks = re.split(r"\n\s*\n", text) if text else []
    for n, block in enumerate(blocks):
        lines = block.splitlines()
        yield from (".PP",) * (n > 0)
        for kept, run in _runs(lines):
            if kept:
                yield from (".RS 2", ".nf", *(_text(line[2:]) for line in run), ".fi", ".RE")
            else:
                yield _text(" ".join(run))


def _runs(lines: Sequence[str]) -> Iterator[tuple[bool, list[str]]]:
    from itertools import groupby

    for kept, run in groupby(lines, key=lambda line: line.startswith(" ")):
        yield kept, list(run)


def _options(parser: Parser) -> Iterator[str]:
    """Yield the options and arguments, in the groups that the help has them in."""
    for group in parser.groups():
        shown = [action for action in group.actions if action.help is not argparse.SUPPRESS]
        if not shown:
            continue
        yield f".SS {_text(group.title)}"
        yield from filter(None, (_text(group.description),))
        for action in shown:
            yield from (".TP", _spelled(action), _text(_help(action, parser)) or r"\&")


def _spelled(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else ""
    if not value and action.choices is not None:
        value = "|".join(map(str, action.choices))
    if action.nargs == 0:
        value = ""
    shown = rf"\fI{_text(value)}\fR" if value else ""
    names = ", ".join(rf"\fB{_text(name)}\fR" for name in action.option_strings)
    return " ".join(filter(None, (names, shown or (not names and _text(action.dest)) or "")))


def _help(action: argparse.Action, parser: Parser) -> str:
    words = {**vars(action), "prog": parser.prog}
    return (action.help or "") % words


def _text(text: str) -> str:
    """Return a text of which roff takes nothing for its own."""
    escaped = text.translate(_ESCAPES)
    return rf"\&{escaped}" if escaped.startswith(".") else escaped
