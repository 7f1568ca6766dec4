"""``imagekit node check`` and ``imagekit run`` on a node that lacks something; from a layout."""

import json
from pathlib import Path

import pytest
import yaml

from imagekit.cli.main import main
from imagekit.needs.compare import Lack
from imagekit.needs.needs import Mpi, Needs
from imagekit.needs.predicate import needs_predicate
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import Repository
from imagekit.signatures.intoto import NEEDS
from imagekit.signatures.publickey import public_key_pem
from tests.support.signed import World

LACK = Lack(need="cuda", message="the image needs X, and the node has none", hint="elsewhere")
SAID = Needs(mpi=Mpi(implementation="openmpi", version="4.1.4"), pmi=("pmix",), cpu="x86-64-v2")


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A signed image that says what it needs, and a policy that does not ask for it."""
    registry = LayoutRegistry(LayoutStore(tmp_path / "layout"))
    world = World.in_layout(registry, repository=Repository("localhost", "demo"))
    world.sign()
    world.attach(NEEDS, needs_predicate(SAID))
    (tmp_path / "signer.pub").write_bytes(public_key_pem(world.signer.public_key))
    _policy(tmp_path)
    state = str(tmp_path / "seen.db")
    policy = ["--policy", str(tmp_path / "policy.yaml"), "--state", state]
    return [f"oci:{tmp_path / 'layout'}:demo:1", *policy]


def _policy(folder: Path, **rule: str) -> None:
    document = {
        "apiVersion": "imagekit/v1",
        "kind": "ImagePolicy",
        "metadata": {"name": "site", "version": 1, "expires": "2999-01-01T00:00:00Z"},
        "images": [
            {
                "match": {"glob": "localhost/**"},
                "authorities": [{"name": "release", "key": {"path": "signer.pub"}}],
                **rule,
            }
        ],
    }
    (folder / "policy.yaml").write_text(yaml.dump(document))


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> list[Lack]:
    """What this node lacks: nothing, until a test adds something."""
    found: list[Lack] = []
    monkeypatch.setattr("imagekit.hosts.read_node.find_lacks_here", lambda _: tuple(found))
    return found


def test_a_good_node_is_told_what_is_needed(
    words: list[str], lacking: list[Lack], capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, and with 0."""
    assert lacking == []
    assert main(["node", "check", *words]) == 0

    assert capsys.readouterr().out.endswith("needs: openmpi 4.1.4, pmix, x86-64-v2\n")


def test_what_is_missing_is_told(
    words: list[str], lacking: list[Lack], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each need with its remedy, and with the code of a denial."""
    lacking += [LACK, LACK]

    assert main(["node", "check", *words]) == 3

    shown = capsys.readouterr().out
    assert LACK.message in shown
    assert shown.count("cuda: elsewhere") == 2


def test_programs_read_it(
    words: list[str], lacking: list[Lack], capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdict, the needs and what is missing."""
    lacking.append(LACK)

    assert main(["node", "check", *words, "--json"]) == 3

    document = json.loads(capsys.readouterr().out)
    assert document["decision"] == "deny"
    assert document["needs"] == {
        "mpi": {"implementation": "openmpi", "version": "4.1.4"},
        "pmi": ["pmix"],
        "cpu": "x86-64-v2",
    }
    assert document["missing"] == [
        {"need": "cuda", "message": LACK.message, "hint": LACK.hint},
    ]


def test_run_starts_nothing_on_a_node_that_lacks_something(
    words: list[str], lacking: list[Lack], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Where the policy says that needs are checked."""
    _policy(tmp_path, needs="checked")
    lacking.append(LACK)

    assert main(["run", "--dry-run", *words]) == 3
    assert "NODE_LACKS" in capsys.readouterr().out

    lacking.clear()
    assert main(["run", "--dry-run", *words]) == 0
    assert "podman" in capsys.readouterr().out


def test_run_compares_nothing_unasked(words: list[str], lacking: list[Lack]) -> None:
    """A policy that does not ask for it is as it was."""
    lacking.append(LACK)

    assert main(["run", "--dry-run", *words]) == 0


def test_verify_is_for_no_node(words: list[str], lacking: list[Lack], tmp_path: Path) -> None:
    """A registry's host lacks much, and runs nothing."""
    _policy(tmp_path, needs="checked")
    lacking.append(LACK)

    assert main(["verify", *words]) == 0
