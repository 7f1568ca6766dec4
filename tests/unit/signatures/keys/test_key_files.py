"""Key files: every format in, cosign's format out."""

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from imagekit.errors import SigningKeyError
from imagekit.signatures.keys.cosign import Signing, cosign_key_pem
from imagekit.signatures.keys.key_files import FileKey, generate, read_public_key
from imagekit.signatures.publickey import describe, public_key_of
from imagekit.signatures.signature import verify_legacy_signature, verify_signature

KEY = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is to be refused
SEALED = cosign_key_pem(KEY, password="secret", salt=b"s" * 32, nonce=b"n" * 24)


def _pem(
    key: Signing | x25519.X25519PrivateKey,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    password: bytes = b"",
) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        form,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


def _never() -> str:
    raise AssertionError("no password is needed here")


def _opened(path: Path, raw: bytes, password: str | None = None) -> FileKey:
    path.write_bytes(raw)
    return FileKey.from_file(path, _never if password is None else lambda: password)


def _resealed(**changes: Any) -> bytes:
    """Return the sealed key with other values in its JSON."""
    lines = SEALED.decode().splitlines()
    document = json.loads(base64.b64decode("".join(lines[1:-1])))
    for path, value in changes.items():
        *parents, last = path.split("__")
        inner = document
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    body = base64.b64encode(json.dumps(document).encode()).decode()
    return f"{lines[0]}\n{body}\n{lines[-1]}\n".encode()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"kdf__params__N": 1 << 30}, id="memory of a terabyte"),
        pytest.param({"kdf__params__N": 1 << 14}, id="too cheap"),
        pytest.param({"kdf__params__N": "65536"}, id="N is a text"),
        pytest.param({"kdf__params__N": True}, id="N is a boolean"),
        pytest.param({"kdf__params__r": 1 << 20}, id="r"),
        pytest.param({"kdf__params__p": 2}, id="p"),
        pytest.param({"kdf__name": "argon2"}, id="other derivation"),
        pytest.param({"cipher__name": "aes"}, id="other cipher"),
        pytest.param({"cipher__nonce": "AAAA"}, id="short nonce"),
        pytest.param({"ciphertext": "!"}, id="no base64"),
        pytest.param({"kdf": None}, id="no derivation"),
    ],
)
def test_sealed_keys_with_other_parameters_are_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Parameters are checked before any memory is spent on them."""
    with pytest.raises(SigningKeyError) as caught:
        _opened(tmp_path / "k", _resealed(**changes), "secret")

    assert caught.value.code == "BAD_KEY"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(SEALED, id="cosign"),
        pytest.param(_pem(KEY, password=b"secret"), id="PKCS #8"),
        pytest.param(
            _pem(KEY, serialization.PrivateFormat.TraditionalOpenSSL, b"secret"), id="SEC1"
        ),
    ],
)
@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_is_told_as_such(tmp_path: Path, raw: bytes, password: str) -> None:
    """The error says that it is the password, names the file and what to do."""
    with pytest.raises(SigningKeyError, match="password does not open") as caught:
        _opened(tmp_path / "k", raw, password)

    assert caught.value.code == "WRONG_PASSWORD"
    assert "IMAGEKIT_KEY_PASSWORD" in caught.value.hint


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(b"", "0 private keys", id="empty"),
        pytest.param(b"\xff" * 100, "0 private keys", id="binary"),
        pytest.param(b"x" * 65537, "more than 65536 bytes", id="huge"),
        pytest.param(_pem(KEY) * 2, "2 private keys", id="two keys"),
        pytest.param(_pem(x25519.X25519PrivateKey.generate()), "does not sign", id="X25519"),
        pytest.param(_pem(ec.generate_private_key(ec.SECP224R1())), "secp224r1", id="P-224"),
        pytest.param(_pem(WEAK), "1024 bits", id="RSA 1024"),
        pytest.param(
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "cannot be read",
            id="no key inside",
        ),
        pytest.param(
            b"-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\n?\n"
            b"-----END ENCRYPTED COSIGN PRIVATE KEY-----\n",
            "not base64",
            id="not base64",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    """What is not one private key that may sign is refused with its reason."""
    with pytest.raises(SigningKeyError, match=said):
        _opened(tmp_path / "k", raw, "secret")


def test_missing_files_and_fifos_are_errors(tmp_path: Path) -> None:
    """A missing file is named, and a FIFO is not waited for."""
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(SigningKeyError, match="No such file"):
        read_public_key(tmp_path / "none")
    with pytest.raises(SigningKeyError, match="not a regular file"):
        read_public_key(tmp_path / "fifo")


@pytest.mark.parametrize(
    ("raw", "password"),
    [
        pytest.param(SEALED, "secret", id="cosign"),
        pytest.param(SEALED.replace(b"SIGSTORE", b"COSIGN"), "secret", id="old cosign"),
        pytest.param(SEALED.replace(b"\n", b"\r\n"), "secret", id="CRLF"),
        pytest.param(
            cosign_key_pem(KEY, password="", salt=b"s" * 32, nonce=b"n" * 24), "", id="empty"
        ),
        pytest.param(_pem(KEY), None, id="PKCS #8"),
        pytest.param(_pem(KEY, password=b"secret"), "secret", id="encrypted PKCS #8"),
        pytest.param(_pem(KEY, serialization.PrivateFormat.TraditionalOpenSSL), None, id="SEC1"),
        pytest.param(
            b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
            + _pem(KEY, serialization.PrivateFormat.TraditionalOpenSSL),
            None,
            id="openssl ecparam",
        ),
        pytest.param(
            _pem(KEY, serialization.PrivateFormat.TraditionalOpenSSL, b"secret"),
            "secret",
            id="encrypted SEC1",
        ),
    ],
)
def test_every_format_opens_the_same_key(tmp_path: Path, raw: bytes, password: str | None) -> None:
    """However it is kept, it is the same key; a plain one asks for no password."""
    signer = _opened(tmp_path / "k", raw, password)

    assert signer.public_key == public_key_of(KEY.public_key())
    assert verify_signature(signer.public_key, signer.sign(b"m"), b"m")


EVERY_KIND = [
    pytest.param(KEY, id="P-256"),
    pytest.param(ec.generate_private_key(ec.SECP384R1()), id="P-384"),
    pytest.param(ec.generate_private_key(ec.SECP521R1()), id="P-521"),
    pytest.param(ed25519.Ed25519PrivateKey.generate(), id="Ed25519"),
    pytest.param(RSA, id="RSA"),
]


@pytest.mark.parametrize("key", EVERY_KIND)
@pytest.mark.parametrize("sealed", ["cosign", "PKCS #8", "encrypted PKCS #8"])
def test_every_kind_signs_from_every_file(tmp_path: Path, key: Signing, sealed: str) -> None:
    """Both signatures hold, each in its own form and over its own message."""
    if sealed == "cosign":
        raw = cosign_key_pem(key, password="secret", salt=b"s" * 32, nonce=b"n" * 24)
    else:
        raw = _pem(key, password=b"secret" if "encrypted" in sealed else b"")
    holder = _opened(tmp_path / "k", raw, None if sealed == "PKCS #8" else "secret")

    assert verify_signature(holder.public_key, holder.sign(b"m"), b"m")
    assert verify_legacy_signature(holder.public_key, holder.sign_legacy(b"m"), b"m")
    assert not verify_signature(holder.public_key, holder.sign(b"m"), b"n")
    assert not verify_legacy_signature(holder.public_key, holder.sign_legacy(b"m"), b"n")


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_legacy_signatures_hash_with_sha256(curve: ec.EllipticCurve) -> None:
    """Podman and cosign hash a payload with SHA-256 on every curve, a bundle goes by the curve."""
    holder = FileKey(ec.generate_private_key(curve))

    assert not verify_signature(holder.public_key, holder.sign_legacy(b"m"), b"m")
    assert not verify_legacy_signature(holder.public_key, holder.sign(b"m"), b"m")


def test_an_old_rsa_file_opens(tmp_path: Path) -> None:
    """PKCS #1, as openssl genrsa -traditional writes it."""
    holder = _opened(tmp_path / "k", _pem(RSA, serialization.PrivateFormat.TraditionalOpenSSL))

    assert holder.public_key == public_key_of(RSA.public_key())


