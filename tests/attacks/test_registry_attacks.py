"""Attacks by whoever owns the registry: it lies in one way at a time."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.cli import main as cli
from imagekit.errors import RegistryError
from imagekit.oci.reference import Repository
from imagekit.policy.new import new_policy
from imagekit.signatures.publickey import public_key_pem
from tests.support.attacks_kit import Answer, Liar, errors, served
from tests.support.fakes import MemorySigner, push_image
from tests.support.signed import NOW

pytestmark = pytest.mark.real

Start = Callable[..., Liar]


def test_00_what_is_right_is_allowed(liar: Start) -> None:
    """Without a lie the image is allowed."""
    server = liar()

    assert server.judge(server.world.policy("cyclonedx", "slsaprovenance1")).allowed


def test_22_another_manifest_at_the_second_get(liar: Start) -> None:
    """Attack 22: the tag is asked for once; the verdict's digest is what was verified."""
    server = liar()
    world = server.world
    evil = world.registry.manifest(push_image(world.registry, world.repository, content=b"evil"))
    path = f"/v2/apps/demo/manifests/{world.reference.tag}"
    server.lie = lambda asked, times: served(evil) if asked == path and times else None

    verdict = server.judge()

    assert verdict.allowed
    assert verdict.digest == world.image.digest
    assert server.asked.count(path) == 1


def test_22_evil_manifest_at_the_first_get(liar: Start) -> None:
    """Attack 22, the other way round: what came first is judged, and it is unsigned."""
    server = liar()
    world = server.world
    evil = world.registry.manifest(push_image(world.registry, world.repository, content=b"evil"))
    path = f"/v2/apps/demo/manifests/{world.reference.tag}"
    server.lie = lambda asked, times: served(evil) if asked == path and not times else None

    verdict = server.judge()

    assert errors(verdict) == {"signature": "NO_SIGNATURE"}
    assert verdict.digest == evil.digest


@pytest.mark.parametrize("by_digest", [False, True])
def test_23_body_differs_from_its_digest(liar: Start, *, by_digest: bool) -> None:
    """Attack 23: a body that is not what header or request name."""
    server = liar()
    world = server.world
    good = world.registry.manifest(world.image)
    evil = world.registry.manifest(push_image(world.registry, world.repository, content=b"evil"))
    name = str(world.image.digest) if by_digest else world.reference.tag
    lie: Answer = (served(good)[0], served(good)[1], evil.raw)
    server.lie = lambda asked, _times: lie if asked.endswith(f"/manifests/{name}") else None

    verdict = server.judge(reference=world.image if by_digest else None)

    assert errors(verdict) == {"image": "CONTENT_DIGEST_MISMATCH"}


def test_23_altered_configuration(liar: Start) -> None:
    """Attack 23: a configuration that is not what the manifest names."""
    server = liar()
    world = server.world
    config = json.loads(world.registry.manifest(world.image).raw)["config"]
    evil = b"x" * config["size"]
    server.lie = lambda asked, _times: (
        (200, {}, evil) if asked.endswith(f"/blobs/{config['digest']}") else None
    )

    assert errors(server.judge()) == {"image": "CONTENT_DIGEST_MISMATCH"}


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_33_listing_the_referrers_fails(liar: Start, status: int) -> None:
    """Attack 33: no verdict, although a good .sig stands beside."""
    server = liar()
    server.world.sign_legacy()
    server.lie = lambda asked, _times: (status, {}, b"{}") if "/referrers/" in asked else None

    with pytest.raises(RegistryError):
        server.judge()
    server.check()


def test_33_fallback_tag_fails(liar: Start) -> None:
    """Attack 33: without the API, the tag is the listing, and it fails."""
    server = liar()
    world = server.world
    world.sign_legacy()
    tag = f"/manifests/sha256-{world.image.digest.hex}"

    def lie(asked: str, times: int) -> Answer | None:
        del times
        if "/referrers/" in asked:
            return 404, {}, b"404 page not found"
        return (500, {}, b"{}") if asked.endswith(tag) else None

    server.lie = lie

    with pytest.raises(RegistryError):
        server.judge()
    server.check()


def test_exit_codes_and_documents(
    liar: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends with 0, 3 and 6: allowed, refused, and no verdict at all."""
    server = liar()
    world = server.world
    repository = Repository.parse(world.repository.name)
    good, other = tmp_path / "good.yaml", tmp_path / "other.yaml"
    for file, signer in ((good, world.signer), (other, MemorySigner())):
        assert public_key_pem(signer.public_key)
        file.write_text(new_policy(repository.name, signer.public_key, now=NOW))

    assert cli.main(["verify", str(world.reference), "--policy", str(good), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["decision"] == "allow"
    assert cli.main(["verify", str(world.reference), "--policy", str(other), "--json"]) == 3
    shown = json.loads(capsys.readouterr().out)
    assert shown["decision"] == "deny"
    assert shown["findings"][-1]["code"] == "UNTRUSTED_KEY"
    server.lie = lambda _asked, _times: (404, {}, b"{}")
    assert cli.main(["verify", str(world.reference), "--policy", str(good), "--json"]) == 6
    server.check()
