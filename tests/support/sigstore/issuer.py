"""Two OpenID Connect issuers on loopback, for people by e-mail and for GitHub-shaped workflows.

They are real in what Fulcio looks at (discovery, keys, signed tokens) and give a token to anyone
who asks: ``/token?email=...`` on the first, ``/gha`` as GitHub's runners have it on the second.
Run as a script of its own: ``issuer.py PORT PORT``.
"""

import base64
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE = "sigstore"
EMAIL = "admin@imagekit.test"
REPOSITORY = "acme/images"
WORKFLOW = ".github/workflows/publish.yml"
REF = "refs/heads/main"


class Issuer:
    """Who signs tokens: an RSA key and the URL that stands in them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(self, claims: dict[str, object], *, seconds: int = 600) -> str:
        """Return a signed token with these claims, valid for that long (or long over)."""
        now = int(time.time())
        times = {"iat": min(now, now + seconds - 1), "exp": now + seconds}
        payload = {"iss": self.url, "aud": AUDIENCE, **times, "nbf": times["iat"], **claims}
        head = {"alg": "RS256", "typ": "JWT", "kid": "1"}
        signed = f"{_encoded(json.dumps(head))}.{_encoded(json.dumps(payload))}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encoded(signature)}"

    def keys(self) -> dict[str, object]:
        """Return the document of public keys."""
        numbers = self._key.public_key().public_numbers()
        n, e = (_encoded(_octets(number)) for number in (numbers.n, numbers.e))
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": n, "e": e}]}

    def discovery(self) -> dict[str, object]:
        """Return what stands under ``/.well-known/openid-configuration``."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/exchange",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }


def email_claims(query: dict[str, str]) -> dict[str, object]:
    """Return the claims of a person: ``email``, ``email_verified`` and ``aud`` can be chosen."""
    email = query.get("email", EMAIL)
    return {
        "sub": email,
        "email": email,
        "email_verified": query.get("email_verified", "true") == "true",
        "aud": query.get("aud", AUDIENCE),
    }


def workflow_claims(query: dict[str, str]) -> dict[str, object]:
    """Return a workflow's claims: ``repository``, ``workflow``, ``ref``, ``event`` by choice."""
    repository, ref = query.get("repository", REPOSITORY), query.get("ref", REF)
    workflow = f"{repository}/{query.get('workflow', WORKFLOW)}@{ref}"
    return {
        "sub": f"repo:{repository}:ref:{ref}",
        "aud": query.get("audience", AUDIENCE),
        "event_name": query.get("event", "push"),
        "sha": "a" * 40,
        "workflow": "publish",
        "repository": repository,
        "ref": ref,
        "job_workflow_ref": workflow,
        "job_workflow_sha": "a" * 40,
        "runner_environment": "self-hosted",
        "repository_id": "1",
        "repository_owner": repository.partition("/")[0],
        "repository_owner_id": "2",
        "workflow_ref": workflow,
        "workflow_sha": "a" * 40,
        "run_id": "7",
        "run_attempt": "1",
        "repository_visibility": "private",
    }


def serve(port: int) -> ThreadingHTTPServer:
    """Return a server of one issuer, ready to run."""
    issuer = Issuer(f"http://127.0.0.1:{port}")

    class Handler(BaseHTTPRequestHandler):
        timeout: ClassVar[float | None] = 30

        def log_message(self, *_: object) -> None:
            """Say nothing: tokens stand in no log."""

        def do_GET(self) -> None:
            """Answer the few paths there are."""
            parts = urlsplit(self.path)
            body = _answer(issuer, parts.path, dict(parse_qsl(parts.query)))
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header(
                "Content-Type", "text/plain" if parts.path == "/token" else "application/json"
            )
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def _answer(issuer: Issuer, path: str, query: dict[str, str], /) -> bytes | None:
    seconds = int(query.get("seconds", "600"))
    match path:
        case "/.well-known/openid-configuration":
            return json.dumps(issuer.discovery()).encode()
        case "/keys":
            return json.dumps(issuer.keys()).encode()
        case "/token":
            return issuer.token(email_claims(query), seconds=seconds).encode()
        case "/gha":
            token = issuer.token(workflow_claims(query), seconds=seconds)
            return json.dumps({"value": token}).encode()
        case _:
            return None


def _encoded(value: str | bytes) -> str:
    raw = value.encode() if isinstance(value, str) else value
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


if __name__ == "__main__":
    servers = [serve(int(port)) for port in sys.argv[1:]]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()
