"""One signer for several threads: tokens, certificates and browsers are asked by one at a time."""

import threading
from collections.abc import Mapping

from imagekit.signatures.authority import Authority
from imagekit.signatures.ports import OpenedLater, Signer


class SharedSigner:
    """Lets one thread at a time ask a signer: an implementation of ``ports.Signer``.

    A PKCS #11 session belongs to one thread at a time, and a keyless signer that two threads ask
    would open two browsers for two certificates.

    Args:
        signer: who signs.
    """

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._turn = threading.Lock()

    def open(self) -> None:
        """Open the signer's key, where that was put off."""
        if isinstance(self._signer, OpenedLater):
            with self._turn:
                self._signer.open()

    @property
    def authority(self) -> Authority:
        """What a policy must list."""
        with self._turn:
            return self._signer.authority

    def bundle(self, statement: bytes) -> bytes:
        """Sign a statement."""
        with self._turn:
            return self._signer.bundle(statement)

    def legacy(self, payload: bytes) -> Mapping[str, str]:
        """Sign a payload."""
        with self._turn:
            return self._signer.legacy(payload)

    def made(self, bundle: bytes) -> bool:
        """Return whether the signer made a bundle."""
        with self._turn:
            return self._signer.made(bundle)

    def made_legacy(self, payload: bytes, annotations: Mapping[str, str]) -> bool:
        """Return whether the signer made a legacy signature."""
        with self._turn:
            return self._signer.made_legacy(payload, annotations)

    def __str__(self) -> str:
        return str(self._signer)
