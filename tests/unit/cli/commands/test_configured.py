"""Commands with nothing typed but what they are about, and what was typed comes first."""

import argparse
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imagekit.cli.commands import publish
from imagekit.cli.main import main
from imagekit.cli.options import (
    add_registry_options,
    add_signer_options,
    configured,
    registry_of,
    signer_of,
)
from imagekit.errors import InputError, UsageError
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import Repository, TaggedReference
from imagekit.policy.new import new_policy
from imagekit.signatures.keys.key_files import generate, read_public_key
from tests.support.fakes import push_image

IMAGE = "oci:layout:app:1"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image in a layout, a key, and a policy that wants the key's signature."""
    folder = tmp_path_factory.mktemp("made")
    registry = LayoutRegistry(LayoutStore.create(folder / "layout"))
    repository = Repository("localhost", "app")
    image = push_image(registry, repository)
    registry.tag(TaggedReference(repository, "1"), registry.manifest(image))
    generate(folder, lambda: "secret")
    key = read_public_key(folder / "imagekit.pub")
    (folder / "policy.yaml").write_text(new_policy("localhost/**", key, now=datetime.now(UTC)))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same for one test, with nothing configured but the user's file for policy and key."""
    folder = tmp_path / "folder"
    shutil.copytree(made, folder)
    config = tmp_path / "config/imagekit"
    config.mkdir(parents=True)
    (config / "imagekit.toml").write_text(
        f'policy = "{folder}/policy.yaml"\nkey = "{folder}/imagekit.key"\n'
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "secret")
    monkeypatch.chdir(folder)
    return folder


def test_sign_and_verify_need_only_the_image(folder: Path) -> None:
    """The policy denies it at first, so it is the policy that judged."""
    assert main(["verify", IMAGE]) == 3
    assert main(["sign", IMAGE]) == 0
    assert main(["verify", IMAGE]) == 0


def test_an_option_comes_before_what_is_configured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one that names nothing: it is not replaced by what happens to be configured."""
    assert main(["verify", IMAGE, "--policy", "other.yaml"]) == 2
    assert main(["sign", IMAGE, "--key", "other.key"]) == 2
    assert "other.key" in capsys.readouterr().err


def test_a_cloned_folder_cannot_have_its_own_images_allowed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its policy accepts its own key; the user's policy is not asked in its stead, in silence."""
    clone = folder / "clone"
    clone.mkdir()
    generate(clone, lambda: "secret")
    key = read_public_key(clone / "imagekit.pub")
    (clone / "policy.yaml").write_text(new_policy("localhost/**", key, now=datetime.now(UTC)))
    assert main(["sign", IMAGE, "--key", str(clone / "imagekit.key")]) == 0
    (folder / "imagekit.toml").write_text('policy = "clone/policy.yaml"\n')

    assert main(["verify", IMAGE]) == 2
    assert "imagekit config trust" in capsys.readouterr().err
    assert main(["verify", IMAGE, "--policy", "policy.yaml"]) == 3
    assert main(["config", "trust"]) == 0
    assert main(["verify", IMAGE]) == 0


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["verify", "r.site/x:1"], ("--policy FILE", "IMAGEKIT_POLICY", "policy = ")),
        (["publish", "nowhere"], ("--to DESTINATION", "IMAGEKIT_TO", "to = ")),
        (["stage", "r.site/x:1"], ("--to [KIND:]PATH", "IMAGEKIT_STAGE_TO", "stage-to = ")),
        (["sign", "r.site/x:1"], ("--key FILE", "IMAGEKIT_KEY", "`key`")),
        (["gate", "--upstream", "r.site", "--listen", "127.0.0.1:1"], ("--policy FILE", "TO", "")),
    ],
)
def test_what_is_missing_names_option_variable_and_file(
    words: list[str], names: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is guessed: without a policy there is no verdict."""
    assert main(words) == 64
    shown = capsys.readouterr().err
    assert all(name in shown for name in names[:2]) or names[1] == "TO"
    assert names[2] in shown
    assert "imagekit.toml" in shown


def _arguments(*words: str, add: Callable[[argparse.ArgumentParser], None]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add(parser)
    return parser.parse_args(words)


def test_registries_without_tls_are_those_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is configured once must not take TLS away from every other registry."""
    monkeypatch.setenv("IMAGEKIT_PLAIN_HTTP", "R.site:5000")
    monkeypatch.setenv("IMAGEKIT_CA_FILE", "ca.pem")

    options = registry_of(_arguments(add=add_registry_options))
    assert options.of("r.site:5000").plain_http
    assert not options.of("docker.io").plain_http
    assert options.ca_file == Path("ca.pem")
    options = registry_of(_arguments("--plain-http", add=add_registry_options))
    assert options.of("docker.io").plain_http
    limited = registry_of(
        _arguments("--plain-http", add=add_registry_options), plain_hosts=frozenset({"a.site"})
    )
    assert [limited.of(host).plain_http for host in ("a.site", "r.site:5000", "docker.io")] == [
        True,
        True,
        False,
    ]


def test_keyless_on_the_command_line_is_not_the_configured_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the other way round: whoever types a key does not sign as somebody."""
    with pytest.raises((InputError, UsageError)) as caught:
        signer_of(_arguments("--keyless", "--trust-config", "no.json", add=add_signer_options))
    assert "no.json" in caught.value.message
    monkeypatch.setenv("IMAGEKIT_KEYLESS", "true")
    assert signer_of(_arguments("--key", "imagekit.key", add=add_signer_options)) is not None


def test_an_alias_belongs_to_its_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever types another destination does not get the configured one's name."""
    monkeypatch.setenv("IMAGEKIT_TO", "oci:images")
    monkeypatch.setenv("IMAGEKIT_AS", "r.site/apps")

    assert configured(_arguments("recipe", add=publish.configure), "as") == "r.site/apps"
    typed = _arguments("recipe", "--to", "oci:other", add=publish.configure)
    assert (configured(typed, "to"), configured(typed, "as")) == ("oci:other", None)
