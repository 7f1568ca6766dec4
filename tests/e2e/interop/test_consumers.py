"""A tag is written when other people's programs accept the image, each asked as it is."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from imagekit.build.build import BuildOptions
from imagekit.errors import ConsumerRefusedError
from imagekit.hosts.consumers.read_consumers import read_consumers
from imagekit.oci.destination import Destination
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.publish.consumers import Consumer
from imagekit.publish.publish import PublishOptions
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.publish.published import PublishedImage
from imagekit.recipe import load
from imagekit.sign.keyed import KeySigner
from imagekit.signatures.publickey import public_key_pem
from tests.e2e.gate.kit import GateProcess, Site
from tests.support.built import RECIPE
from tests.support.fakes import MemorySigner
from tests.support.programs import bench_program
from tests.support.servers import RegistryServer

pytestmark = pytest.mark.real


@dataclass
class Consumers:
    """A site with an image that all of its consumers have accepted."""

    site: Site
    gate: GateProcess
    folder: Path
    image: PublishedImage | None = None

    def read(self, consumers: list[Mapping[str, object]]) -> tuple[Consumer, ...]:
        """Return consumers as their file says them."""
        file = self.folder / "consumers.yaml"
        file.write_text(yaml.safe_dump({"schema": 1, "consumers": consumers}))
        return read_consumers(file, RegistryOptions())

    def publish(self, version: str, consumers: tuple[Consumer, ...]) -> PublishedImage:
        """Publish a version."""
        recipe = self.folder / "recipe"
        recipe.mkdir(exist_ok=True)
        (recipe / "recipe.yaml").write_text(RECIPE.format(version=version))
        (recipe / "hello.txt").write_text(f"hello {version}\n")
        env = {**os.environ, "HOME": str(self.folder)}
        return publish_recipe(
            load(recipe),
            to=Destination.parse(f"{self.site.host}/apps"),
            signer=KeySigner(self.site.signer),
            options=PublishOptions(build=BuildOptions(test=False, env=env), consumers=consumers),
        )

    def signer(self, name: str, signer: MemorySigner) -> list[Mapping[str, object]]:
        """Write what accepts the images of a signer, and return the consumers by it."""
        folder = self.folder / name
        (folder / "registries.d").mkdir(parents=True)
        (folder / "k.pub").write_bytes(public_key_pem(signer.public_key))
        attached = {"default-docker": {"use-sigstore-attachments": True}}
        (folder / "registries.d/default.yaml").write_text(json.dumps(attached))
        wanted = {
            "type": "sigstoreSigned",
            "keyPath": str(folder / "k.pub"),
            "signedIdentity": {"type": "matchRepository"},
        }
        policy = {
            "default": [{"type": "reject"}],
            "transports": {"docker": {self.site.host: [wanted]}},
        }
        (folder / "policy.json").write_text(json.dumps(policy))
        return [
            {"cosign": {"key": f"{name}/k.pub"}},
            {"skopeo": {"policy": f"{name}/policy.json", "registries": f"{name}/registries.d"}},
        ]

    def podman(self, kind: str) -> Mapping[str, object]:
        """Return Podman as Debian 12 has it: of Sigstore's signatures it knows nothing."""
        file = self.folder / f"podman-{kind}.json"
        file.write_text(json.dumps({"default": [{"type": kind}]}))
        return {"podman": {"policy": file.name}}


@pytest.fixture(scope="module")
def consumers(tmp_path_factory: pytest.TempPathFactory, bench: Path) -> Iterator[Consumers]:
    """A registry, a gate before it, and the programs of the bench by their usual names."""
    folder = tmp_path_factory.mktemp("consumers")
    for name in ("server", "bin", "tmp"):
        (folder / name).mkdir()
    for name, program in (("skopeo", "skopeo-trixie"), ("cosign", "cosign")):
        (folder / "bin" / name).symlink_to(bench_program(bench, program))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        # The bench's skopeo runs in a root of its own, and sees this folder of ours.
        patch.setenv("BENCH_SHARE", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder / "tmp"))
        with RegistryServer.docker_registry(folder / "server") as registry:
            site = Site(registry.host, folder)
            with GateProcess(site) as gate:
                made = Consumers(site, gate, folder)
                accepting = [
                    {"imagekit": {"policy": str(site.policy)}},
                    {"gate": {"url": f"http://{gate.host}"}},
                    made.podman("insecureAcceptAnything"),
                    *made.signer("site", site.signer),
                ]
                made.image = made.publish("1.0", made.read(accepting))
                yield made


def test_what_all_accept_is_tagged(consumers: Consumers) -> None:
    """By the programs as they are, and a gate that had never heard of the image."""
    assert consumers.image is not None
    assert consumers.image.status == "published"
    assert {"1.0", "latest"} <= set(_tags(consumers))
    digest = str(consumers.image.reference.digest)
    assert any(digest in json.dumps(each) for each in consumers.gate.audit)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cosign", "no matching"),
        ("skopeo", "Source image rejected"),
        ("podman", "Source image rejected"),
        ("imagekit", "UNTRUSTED_KEY"),
        ("gate", "refuses"),
    ],
)
def test_what_one_refuses_is_not(consumers: Consumers, name: str, said: str) -> None:
    """Signed by the site, and the consumer wants somebody else; what it says is in the error."""
    assert consumers.image is not None
    reference = consumers.image.reference
    other = Site(consumers.site.host, consumers.folder / f"other-{name}")
    with ExitStack() as running:
        match name:
            case "podman":
                refusing = consumers.podman("reject")
            case "imagekit":
                refusing = {"imagekit": {"policy": str(other.policy)}}
            case "gate":
                gate = running.enter_context(GateProcess(other))
                refusing = {"gate": {"url": f"http://{gate.host}"}}
            case _:
                both = consumers.signer(f"other-{name}/c", other.signer)
                (refusing,) = (each for each in both if name in each)
        (consumer,) = consumers.read([refusing])

        with pytest.raises(ConsumerRefusedError, match="does not accept") as caught:
            consumer.ask(PinnedReference(reference.repository, reference.digest))

    assert said in f"{caught.value.message}\n{caught.value.output}"


def test_a_publish_that_one_refuses_leaves_the_tags(consumers: Consumers) -> None:
    """The image is there by its digest, signed, and no tag points to it."""
    before = _tags(consumers)

    with pytest.raises(ConsumerRefusedError):
        consumers.publish("1.1", consumers.read([consumers.podman("reject")]))

    assert "1.1" not in _tags(consumers)
    assert set(before) <= set(_tags(consumers))


def _tags(consumers: Consumers) -> tuple[str, ...]:
    return tuple(consumers.site.writer().tags(consumers.site.repository("apps/hello")))
