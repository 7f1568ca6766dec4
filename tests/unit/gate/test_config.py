"""Configuration, logins, ranges and lists."""

import json
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from imagekit.errors import InputError
from imagekit.gate.answers import RequestRefusedError
from imagekit.gate.auth.authenticate import Authenticator, Client, Grant, Rights
from imagekit.gate.auth.logins import load_rights
from imagekit.gate.blobs.send import ByteRange, span_of
from imagekit.gate.config import gate_schema, load_config, parse_address, parse_limits
from imagekit.gate.limits import ListenerLimits
from imagekit.gate.metrics import Metrics
from imagekit.gate.upstreams import Upstream, Upstreams
from imagekit.oci.location import LayoutLocation
from imagekit.oci.registry.options import RegistryOptions

_WHOLE = """\
apiVersion: imagekit/v1
kind: Gate
contact: platform@site.example
listen: 0.0.0.0:5443
adminListen: "[::1]:9090"
tls: {certFile: gate.pem, keyFile: gate.key, clientCaFile: ca.pem, clientCertificates: required}
upstreams:
  - {name: hub, registry: registry-1.docker.io, realms: [auth.docker.io], readSeconds: 30}
  - {name: local, layout: images}
clients: {htpasswd: htpasswd, tokens: tokens}
access:
  - {users: ["*"], repositories: ["hub/**"]}
lists: {tags: false, referrers: false, catalog: true}
limits:
  {connections: 9, connectionsPerClient: 8, connectionsPerSecond: 7, headerBytes: 2048,
   headerTime: 3s, bodyTime: 4s, idleTime: 5s, sendTime: 6s, wholeTime: 1h, waitingPerClient: 5,
   loginFailures: 2, refusals: 3}
proxies: [10.0.0.7, "2001:db8::/32"]
times: {pin: 5s, allowed: 1h, denied: 2s, maxStale: 0s, wait: 9s}
auditFile: audit.jsonl
redis: redis://127.0.0.1/0
"""


def test_whole_configuration(tmp_path: Path) -> None:
    """Every key; paths are relative to the file; the schema takes it, too."""
    file = tmp_path / "gate.yaml"
    file.write_text(_WHOLE)

    config = load_config(file)

    jsonschema.validate(yaml.safe_load(_WHOLE), gate_schema())
    assert [str(config.listen), str(config.admin)] == ["0.0.0.0:5443", "[::1]:9090"]
    assert config.tls is not None
    assert config.tls.certificate == tmp_path / "gate.pem"
    assert config.tls.client_required
    hub, local = config.upstreams
    assert (hub.name, hub.host, hub.options.realms) == (
        "hub",
        "docker.io",
        ("auth.docker.io",),
    )
    assert local.location == LayoutLocation(tmp_path / "images")
    assert config.htpasswd == tmp_path / "htpasswd"
    assert config.times.pin == timedelta(seconds=5)
    assert config.times.lifetimes.stale == timedelta(0)
    assert config.limits == ListenerLimits(
        connections=9,
        connections_per_client=8,
        connections_per_second=7,
        header_bytes=2048,
        header=timedelta(seconds=3),
        body=timedelta(seconds=4),
        idle=timedelta(seconds=5),
        send=timedelta(seconds=6),
        whole=timedelta(hours=1),
        waiting_per_client=5,
        login_failures=2,
        refusals=3,
    )
    assert [str(each) for each in config.proxies] == ["10.0.0.7/32", "2001:db8::/32"]
    assert (config.listings.with_tags, config.listings.with_catalog) == (False, True)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("listen: nowhere", "gate/bad-address"),
        ("listen: 1.2.3.4:99999", "gate/bad-address"),
        ("lissten: 1.2.3.4:1", "gate/unknown-key"),
        ("times: {pin: soon}", "gate/not-matching"),
        ("upstreams: []", "gate/out-of-range"),
        ("upstreams: [{name: x}]", "gate/one-key"),
        ("upstreams: [{registry: a.b, layout: x}]", "gate/one-key"),
        ("upstreams: [{registry: 'a b'}]", "gate/not-matching"),
        ("access: [{users: [a]}]", "gate/missing-key"),
        ("redis: http://x", "gate/not-matching"),
        ("limits: {connections: 0}", "gate/out-of-range"),
        ("limits: {headerTime: 0s}", "gate/not-matching"),
        ("limits: {conections: 5}", "gate/unknown-key"),
        ("proxies: [everybody]", "gate/bad-network"),
        ("proxies: [10.0.0.1/8]", "gate/bad-network"),
    ],
)
def test_faults(tmp_path: Path, line: str, code: str) -> None:
    """Each fault has its code and its place."""
    file = tmp_path / "gate.yaml"
    file.write_text(f"apiVersion: imagekit/v1\nkind: Gate\n{line}\n")

    with pytest.raises(InputError) as caught:
        load_config(file)

    assert [(one.code, one.line) for one in caught.value.diagnostics] == [(code, 3)]


def test_unreadable(tmp_path: Path) -> None:
    """A file that is not there is an error with a hint."""
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_config(tmp_path / "gate.yaml")

    assert "schema gate" in caught.value.hint


@pytest.mark.parametrize("text", ["", ":1", "a", "a:", "a:x", "a:99999", "a:٣"])
def test_bad_address(text: str) -> None:
    """What nothing can listen on."""
    with pytest.raises(InputError):
        parse_address(text)


def test_upstreams_need_names(tmp_path: Path) -> None:
    """Several are told apart by name; none is none."""
    options = RegistryOptions()
    one, two = (Upstream.parse(text, options) for text in ("a.example", "x=b.example"))

    assert Upstreams.of([one]).all == (one,)
    for bad in ([], [one, two], [two, two]):
        with pytest.raises(InputError):
            Upstreams.of(bad)


