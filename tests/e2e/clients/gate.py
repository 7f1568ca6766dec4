"""A gate as a process of its own, with a certificate that a test's authority vouches for."""

import ipaddress
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.servers import answers, free_port


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A gate that runs."""

    host: str
    """What references begin with."""
    authority: Path
    """The authority (PEM) that vouches for it."""
    log: Path
    """What it writes: decisions and messages."""

    @classmethod
    @contextmanager
    def started(cls, folder: Path, *, policy: Path, upstream: str) -> Iterator[Self]:
        """Start a gate with TLS on a free port of loopback, and stop it in the end."""
        chain, key = certificate(folder)
        port = free_port()
        log = folder / "gate.log"
        argv = [
            *(sys.executable, "-P", "-m", "imagekit", "gate", "--policy", str(policy)),
            *("--upstream", upstream, "--listen", f"127.0.0.1:{port}"),
            *("--tls-cert", str(chain), "--tls-key", str(key)),
            *("--state", str(folder / "state"), "--cache", str(folder / "cache")),
        ]
        environment = {**os.environ, "HOME": str(folder)}
        with log.open("wb") as file:
            process = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        try:
            answers(process, port, log)
            yield cls(host=f"127.0.0.1:{port}", authority=chain, log=log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for loopback that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the gate of a test")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "tls/ca.pem", folder / "tls/gate.key"
    chain.parent.mkdir()
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, private
