"""The file of consumers: accepted as a whole, or refused with every fault."""

import re
from pathlib import Path

import pytest

from imagekit.errors import InputError
from imagekit.hosts.consumers.consumer_programs import Cosign, PodmanPull, Skopeo
from imagekit.hosts.consumers.consumer_verifiers import AskedGate, NodePolicy
from imagekit.hosts.consumers.read_consumers import MAX_CONSUMERS, read_consumers
from imagekit.oci.registry.options import RegistryOptions
from imagekit.publish.consumers import Consumer

OPTIONS = RegistryOptions(plain_http=True)
HEAD = "schema: 1\nconsumers:\n"


def _read(folder: Path, text: str) -> tuple[Consumer, ...]:
    (folder / "c.yaml").write_text(text)
    return read_consumers(folder / "c.yaml", OPTIONS)


def test_each_kind_is_read(tmp_path: Path) -> None:
    """Paths are below the file's folder, keys may be URIs."""
    text = (
        HEAD
        + """\
  - imagekit: {policy: p.yaml}
  - gate: {url: "https://g.site:5443", ca: ca.pem, name: hub}
  - gate: {url: "http://127.0.0.1:8080"}
  - skopeo: {policy: p.json, registries: r.d}
  - podman: {policy: /etc/p.json}
  - cosign: {key: k.pub}
  - cosign: {key: "awskms:///alias/x", tlog: true}
  - cosign: {identity: me@x, issuer: "https://i", trusted_root: t.json}
"""
    )

    assert _read(tmp_path, text) == (
        NodePolicy(policy=tmp_path / "p.yaml", options=OPTIONS),
        AskedGate(
            url="https://g.site:5443",
            tls=True,
            address="g.site:5443",
            ca_file=tmp_path / "ca.pem",
            name="hub",
        ),
        AskedGate(url="http://127.0.0.1:8080", tls=False, address="127.0.0.1:8080"),
        Skopeo(policy=tmp_path / "p.json", registries=tmp_path / "r.d", options=OPTIONS),
        PodmanPull(policy=Path("/etc/p.json"), options=OPTIONS),
        Cosign(key=str(tmp_path / "k.pub"), tlog=False, options=OPTIONS),
        Cosign(key="awskms:///alias/x", tlog=True, options=OPTIONS),
        Cosign(
            identity="me@x",
            issuer="https://i",
            trusted_root=tmp_path / "t.json",
            tlog=True,
            options=OPTIONS,
        ),
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("consumers: [{cosign: {key: k}}]\n", "missing-key"),
        ("schema: 2\nconsumers: [{cosign: {key: k}}]\n", "not-matching"),
        ("schema: 1\n", "missing-key"),
        ("schema: 1\nconsumers: []\n", "out-of-range"),
        (HEAD + "  - cosign: {key: k}\n" * (MAX_CONSUMERS + 1), "out-of-range"),
        (HEAD + "  - docker: {policy: p}\n", "unknown-key"),
        (HEAD + "  - {skopeo: {policy: p}, podman: {policy: p}}\n", "one-key"),
        (HEAD + "  - skopeo: {}\n", "missing-key"),
        (HEAD + "  - cosign: {}\n", "one-key"),
        (HEAD + "  - cosign: {key: k, identity: i, issuer: j}\n", "one-key"),
        (HEAD + "  - cosign: {identity: i}\n", "bad-combination"),
        (HEAD + "  - cosign: {key: k, issuer: j}\n", "bad-combination"),
        (HEAD + '  - gate: {url: "http://g.site"}\n', "bad-gate"),
        (HEAD + "  - gate: {url: g.site}\n", "bad-gate"),
        (HEAD + '  - gate: {url: "https://g.site", name: a/b}\n', "not-matching"),
    ],
)
def test_what_could_mean_something_else_is_refused(tmp_path: Path, text: str, code: str) -> None:
    """A file without consumers accepts nothing, and is no file of them."""
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text)

    assert [each.code for each in caught.value.diagnostics] == [f"consumers/{code}"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(InputError, match=r"c\.yaml"):
        read_consumers(tmp_path / "c.yaml", OPTIONS)


def test_the_page_shows_a_file_that_is_read(project: Path, tmp_path: Path) -> None:
    """Each kind of consumer that there is."""
    page = (project / "docs/consumers.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)

    names = [type(consumer).__name__ for consumer in _read(tmp_path, example)]

    assert names == ["NodePolicy", "AskedGate", "Skopeo", "PodmanPull", "Cosign"]
