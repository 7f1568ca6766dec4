"""A token by SoftHSM2, and Amazon's KMS by moto: each test gets a new one."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from imagekit.signatures.publickey import PublicKey, public_key_of

PIN = "1234 5678"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")


@dataclass(frozen=True)
class TokenBox:
    """A token with the label ``site keys``, made by SoftHSM's own program."""

    folder: Path
    module: str

    def add(
        self,
        label: str,
        identifier: str,
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
        *options: str,
    ) -> PublicKey:
        """Import a key pair and return its public half."""
        path = self.folder / "import.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        _util("--import", str(path), *self.named, "--label", label, "--id", identifier, *options)
        path.unlink()
        return public_key_of(key.public_key())

    @property
    def named(self) -> tuple[str, ...]:
        """Words that name the token and open it."""
        return ("--token", "site keys", "--pin", PIN)

    def uri(self, what: str) -> str:
        """Return the RFC 7512 URI of a key here."""
        return f"pkcs11:token=site%20keys;{what}?module-path={self.module}"

    @property
    def slot(self) -> int:
        """Number of the slot that the first token is in."""
        import pkcs11

        return next(
            int(slot.slot_id)
            for slot in pkcs11.lib(self.module).get_slots(token_present=True)
            if slot.get_token().label == "site keys"
        )

    def initialise(self, label: str) -> None:
        """Make a token."""
        _util("--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "87654321")

    def remove(self) -> None:
        """Pull the token out."""
        shutil.rmtree(self.folder / "tokens")


def _util(*words: str) -> None:
    subprocess.run(["softhsm2-util", *words], check=True, capture_output=True, timeout=30)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenBox]:
    """An initialised token without keys; no library is named in the environment."""
    module = next(filter(lambda path: Path(path).exists(), MODULES), "")
    if not module:
        pytest.skip("softhsm2 is not installed")
    import pkcs11

    (tmp_path / "tokens").mkdir()
    (tmp_path / "conf").write_text(f"directories.tokendir = {tmp_path}/tokens\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "conf"))
    monkeypatch.delenv("PYKCS11LIB", raising=False)
    made = TokenBox(tmp_path, module)
    made.initialise("site keys")
    yield made
    # It reads its configuration once, when it is loaded.
    pkcs11.unload(module)


@pytest.fixture
def pin(monkeypatch: pytest.MonkeyPatch) -> str:
    """The PIN, in the variable where commands look for it."""
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", PIN)
    return PIN
