"""The reader of pages whose blocks are run: what is a command, and what is a fault."""

import pytest

from tests.support.pages import PASSWORD, Command, Ran, commands, fault, run

_PAGE = """\
Text, and `$ no command`.

```console
$ true && \\
    echo two lines
two lines
$ cat > file <<'END'
$ this is no command
END
$ false                 # ends with 1
```
```yaml
$ neither: this
```
```python
print("hello")
```
"""


def test_commands_are_read_in_their_order() -> None:
    """With the lines that continue them, their exit codes and what they print."""
    first, second, third, program = commands(_PAGE)

    assert first == Command("true && \\\n    echo two lines", 0, "two lines")
    assert second == Command("cat > file <<'END'\n$ this is no command\nEND")
    assert third == Command("false", 1)
    assert 'print("hello")\n' in program.text


def test_a_block_without_a_command_is_an_error() -> None:
    """What it shows would be compared with nothing."""
    with pytest.raises(ValueError, match="begins with no command"):
        list(commands("```console\nshown by nothing\n```\n"))


@pytest.mark.parametrize(
    ("printed", "output"),
    [
        ("signed by 12 of 3.4 s", "signed by 7 of 0.1 s\n"),
        ("image sha256:0123456789abcdef", "image sha256:fedcba9876543210fedc\n"),
        ("a ... z\n...\nend", "a to z\nmore\nand more\nend\n"),
        ("end", "before\nend\nafter\n"),
        ("two  columns", "two     columns\n"),
    ],
    ids=["numbers", "digests", "dots", "around", "spaces"],
)
def test_what_may_differ(printed: str, output: str) -> None:
    """Numbers, digests, spaces, and what dots stand for."""
    assert fault(Ran(Command("x", 0, printed), 0, output)) == ""


@pytest.mark.parametrize(
    ("printed", "status", "output"),
    [
        ("allowed", 0, "denied\n"),
        ("allowed", 0, ""),
        ("allowed", 0, "not allowed\n"),
        ("one\ntwo", 0, "one\nbetween\ntwo\n"),
        ("one\n...\ntwo", 0, "two\none\n"),
        ("allowed", 3, "allowed\n"),
        ("", None, ""),
    ],
    ids=["other", "nothing", "part", "between", "order", "status", "no end"],
)
def test_what_is_a_fault(printed: str, status: int | None, output: str) -> None:
    """Each of them alone."""
    assert fault(Ran(Command("x", 0, printed), status, output)) != ""


def test_commands_share_one_shell_and_a_password_is_typed() -> None:
    """Folders and variables stay, and a question at the terminal has its answer."""
    asked = "import getpass; print(getpass.getpass('Password of the key: '))"
    wanted = [Command("word=kept"), Command("echo $word"), Command(f'python3 -c "{asked}"')]

    ran = run(wanted, ["bash"], limit=60)

    assert [each.status for each in ran] == [0, 0, 0]
    assert ran[1].output == "kept\n"
    assert ran[2].output.endswith(f"{PASSWORD}\n")


def test_nothing_runs_behind_a_fault() -> None:
    """What follows would fail for another's reason."""
    ran = run([Command("true"), Command("false"), Command("true")], ["bash"], limit=60)

    assert [each.status for each in ran] == [0, 1]


def test_what_takes_too_long_did_not_end() -> None:
    """And is named."""
    (ran,) = run([Command("sleep 60"), Command("true")], ["bash"], limit=1)

    assert ran.status is None
    assert ran.command.text == "sleep 60"