@pytest.mark.parametrize(
    ("kind", "described"),
    [
        ("ecdsa-p256", "ECDSA P-256"),
        ("ecdsa-p384", "ECDSA P-384"),
        ("ed25519", "Ed25519"),
        ("rsa-3072", "RSA 3072"),
    ],
)
def test_every_kind_is_generated(tmp_path: Path, kind: str, described: str) -> None:
    """The name of a kind is what comes out, encrypted, and it opens."""
    files = generate(tmp_path, lambda: "secret", kind=kind)

    assert describe(read_public_key(files.public)) == described
    assert FileKey.from_file(files.private, lambda: "secret").public_key == files.public_key


def test_an_unknown_kind_generates_nothing(tmp_path: Path) -> None:
    """The kinds that there are are listed."""
    with pytest.raises(SigningKeyError, match="no kind of key") as caught:
        generate(tmp_path, lambda: "secret", kind="dsa")

    assert "ecdsa-p256, ecdsa-p384, ed25519, rsa-3072" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_generate_writes_a_pair_that_opens(tmp_path: Path) -> None:
    """The private file is the owner's alone, the public one everybody's; no more is left."""
    files = generate(tmp_path / "new", lambda: "secret")

    signer = FileKey.from_file(files.private, lambda: "secret")
    assert signer.public_key == read_public_key(files.public) == files.public_key
    assert stat.S_IMODE(files.private.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.public.stat().st_mode) == 0o644
    assert files.private.read_text().startswith("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "imagekit.key",
        "imagekit.pub",
    ]


@pytest.mark.parametrize("name", ["imagekit.key", "imagekit.pub"])
@pytest.mark.parametrize("dangling", [False, True], ids=["file", "dangling link"])
def test_generate_overwrites_nothing(tmp_path: Path, name: str, *, dangling: bool) -> None:
    """A file that exists stays as it is, nobody is asked for a password, nothing else appears."""
    if dangling:
        (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    else:
        (tmp_path / name).write_text("mine")

    with pytest.raises(SigningKeyError) as caught:
        generate(tmp_path, _never)

    assert caught.value.code == "KEY_EXISTS"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_generate_leaves_no_half_pair(tmp_path: Path) -> None:
    """Where the public file appears in between, the private one is taken back."""

    def meanwhile() -> str:
        (tmp_path / "imagekit.pub").write_text("theirs")
        return ""

    with pytest.raises(SigningKeyError):
        generate(tmp_path, meanwhile)

    assert [path.name for path in tmp_path.iterdir()] == ["imagekit.pub"]
    assert (tmp_path / "imagekit.pub").read_text() == "theirs"


def test_a_signer_shows_no_secret() -> None:
    """What lands in a log is the fingerprint of the public half."""
    assert repr(FileKey(KEY)) == f"FileKey({public_key_of(KEY.public_key()).fingerprint})"


def test_a_key_file_that_is_not_there_has_a_remedy(tmp_path: Path) -> None:
    """Either the path is wrong, or there is no key yet."""
    with pytest.raises(SigningKeyError) as caught:
        read_public_key(tmp_path / "site.pub")

    assert str(tmp_path / "site.pub") in caught.value.message
    assert "imagekit key generate" in caught.value.hint
