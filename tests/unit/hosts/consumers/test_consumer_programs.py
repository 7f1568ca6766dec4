"""Consumers that are programs: what each is asked, and what counts as a refusal."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.errors import ConsumerRefusedError, ToolNotFoundError, ToolTimeoutError
from imagekit.hosts.consumers.consumer_programs import Cosign, PodmanPull, Skopeo
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.registry.options import RegistryOptions
from imagekit.process import Outcome, failure
from imagekit.publish.consumers import Consumer

DIGEST = Digest.of(b"image")
IMAGE = PinnedReference(Repository("r.example.org", "apps/hello"), DIGEST, tag="1")
NAME = f"r.example.org/apps/hello@{DIGEST}"
LOCAL = PinnedReference(Repository("127.0.0.1:5000", "app"), DIGEST)
POLICY = Path("/p.json")


@dataclass
class _Programs:
    """Runs nothing."""

    status: int = 0
    slow: bool = False
    asked: list[tuple[str, ...]] = field(default_factory=list)
    files: list[set[str]] = field(default_factory=list)

    def run(
        self, argv: Sequence[str], *, stage: str = "", limit: float = 60.0, check: bool = True
    ) -> Outcome:
        """End as it is told to; note what stands beside the certificates."""
        del stage
        assert limit > 0
        self.asked.append(tuple(argv))
        if "--src-cert-dir" in argv:
            folder = Path(argv[argv.index("--src-cert-dir") + 1])
            self.files.append({file.name for file in folder.iterdir()})
        if self.slow:
            raise ToolTimeoutError("it was stopped", output="as far as it came")
        stdout = f"{'a' * 64}\n"
        if "inspect" in argv:
            stdout = f'[{{"Digest": "{DIGEST}", "RepoTags": [], "RepoDigests": []}}]'
        outcome = Outcome(
            argv=tuple(argv), status=self.status, stdout=stdout, stderr="no, it is not", seconds=0.0
        )
        if check and self.status:
            raise failure(outcome)
        return outcome

    def foreground(self, argv: Sequence[str]) -> int:
        """Run nothing in the foreground."""
        raise AssertionError(argv)


def _consumers(programs: _Programs) -> list[Consumer]:
    return [
        Skopeo(policy=POLICY, programs=programs),
        PodmanPull(policy=POLICY, programs=programs),
        Cosign(key="k.pub", programs=programs),
    ]


def test_skopeo_copies_by_digest_under_the_policy() -> None:
    """To a folder that is gone afterwards; the tag is never shown."""
    programs = _Programs()
    Skopeo(policy=POLICY, registries=Path("/r.d"), programs=programs).ask(IMAGE)

    (argv,) = programs.asked
    assert argv[:5] == ("skopeo", "--policy", "/p.json", "--registries.d", "/r.d")
    assert argv[5:-1] == ("copy", "--quiet", "--src-tls-verify=true", f"docker://{NAME}")
    kind, _, folder = argv[-1].partition(":")
    assert kind == "dir"
    assert not Path(folder).parent.exists()


def test_podman_pulls_by_digest_under_the_policy() -> None:
    """Into a storage of its own."""
    programs = _Programs()
    PodmanPull(policy=POLICY, programs=programs).ask(IMAGE)

    pull = programs.asked[0]
    assert pull[pull.index("--signature-policy") + 1] == "/p.json"
    assert pull[-1] == NAME
    root = pull[pull.index("--root") + 1]
    assert not Path(root).parent.exists()


@pytest.mark.parametrize(
    ("cosign", "words"),
    [
        (Cosign(key="k.pub", tlog=False), ("--key", "k.pub", "--insecure-ignore-tlog=true")),
        (Cosign(key="awskms:///x"), ("--key", "awskms:///x")),
        (
            Cosign(identity="me@x", issuer="https://i", trusted_root=Path("/t.json")),
            (
                *("--certificate-identity", "me@x", "--certificate-oidc-issuer", "https://i"),
                *("--trusted-root", "/t.json"),
            ),
        ),
    ],
    ids=["key", "key with a log", "identity"],
)
def test_cosign_verifies_by_digest(cosign: Cosign, words: tuple[str, ...]) -> None:
    """By a key or an identity, and nothing that it would take by default."""
    programs = _Programs()

    replace(cosign, programs=programs).ask(IMAGE)

    assert programs.asked == [("cosign", "verify", "--output", "json", *words, NAME)]


def test_only_loopback_and_plain_http_go_without_tls(tmp_path: Path) -> None:
    """And certificates go to each in its own way."""
    (tmp_path / "ca.pem").write_text("x")
    trusting = RegistryOptions(ca_file=tmp_path / "ca.pem")
    programs = _Programs()

    for image, options in ((LOCAL, RegistryOptions()), (IMAGE, trusting)):
        Skopeo(policy=POLICY, options=options, programs=programs).ask(image)
        Cosign(key="k", options=options, programs=programs).ask(image)

    skopeo, cosign, trusting_skopeo, trusting_cosign = programs.asked
    assert "--src-tls-verify=false" in skopeo
    assert "--allow-http-registry" in cosign
    assert "--src-tls-verify=true" in trusting_skopeo
    assert programs.files == [{"ca.crt"}]
    assert "--allow-http-registry" not in trusting_cosign
    assert trusting_cosign[-3:-1] == ("--registry-cacert", str(tmp_path / "ca.pem"))


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("programs", [_Programs(status=1), _Programs(slow=True)], ids=str)
def test_whatever_ends_otherwise_has_not_accepted(programs: _Programs, number: int) -> None:
    """With what it wrote; one that takes too long has not accepted either."""
    consumer = _consumers(programs)[number]

    with pytest.raises(ConsumerRefusedError, match="does not accept") as caught:
        consumer.ask(IMAGE)

    assert NAME in caught.value.message
    assert str(consumer) in caught.value.message
    assert caught.value.output in {"no, it is not", "as far as it came"}


@pytest.mark.parametrize(("number", "name"), [(0, "skopeo"), (1, "podman"), (2, "cosign")])
def test_a_program_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    """With what to do."""
    consumer = _consumers(_Programs())[number]
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ToolNotFoundError, match=f"{name} is not installed") as caught:
        consumer.check()

    assert f"install {name}" in caught.value.hint
