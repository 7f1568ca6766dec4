"""The private parts of sigstore-python that are used: a new version that has others is noticed."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import LogCheckpoint, SignedCheckpoint, verify_checkpoint
from sigstore._internal.sct import verify_sct
from sigstore._internal.timestamp import TimestampSource, TimestampVerificationResult
from sigstore._internal.trust import CertificateAuthority, Keyring, RekorKeyring
from sigstore.models import Bundle, SigningConfig, TransparencyLogEntry, TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.bundle.v1 import Bundle as BundleMessage
from sigstore_models.rekor.v1 import InclusionProof
from sigstore_models.rekor.v1 import TransparencyLogEntry as EntryMessage
from sigstore_models.trustroot.v1 import CertificateAuthority as AuthorityMessage
from sigstore_models.trustroot.v1 import TrustedRoot as RootMessage

import imagekit


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (verify_merkle_inclusion, ["entry"]),
        (verify_checkpoint, ["rekor_keyring", "entry"]),
        (verify_sct, ["cert", "chain", "ct_keyring"]),
        (Keyring, ["public_keys"]),
        (Keyring.verify, ["self", "key_id", "signature", "data"]),
        (SignedCheckpoint.from_text, ["text"]),
        (TimestampVerificationResult, ["source", "time"]),
        (TransparencyLogEntry, ["inner"]),
        (TransparencyLogEntry._verify_set, ["self", "keyring"]),
        (Verifier._verify_chain_at_time, ["self", "certificate", "timestamp_result"]),
        (TrustedRoot, ["inner"]),
        (TrustedRoot.ct_keyring, ["self", "purpose"]),
        (Bundle, ["inner"]),
        (CertificateAuthority.certificates, ["self", "allow_expired"]),
        (SigningConfig.get_tlogs, ["self"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_functions_take_what_they_took(function: Callable[..., Any], parameters: list[str]) -> None:
    """In the same order."""
    assert [*inspect.signature(function).parameters] == parameters


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (RootMessage, {"tlogs", "certificate_authorities"}),
        (AuthorityMessage, {"valid_for", "cert_chain"}),
        (
            EntryMessage,
            {
                "log_id",
                "log_index",
                "kind_version",
                "integrated_time",
                "inclusion_promise",
                "inclusion_proof",
                "canonicalized_body",
            },
        ),
        (InclusionProof, {"tree_size", "checkpoint"}),
        (BundleMessage, {"verification_material"}),
    ],
    ids=lambda value: f"{value.__module__}.{value.__qualname__}" if isinstance(value, type) else "",
)
def test_messages_have_what_they_had(message: type, names: set[str]) -> None:
    """The fields that are read of the documents behind the library's classes."""
    assert names <= {*inspect.get_annotations(message)}


def test_checkpoints_and_sources_have_what_they_had() -> None:
    """Their fields."""
    assert "log_size" in {*inspect.get_annotations(LogCheckpoint)}
    assert isinstance(TimestampSource.TRANSPARENCY_SERVICE, TimestampSource)
    assert callable(RekorKeyring)


def test_one_module_knows_the_private_parts() -> None:
    """A new version of the library is looked at in one place."""
    package = Path(imagekit.__file__).parent
    private = re.compile(r"sigstore\._|\._verify_set|\._verify_chain_at_time")

    found = [
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if private.search(path.read_text())
    ]

    assert found == ["signatures/sigstore/internals.py"]
