"""What is said about the errors of securesystemslib and of the libraries below it."""

from pathlib import Path

import pytest

from imagekit.errors import SigningKeyError
from imagekit.signatures.keys.kms import LibraryHolder
from imagekit.signatures.keys.uri import parse_key_uri


def _never() -> str:
    raise AssertionError("no PIN is needed here")


def _holder(uri: str, pin: str | None = None) -> LibraryHolder:
    return LibraryHolder(parse_key_uri(uri), _never if pin is None else lambda: pin)


def _named(name: str, said: str) -> Exception:
    """Return what python-pkcs11 raises, which need not be installed."""
    kind: type[Exception] = type(name, (RuntimeError,), {})
    return kind(said)


@pytest.mark.parametrize(
    ("uri", "extra"),
    [
        ("hsm:2", "pkcs11"),
        ("pkcs11:object=a", "pkcs11"),
        ("awskms:alias/a", "kms-aws"),
        ("gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/versions/1", "kms-gcp"),
        ("azurekms://v.vault.azure.net/keys/k", "kms-azure"),
        ("hv:k/1", "kms-vault"),
    ],
)
def test_a_missing_extra_is_told_with_its_command(uri: str, extra: str) -> None:
    """Who lacks a library reads what to type, for each of the schemes."""
    fault = _holder(uri).fault(ImportError("No module named 'x'"))

    assert fault.code == "NO_EXTRA"
    assert fault.hint == f"pip install 'imagekit[{extra}]'"


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("PinIncorrect", "WRONG_PASSWORD", "the PIN does not open hsm:2"),
        ("PinLocked", "WRONG_PASSWORD", "takes no PIN any more"),
        ("DeviceRemoved", "NO_KEY", "gone, or has failed (DeviceRemoved)"),
        ("NoSuchToken", "NO_KEY", "no such token"),
        ("MultipleTokensReturned", "NO_KEY", "several tokens"),
        ("PKCS11Error", "NO_MODULE", "hsm:2: PKCS11Error"),
        ("FunctionFailed", "NO_KEY", "hsm:2: FunctionFailed"),
    ],
)
def test_the_errors_of_a_token_are_told_in_words(name: str, code: str, said: str) -> None:
    """These libraries' exceptions are mostly empty: their names are what there is."""
    fault = _holder("hsm:2?label=a").fault(_named(name, ""))

    assert fault.code == code
    assert said in fault.message
    assert fault.hint


def test_what_a_cloud_says_is_shown_without_its_control_characters() -> None:
    """A hostile answer neither steers a terminal nor fills it."""
    fault = _holder("awskms:alias/a").fault(_named("ClientError", "no\x1b[2J\n" + "x" * 9999))

    assert fault.message.startswith("awskms:alias/a: ClientError: no [2J xxx")
    assert fault.message.isprintable()
    assert len(fault.message) < 500


@pytest.mark.parametrize("pin", ["", "1" * 256])
def test_a_pin_that_is_none_is_not_tried(pin: str) -> None:
    """The empty one would be no login at all."""
    with pytest.raises(SigningKeyError, match="opens no token") as caught:
        _holder("hsm:2", pin).ask()

    assert caught.value.code == "WRONG_PASSWORD"


@pytest.mark.parametrize(
    ("raw", "said"), [(None, "No such file"), (b"\xff\n", "not text in UTF-8")]
)
def test_a_bad_pin_file_is_an_error(tmp_path: Path, raw: bytes | None, said: str) -> None:
    """The file is named, and nobody is asked instead."""
    path = tmp_path / "pin"
    if raw is not None:
        path.write_bytes(raw)

    with pytest.raises(SigningKeyError, match=said):
        _holder(f"pkcs11:object=a?pin-source=file:{path}").ask()


def test_a_library_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is loaded; the environment stays as it was."""
    monkeypatch.setenv("PYKCS11LIB", "/none/of.this")

    with pytest.raises(SigningKeyError, match=r"/none/of\.this is no PKCS #11 library"):
        _holder("hsm:2").public()

    monkeypatch.delenv("PYKCS11LIB")
    with pytest.raises(SigningKeyError, match="no PKCS #11 library is named"):
        _holder("hsm:2").public()
