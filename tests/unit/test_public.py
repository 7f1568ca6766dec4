"""The library's front: its names, and that they cost nothing until they are used."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import imagekit
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import Repository
from imagekit.signatures.publickey import public_key_pem
from tests.support.replay import Stage
from tests.support.signed import World

HEAVY = (
    "oras",
    "sigstore",
    "cyclonedx",
    "requests",
    "sh",
    "shtab",
    "yaml",
    "cryptography",
    "rich",
    "json",
)


@pytest.mark.parametrize("name", ["sh", "oras", "sigstore", "cyclonedx"])
def test_the_packages_that_imagekit_stands_on_are_used(name: str) -> None:
    """Around Buildah, for pushing, signing and SBOMs: these were given, and are not replaced."""
    package = Path(imagekit.__file__).parent
    pattern = re.compile(rf"^\s*(import|from) {name}\b", re.MULTILINE)

    users = [file for file in package.rglob("*.py") if pattern.search(file.read_text("utf-8"))]

    assert users


@pytest.mark.parametrize("name", imagekit.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """What __all__ promises can be imported."""
    assert getattr(imagekit, name) is not None


def test_other_names_are_not() -> None:
    """A misspelt name is an AttributeError, as everywhere."""
    with pytest.raises(AttributeError):
        _ = imagekit.no_such_name


@pytest.mark.parametrize("code", ["import imagekit", "from imagekit.cli.main import main"])
def test_import_is_light(code: str) -> None:
    """Neither the library nor the command line loads anything heavy to begin with."""
    probe = f"import sys; {code}; print(*[n for n in {HEAVY!r} if n in sys.modules])"
    heavy = HEAVY[:-1] if "cli" in code else HEAVY

    shown = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not set(shown) & set(heavy)


COSTLY = {
    "key": "oras requests urllib3 sigstore univers cyclonedx cel_expr_python re2 rich sh "
    "concurrent.futures asyncio imagekit.recipe.recipe imagekit.progress "
    "imagekit.process",
    "layout": "http.client ssl socket",
    "nothing": "yaml cryptography json sqlite3 ssl http.client imagekit.policy.ruleset "
    "imagekit.recipe.recipe imagekit.verify imagekit.build",
}
"""What a command must not load. A policy of keys that asks for no freshness needs none of it."""
PROBE = """
import contextlib, io, sys
from imagekit.cli.main import main
code = 0
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    code = main(sys.argv[2:])
print(code, *[name for name in sys.argv[1].split() if name in sys.modules])
"""


def _run(unwanted: str, words: Sequence[str]) -> list[str]:
    """Run a command in an interpreter of its own; return its exit code, and what it loaded."""
    return subprocess.run(
        [sys.executable, "-c", PROBE, unwanted, *words],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


def _policy(folder: Path, world: World) -> str:
    (folder / "signer.pub").write_bytes(public_key_pem(world.signer.public_key))
    path = folder / "policy.yaml"
    document = {
        "apiVersion": "imagekit/v1",
        "kind": "ImagePolicy",
        "metadata": {"name": "site", "version": 1, "expires": "2999-01-01T00:00:00Z"},
        "default": "reject",
        "images": [
            {
                "match": {"glob": f"{world.repository.host}/**"},
                "authorities": [{"name": "release", "key": {"path": "signer.pub"}}],
            }
        ],
    }
    path.write_text(json.dumps(document))
    return str(path)


def test_verify_by_key_in_a_registry_is_light(tmp_path: Path) -> None:
    """Nothing is loaded that verifies certificates, pushes, judges versions or remembers."""
    stage = Stage()
    with stage.server:
        policy = _policy(tmp_path, stage.world)
        words = ["verify", str(stage.world.reference), "--policy", policy]
        several = ["verify", str(stage.world.reference), *words[1:]]

        assert _run(COSTLY["key"], words) == ["0"]
        assert _run(COSTLY["key"], several) == ["0"]


def test_verify_by_key_in_a_layout_is_light(tmp_path: Path) -> None:
    """No network is asked, so nothing is loaded that could."""
    repository = Repository("localhost", "apps/demo")
    registry = LayoutRegistry(LayoutStore(tmp_path / "layout"))
    world = World.in_layout(registry, repository=repository)
    world.sign()
    words = ["verify", f"oci:{tmp_path}/layout:apps/demo:1", "--policy", _policy(tmp_path, world)]

    assert _run(f"{COSTLY['key']} {COSTLY['layout']}", words) == ["0"]


@pytest.mark.parametrize("words", [["--help"], ["verify"], ["verify", "--no-such-option"], ["no"]])
def test_whoever_asks_for_nothing_loads_nothing(words: list[str]) -> None:
    """Help and a wrong word on the command line are answered at once."""
    assert _run(COSTLY["nothing"], words) == ["0" if words == ["--help"] else "64"]


def test_help_needs_no_parser() -> None:
    """It is a text: no parser, no generated classes, no errors are loaded for it."""
    unwanted = "argparse dataclasses inspect shutil gettext imagekit.errors imagekit.cli.execute"

    assert _run(unwanted, ["--help"]) == ["0"]


def test_a_refused_policy_is_light(tmp_path: Path) -> None:
    """A policy that cannot be read is refused before a registry or a key is thought of."""
    path = tmp_path / "policy.yaml"
    path.write_text("kind: ImagePolicy\n")

    words = ["verify", "r.site/a:1", "--policy", str(path)]

    assert _run(f"{COSTLY['key']} {COSTLY['layout']}", words) == ["2"]


def test_a_refused_recipe_is_light(tmp_path: Path) -> None:
    """Neither the tools of building nor those of verifying are loaded for a fault in a recipe."""
    (tmp_path / "recipe.yaml").write_text("schema: 1\nnam: hello\n")

    unwanted = "oras requests sigstore univers cyclonedx sh sqlite3 ssl http.client cryptography"

    assert _run(unwanted, ["lint", str(tmp_path)]) == ["2"]


def test_only_a_process_of_our_own_collects_garbage_less_often() -> None:
    """Whoever calls ``main`` with words of their own keeps Python's habits."""
    probe = (
        "import gc, sys; from imagekit.cli.main import main; before = gc.get_threshold()\n"
        "main(['no']); print(gc.get_threshold() == before)\n"
        "sys.argv = ['imagekit', 'no']; main(); print(gc.get_threshold() > before)"
    )

    shown = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    ).stdout.split()

    assert shown == ["True", "True"]


LISTED = Path(__file__).with_name("cold_verify.txt")
ALL = """
import contextlib, io, sys
from imagekit.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    code = main(sys.argv[1:])
stdlib = sys.stdlib_module_names
names = {name for name in sys.modules if not name.startswith("_")}
ours = {name for name in names if name.partition(".")[0] == "imagekit"}
others = {name.partition(".")[0] for name in names} - stdlib - {"imagekit"}
# What one word too many would bring back: generated classes, keys of ssh, the size of a terminal.
slow = names & {"dataclasses", "cryptography.hazmat.primitives.serialization.ssh", "shutil"}
print(code, *sorted(ours | others | slow))
"""


def test_a_cold_verify_by_key_imports_what_is_listed(tmp_path: Path) -> None:
    """Most of its time is imports: a module that is added to them is added to the list, or lazy."""
    stage = Stage()
    with stage.server:
        words = ["verify", str(stage.world.reference), "--policy", _policy(tmp_path, stage.world)]
        shown = subprocess.run(
            [sys.executable, "-c", ALL, *words], capture_output=True, text=True, check=True
        ).stdout.split()

    assert shown[0] == "0"
    assert {*shown[1:]} - {*LISTED.read_text().split()} == set()