@pytest.mark.parametrize(
    ("text", "host", "plain"),
    [
        ("a.example", "a.example", False),
        ("x=a.example:5000", "a.example:5000", False),
        ("http://a.example", "a.example", True),
        ("x=http://registry:5000", "registry:5000", True),
        ("https://a.example/", "a.example", False),
        ("[::1]:5000", "[::1]:5000", False),
    ],
)
def test_upstream(text: str, host: str, *, plain: bool) -> None:
    """``[NAME=]HOST[:PORT]`` and ``http://HOST``."""
    found = Upstream.parse(text, RegistryOptions())

    assert (found.host, found.options.plain_http) == (host, plain)


@pytest.mark.parametrize(
    "text", ["", "a/b", "X=a.example", "a/b=c.example", "oci:/nowhere", "ftp://a"]
)
def test_no_upstream(text: str) -> None:
    """What is none."""
    with pytest.raises(InputError):
        Upstream.parse(text, RegistryOptions())


@pytest.mark.parametrize("line", ["alice", "alice:{SHA}x", ":$2y$05$x", "alice:plain"])
def test_bad_htpasswd(tmp_path: Path, line: str) -> None:
    """Only bcrypt, with the line that is wrong."""
    file = tmp_path / "htpasswd"
    file.write_text(f"# users\n{line}\n")

    with pytest.raises(InputError, match="htpasswd:2"):
        load_rights(htpasswd=file, tokens=None, certificates=False, grants=())


@pytest.mark.parametrize("line", ["robot", "robot:sha256:xyz", f":sha256:{'a' * 64}", "r:md5:aa"])
def test_bad_tokens(tmp_path: Path, line: str) -> None:
    """Tokens are kept by their SHA-256 only."""
    file = tmp_path / "tokens"
    file.write_text(f"{line}\n")

    with pytest.raises(InputError, match="tokens:1"):
        load_rights(htpasswd=None, tokens=file, certificates=False, grants=())


def test_grants() -> None:
    """``*`` is everybody who is known, ``anonymous`` everybody; without grants all are known."""
    grants = (
        Grant(users=("*",), repositories=("apps/*",)),
        Grant(users=("alice",), repositories=("**",)),
        Grant(users=("anonymous",), repositories=("open/*",)),
    )
    access = Authenticator(Rights(passwords={"alice": b"x"}, tokens={}, grants=grants))
    alice, bob, nobody = Client("alice"), Client("bob"), Client()

    assert [access.allows(who, "apps/x") for who in (alice, bob, nobody)] == [True, True, False]
    assert [access.allows(who, "secret/x") for who in (alice, bob, nobody)] == [True, False, False]
    assert [access.allows(who, "open/x") for who in (alice, bob, nobody)] == [True, True, True]
    assert not access.allows(Client("alice", refused=True), "open/x")
    assert Authenticator(Rights(passwords={}, tokens={})).allows(nobody, "anything")


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, (0, 100)),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-200", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=1-2,5-6", (0, 100)),
        ("bytes=20-10", (0, 100)),
        ("bytes=x-y", (0, 100)),
        ("bytes=-", (0, 100)),
        ("lines=1-2", (0, 100)),
        ("bytes=1" + "0" * 30 + "-", (0, 100)),
    ],
)
def test_range(header: str | None, span: tuple[int, int]) -> None:
    """RFC 9110: what cannot be understood is answered by the whole."""
    assert span_of(header, 100) == ByteRange(*span, 100)


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=500-600", "bytes=-0"])
def test_range_outside(header: str) -> None:
    """What lies behind the end is 416."""
    with pytest.raises(RequestRefusedError) as caught:
        span_of(header, 100)

    assert caught.value.status == 416
    assert caught.value.headers["Content-Range"] == "bytes */100"


def test_metrics() -> None:
    """The text that Prometheus reads."""
    metrics = Metrics()
    metrics.count("manifest", "served")
    metrics.count("manifest", "served")
    metrics.took(0.003)
    metrics.gauge("cache_bytes", "bytes", lambda: 42)

    text = metrics.answer().body.decode()

    assert 'imagekit_gate_manifest_total{outcome="served"} 2' in text
    assert 'imagekit_gate_decision_seconds_bucket{le="0.001"} 0' in text
    assert 'imagekit_gate_decision_seconds_bucket{le="0.005"} 1' in text
    assert 'imagekit_gate_decision_seconds_bucket{le="+Inf"} 1' in text
    assert "imagekit_gate_cache_bytes 42" in text
    assert all(line.startswith(("#", "imagekit_gate_")) for line in text.splitlines())


def test_refusal_is_of_the_specification() -> None:
    """``errors`` with code, message and detail."""
    answer = RequestRefusedError(403, "DENIED", "no", detail={"a": 1}).answer

    assert json.loads(answer.body) == {
        "errors": [{"code": "DENIED", "message": "no", "detail": {"a": 1}}]
    }


def test_limits_of_the_command_line() -> None:
    """By the names of the file; what is not known is refused."""
    said = parse_limits(["connectionsPerClient=7", "bodyTime=3s"])

    assert said == ListenerLimits(connections_per_client=7, body=timedelta(seconds=3))
    assert parse_limits([]) == ListenerLimits()


@pytest.mark.parametrize(
    "word", ["connections", "conections=1", "connections=0", "bodyTime=soon", "a: b=1", "a=1\nb: 2"]
)
def test_limits_that_are_none(word: str) -> None:
    """A wrong word does not become a limit that does not hold."""
    with pytest.raises(InputError):
        parse_limits([word])
