"""A transparency log and a timestamp authority in memory, and the trusted root that knows them.

They write what the real ones do, byte for byte where it is signed; the tests with real services
show that it is read alike.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from imagekit.oci.digest import Digest
from imagekit.signatures.authority import TrustRoot
from imagekit.signatures.logentry import Signed
from imagekit.signatures.publickey import PublicKey, public_key_pem

START = datetime(2026, 1, 1, tzinfo=UTC)
THEN = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
"""When things are logged and stamped."""


def b64(raw: bytes) -> str:
    """Encode bytes in base64."""
    return base64.b64encode(raw).decode()


def canonical(document: object) -> bytes:
    """Write JSON as logs do before they sign it."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def period(start: datetime, end: datetime | None) -> dict[str, str]:
    """Return a period of a trusted root."""
    both = {"start": start, "end": end}
    return {name: f"{time:%Y-%m-%dT%H:%M:%SZ}" for name, time in both.items() if time}


@dataclass
class MemoryLog:
    """A log; with ``version`` 2 it makes no promises and knows no time, as Rekor v2."""

    host: str = "rekor.test"
    version: int = 1

    def __post_init__(self) -> None:
        """Make the key: ECDSA for Rekor v1, Ed25519 for Rekor v2."""
        self.key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
        if self.version == 1:
            self.key = ec.generate_private_key(ec.SECP256R1())
        else:
            self.key = ed25519.Ed25519PrivateKey.generate()
        self.der = self.key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        self.log_id = hashlib.sha256(self.der).digest()

    def sign(self, message: bytes) -> bytes:
        """Sign by the log's key."""
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(message, ec.ECDSA(hashes.SHA256()))
        return self.key.sign(message)

    def trusted(self, start: datetime = START, end: datetime | None = None) -> dict[str, Any]:
        """Return the log as a trusted root has it."""
        details = "PKIX_ECDSA_P256_SHA_256" if self.version == 1 else "PKIX_ED25519"
        return {
            "baseUrl": f"https://{self.host}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(self.der),
                "keyDetails": details,
                "validFor": period(start, end),
            },
            "logId": {"keyId": b64(self.log_id)},
        }

    def entry(self, body: Mapping[str, Any], *, time: datetime = THEN) -> dict[str, Any]:
        """Record a body as the sixth of seven; return the entry of a bundle."""
        raw = canonical(body)
        leaves = [b"0", b"1", b"2", b"3", b"4", raw, b"6"]
        root = tree_hash(leaves)
        entry: dict[str, Any] = {
            "logIndex": "5",
            "logId": {"keyId": b64(self.log_id)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "inclusionProof": {
                "logIndex": "5",
                "rootHash": b64(root),
                "treeSize": str(len(leaves)),
                "hashes": [b64(each) for each in audit_path(leaves, 5)],
                "checkpoint": {"envelope": self.checkpoint(len(leaves), root)},
            },
            "canonicalizedBody": b64(raw),
        }
        if self.version == 1:
            entry["integratedTime"] = str(int(time.timestamp()))
            promise = self.sign(canonical(self._promised(raw, time)))
            entry["inclusionPromise"] = {"signedEntryTimestamp": b64(promise)}
        return entry

    def checkpoint(self, size: int, root: bytes) -> str:
        """Sign a checkpoint (C2SP signed note)."""
        note = f"{self.host}\n{size}\n{b64(root)}\n"
        signature = self.log_id[:4] + self.sign(note.encode())
        return f"{note}\n\u2014 {self.host} {b64(signature)}\n"

    def promise(self, body: Mapping[str, Any], *, time: datetime = THEN) -> str:
        """Return the annotation of the legacy form."""
        payload = self._promised(canonical(body), time)
        signature = self.sign(canonical(payload))
        return json.dumps({"SignedEntryTimestamp": b64(signature), "Payload": payload})

    def _promised(self, raw: bytes, time: datetime) -> dict[str, Any]:
        return {
            "body": b64(raw),
            "integratedTime": int(time.timestamp()),
            "logIndex": 5,
            "logID": self.log_id.hex(),
        }


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash (RFC 6962, section 2.1)."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = _split(len(leaves))
    both = tree_hash(leaves[:split]) + tree_hash(leaves[split:])
    return hashlib.sha256(b"\1" + both).digest()


def audit_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the Merkle audit path (RFC 6962, section 2.1.1)."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*audit_path(leaves[:split], index), tree_hash(leaves[split:])]
    return [*audit_path(leaves[split:], index - split), tree_hash(leaves[:split])]


def _split(count: int) -> int:
    return int(1 << (count - 1).bit_length() - 1)


def hashedrekord(signed: Signed, key: PublicKey, algorithm: str = "sha256") -> dict[str, Any]:
    """Return Rekor v1's body for a signature over a message."""
    return {
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {
                "hash": {
                    "algorithm": algorithm,
                    "value": hashlib.new(algorithm, signed.message).hexdigest(),
                }
            },
            "signature": {
                "content": b64(signed.signature),
                "publicKey": {"content": b64(public_key_pem(key))},
            },
        },
    }


