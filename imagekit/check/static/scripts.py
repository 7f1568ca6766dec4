"""IK111 to IK113: interpreters of scripts, the image's own command, libraries for every program."""

from collections import defaultdict
from collections.abc import Iterator

from imagekit.check.static.image_tree import ImageTree
from imagekit.check.static.portability_finding import CONFIG, PortabilityFinding, found

PRELOAD = "etc/ld.so.preload"
_PROGRAM_FOLDERS = frozenset({"bin", "sbin", "libexec"})
_MAX_LINKS = 8


def script_findings(tree: ImageTree) -> Iterator[PortabilityFinding]:
    """Yield what is wrong with scripts that are commands, and with the image's command."""
    yield from _interpreters(tree)
    yield from _command(tree)
    for name in tree.text(PRELOAD).split():
        if not name.startswith("#") and "$" not in name and tree.object_at(name) is None:
            yield found("IK113", PRELOAD, f"it names {name[:200]}, which is not in the image")


def _interpreters(tree: ImageTree) -> Iterator[PortabilityFinding]:
    lost: dict[str, set[str]] = defaultdict(set)
    folders = {tree.real(folder) for folder in tree.search_path}
    own = _own_command(tree)
    for path, file in tree.regular.items():
        folder = path.rpartition("/")[0]
        is_command = folder in folders or folder.rpartition("/")[2] in _PROGRAM_FOLDERS
        if file.mode & 0o111 and (is_command or path == own):
            line = tree.script_at(path)
            message = "" if line is None else _fault(tree, line)
            if message:
                lost[message].add(path)
    for message, paths in sorted(lost.items()):
        for path in sorted(paths):
            yield found("IK111", path, message, breaks=(path,))


def _fault(tree: ImageTree, line: str) -> str:
    """Return what is wrong with the first line of a script (execve(2), "Interpreter scripts")."""
    words = line.split()
    if not words:
        return ""
    program = words[0]
    file = tree.find(program)
    if not program.startswith("/") or file is None or not file.mode & 0o111:
        return f"its interpreter {program[:200]} is not in the image"
    if program.rpartition("/")[2] != "env":
        return ""
    # env(1): options, then variables, then the command, which is looked for in PATH.
    name = next((w for w in words[1:] if not w.startswith("-") and "=" not in w), "")
    if name and not tree.command(name):
        return f"its interpreter {name[:200]} is in no folder of PATH"
    return ""


def _own_command(tree: ImageTree) -> str:
    words = tree.config.entrypoint or tree.config.cmd or ()
    return tree.command(words[0]) if words else ""


def _command(tree: ImageTree) -> Iterator[PortabilityFinding]:
    config = tree.config
    words = config.entrypoint or config.cmd or ()
    if not words:
        return
    name = words[0]
    if not name.startswith("/") and "/" in name and config.workdir:
        name = f"{config.workdir}/{name}"
    if not tree.command(name):
        what = "entrypoint" if config.entrypoint else "cmd"
        message = f"the {what} {words[0][:200]!r} is no program of the image"
        yield found("IK112", CONFIG, message)
