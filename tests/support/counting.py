"""What is asked of a registry, counted: at its port, or as requests."""

from collections import Counter
from dataclasses import dataclass, field

from imagekit.oci.reference import PinnedReference, Reference
from imagekit.oci.registry.client import RegistryClient
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.session import Session
from imagekit.oci.registry.stdlib_transport import StdlibTransport
from imagekit.oci.registry.transport import Request, Response
from imagekit.oci.types import Descriptor, RawManifest
from tests.support.fakes import MemoryRegistry


@dataclass
class CountingRegistry(MemoryRegistry):
    """A registry in memory that counts the listings of referrers and the manifests it gives."""

    asked: Counter[str] = field(default_factory=Counter)

    def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        """Count a listing."""
        self.asked["listings"] += 1
        return super().referrers(reference)

    def manifest(self, reference: Reference) -> RawManifest:
        """Count a manifest that is read."""
        self.asked["manifests"] += 1
        return super().manifest(reference)


class CountingTransport:
    """Passes requests on to a real registry and keeps what each was."""

    def __init__(self, options: RegistryOptions) -> None:
        self._inner = StdlibTransport(options)
        self.asked: list[str] = []

    def send(self, request: Request) -> Response:
        """Keep a request's method and address."""
        self.asked.append(f"{request.method} {request.url}")
        return self._inner.send(request)

    @property
    def listings(self) -> int:
        """How often referrers were listed."""
        return sum("/referrers/" in line for line in self.asked)

    @property
    def manifests(self) -> int:
        """How many manifests were read."""
        return sum(line.startswith("GET ") and "/manifests/" in line for line in self.asked)


def counting_client(options: RegistryOptions) -> tuple[RegistryClient, CountingTransport]:
    """Return a registry's client and the transport that counts its requests."""
    transport = CountingTransport(options)
    session = Session(transport, transport, options=options, credentials=lambda _: None)
    return RegistryClient(session), transport
