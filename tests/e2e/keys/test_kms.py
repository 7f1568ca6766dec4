"""Keys in Amazon's KMS, as moto plays it on loopback; what other clouds lack is told."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from imagekit.errors import SigningKeyError
from imagekit.signatures.keys.open import find_key, open_key
from imagekit.signatures.publickey import public_key_of
from imagekit.signatures.signature import verify_legacy_signature, verify_signature

pytestmark = [
    pytest.mark.real,
    # moto and botocore warn about themselves.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

NewKey = Callable[[str], str]


def _never() -> str:
    raise AssertionError("a cloud's key has no PIN")


@pytest.fixture
def new_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[NewKey]:
    """A KMS of its own; returns what makes a key there and gives its id."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    import boto3

    client = boto3.client("kms")

    def make(spec: str) -> str:
        made = client.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")
        return str(made["KeyMetadata"]["KeyId"])

    yield make
    server.stop()


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Teach moto ``MessageType: DIGEST``, which it takes for a message and hashes again."""
    from moto.kms import utils

    def of_curve(self: Any, digest: bytes, algorithm: str) -> bytes:
        assert algorithm == "ECDSA_SHA_256"
        return bytes(self.private_key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))

    def of_rsa(self: Any, digest: bytes, algorithm: str) -> bytes:
        assert algorithm == "RSASSA_PKCS1_V1_5_SHA_256"
        hashed = Prehashed(hashes.SHA256())
        return bytes(self.private_key.sign(digest, padding.PKCS1v15(), hashed))

    monkeypatch.setattr(utils.ECDSAPrivateKey, "sign", of_curve)
    monkeypatch.setattr(utils.RSAPrivateKey, "sign", of_rsa)


def test_a_cloud_that_signs_something_else_is_refused(new_key: NewKey) -> None:
    """As moto does without the fixture above: no such signature leaves the holder."""
    with pytest.raises(SigningKeyError, match="does not hold"):
        open_key(f"awskms:{new_key('ECC_NIST_P256')}", _never)


@pytest.mark.usefixtures("digests")
@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "RSA_2048"])
def test_a_key_in_a_cloud_signs_in_both_forms(new_key: NewKey, spec: str) -> None:
    """The signature holds under the public half that the cloud tells; RSA is PKCS #1 v1.5."""
    key = open_key(f"awskms:{new_key(spec)}", _never)

    assert verify_signature(key.public_key, key.sign(b"m"), b"m")
    assert verify_legacy_signature(key.public_key, key.sign_legacy(b"m"), b"m")
    assert not verify_signature(key.public_key, key.sign(b"m"), b"n")


def test_the_public_half_is_the_one_of_the_cloud(new_key: NewKey) -> None:
    """By id and by alias it is the same key."""
    import boto3
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    name = new_key("ECC_NIST_P256")
    client = boto3.client("kms")
    client.create_alias(AliasName="alias/images", TargetKeyId=name)
    raw = client.get_public_key(KeyId=name)["PublicKey"]

    for uri in (f"awskms:{name}", f"awskms:///{name}", "awskms:alias/images"):
        key = find_key(uri, _never)
        assert key.public_key == public_key_of(load_der_public_key(raw))


def test_p384_in_a_cloud_is_refused_when_it_is_opened(new_key: NewKey) -> None:
    """Such a key hashes with SHA-384 only, and podman would take no such signature."""
    name = new_key("ECC_NIST_P384")

    with pytest.raises(SigningKeyError, match="podman wants SHA-256") as caught:
        open_key(f"awskms:{name}", _never)

    assert "P-256" in caught.value.hint


def test_a_key_that_is_not_there_is_told(new_key: NewKey) -> None:
    """What the cloud says is passed on, with what it wants."""
    with pytest.raises(SigningKeyError, match=r"awskms:alias/none: NotFoundException") as caught:
        open_key("awskms:alias/none", _never)

    assert "kms:Sign" in caught.value.hint


def test_a_cloud_that_is_not_there_is_told(
    new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that was tried is named."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    with pytest.raises(SigningKeyError, match=r"http://127\.0\.0\.1:9"):
        open_key("awskms:alias/none", _never)


def test_no_region_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is guessed about which of Amazon's clouds is meant."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(SigningKeyError, match="specify a region") as caught:
        find_key("awskms:alias/images", _never)

    assert "AWS_REGION" in caught.value.hint
