"""What an attacker does who owns a registry: reads, writes and deletes anything in it."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from imagekit.oci.digest import Digest
from imagekit.oci.types import INDEX, INDEX_TYPES, MANIFEST_TYPES

_ACCEPT = ", ".join(sorted(MANIFEST_TYPES | INDEX_TYPES))


@dataclass(frozen=True)
class Document:
    """A manifest or an index, byte by byte."""

    raw: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """Its digest."""
        return str(Digest.of(self.raw))

    @property
    def json(self) -> Any:
        """What it says."""
        return json.loads(self.raw)

    def descriptor(self) -> dict[str, Any]:
        """Return what points to it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.raw)}


class Store:
    """One repository of a real registry, over plain HTTP; each call has a connection of its own."""

    def __init__(self, host: str, path: str, *, referrers: bool) -> None:
        self.host = host
        self.path = path
        self.referrers = referrers
        """Whether the registry lists referrers by itself."""

    @property
    def name(self) -> str:
        """The repository as references have it."""
        return f"{self.host}/{self.path}"

    def get(self, name: str) -> Document | None:
        """Return a manifest by tag or digest, or None."""
        status, headers, raw = self._ask("GET", f"manifests/{name}", accept=_ACCEPT)
        return Document(raw, headers["Content-Type"]) if status == 200 else None

    def listed(self, digest: str) -> list[str]:
        """Return the digests of what refers to a manifest."""
        if self.referrers:
            status, _, raw = self._ask("GET", f"referrers/{digest}", accept=INDEX)
            assert status == 200, raw
        else:
            found = self.get(digest.replace(":", "-"))
            raw = found.raw if found else b'{"manifests": []}'
        return [entry["digest"] for entry in json.loads(raw)["manifests"]]

    def blob(self, digest: str) -> bytes:
        """Return a blob."""
        status, _, raw = self._ask("GET", f"blobs/{digest}")
        assert status == 200, (status, digest)
        return raw

    def put(self, name: str, document: Document) -> None:
        """Write a manifest under a tag or its digest."""
        status, _, said = self._ask("PUT", f"manifests/{name}", document.raw, document.media_type)
        assert status == 201, (status, said)

    def put_blob(self, raw: bytes) -> str:
        """Write a blob, and return its digest."""
        digest = str(Digest.of(raw))
        _, headers, _ = self._ask("POST", "blobs/uploads/")
        place = urlsplit(headers["Location"])
        query = f"{place.query}&" if place.query else ""
        target = f"{place.path}?{query}digest={quote(digest)}"
        status, _, said = self._send(
            "PUT", target, raw, {"Content-Type": "application/octet-stream"}
        )
        assert status == 201, (status, said)
        return digest

    def delete(self, name: str) -> None:
        """Delete a manifest or a tag, if the registry knows it by that name."""
        status, _, said = self._ask("DELETE", f"manifests/{name}")
        # docker-registry deletes by digest only, and a tag goes with it.
        assert status in {202, 404, 405, 400}, (status, said)

    def _ask(
        self, method: str, path: str, raw: bytes = b"", media_type: str = "", *, accept: str = "*/*"
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        headers = {"Accept": accept} | ({"Content-Type": media_type} if media_type else {})
        return self._send(method, f"/v2/{self.path}/{path}", raw, headers)

    def _send(
        self, method: str, target: str, raw: bytes, headers: dict[str, str], /
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.request(method, target, body=raw, headers=headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()
