"""Who may pull what: htpasswd, tokens, client certificates; and TLS with real clients."""

import base64
import hashlib
import http.client
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest

from tests.e2e.gate.kit import GateProcess, Reply, Site

pytestmark = pytest.mark.real

SOLVER = "/v2/apps/solver/manifests/1"
SECRET = "/v2/apps/secret/plan/manifests/1"
PASSWORD, TOKEN = "correct horse", "tok-123456"
_CONFIG = """\
apiVersion: imagekit/v1
kind: Gate
contact: platform@site.example
upstreams: [{{registry: "{host}"}}]
clients: {{htpasswd: htpasswd, tokens: tokens}}
access:
  - {{users: ["*"], repositories: ["apps/*"]}}
  - {{users: [alice, certified], repositories: ["apps/secret/**"]}}
  - {{users: [anonymous], repositories: ["apps/open"]}}
{more}
"""


@dataclass(frozen=True)
class Authority:
    """Certificates of a test: an authority, the gate's, and one client's."""

    folder: Path

    def file(self, name: str) -> Path:
        """Return a file of it."""
        return self.folder / name


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make them, by openssl."""
    folder = tmp_path_factory.mktemp("authority")

    def run(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run(
        "req",
        "-x509",
        *curve,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=ca",
        "-days",
        "2",
    )
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name, subject in (("gate", "/CN=gate"), ("client", "/CN=certified")):
        run("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "san"),
        )
    return Authority(folder)


@pytest.fixture(scope="module")
def site(docker_site: Site) -> Site:
    """Images, and files of logins."""
    for path in ("apps/solver", "apps/secret/plan", "apps/open"):
        docker_site.push(path, "1")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
    users = f"alice:{hashed}\n# a comment\nbob:{hashed.replace('$2b$', '$2y$')}\n"
    (docker_site.folder / "htpasswd").write_text(users)
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    (docker_site.folder / "tokens").write_text(f"robot:sha256:{digest}\n")
    return docker_site


def config(site: Site, more: str = "") -> tuple[str, str]:
    """Write the configuration, and return the words that name it."""
    file = site.folder / "gate.yaml"
    file.write_text(_CONFIG.format(host=site.host, more=more))
    return ("--config", str(file))


@pytest.fixture(scope="module")
def gate(site: Site) -> Iterator[GateProcess]:
    """A gate that knows its clients."""
    with GateProcess(site, *config(site)) as running:
        yield running


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header of a login."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


ALICE, BOB = basic("alice", PASSWORD), basic("bob", PASSWORD)
ROBOT = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("headers", "target", "status"),
    [
        ({}, SOLVER, 401),
        ({}, "/v2/apps/open/manifests/1", 200),
        (ALICE, SOLVER, 200),
        (ALICE, SECRET, 200),
        (BOB, SOLVER, 200),
        (BOB, SECRET, 403),
        (ROBOT, SOLVER, 200),
        (ROBOT, SECRET, 403),
        (basic("robot", TOKEN), SOLVER, 200),
        (basic("alice", "wrong"), SOLVER, 401),
        (basic("nobody", PASSWORD), SOLVER, 401),
        (basic("alice", ""), SOLVER, 401),
        ({"Authorization": "Bearer wrong"}, SOLVER, 401),
        ({"Authorization": "Basic !!!"}, SOLVER, 401),
        ({"Authorization": "Negotiate x"}, SOLVER, 401),
        (basic("alice", "wrong"), "/v2/apps/open/manifests/1", 401),
        (ALICE, "/v2/", 200),
        (basic("alice", "wrong"), "/v2/", 401),
    ],
    ids=[
        "nobody",
        "nobody-open",
        "alice",
        "alice-secret",
        "bob-2y",
        "bob-secret",
        "token",
        "token-secret",
        "token-as-password",
        "wrong-password",
        "unknown",
        "no-password",
        "wrong-token",
        "bad-base64",
        "other-scheme",
        "wrong-open",
        "ping",
        "ping-wrong",
    ],
)
def test_rights(gate: GateProcess, headers: dict[str, str], target: str, status: int) -> None:
    """Everybody may see what the configuration says, asked for once or again."""
    first, second = (gate.get(target, headers=headers) for _ in range(2))

    assert (first.status, second.status) == (status, status)
    if status == 401:
        assert first.headers["WWW-Authenticate"].startswith("Basic ")
        assert first.code == "UNAUTHORIZED"


def test_what_is_kept_for_one_is_not_given_to_another(gate: GateProcess) -> None:
    """An answer in memory is given only to who may have it; so are blobs."""
    allowed = gate.get(SECRET, headers=ALICE)
    blob = f"/v2/apps/secret/plan/blobs/{allowed.json['layers'][0]['digest']}"
    assert gate.get(blob, headers=ALICE).status == 200

    for target in (SECRET, blob, "/v2/apps/secret/plan/tags/list"):
        assert gate.get(target, headers=BOB).status == 403
        assert gate.get(target).status == 401


def test_probes_need_no_login(gate: GateProcess) -> None:
    """A balancer asks without one."""
    assert gate.get("/healthz").status == 200
    assert gate.get("/healthz", headers=basic("alice", "wrong")).status == 200


def test_podman_logs_in(gate: GateProcess, tmp_path: Path) -> None:
    """Podman login works, and skopeo pulls with it."""
    auth = tmp_path / "auth.json"
    login = subprocess.run(
        [
            "podman",
            "login",
            "--tls-verify=false",
            "--authfile",
            auth,
            "-u",
            "alice",
            "--password-stdin",
            gate.host,
        ],
        input=PASSWORD,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    copied = subprocess.run(
        [
            "skopeo",
            "copy",
            "--src-tls-verify=false",
            "--authfile",
            auth,
            f"docker://{gate.host}/apps/secret/plan:1",
            f"dir:{tmp_path / 'out'}",
        ],
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert login.returncode == 0, login.stderr
    assert copied.returncode == 0, copied.stderr


def secure(gate: GateProcess, authority: Authority, path: str, *, client: bool) -> Reply:
    """Ask over TLS."""
    context = ssl.create_default_context(cafile=authority.file("ca.pem"))
    if client:
        context.load_cert_chain(authority.file("client.pem"), authority.file("client.key"))
    connection = http.client.HTTPSConnection("127.0.0.1", gate.port, context=context, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return Reply(status=answer.status, headers=dict(answer.headers), body=answer.read())
    finally:
        connection.close()


@pytest.fixture
def tls_gate(site: Site, authority: Authority) -> Iterator[GateProcess]:
    """A gate with TLS that knows clients by their certificates."""
    folder = authority.folder
    tls = (
        f"tls: {{certFile: {folder}/gate.pem, keyFile: {folder}/gate.key, "
        f"clientCaFile: {folder}/ca.pem}}"
    )
    site.folder.joinpath("gate").mkdir(exist_ok=True)
    state = ("--state", str(site.folder / "tls-state"), "--cache", str(site.folder / "tls-cache"))
    with GateProcess(site, *config(site, tls), *state) as running:
        yield running


def test_client_certificates(tls_gate: GateProcess, authority: Authority) -> None:
    """Who has a certificate is known by its common name; blobs come whole over TLS."""
    assert tls_gate.scheme == "https"
    allowed = secure(tls_gate, authority, SECRET, client=True)
    nobody = secure(tls_gate, authority, SECRET, client=False)
    layer = allowed.json["layers"][0]
    blob = secure(tls_gate, authority, f"/v2/apps/secret/plan/blobs/{layer['digest']}", client=True)

    assert (allowed.status, nobody.status) == (200, 401)
    assert f"sha256:{hashlib.sha256(blob.body).hexdigest()}" == layer["digest"]


def test_skopeo_over_tls(tls_gate: GateProcess, authority: Authority, tmp_path: Path) -> None:
    """Skopeo with the site's authority pulls through."""
    certificates = tmp_path / "certs"
    certificates.mkdir()
    (certificates / "ca.crt").write_bytes(authority.file("ca.pem").read_bytes())
    copied = subprocess.run(
        [
            "skopeo",
            "copy",
            "--src-cert-dir",
            certificates,
            "--src-creds",
            f"alice:{PASSWORD}",
            f"docker://{tls_gate.host}/apps/solver:1",
            f"dir:{tmp_path / 'out'}",
        ],
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert copied.returncode == 0, copied.stderr
