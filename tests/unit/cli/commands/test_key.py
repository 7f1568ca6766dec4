"""``imagekit key`` and where passwords come from."""

import io
import json
from pathlib import Path

import pytest

from imagekit.cli.main import main
from imagekit.cli.password import password_source
from imagekit.errors import SigningKeyError


class _Pipe(io.StringIO):
    def isatty(self) -> bool:
        return False


def test_no_terminal_and_no_password_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for a prompt that nobody sees; the remedy is named."""
    monkeypatch.setattr("sys.stdin", _Pipe())

    with pytest.raises(SigningKeyError) as caught:
        password_source(None)()

    assert "IMAGEKIT_KEY_PASSWORD" in caught.value.hint


@pytest.mark.parametrize(
    ("raw", "said"),
    [(b"\xff\n", "not text"), (b"x" * 5000, "too long"), (None, "No such file")],
    ids=["binary", "long", "missing"],
)
def test_bad_password_files_are_errors(tmp_path: Path, raw: bytes | None, said: str) -> None:
    """The file is named, never its content."""
    path = tmp_path / "password"
    if raw is not None:
        path.write_bytes(raw)

    with pytest.raises(SigningKeyError, match=said):
        password_source(path)()


def test_sources_are_tried_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IMAGEKIT_KEY_PASSWORD, else COSIGN_PASSWORD, else the first line of the file."""
    path = tmp_path / "password"
    path.write_text("of the file\r\nnot this\n")
    find = password_source(path)

    found = [find()]
    monkeypatch.setenv("COSIGN_PASSWORD", "of cosign")
    found.append(find())
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "of imagekit")
    found.append(find())

    assert found == ["of the file", "of cosign", "of imagekit"]


def test_an_empty_password_is_taken_only_where_it_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret that nobody filled in must not seal a key; cosign's variable says it on purpose."""
    path = tmp_path / "password"
    path.write_text("of the file\n")
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "")

    assert password_source(path)() == "of the file"
    with pytest.raises(SigningKeyError, match="no terminal"):
        password_source(None)()
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    assert password_source(path)() == ""


def test_a_new_password_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip of the finger is found before the key is sealed with it."""
    answers = iter(["one", "two", "same", "same"])
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))

    with pytest.raises(SigningKeyError, match="differ"):
        password_source(None, new=True)()

    assert password_source(None, new=True)() == "same"


def test_generate_and_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both halves show the same fingerprint, as text and as JSON."""
    monkeypatch.setenv("COSIGN_PASSWORD", "secret")

    assert main(["key", "generate", "--out", str(tmp_path), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert main(["key", "--json", "show", made["private"]]) == 0
    private = json.loads(capsys.readouterr().out)
    assert main(["key", "show", made["public"], "--quiet"]) == 0
    public = capsys.readouterr().out

    assert set(made) == {"schema", "private", "public", "fingerprint"}
    assert set(private) == {"schema", "file", "half", "kind", "fingerprint", "public_key"}
    assert (private["half"], private["kind"]) == ("private", "ECDSA P-256")
    assert private["fingerprint"] == made["fingerprint"]
    assert made["fingerprint"] in public
    assert "public key, ECDSA P-256" in public
    assert private["public_key"] == Path(made["public"]).read_text()


def test_generating_twice_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second time is bad input and no loss."""
    monkeypatch.setenv("COSIGN_PASSWORD", "secret")
    main(["key", "generate", "--out", str(tmp_path)])
    before = (tmp_path / "imagekit.key").read_bytes()

    assert main(["key", "generate", "--out", str(tmp_path)]) == 2

    assert "is not overwritten" in capsys.readouterr().err
    assert (tmp_path / "imagekit.key").read_bytes() == before


def test_a_missing_verb_is_wrong_usage() -> None:
    """``imagekit key`` alone says what it lacks, with 64."""
    assert main(["key"]) == 64


def test_an_unknown_type_ends_with_64_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The types that there are are named, and nobody is asked for a password."""
    assert main(["key", "generate", "--out", str(tmp_path), "--type", "dsa"]) == 64

    assert "ecdsa-p256" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_generate_makes_the_type_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kind that ``show`` tells is the one of ``--type``."""
    monkeypatch.setenv("COSIGN_PASSWORD", "secret")

    assert main(["key", "generate", "--out", str(tmp_path), "--type", "ed25519"]) == 0
    capsys.readouterr()
    assert main(["key", "show", str(tmp_path / "imagekit.key")]) == 0

    assert "private key, Ed25519" in capsys.readouterr().out