def hashedrekord_v2(signed: Signed, key: PublicKey) -> dict[str, Any]:
    """Return Rekor v2's body for a signature over a message or an envelope."""
    return {
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": {
            "hashedRekordV002": {
                "data": {
                    "algorithm": "SHA2_256",
                    "digest": b64(hashlib.sha256(signed.message).digest()),
                },
                "signature": {
                    "content": b64(signed.signature),
                    "verifier": {
                        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                        "publicKey": {"rawBytes": b64(key.der)},
                    },
                },
            }
        },
    }


def dsse(signed: Signed, key: PublicKey) -> dict[str, Any]:
    """Return Rekor v1's body for an envelope."""
    return {
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": {"algorithm": "sha256", "value": "00" * 32},
            "payloadHash": _payload_hash(signed),
            "signatures": [
                {"signature": b64(signed.signature), "verifier": b64(public_key_pem(key))}
            ],
        },
    }


def intoto(signed: Signed, key: PublicKey) -> dict[str, Any]:
    """Return Rekor v1's older body for an envelope."""
    signature = {
        "publicKey": b64(public_key_pem(key)),
        "sig": b64(b64(signed.signature).encode()),
    }
    return {
        "apiVersion": "0.0.2",
        "kind": "intoto",
        "spec": {
            "content": {
                "envelope": {
                    "payloadType": "application/vnd.in-toto+json",
                    "signatures": [signature],
                },
                "hash": {"algorithm": "sha256", "value": "00" * 32},
                "payloadHash": _payload_hash(signed),
            }
        },
    }


def _payload_hash(signed: Signed) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(signed.payload or b"").hexdigest()}


@dataclass
class MemoryAuthority:
    """A timestamp authority (RFC 3161), certified by a root of its own."""

    name: str = "tsa.test"
    not_after: datetime = datetime(2036, 1, 1, tzinfo=UTC)
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        """Make the certificates."""
        above = ec.generate_private_key(ec.SECP256R1())
        self.root = self._certify(f"root of {self.name}", above, above, ca=True)
        self.leaf = self._certify(self.name, self.key, above, ca=False)

    def _certify(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        by: ec.EllipticCurvePrivateKey,
        /,
        *,
        ca: bool,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(_common_name(name))
            .issuer_name(_common_name(f"root of {self.name}"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(START - timedelta(days=1))
            .not_valid_after(self.not_after)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(by, hashes.SHA256())

    def trusted(self, start: datetime = START, end: datetime | None = None) -> dict[str, Any]:
        """Return the authority as a trusted root has it."""
        chain = [each.public_bytes(Encoding.DER) for each in (self.leaf, self.root)]
        return {
            "subject": {"organization": "test", "commonName": self.name},
            "uri": f"https://{self.name}",
            "certChain": {"certificates": [{"rawBytes": b64(each)} for each in chain]},
            "validFor": period(start, end),
        }

    def stamp(self, signature: bytes, *, time: datetime = THEN) -> bytes:
        """Return a response with a token over a signature, in DER."""
        imprint = _sequence(_ALGORITHM_SHA256, _tlv(0x04, hashlib.sha256(signature).digest()))
        info = _sequence(
            _integer(1),
            _oid("1.2.3.4"),
            imprint,
            _integer(7),
            _tlv(0x18, f"{time:%Y%m%d%H%M%SZ}".encode()),
        )
        content = _sequence(_oid(_TST_INFO), _tlv(0xA0, _tlv(0x04, info)))
        signed = _sequence(
            _integer(3),
            _tlv(0x31, _ALGORITHM_SHA256),
            content,
            _tlv(0x31, self._signer_info(info)),
        )
        token = _sequence(_oid("1.2.840.113549.1.7.2"), _tlv(0xA0, signed))
        return _sequence(_sequence(_integer(0)), token)

    def _signer_info(self, info: bytes) -> bytes:
        attributes = [
            _sequence(_oid("1.2.840.113549.1.9.3"), _tlv(0x31, _oid(_TST_INFO))),
            _sequence(
                _oid("1.2.840.113549.1.9.4"),
                _tlv(0x31, _tlv(0x04, hashlib.sha256(info).digest())),
            ),
        ]
        inside = b"".join(sorted(attributes))
        signature = self.key.sign(_tlv(0x31, inside), ec.ECDSA(hashes.SHA256()))
        return _sequence(
            _integer(1),
            _sequence(self.leaf.issuer.public_bytes(), _integer(self.leaf.serial_number)),
            _ALGORITHM_SHA256,
            _tlv(0xA0, inside),
            _sequence(_oid("1.2.840.10045.4.3.2")),
            _tlv(0x04, signature),
        )


def trust_root(
    logs: Sequence[Mapping[str, Any]] = (), authorities: Sequence[Mapping[str, Any]] = ()
) -> TrustRoot:
    """Return a trusted root of logs and timestamp authorities; it certifies nobody."""
    document = {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": list(logs),
        "timestampAuthorities": list(authorities),
    }
    raw = json.dumps(document).encode()
    return TrustRoot(name="site", raw=raw, digest=Digest.of(raw))


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _tlv(0x30, b"".join(parts))


def _integer(value: int) -> bytes:
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    return _tlv(0x06, bytes([40 * first + second]) + b"".join(map(_base128, rest)))


def _base128(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | value & 0x7F)
    return bytes(reversed(groups))


_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_ALGORITHM_SHA256 = _sequence(_oid("2.16.840.1.101.3.4.2.1"), _tlv(0x05, b""))
