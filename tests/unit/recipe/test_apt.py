"""Repositories for apt: what a recipe can say, and what it cannot."""

import base64
from pathlib import Path

import pytest

from imagekit.errors import RecipeError
from imagekit.recipe import load
from imagekit.recipe.recipe import BootstrapBase
from tests.support.openpgp import ARMORED, PACKETS

DEBIAN = "base: {bootstrap: {distribution: debian, suite: bookworm}}\n"
GCC = "packages: [{manager: apt, install: [gcc]}]\n"
GOOD = {
    "uri": "https://p.example/apt",
    "suite": "stable",
    "components": "[main]",
    "signed_by": "files/key.asc",
}


def _apt(**changes: str) -> str:
    rows = {key: value for key, value in (GOOD | changes).items() if value}
    source = ", ".join(f"{key.replace('__', '-')}: {value}" for key, value in rows.items())
    return f"apt: {{sources: [{{{source}}}]}}\n{GCC}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a recipe, with a key."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files/key.asc").write_text(ARMORED)
    (tmp_path / "files/key.gpg").write_bytes(PACKETS)
    (tmp_path / "files/note.txt").write_text("no key")
    (tmp_path / "files/large").write_bytes(bytes(300_000))
    (tmp_path / "files/away").symlink_to("/etc/hostname")
    return tmp_path


def _load(folder: Path, text: str, base: str = DEBIAN) -> None:
    (folder / "recipe.yaml").write_text(f"schema: 1\nname: x\nversion: '1'\n{base}{text}")
    load(folder)


@pytest.mark.parametrize("key", ["files/key.asc", "files/key.gpg"])
def test_a_repository_comes_with_its_key(folder: Path, key: str) -> None:
    """Its packets are part of what is built, however the file has them."""
    _load(folder, _apt(signed_by=key))

    (source,) = load(folder).apt
    assert (source.uri, source.suite, source.components) == (
        "https://p.example/apt",
        "stable",
        ("main",),
    )
    assert base64.b64decode(source.key) == PACKETS


@pytest.mark.parametrize("suite", ["/", "./", "x86_64/", "ubuntu2204/x86_64/"])
def test_a_path_is_a_suite_without_components(folder: Path, suite: str) -> None:
    """As sources.list(5) has it."""
    _load(folder, _apt(suite=suite, components=""))

    assert load(folder).apt[0].components == ()


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"signed_by": ""}, "missing-key", "signed_by"),
        ({"signed_by": "files/none.asc"}, "no-such-file", "files/none.asc"),
        ({"signed_by": "/usr/share/keyrings/x.gpg"}, "path-leaves-recipe", "leaves"),
        ({"signed_by": "../key.asc"}, "path-leaves-recipe", "leaves"),
        ({"signed_by": "files/away"}, "path-leaves-recipe", "leads out"),
        ({"signed_by": "files"}, "bad-key", "not a regular file"),
        ({"signed_by": "files/note.txt"}, "bad-key", "no block"),
        ({"signed_by": "files/large"}, "bad-key", "more than 262144 bytes"),
        ({"uri": "file:///srv/apt"}, "not-matching", "uri"),
        ({"uri": "copy:/srv/apt"}, "not-matching", "uri"),
        ({"uri": "'http://p.example/a b'"}, "not-matching", "uri"),
        ({"uri": "'http://p.example/[trusted=yes]'"}, "not-matching", "uri"),
        ({"uri": '"http://p.example/a\\nTrusted: yes"'}, "not-matching", "uri"),
        ({"uri": "'http://p.example/%20'"}, "not-matching", "uri"),
        ({"uri": "'http://p.example/$(ARCH)'"}, "not-matching", "uri"),
        ({"uri": "'http://p.example/a#b'"}, "not-matching", "uri"),
        ({"uri": "http://me:hunter2@p.example/apt"}, "bad-url", "a user or password"),
        ({"suite": "'stable main'"}, "not-matching", "suite"),
        ({"suite": "'stable [trusted=yes]'"}, "not-matching", "suite"),
        ({"suite": '"stable\\nTrusted: yes"'}, "not-matching", "suite"),
        ({"suite": "../up/"}, "not-matching", "suite"),
        ({"components": "['main contrib']"}, "not-matching", "components"),
        ({"components": '["main\\nTrusted: yes"]'}, "not-matching", "components"),
        ({"components": ""}, "bad-components", "has no components"),
        ({"suite": "/"}, "bad-components", "is a path"),
        ({"trusted": "yes"}, "unknown-key", "trusted"),
        ({"options": "'[trusted=yes]'"}, "unknown-key", "options"),
        ({"allow__insecure": "yes"}, "unknown-key", "allow-insecure"),
    ],
)
def test_what_a_repository_cannot_be(
    folder: Path, changes: dict[str, str], code: str, said: str
) -> None:
    """Nothing of it can begin another word, field or option of apt's."""
    with pytest.raises(RecipeError) as caught:
        _load(folder, _apt(**changes))

    (fault,) = caught.value.diagnostics
    assert (fault.code, fault.line) == (f"recipe/{code}", 5)
    assert said in fault.message
    assert "hunter2" not in fault.message + fault.hint


