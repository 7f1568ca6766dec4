"""docs/policy-commands.md runs as it stands there, from its first command to its last."""

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imagekit.cli.main import main
from imagekit.cli.parsers import command_parser
from imagekit.oci.reference import Repository
from imagekit.signatures.intoto import CYCLONEDX
from imagekit.signatures.keys.key_files import generate
from imagekit.signatures.publickey import public_key_pem
from imagekit.signatures.release import RELEASE, Release, release_predicate
from imagekit.verify.save import save_evidence
from tests.support.signed import SBOM, World

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_REPOSITORY = "registry.example.org/apps/solver"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The two keys and the evidence that the page speaks of."""
    world = World(repository=Repository.parse(_REPOSITORY))
    world.reference = world.tag("2.1", world.image)
    world.sign()
    world.attach(CYCLONEDX, SBOM)
    time = datetime(2026, 11, 1, tzinfo=UTC)
    release = Release(repository=_REPOSITORY, sequence=5, tags=("2.1",), time=time)
    world.attach(RELEASE, release_predicate(release))
    save_evidence(world.located, tmp_path / "evidence", reader=world.registry)
    (tmp_path / "release.pub").write_bytes(public_key_pem(world.signer.public_key))
    generate(tmp_path, lambda: "secret")
    for half in ("key", "pub"):
        (tmp_path / f"imagekit.{half}").rename(tmp_path / f"admin.{half}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "secret")
    return tmp_path


def _page(project: Path) -> list[tuple[str, str]]:
    text = (project / "docs/policy-commands.md").read_text(encoding="utf-8")
    # What the page says of a year is true for longer in the test.
    return _BLOCK.findall(text.replace("2027-06-30", "2999-06-30"))


def _commands(block: str) -> Iterator[tuple[list[str], int, str]]:
    """Yield the words of each command, its exit code, and what the page says it prints."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, printed = part.partition("\n")
        command, _, remark = line.partition("    # ends with ")
        yield shlex.split(command), int(remark or 0), printed


def _printed(pattern: str) -> re.Pattern[str]:
    """Return the expression for a text: ``…`` is any text, a line ``...`` any lines."""
    lines = [
        "(?:.*\n)*?" if line == "..." else re.escape(line).replace("…", ".*") + "\n"
        for line in pattern.splitlines()
    ]
    return re.compile("".join(lines))


def test_commands_print_what_the_page_says(
    project: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files are written as the page has them, and commands run in their order."""
    run = 0
    for kind, block in _page(project):
        if kind == "yaml":
            (folder / block.partition("\n")[0].removeprefix("# ")).write_text(block)
        if kind != "console":
            continue
        for words, code, printed in _commands(block):
            assert words[0] == "imagekit"
            assert main(words[1:]) == code, words
            out, err = capsys.readouterr()
            assert _printed(printed).fullmatch(err + out), err + out
            run += 1
    assert run == 6


def test_other_commands_are_commands(project: Path) -> None:
    """What needs a real registry has words that the command line takes, at least."""
    blocks = [block for kind, block in _page(project) if kind == "sh"]
    assert len(blocks) == 2
    for block in blocks:
        _, command, *words = shlex.split(block)
        arguments = command_parser(command).parse_args(words)
        assert arguments.reference in (f"{_REPOSITORY}:2.1", [f"{_REPOSITORY}:2.1"])
