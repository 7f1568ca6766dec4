"""Which source of a setting counts, and which configuration is refused."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.cli.main import main
from imagekit.errors import InputError
from imagekit.settings.config_files import MAX_BYTES
from imagekit.settings.document import KINDS, read_settings, settings_schema
from imagekit.settings.keys import KEYS
from imagekit.settings.settings import Settings

Write = Callable[[str, str], Path]
NAMES = {
    "folder": "home/project/imagekit.toml",
    "user": "home/.config/imagekit/imagekit.toml",
    "system": "etc/imagekit/imagekit.toml",
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return what writes the file of a folder, of the user, or of the system."""

    def make(kind: str, text: str) -> Path:
        file = tmp_path / NAMES[kind]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    (tmp_path / "home/project/deep").mkdir(parents=True)
    return make


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Return what reads the settings below the working folder, as a new command does."""

    def make(**env: str) -> Settings:
        home = {"HOME": str(tmp_path / "home")}
        folder = tmp_path / "home/project/deep"
        return Settings(env=home | env, folder=folder, root=tmp_path)

    return make


Reader = Callable[..., Settings]


def _trust(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(file.parent.parent))
    assert main(["config", "trust", str(file)]) == 0


def _value(settings: Settings, name: str) -> object:
    found = settings.find(name)
    return None if found is None else found.value


def _where(settings: Settings, name: str) -> str:
    found = settings.find(name)
    return "" if found is None else found.where


def _code(settings: Settings, name: str) -> str:
    with pytest.raises(InputError) as caught:
        settings.find(name)
    return caught.value.code


def test_the_nearest_source_that_says_a_setting_counts(
    write: Write, settings: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variable, folder, user, system: each is taken away in turn, and then the next one counts."""
    system = write("system", 'builder = "urn:system"\n')
    user = write("user", 'builder = "urn:user"\n')
    folder = write("folder", '# mine\nbuilder = "urn:folder"\n')
    _trust(folder, monkeypatch)

    assert _where(settings(IMAGEKIT_BUILDER="urn:env"), "builder") == "IMAGEKIT_BUILDER"
    assert _where(settings(), "builder") == f"{folder}:2"
    assert _where(settings(IMAGEKIT_CONFIG="/dev/null"), "builder") == f"{user}:1"
    folder.write_text("")
    assert _value(settings(), "builder") == "urn:user"
    user.unlink()
    assert _value(settings(), "builder") == "urn:system"
    system.unlink()
    assert settings().find("builder") is None


def test_an_empty_variable_is_as_unset(write: Write, settings: Reader) -> None:
    """A CI that has no value for it leaves the file's."""
    write("user", 'builder = "urn:user"\n')

    assert _value(settings(IMAGEKIT_BUILDER=""), "builder") == "urn:user"


def test_paths_are_relative_to_their_file(write: Write, settings: Reader, tmp_path: Path) -> None:
    """Wherever the command is run; a key's URI and a registry are no paths."""
    write("user", 'key = "../site.key"\nto = "oci:images"\nstage-to = "images"\nca-file = "~/ca"\n')
    found = settings()
    here = tmp_path / "home/.config/imagekit"

    assert _value(found, "key") == here / "../site.key"
    assert _value(found, "to") == f"oci:{here}/images"
    assert _value(found, "stage-to") == str(here / "images")
    uris = read_settings(b'key = "pkcs11:object=x"\nto = "r.site/apps"\n', here / "imagekit.toml")
    assert (str(uris["key"].value), uris["to"].value) == ("pkcs11:object=x", "r.site/apps")
    assert read_settings(b'stage-to = "sif:a"', here / "f")["stage-to"].value == f"sif:{here}/a"


def test_what_excludes_each_other_comes_from_one_source(write: Write, settings: Reader) -> None:
    """Whoever says keyless in a file of their own does not sign by the system's key."""
    write("user", "keyless = true\n")
    write("system", 'key = "site.key"\npolicy-key = ["a.pub"]\n')

    assert _value(settings(), "keyless") is True
    assert settings().find("key") is None
    assert settings(IMAGEKIT_POLICY_AUTHORITY="a.yaml").find("policy-key") is None


DECIDING = [key.name for key in KEYS if not key.free]
VALUES = {
    "policy-key": '["x.pub"]',
    "keyless": "true",
    "locked": "true",
    "isolation": '"chroot"',
    "mirrors": '["debian=http://evil.site/debian"]',
    "jobs": "3",
    "engine": '"docker"',
    "plain-http": '["r.site"]',
    "realms": '["evil.site"]',
}


