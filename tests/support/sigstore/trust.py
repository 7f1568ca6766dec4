"""Keys of a private Sigstore, and the files by which clients trust and find it."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from cryptography.x509.oid import NameOID

PASSWORD = "imagekit"  # of keys that live as long as the stack; the programs insist on one
# sigstore-go compares the host in a log's address with the name that signs its checkpoints.
REKOR_HOST, REKOR1_HOST = "rekor.imagekit.test", "rekor1.imagekit.test"

Json = dict[str, object]


def make_keys(folder: Path) -> None:
    """Write the keys of all services, and the certificate of Fulcio's authority."""
    ca = ec.generate_private_key(ec.SECP256R1())
    locked = BestAvailableEncryption(PASSWORD.encode())
    _write_key(folder / "ca.key", ca, PrivateFormat.PKCS8, locked)
    (folder / "fulcio.pem").write_bytes(_authority(ca).public_bytes(Encoding.PEM))
    ct = ec.generate_private_key(ec.SECP256R1())
    # The log reads the older of the two encrypted forms only.
    _write_key(folder / "ct.key", ct, PrivateFormat.TraditionalOpenSSL, locked)
    rekor, rekor1 = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
    _write_key(folder / "rekor.key", rekor, PrivateFormat.PKCS8, NoEncryption())
    _write_key(folder / "rekor1.key", rekor1, PrivateFormat.PKCS8, NoEncryption())
    for name, key in (("ct", ct), ("rekor", rekor), ("rekor1", rekor1)):
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(public)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where clients find the services; ``rekor1`` is None where it does not run."""

    issuer: str
    ci_issuer: str
    ctlog: str
    fulcio: str
    tsa: str
    rekor: str
    rekor1: str | None = None

    @property
    def timestamps(self) -> str:
        """The address to which requests for timestamps go."""
        return f"{self.tsa}/api/v1/timestamp"


def write_trust(folder: Path, at: Addresses) -> None:
    """Write trusted roots, signing configurations and both together, for each Rekor that runs."""
    start = datetime.now(UTC) - timedelta(hours=1)
    _write_one(folder, "", start, _rekor2(folder, start), at, (at.rekor, 2))
    if at.rekor1 is not None:
        log = _log(folder / "rekor1.pub", f"http://{REKOR1_HOST}", "PKIX_ECDSA_P256_SHA_256", start)
        _write_one(folder, "_v1", start, log, at, (at.rekor1, 1))


def _write_one(
    folder: Path, suffix: str, start: datetime, log: Json, at: Addresses, rekor: tuple[str, int], /
) -> None:
    root = trusted_root(folder, log, at, start)
    config = signing_config(at, *rekor, start)
    both = {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": root,
        "signingConfig": config,
    }
    for name, document in (
        ("trusted_root", root),
        ("signing_config", config),
        ("trust_config", both),
    ):
        (folder / f"{name}{suffix}.json").write_text(json.dumps(document, indent=1) + "\n")


def trusted_root(folder: Path, log: Json, at: Addresses, start: datetime, /) -> Json:
    """Return what verifiers need to know, from the certificates and public keys in a folder."""
    return {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [log],
        "ctlogs": [_log(folder / "ct.pub", at.ctlog, "PKIX_ECDSA_P256_SHA_256", start)],
        "certificateAuthorities": [_ca(folder / "fulcio.pem", "fulcio", at.fulcio, start)],
        "timestampAuthorities": [_ca(folder / "tsa.pem", "tsa", at.timestamps, start)],
    }


def signing_config(at: Addresses, rekor: str, version: int, start: datetime, /) -> Json:
    """Return where signers go."""
    return {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": [_service(at.fulcio, 1, start)],
        "oidcUrls": [_service(at.issuer, 1, start)],
        "rekorTlogUrls": [_service(rekor, version, start)],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaUrls": [_service(at.timestamps, 1, start)],
        "tsaConfig": {"selector": "ANY"},
    }


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "imagekit.test"),
            x509.NameAttribute(NameOID.COMMON_NAME, "fulcio"),
        ]
    )
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _write_key(
    path: Path,
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    form: PrivateFormat,
    encryption: KeySerializationEncryption,
    /,
) -> None:
    path.touch(0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, form, encryption))


def _rekor2(folder: Path, start: datetime) -> Json:
    pem = (folder / "rekor.pub").read_bytes()
    raw = load_pem_public_key(pem).public_bytes(Encoding.Raw, PublicFormat.Raw)
    # A log of tiles is named by the key id of its signed notes, not by the key's digest.
    key_id = hashlib.sha256(REKOR_HOST.encode() + b"\n\x01" + raw).digest()
    log = _log(folder / "rekor.pub", f"http://{REKOR_HOST}", "PKIX_ED25519", start)
    return {**log, "logId": {"keyId": _base64(key_id)}}


def _log(public: Path, url: str, details: str, start: datetime, /) -> Json:
    key = load_pem_public_key(public.read_bytes())
    raw = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _base64(raw),
            "keyDetails": details,
            "validFor": {"start": _time(start)},
        },
        "logId": {"keyId": _base64(hashlib.sha256(raw).digest())},
    }


def _ca(pem: Path, name: str, url: str, start: datetime, /) -> Json:
    chain = x509.load_pem_x509_certificates(pem.read_bytes())
    return {
        "subject": {"organization": "imagekit.test", "commonName": name},
        "uri": url,
        "certChain": {"certificates": _certificates(chain)},
        "validFor": {"start": _time(start)},
    }


def _certificates(chain: Sequence[x509.Certificate]) -> list[Json]:
    return [{"rawBytes": _base64(one.public_bytes(Encoding.DER))} for one in chain]


def _service(url: str, version: int, start: datetime, /) -> Json:
    return {
        "url": url,
        "majorApiVersion": version,
        "validFor": {"start": _time(start)},
        "operator": "imagekit.test",
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