def test_a_private_key_is_refused(folder: Path) -> None:
    """Whoever builds the recipe has read it then, and the recipe's readers."""
    (folder / "files/key.asc").write_text(ARMORED.replace("PUBLIC", "PRIVATE"))

    with pytest.raises(RecipeError) as caught:
        _load(folder, _apt())

    assert "private key" in caught.value.diagnostics[0].message


def test_repositories_that_nothing_uses_are_an_error(folder: Path) -> None:
    """Else it would seem that a later recipe has them."""
    with pytest.raises(RecipeError) as caught:
        _load(folder, _apt().replace(GCC, ""))

    (fault,) = caught.value.diagnostics
    assert fault.code == "recipe/unused-apt"


def test_a_containerfile_says_its_repositories_itself(folder: Path) -> None:
    """It would not see these."""
    (folder / "Containerfile").write_text("FROM scratch\n")
    with pytest.raises(RecipeError) as caught:
        _load(folder, _apt().replace(GCC, ""), base="containerfile: Containerfile\n")

    assert "recipe/containerfile-and-base" in {d.code for d in caught.value.diagnostics}


BASES = {
    "rpm distribution": ("distribution: rocky, suite: x", "not-matching", "base: {image:"),
    "misspelt": ("distribution: ubunut, suite: noble", "not-matching", "did you mean `ubuntu`?"),
    "updates": ("distribution: debian, suite: trixie-updates", "bad-suite", "`suite: trixie`"),
    "backports": ("distribution: debian, suite: bookworm-backports", "bad-suite", "bookworm"),
    "experimental": ("distribution: debian, suite: experimental", "bad-suite", "`suite: sid`"),
    "mirror in a folder": (
        "distribution: debian, suite: sid, mirror: 'file:///srv'",
        "not-matching",
        "https://",
    ),
    "mirror with options": (
        "distribution: debian, suite: sid, mirror: 'http://m/debian [trusted=yes]'",
        "not-matching",
        "https://",
    ),
    "mirror with a login": (
        "distribution: debian, suite: sid, mirror: 'http://a:b@m/debian'",
        "bad-url",
        "",
    ),
}


@pytest.mark.parametrize(("text", "code", "hint"), BASES.values(), ids=BASES)
def test_systems_that_cannot_be_made(folder: Path, text: str, code: str, hint: str) -> None:
    """Each with its remedy, before anything is downloaded."""
    with pytest.raises(RecipeError) as caught:
        _load(folder, "", base=f"base: {{bootstrap: {{{text}}}}}\n")

    (fault,) = caught.value.diagnostics
    assert (fault.code, fault.line) == (f"recipe/{code}", 4)
    assert hint in fault.hint


def test_a_manager_of_rpm_is_a_step(folder: Path) -> None:
    """The remedy says what to write."""
    with pytest.raises(RecipeError) as caught:
        _load(folder, "packages: [{manager: dnf, install: [gcc]}]\n")

    assert "run: dnf install" in caught.value.diagnostics[0].hint


def test_a_mirror_is_part_of_the_base(folder: Path) -> None:
    """And the host's own is used where the recipe names none."""
    _load(folder, "", base=DEBIAN.replace("bookworm", "bookworm, mirror: 'http://m.site/debian'"))

    base = load(folder).base
    assert isinstance(base, BootstrapBase)
    assert base.mirror == "http://m.site/debian"
