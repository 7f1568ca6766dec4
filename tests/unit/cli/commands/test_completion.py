"""Completion scripts and man pages have every command, verb and option."""

import re
from datetime import date
from pathlib import Path

import pytest

from imagekit.cli.commands.completion import SHELLS, completion
from imagekit.cli.help import COMMANDS
from imagekit.cli.main import main
from imagekit.cli.manpage import man_pages
from imagekit.cli.parsers import whole_parser


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_has_all_words(shell: str) -> None:
    """Each command's own options, and those of its verbs."""
    script = completion(shell)

    for name, parser in whole_parser().verbs().items():
        assert name in script
        for option in parser.options():
            assert option.lstrip("-") in script


def test_a_page_has_all_options_and_verbs() -> None:
    """Nothing that --help shows is left out."""
    pages = {page.name: page.text for page in man_pages("1.2.3", date(2026, 1, 2))}

    assert set(pages) == {"imagekit", *(f"imagekit-{name}" for name in COMMANDS)}
    for name, parser in whole_parser().verbs().items():
        page = pages[f"imagekit-{name}"]
        assert page.startswith(f".TH IMAGEKIT\\-{name.upper().replace('-', chr(92) + '-')} 1 ")
        for verb in parser.verbs():
            assert f".SH IMAGEKIT {name.upper()} {verb.upper()}" in page
        shown = [o for o in parser.options() if re.search(rf"\s{o}\b", parser.format_help())]
        for option in shown:
            assert rf"\fB{option.replace('-', chr(92) + '-')}\fR" in page


def test_what_roff_reads_as_its_own_is_escaped() -> None:
    """A line that begins with a dot is a request, a backslash an escape, a quote a typographic one.

    The gate's examples have lines that end with a backslash.
    """
    text = next(page.text for page in man_pages("1", date(2026, 1, 2)) if "gate" in page.name)

    assert "\\e\n" in text
    for line in text.splitlines():
        assert not line.startswith("'")
        assert not line.startswith(".") or re.match(r"\.[A-Z]{2}|\.[A-Z]\b|\.nf$|\.fi$", line)


def test_man_writes_all_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file a page, dated by SOURCE_DATE_EPOCH; one page goes to stdout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.metadata.version", lambda _: "9.9")
        patch.setenv("SOURCE_DATE_EPOCH", "86400")
        assert main(["man", "--to", str(tmp_path / "man1")]) == 0
        assert main(["man", "verify"]) == 0
        assert main(["man", "verfy"]) == 64
        assert main(["man", "verify", "--to", str(tmp_path)]) == 64

    shown = capsys.readouterr().out
    assert '"1970-01-02" "imagekit 9.9"' in shown
    assert len(list((tmp_path / "man1").iterdir())) == len(COMMANDS) + 1
    assert (tmp_path / "man1/imagekit-verify.1").read_text() in shown
