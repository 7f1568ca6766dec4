"""A timestamp authority of the attacker's own, which nobody has a reason to trust."""

import datetime as dt
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CONFIG = """\
[tsa]
default_tsa = authority
[authority]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
"""


def stranger_stamp(folder: Path, signature: bytes) -> bytes:
    """Return an RFC 3161 response over a signature, by openssl with a certificate of its own."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "tsa.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (folder / "tsa.pem").write_bytes(_certificate(key).public_bytes(Encoding.PEM))
    (folder / "tsa.cnf").write_text(_CONFIG)
    (folder / "serial").write_text("01\n")
    (folder / "signature").write_bytes(signature)
    for words in (
        ("-query", "-data", "signature", "-sha256", "-cert", "-out", "query"),
        ("-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply"),
    ):
        subprocess.run(
            ["openssl", "ts", *words], cwd=folder, check=True, capture_output=True, timeout=30
        )
    return (folder / "reply").read_bytes()


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tsa of a stranger")])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .sign(key, hashes.SHA256())
    )
