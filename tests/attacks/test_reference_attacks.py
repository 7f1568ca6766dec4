"""Attacks through references and policies: refused before any request."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.cli import main as cli
from imagekit.errors import InvalidReferenceError, PolicyError
from imagekit.oci.reference import parse_reference
from imagekit.policy.load import parse_policy
from imagekit.policy.new import new_policy
from imagekit.policy.ruleset import SignedIdentity
from imagekit.verify.verify import verify
from tests.support.attacks_kit import Liar, errors
from tests.support.signed import NOW

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
    from tests.support.fakes import push_image

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


@pytest.mark.parametrize(
    "spelling",
    [
        "{host}.:{port}",
        "{host}:0{port}",
        "[::ffff:{host}]:{port}",
        "[::ffff:7f00:1]:{port}",
        "127.1:{port}",
        "127.0.1:{port}",
        "0x7f.1:{port}",
        "0177.0.0.1:{port}",
        "2130706433:{port}",
        "0.0.0.0:{port}",
        "[::]:{port}",
        "{host}\N{FULLWIDTH FULL STOP}:{port}",
    ],
)
def test_48_the_spelling_of_a_host_chooses_a_laxer_rule(liar: Start, spelling: str) -> None:
    """Attack 48: the strict rule speaks of the registry, whatever its host is written like."""
    server = liar()
    world = server.world
    host, _, port = world.repository.host.partition(":")
    assert host == "127.0.0.1"
    strict = replace(world.policy().images[0], glob=f"{world.repository.host}/**", threshold=9)
    lax = replace(world.policy().images[0], glob="**", signed_identity=SignedIdentity.DIGEST_ONLY)
    policy = replace(world.policy(), images=(strict, lax))
    name = spelling.format(host=host, port=port)

    try:
        verdict = server.judge(
            policy, reference=parse_reference(f"{name}/{world.repository.path}:1")
        )
    except InvalidReferenceError:
        assert server.asked == []
    else:
        assert not verdict.allowed
