"""A proxy that leads all requests to one server, and a server behind TLS."""

import http.server
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Told = list[tuple[str, str]]
"""What a proxy was told: the first line of each request, and its Proxy-Authorization."""


@contextmanager
def proxy(server: tuple[str, int]) -> Iterator[tuple[str, Told]]:
    """Yield a proxy's address, and what it is told: tunnels (CONNECT) and whole addresses."""
    told: Told = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline().decode().strip()
            headers = [*iter(lambda: self.rfile.readline().decode().strip(), "")]
            secret = [h.partition(": ")[2] for h in headers if h.lower().startswith("proxy-auth")]
            told.append((line, "".join(secret)))
            with socket.create_connection(server) as onward:
                if line.startswith("CONNECT "):
                    self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                else:
                    method, url, version = line.split(" ")
                    path = "/" + url.split("/", 3)[3]
                    head = [f"{method} {path} {version}", *headers, "Connection: close", "", ""]
                    onward.sendall("\r\n".join(head).encode())
                back = threading.Thread(target=_pour, args=(onward, self.connection))
                back.start()
                _pour(self.connection, onward)
                back.join(5)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"127.0.0.1:{listening.server_address[1]}", told
        finally:
            listening.shutdown()


@contextmanager
def tls_server(
    folder: Path, name: str, answer: Callable[[str], tuple[dict[str, str], bytes]]
) -> Iterator[tuple[tuple[str, int], Path]]:
    """Yield the address of a server with a certificate for the name, and the certificate's file.

    Args:
        folder: for the certificate.
        name: the host that it is for.
        answer: returns headers and body for a path.
    """
    certificate, key = folder / "server.pem", folder / "server.key"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    words += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "1"]
    words += ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers, body = answer(self.path)
            self.send_response(200)
            for header, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield ("127.0.0.1", server.server_address[1]), certificate
        finally:
            server.shutdown()


def _pour(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(1 << 16):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
