"""Attacks through references and policies: refused before any request."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.cli import main as cli
from imagekit.errors import InvalidReferenceError, PolicyError
from imagekit.model.reference import parse_reference
from imagekit.pipeline.verify import verify
from imagekit.verify.load import parse_policy
from imagekit.verify.new import new_policy
from tests.attacks_kit import Liar, errors
from tests.signed import NOW

pytestmark = pytest.mark.real

Start = Callable[..., Liar]


@pytest.mark.parametrize(
    "digest",
    [
        f"sha1:{'0' * 40}",
        f"md5:{'0' * 32}",
        f"sha256:{'0' * 63}",
        f"sha256:{'0' * 65}",
        f"sha256:{'A' * 64}",
        f"SHA256:{'0' * 64}",
        "sha256:../../x",
        f"sha256:{'0' * 64}\n",
        f"sha256:{'0' * 64}@sha256:{'0' * 64}",
        "sha256:",
        "",
    ],
)
def test_37_malformed_digest(liar: Start, digest: str) -> None:
    """Attack 37: an unknown algorithm, wrong length, upper case, a path: no request is made."""
    server = liar()

    with pytest.raises(InvalidReferenceError) as caught:
        verify(f"{server.world.repository.name}@{digest}", policy=server.world.policy())

    assert caught.value.code == "INVALID_DIGEST"
    assert server.asked == []


def test_38_tag_beside_a_digest_points_elsewhere(liar: Start) -> None:
    """Attack 38: the digest is verified, with a warning."""
    server = liar()
    world = server.world
    from tests.fakes import push_image

    world.tag("1", push_image(world.registry, world.repository, content=b"other"))

    verdict = server.judge(reference=world.reference.pin(world.image.digest))

    assert verdict.allowed
    assert verdict.digest == world.image.digest
    assert [each.code for each in verdict.findings if each.severity == "warning"] == ["TAG_MOVED"]


def test_39_no_rule_matches(liar: Start) -> None:
    """Attack 39: what no rule of the policy speaks of is denied, and nothing is asked."""
    server = liar()
    world = server.world
    reference = parse_reference(f"{world.repository.host}/other/demo:1")

    assert errors(server.judge(reference=reference)) == {"policy": "NO_POLICY"}
    assert server.asked == []


def test_39_empty_list_of_authorities(liar: Start, tmp_path: Path) -> None:
    """Attack 39: a policy that lists nobody does not load, and nothing is asked."""
    server = liar()
    world = server.world
    text = new_policy(world.repository.name, world.signer.public_key, now=NOW)
    start = text.index("    authorities:")
    end = text.index("    # How many distinct")
    empty = text[:start] + "    authorities: []\n" + text[end:]
    file = tmp_path / "policy.yaml"
    file.write_text(empty)

    with pytest.raises(PolicyError):
        parse_policy(empty.encode(), file="x")
    assert cli.main(["verify", str(world.reference), "--policy", str(file)]) == 2
    assert server.asked == []
