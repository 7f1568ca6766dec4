"""Running a command: finds its module, parses its words, turns errors into exit codes.

Only the module of the command that is asked for is imported.
"""

import sys
from collections.abc import Collection
from types import ModuleType

from imagekit.cli.console import PROGRESS_FORMS, Console, ProgressForm
from imagekit.cli.help import COMMANDS, HELP_WORDS, print_help
from imagekit.cli.parsers import command_module, command_parser
from imagekit.cli.streams import discard
from imagekit.errors import ImagekitError, UsageError

_LEFT_ALONE = 141
"""The exit code that shells give a program that SIGPIPE ended."""


def execute(words: list[str]) -> int:
    """Run a command; every error ends here, printed and as an exit code.

    Args:
        words: those after ``imagekit``.

    Returns:
        The exit code.
    """
    # Before the words are parsed, which may fail and is to be reported as they say.
    own = _own(words)
    console = Console(json="--json" in own, progress_form=_progress_form(own))
    try:
        return _dispatch(words, console)
    except ImagekitError as error:
        return _told(error, console)
    except KeyboardInterrupt:
        console.say("interrupted: nothing was left half done")
        return 130
    except BrokenPipeError:
        # What was not written may have been the whole result.
        discard(sys.stdout.fileno())
        return _LEFT_ALONE
    except Exception as error:  # noqa: BLE001 - the outermost border: no user ever sees a traceback
        return _fault(error, console)


def _dispatch(words: list[str], console: Console) -> int:
    if not words or words[0] not in COMMANDS:
        return _without_command(words, console)
    module = command_module(words[0])
    command = command_parser(words[0])
    mine, passed = _split(words[1:])
    arguments = command.parse_args(_with_verb(mine, command.verbs(), module))
    arguments.passed = passed
    console.json, console.progress_form = arguments.json, arguments.progress
    console.verbose = arguments.verbose
    return int(module.run(arguments, console))


def _with_verb(words: list[str], verbs: Collection[str], module: ModuleType) -> list[str]:
    """Return the words with the verb that the command means where none is named."""
    default = getattr(module, "DEFAULT_VERB", "")
    first = next((word for word in words if not word.startswith("-") or word == "-"), "")
    if not default or first in verbs or not first:
        return words
    return [default, *words]


def _without_command(words: list[str], console: Console) -> int:
    if words[:1] == ["help"] and len(words) > 1:
        if words[1] not in COMMANDS:
            raise _unknown(words[1:])
        return _dispatch([*words[1:], "--help"], console)
    if not words or words == ["help"] or HELP_WORDS.intersection(words):
        print_help()
    elif "--version" in words:
        console.result(*_version())
    else:
        raise _unknown(words)
    return 0


def _version() -> tuple[str, dict[str, object]]:
    from imagekit.cli.own_version import own_version

    number = own_version()
    return f"imagekit {number}", {"schema": 1, "version": number}


def _own(words: list[str]) -> list[str]:
    """Return the words before ``--``: those behind it belong to the container."""
    return words[: words.index("--")] if "--" in words else words


def _progress_form(words: list[str]) -> ProgressForm:
    """Return how progress is asked to be shown, as far as words tell that are not parsed yet."""
    given = " ".join(words).replace("--progress=", "--progress ").split()
    if not {"-q", "--quiet"}.isdisjoint(given):
        return "none"
    named = given[given.index("--progress") + 1 :][:1] if "--progress" in given else []
    return next((form for form in PROGRESS_FORMS if [form] == named), "auto")


def _split(words: list[str]) -> tuple[list[str], tuple[str, ...]]:
    mine = _own(words)
    return mine, tuple(words[len(mine) + 1 :])


def _unknown(words: list[str]) -> UsageError:
    import difflib

    command = next((word for word in words if not word.startswith("-")), words[0])
    rest = [word for word in words if word != command]
    if command in COMMANDS:
        hint = f"imagekit {' '.join([command, *rest])}"
        return UsageError(f"{words[0]!r} has to come after the command", hint=hint)
    close = difflib.get_close_matches(command, COMMANDS, n=1)
    guess = f"did you mean `imagekit {' '.join([close[0], *rest])}`?" if close else ""
    return UsageError(f"{command!r} is not a command", hint=guess or "see: imagekit --help")


def _fault(error: Exception, console: Console) -> int:
    """Report an unexpected error; the traceback is printed with --verbose."""
    from imagekit.cli.faults import understood

    return _told(understood(error, console), console)


def _told(error: ImagekitError, console: Console) -> int:
    """Print an error, where it can be printed, and return its exit code.

    A result that cannot be written to a full disk is an error, and the document about that cannot
    be written either.
    """
    try:
        console.error(error)
        sys.stdout.flush()
    except OSError:
        # What is still buffered would be written at exit, fail again, and end Python with 120.
        discard(sys.stdout.fileno())
    return error.exit_code
