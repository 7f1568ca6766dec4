"""The words of a Containerfile: options, assignments, and variables in them.

As Buildah has them (openshift/imagebuilder, shell_parser.go and dockerfile/parser), except that a
variable without a value is an error where the value decides what the image is made of.
"""

import re
from collections.abc import Mapping, Sequence

from imagekit.errors import InputError

_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)=([!-~]+)")
_QUOTED = re.compile(r"""--(?:[^\s'"\\]|'[^'\\]*'|"[^"\\]*")+(?=[ \t]|$)""")
_QUOTE = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_VALUE = 32_768
"""Most characters that the variables of one word may bring: each could double the one before."""
_MAX_DEPTH = 8


def options(rest: str) -> tuple[list[tuple[str, str]], str]:
    """Return the options that an instruction begins with, and what stands behind them.

    Quotes are taken off, as Buildah does before it replaces variables, in either kind of quotes.

    Raises:
        InputError: there is an option in a form that programs read differently.
    """
    flags: list[tuple[str, str]] = []
    while rest.startswith("--"):
        quoted = _QUOTED.match(rest)
        word = rest.split(maxsplit=1)[0] if quoted is None else quoted[0]
        option = _OPTION.fullmatch(_QUOTE.sub(r"\1\2", word))
        if quoted is not None and "=" not in word:
            raise InputError(
                f"the option `{word[:60]}` has no value, and is not understood",
                hint="leave it out, or write --NAME=VALUE",
            )
        if quoted is None or option is None:
            raise InputError(
                f"the option `{word[:60]}` is not read",
                hint="write --NAME=VALUE in plain characters, without blanks and backslashes in it",
            )
        flags.append((option[1], option[2]))
        rest = rest[len(word) :].lstrip(" \t")
    return flags, rest


def assignments(rest: str) -> list[str]:
    """Return the words of an ARG, with their quotes.

    Raises:
        InputError: a quote has no end.
    """
    words: list[str] = []
    word, quote, position = "", "", 0
    while position < len(rest):
        character = rest[position]
        if character == "\\" and quote != "'" and position + 1 < len(rest):
            word += rest[position : position + 2]
            position += 2
            continue
        if quote:
            quote = "" if character == quote else quote
            word += character
        elif character.isspace():
            words += [word] if word else []
            word = ""
        else:
            quote = character if character in "'\"" else ""
            word += character
        position += 1
    if quote:
        raise InputError(f"a quote in `{rest[:60]}` has no end")
    return [*words, word] if word else words


def expand(word: str, values: Mapping[str, str]) -> str:
    """Return a word with its quotes taken off and its variables replaced.

    Args:
        word: the word.
        values: what the variables are.

    Raises:
        InputError: a variable has no value, or the form is not read by Buildah.
    """
    return _Word(word, values).whole()


class _Word:
    """One word, read from left to right."""

    def __init__(self, word: str, values: Mapping[str, str]) -> None:
        self._word = word
        self._values = values
        self._depth = 0
        self._brought = 0
        self._at = 0

    def whole(self) -> str:
        if not self._word.isascii():
            # What is a letter of a name, and what a blank, differs between programs.
            raise self._unclear()
        return self._until("")

    def _until(self, end: str) -> str:
        """Return what stands before the character, which is passed over, or before the end."""
        result: list[str] = []
        while self._at < len(self._word):
            character = self._take()
            if character == end:
                return "".join(result)
            if character == "'" and end != '"':
                result.append(self._quoted())
            elif character == '"':
                result.append(self._until('"'))
            elif character == "\\":
                result.append(self._escaped(end))
            else:
                result.append(self._dollar() if character == "$" else character)
        if end:
            raise self._unclear()
        return "".join(result)

    def _take(self) -> str:
        self._at += 1
        return self._word[self._at - 1 : self._at]

    def _quoted(self) -> str:
        end = self._word.find("'", self._at)
        if end < 0:
            raise self._unclear()
        text, self._at = self._word[self._at : end], end + 1
        return text

    def _escaped(self, end: str) -> str:
        following = self._take()
        keep = end == '"' and following not in {'"', "$", "\\"}
        return f"\\{following}" if keep else following

    def _dollar(self) -> str:
        match = _NAME.match(self._word, self._at)
        if match is not None:
            self._at = match.end()
            return self._value(match[0])
        match = _NAME.match(self._word, self._at + 1)
        if self._word[self._at : self._at + 1] != "{" or match is None:
            raise self._unclear()
        self._at = match.end()
        return self._modified(match[0])

    def _modified(self, name: str) -> str:
        character = self._take()
        if character == "}":
            return self._value(name)
        modifier = self._take() if character == ":" else ""
        if modifier not in {"-", "+"}:
            raise self._unclear()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._unclear()
        known = self._values.get(name, "")
        wanted = (known == "") if modifier == "-" else (known != "")
        # What is not taken need not have a value, but is passed over all the same.
        other = self._until("}") if wanted else self._passed_over()
        self._depth -= 1
        if modifier == "-":
            return self._value(name) if known else other
        return other if known else ""

    def _passed_over(self) -> str:
        depth = 1
        while depth:
            character = self._take()
            if not character or character in "'\"\\":
                raise self._unclear()
            depth += (character == "{") - (character == "}")
        return ""

    def _value(self, name: str) -> str:
        if name not in self._values:
            raise InputError(
                f"`{self._word[:120]}` has a variable that neither the recipe nor an ARG gives: "
                f"{name}",
                hint="give it in `build_args`",
            )
        value = self._values[name]
        self._brought += len(value)
        if self._brought > MAX_VALUE:
            raise InputError(
                f"the variables of `{self._word[:60]}` are longer than {MAX_VALUE} characters",
                hint="write shorter values",
            )
        return value

    def _unclear(self) -> InputError:
        return InputError(
            f"`{self._word[:120]}` is not read",
            hint="write variables as $NAME, ${NAME}, ${NAME:-default} or ${NAME:+other}",
        )


def only(flags: Sequence[tuple[str, str]], allowed: frozenset[str], *, word: str) -> None:
    """Require the options of an instruction to be those that are understood.

    Raises:
        InputError: there is another, or one of them twice.
    """
    names = [name for name, _ in flags]
    for name in names:
        if name not in allowed:
            known = ", ".join(f"--{option}" for option in sorted(allowed)) or "none"
            raise InputError(
                f"{word} has the option --{name}, which is not understood",
                hint=f"understood are: {known}",
            )
        if names.count(name) > 1 and name != "mount":
            raise InputError(f"{word} has the option --{name} twice", hint="leave one of them")
