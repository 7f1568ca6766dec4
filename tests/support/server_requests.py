"""Every way by which imagekit asks a server for bytes, for tests that hold for all of them."""

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path

from imagekit.build.tools.fetch import download
from imagekit.gate.blobs.origin import RegistryOrigin
from imagekit.gate.upstreams import Upstream
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.oras import OrasTransport
from imagekit.oci.registry.stdlib_transport import StdlibTransport
from imagekit.oci.registry.transport import Request, Transport
from imagekit.progress import silent

HOST = "registry.example.org"
# A gzip member, whose bytes an encoding of that name must not be taken off of.
BODY = gzip.compress(b"as it came", mtime=0)
DIGEST = Digest.of(BODY)


def _by_transport(make: Callable[[RegistryOptions], Transport]) -> Callable[..., bytes]:
    def get(url: str, options: RegistryOptions, folder: Path) -> bytes:
        del folder
        with make(options).send(Request(method="GET", url=url, deadline=10)) as response:
            return response.read(100)

    return get


def _by_gate(url: str, options: RegistryOptions, folder: Path) -> bytes:
    del folder
    host = url.split("/")[2]

    async def ask() -> bytes:
        origin = RegistryOrigin(Upstream(host=host, options=options))
        try:
            repository = Repository(host, "a/b")
            async with origin.open(repository, DIGEST, size=len(BODY)) as pieces:
                return b"".join([piece async for piece in pieces])
        finally:
            await origin.close()

    return asyncio.run(ask())


def _by_fetch(url: str, options: RegistryOptions, folder: Path) -> bytes:
    del options
    target = folder / "fetched"
    download(url, DIGEST, target, where="recipe.yaml:3", limit=10, progress=silent)
    return target.read_bytes()


WAYS: dict[str, Callable[..., bytes]] = {
    "light": _by_transport(StdlibTransport),
    "oras": _by_transport(lambda options: OrasTransport(HOST, options)),
    "gate": _by_gate,
    "fetch": _by_fetch,
}