@pytest.mark.parametrize("name", DECIDING)
def test_a_cloned_file_decides_nothing_before_it_is_trusted(
    name: str, write: Write, settings: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the user's own by then: neither owner nor mode tell it from what the user wrote."""
    file = write("folder", f"{name} = {VALUES.get(name, chr(34) + 'evil' + chr(34))}\n")
    write("user", f"{name} = {VALUES.get(name, chr(34) + 'good' + chr(34))}\n")

    assert _code(settings(), name) == "config/not-trusted"
    _trust(file, monkeypatch)
    assert _where(settings(), name) == f"{file}:1"
    file.write_text(file.read_text() + "# changed by a pull\n")
    assert _code(settings(), name) == "config/not-trusted"


def test_what_is_trusted_is_trusted_in_its_place(
    write: Write, settings: Reader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same bytes in another folder name other files."""
    text = 'policy = "policy.yaml"\n'
    _trust(write("folder", text), monkeypatch)
    elsewhere = tmp_path / "home/other"
    elsewhere.mkdir()
    (elsewhere / "imagekit.toml").write_text(text)

    assert settings().find("policy") is not None
    other = Settings(env={"HOME": str(tmp_path / "home")}, folder=elsewhere, root=tmp_path)
    assert _code(other, "policy") == "config/not-trusted"


def test_a_file_that_is_named_is_trusted(write: Write, settings: Reader) -> None:
    """In a CI nobody answers questions; there the variable says which file is meant."""
    file = write("folder", 'policy = "policy.yaml"\n')

    assert _where(settings(IMAGEKIT_CONFIG=str(file)), "policy") == f"{file}:1"
    assert _code(settings(IMAGEKIT_CONFIG="/nowhere"), "policy") == "config/unreadable"


@pytest.mark.parametrize(("text", "obeyed"), [("recipes", True), ("..", False), ("/srv", False)])
def test_recipes_within_the_folder_need_no_trust(
    text: str, *, obeyed: bool, write: Write, settings: Reader
) -> None:
    """The file marks a tree of recipes anyway, and names no other one."""
    write("folder", f'recipes = "{text}"\n')

    if obeyed:
        assert settings().find("recipes") is not None
    else:
        assert _code(settings(), "recipes") == "config/not-trusted"


def test_recipes_behind_a_link_are_not_within(
    write: Write, settings: Reader, tmp_path: Path
) -> None:
    """A clone can hold a link to anywhere."""
    write("folder", 'recipes = "recipes"\n')
    (tmp_path / "home/project/recipes").symlink_to(tmp_path)

    assert _code(settings(), "recipes") == "config/not-trusted"


@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_a_file_that_others_may_write_is_refused(mode: int, write: Write, settings: Reader) -> None:
    """Root's group is nobody's private one, and everybody is everybody."""
    file = write("user", 'policy = "p"\n')
    file.chmod(mode)
    os.chown(file, -1, 1) if os.geteuid() == 0 else file.chmod(0o666)

    assert _code(settings(), "policy") == "config/foreign"


@pytest.mark.parametrize("kind", ["folder", "user", "system"])
def test_a_folder_that_others_may_write_is_refused(
    kind: str, write: Write, settings: Reader
) -> None:
    """Who may write the folder may put another file there."""
    write(kind, 'policy = "p"\n').parent.chmod(0o777)

    assert _code(settings(), "policy") == "config/foreign"


@pytest.mark.root
@pytest.mark.parametrize("kind", ["folder", "user", "system"])
def test_a_file_of_somebody_else_is_refused(kind: str, write: Write, settings: Reader) -> None:
    """Also where it sets nothing that this command asks for, and where it is trusted."""
    file = write(kind, "")
    os.chown(file, 12345, -1)

    assert _code(settings(), "policy") == "config/foreign"


@pytest.mark.root
def test_a_file_in_a_folder_of_somebody_else_is_refused(write: Write, settings: Reader) -> None:
    """The owner of a folder may take files out of it, and put others in."""
    os.chown(write("folder", "").parent, 12345, -1)

    assert _code(settings(), "policy") == "config/foreign"


def test_a_link_in_a_folder_is_refused_and_a_users_own_is_not(
    write: Write, settings: Reader, tmp_path: Path
) -> None:
    """A clone can hold a link; users keep their own files together and link to them."""
    real = tmp_path / "real.toml"
    real.write_text('builder = "urn:x"\n')
    file = write("user", "")
    file.unlink()
    file.symlink_to(real)
    assert _value(settings(), "builder") == "urn:x"

    link = write("folder", "")
    link.unlink()
    link.symlink_to(real)
    assert _code(settings(), "builder") == "config/unreadable"


def test_what_is_no_file_is_not_waited_for(write: Write, settings: Reader) -> None:
    """A FIFO has no end, a folder no bytes, and 1 GB is not read."""
    file = write("folder", "")
    file.unlink()
    os.mkfifo(file)
    began = time.monotonic()
    assert _code(settings(), "policy") == "config/unreadable"
    file.unlink()
    file.mkdir()
    assert _code(settings(), "policy") == "config/unreadable"
    file.rmdir()
    with file.open("wb") as sparse:
        sparse.truncate(1 << 30)
    assert _code(settings(), "policy") == "config/unreadable"
    assert time.monotonic() - began < 10


def test_the_largest_file_is_one_that_can_be_read() -> None:
    """What is let through to the parser is what the parser takes."""
    read_settings(b"#" * (MAX_BYTES - 1) + b"\n", Path("/f"))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('polcy = "p"', "config/unknown-key"),
        ('[publish]\nto = "x.site/a"', "config/unknown-key"),
        ("policy = 1", "config/wrong-kind"),
        ('policy = ""', "config/not-matching"),
        ('plain-http = "r.site"', "config/wrong-kind"),
        ('plain-http = ["*"]', "config/bad-host"),
        ('engine = "runc"', "config/not-matching"),
        ("policy-key = []", "config/out-of-range"),
        ("policy", "config/syntax"),
    ],
)
def test_a_document_is_strict(text: str, code: str) -> None:
    """Nothing that was not understood is passed over."""
    with pytest.raises(InputError) as caught:
        read_settings(text.encode(), Path("/f"))

    assert [d.code for d in caught.value.diagnostics] == [code]


def test_a_file_without_keys_is_no_question(write: Write, settings: Reader) -> None:
    """The mark of a tree of recipes may be empty, as it always could be."""
    write("folder", "# marks a tree of recipes\n")

    assert settings().find("policy") is None


def test_nothing_is_read_where_the_variable_says_it(write: Write, settings: Reader) -> None:
    """Also no file that would be refused."""
    write("folder", "?").chmod(0o666)

    assert _value(settings(IMAGEKIT_POLICY="p"), "policy") == Path("p")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("plain-http", "R.site:5000, b.site", ("r.site:5000", "b.site")),
        ("policy-key", "a:b", (Path("a"), Path("b"))),
        ("keyless", "true", True),
        ("mirrors", "debian=http://m.site/d", ("debian=http://m.site/d",)),
        ("isolation", "chroot", "chroot"),
        ("jobs", "12", 12),
    ],
)
def test_every_kind_has_a_variable(name: str, text: str, value: object, settings: Reader) -> None:
    """Lists are parted by commas, paths as PATH is."""
    variable = f"IMAGEKIT_{name.upper().replace('-', '_')}"

    assert _value(settings(**{variable: text}), name) == value


@pytest.mark.parametrize(
    "env",
    [
        {"IMAGEKIT_KEYLESS": "yes"},
        {"IMAGEKIT_ISOLATION": "none"},
        {"IMAGEKIT_REALMS": "!"},
        {"IMAGEKIT_JOBS": "0"},
        {"IMAGEKIT_JOBS": "257"},
        {"IMAGEKIT_JOBS": "two"},
        {"IMAGEKIT_JOBS": "9" * 5000},
    ],
)
def test_a_variable_that_is_not_understood_is_refused(
    env: dict[str, str], settings: Reader
) -> None:
    """It never counts as unset."""
    (name,) = env
    with pytest.raises(InputError) as caught:
        settings(**env).find(name.removeprefix("IMAGEKIT_").lower())

    assert name in caught.value.message


def test_the_table_has_a_shape_for_every_key() -> None:
    """And the schema has every key, with what it is."""
    assert list(KINDS) == [key.name for key in KEYS]
    assert list(settings_schema()["properties"]) == list(KINDS)
    assert json.dumps(settings_schema())


def test_the_page_has_every_key_and_variable(project: Path) -> None:
    """docs/configuration.md is the reference."""
    page = (project / "docs/configuration.md").read_text()

    for key in KEYS:
        assert f"| `{key.name}` | `{key.variable}` |" in page
