"""A shell in a working container: as a step sees it, and nothing of it is kept.

The worker makes the container and holds it; the shell itself is a process of the user's own
terminal, in a sandbox like that of a step. What holds:

1. When either ends, by whatever it ends, the other does: the worker sees its stdin closed, and the
   kernel ends the sandbox with the process that started it (prctl(2), PR_SET_PDEATHSIG).
2. The container belongs to this one job. It is removed, and no layer is made of it.
"""

import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from types import FrameType

from imagekit.build.build import BuildOptions, bring_packages, job_of, plan_on_bases
from imagekit.build.job import END, FAILED, ShellJob, ShellReady
from imagekit.build.local_store import store_in_use
from imagekit.build.tools.journal import journal
from imagekit.build.tools.run_worker import hold_shell
from imagekit.build.tools.storage import Folders
from imagekit.errors import RecipeError
from imagekit.process import Runner
from imagekit.progress import Progress, silent
from imagekit.recipe.recipe import Recipe

_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def shell(
    recipe: Recipe,
    point: int = END,
    command: Sequence[str] = (),
    *,
    show: Callable[[ShellReady], None],
    progress: Progress = silent,
    options: BuildOptions | None = None,
) -> int:
    """Run a shell, or a command, in a working container of a recipe; return its exit code.

    Args:
        recipe: the recipe.
        point: behind which step, from 1; or END or FAILED.
        command: the command; empty for a shell, which reads this process's stdin.
        show: told where it is, just before it starts.
        progress: told of everything that happens before.
        options: how what is missing is built.

    Raises:
        RecipeError: the recipe has no such step.
        BuildError: a step failed before.
        ToolError: a tool failed.
    """
    options = options or BuildOptions()
    check_point(recipe, point)
    folders = Folders.of(options.env)
    with ExitStack() as used:
        used.enter_context(store_in_use(folders))
        plan = plan_on_bases(recipe, progress=progress, options=options)
        options.preflight(recipe)
        bring_packages(plan, folders, options, progress=progress)
        request = ShellJob(
            job=job_of(plan, folders, options),
            point=point,
            terminal=_terminal(options.env.get("TERM", "")),
            command=tuple(command),
        )

        def start(ready: ShellReady) -> int:
            # From here on nothing of the store is read, and a shell may take a day.
            used.close()
            show(ready)
            return Runner(env=ready.env).foreground(ready.argv)

        with journal(folders.state / "logs", recipe.name, progress) as tell, terminal_restored():
            return hold_shell(request, progress=tell, start=start)


def check_point(recipe: Recipe, point: int) -> None:
    """Require that a recipe has the step.

    Raises:
        RecipeError: it has not.
    """
    if point == END:
        return
    if recipe.containerfile:
        raise RecipeError(
            f"{recipe.file}: its steps are those of a Containerfile, which Buildah runs as a whole",
            hint="look into the whole image: leave --after and --failed out",
            code="recipe/no-such-step",
        )
    if point != FAILED and not 1 <= point <= len(recipe.steps):
        raise RecipeError(
            f"{recipe.file} has no step {point}: it has {len(recipe.steps)}",
            hint="steps are counted from 1; imagekit plan shows them",
            code="recipe/no-such-step",
        )


def _terminal(kind: str) -> str:
    """Return the kind of this process's terminal; empty where it has none."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return ""
    return kind if kind.isascii() and kind.isprintable() and kind else "dumb"


@contextmanager
def terminal_restored() -> Iterator[None]:
    """Give the terminal its modes back, also where what had changed them is killed, or this is."""
    restore = _restorer()
    if restore is None:
        yield
        return
    before = {number: signal.signal(number, partial(_end, restore)) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        restore()


def _restorer() -> Callable[[], None] | None:
    """Return what gives the terminal the modes that it has now; None where there is none."""
    try:
        terminal = sys.stdin.fileno()
        modes = termios.tcgetattr(terminal)
    except (termios.error, OSError, ValueError):
        return None

    def restore() -> None:
        # It may be gone by then.
        with suppress(termios.error, OSError):
            termios.tcsetattr(terminal, termios.TCSADRAIN, modes)

    return restore


def _end(restore: Callable[[], None], number: int, frame: FrameType | None) -> None:
    """End as the signal would, with the terminal as it was; all that was started ends with this."""
    del frame
    restore()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
