"""Log entries and timestamps beside certificates: what the library leaves out is looked at."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from imagekit.errors import VerificationError
from imagekit.oci.digest import Digest
from imagekit.signatures.authority import TrustRoot
from imagekit.signatures.intoto import COSIGN_SIGN, Statement, StatementSubject, statement_bytes
from imagekit.signatures.results import TransparencyResult
from imagekit.signatures.sigstore.keyless import KeylessSigner, TrustConfig
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.signatures.simplesigning import TIMESTAMP_ANNOTATION, SimpleSigning, payload_bytes
from tests.support.sigstore_stack import Sigstore
from tests.support.witnesses import MemoryAuthority, b64

pytestmark = [
    pytest.mark.real,
    # sigstore-python says of itself that Rekor v2 is young.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

STATEMENT = statement_bytes(
    Statement(
        subjects=(StatementSubject(digest=Digest.of(b"image"), name="r.site/a:1"),),
        predicate_type=COSIGN_SIGN,
        predicate={},
    )
)


def _signer(stack: Sigstore, config: Path) -> tuple[KeylessSigner, TrustRoot]:
    trust = TrustConfig.from_file(config)
    return KeylessSigner(trust, stack.token), trust.root


def _stamped(raw: bytes, *stamps: dict[str, Any]) -> bytes:
    """Replace the timestamps of a bundle."""
    bundle = json.loads(raw)
    data = {"rfc3161Timestamps": list(stamps)}
    bundle["verificationMaterial"]["timestampVerificationData"] = data
    return json.dumps(bundle).encode()


def _stamp(raw: bytes) -> dict[str, Any]:
    data = json.loads(raw)["verificationMaterial"]["timestampVerificationData"]
    (stamp,) = data["rfc3161Timestamps"]
    assert isinstance(stamp, dict)
    return stamp


def test_timestamps_of_bundles(sigstore: Sigstore) -> None:
    """One over another signature is a fault, also where the log's promise tells a time."""
    signer, root = _signer(sigstore, sigstore.trust_config_v1)
    mine, other = signer.bundle(STATEMENT), signer.bundle(STATEMENT)
    foreign = {"signedTimestamp": b64(MemoryAuthority().stamp(b"any"))}

    def transparency(raw: bytes) -> TransparencyResult:
        return SigstoreVerifier().bundle(raw, root)[1]

    good = transparency(mine)
    assert good.log.there
    assert good.timestamps.there
    assert len(good.log.times) == len(good.timestamps.times) == 1
    swapped = transparency(_stamped(mine, _stamp(other))).timestamps
    assert swapped.fault is not None
    assert swapped.fault.code == "BAD_TIMESTAMP"
    assert not swapped.there
    bare = transparency(_stamped(mine))
    assert not bare.timestamps.there
    assert bare.log == good.log
    unknown = transparency(_stamped(mine, foreign)).timestamps
    assert (unknown.there, unknown.foreign, unknown.fault) == (False, True, None)


def test_timestamps_of_the_legacy_form(sigstore: Sigstore) -> None:
    """The annotation's timestamp is judged alike."""
    signer, root = _signer(sigstore, sigstore.trust_config_v1)
    payload = payload_bytes(SimpleSigning(identity="r.site/a:1", digest=Digest.of(b"image")))
    annotations = dict(signer.legacy(payload))
    other = _stamp(signer.bundle(STATEMENT))["signedTimestamp"]
    assert annotations

    def transparency(stamp: str) -> TransparencyResult:
        more = {TIMESTAMP_ANNOTATION: stamp} if stamp else {}
        return SigstoreVerifier().legacy(payload, annotations | more, root)[1]

    assert not transparency("").timestamps.there
    assert transparency("").log.there
    swapped = transparency(json.dumps({"SignedRFC3161Timestamp": other})).timestamps
    assert swapped.fault is not None
    assert swapped.fault.code == "BAD_TIMESTAMP"
    junk = transparency("junk").timestamps
    assert junk.fault is not None


def _checkpoint(raw: bytes, key: Path, *, more: int = 0) -> bytes:
    """Sign a bundle's checkpoint anew, as the log names itself.

    Args:
        raw: the bundle.
        key: who signs.
        more: how much larger the log is said to be.
    """
    bundle = json.loads(raw)
    checkpoint = bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"]
    note, _, signatures = checkpoint["envelope"].partition("\n\n")
    origin, size, *rest = note.split("\n")
    note = "\n".join([origin, str(int(size) + more), *rest]) + "\n"
    name, text = signatures.splitlines()[0].removeprefix("\u2014 ").split(" ")
    private = load_pem_private_key(key.read_bytes(), None)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        signature = private.sign(note.encode())
    else:
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        signature = private.sign(note.encode(), ec.ECDSA(hashes.SHA256()))
    line = f"\u2014 {name} {b64(base64.b64decode(text)[:4] + signature)}\n"
    checkpoint["envelope"] = f"{note}\n{line}"
    return json.dumps(bundle).encode()


def test_checkpoints(sigstore: Sigstore) -> None:
    """The log that is named signs it, none of the root's others, and for the proof's size."""
    signer, root = _signer(sigstore, sigstore.trust_config)
    raw = signer.bundle(STATEMENT)
    document = json.loads(root.raw)
    document["tlogs"] += json.loads(sigstore.trusted_root_v1.read_text())["tlogs"]
    both = json.dumps(document).encode()
    root = TrustRoot(name="both", raw=both, digest=Digest.of(both))

    def code(bundle: bytes) -> str:
        try:
            SigstoreVerifier().bundle(bundle, root)
        except VerificationError as error:
            return error.code
        return "OK"

    mine, other = sigstore.folder / "rekor.key", sigstore.folder / "rekor1.key"
    assert code(raw) == code(_checkpoint(raw, mine)) == "OK"
    assert code(_checkpoint(raw, mine, more=1)) == "BAD_TLOG_ENTRY"
    assert code(_checkpoint(raw, other)) == "BAD_TLOG_ENTRY"
