"""The SBOM of images in layouts and of folders, end to end."""

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from imagekit.cli.main import main
from imagekit.errors import DocumentError, InputError
from imagekit.oci.codec import manifest_bytes
from imagekit.oci.layout import LayoutReader, LayoutRegistry, LayoutStore
from imagekit.oci.reference import Repository, parse_reference
from imagekit.oci.types import MANIFEST, Descriptor, Manifest
from imagekit.sbom.sbom import sbom_of_image, sbom_of_reference
from imagekit.sbom.unregistered import sbom_of_folder
from tests.support.built import STATUS, built_image


def test_layers_without_their_diff_ids_are_refused(tmp_path: Path) -> None:
    """Manifest and configuration must speak of the same layers."""
    built_image(tmp_path, diff_ids=2)

    with pytest.raises(DocumentError, match="diffIDs"):
        sbom_of_reference(LayoutReader(LayoutStore(tmp_path)), parse_reference("localhost/app:1"))


def test_a_layout_of_two_images_needs_a_name(tmp_path: Path) -> None:
    """Which one is meant is not guessed."""
    built_image(tmp_path, "1")
    built_image(tmp_path, "2")

    with pytest.raises(InputError, match="2 images"):
        sbom_of_folder(tmp_path)


def test_the_three_ways_agree(tmp_path: Path) -> None:
    """Built here, by reference or as the only image of a folder: the same bytes."""
    built = built_image(tmp_path)

    one = sbom_of_image(built, None)
    two = sbom_of_reference(LayoutReader(LayoutStore(tmp_path)), parse_reference("localhost/app:1"))
    three = sbom_of_folder(tmp_path)

    assert one == two == three
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(one.decode()) is None


def test_the_time_and_the_origin_are_the_images(tmp_path: Path) -> None:
    """No clock is read, and the history tells where a layer came from."""
    built_image(tmp_path)

    document = json.loads(sbom_of_folder(tmp_path))
    properties = {p["name"]: p["value"] for p in document["components"][0]["properties"]}

    assert document["metadata"]["timestamp"].startswith("2024-01-02T03:04:05")
    assert properties["imagekit:origin"] == "base"


def test_the_command_prints_the_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To stdout it is the SBOM itself, for a folder that is a root as well."""
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_bytes(STATUS)

    assert main(["sbom", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["components"][0]["name"] == "a"


def test_the_command_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With -o the file is the SBOM and stdout says what it holds."""
    built_image(tmp_path / "layout")
    file = tmp_path / "x.cdx.json"

    assert main(["sbom", f"oci:{tmp_path}/layout:app:1", "-o", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["components"] == 1
    assert json.loads(file.read_bytes())["bomFormat"] == "CycloneDX"


@pytest.mark.parametrize("word", ["/nowhere/at/all", "./no", "justaname"])
def test_what_is_no_image_is_bad_input(word: str) -> None:
    """A folder that is not there is exit code 2, with a hint."""
    assert main(["sbom", word]) == 2


def test_a_descriptor_that_is_no_layer_is_refused(tmp_path: Path) -> None:
    """An artifact is not an image, whatever its manifest is called."""
    built = built_image(tmp_path)
    registry, repository = LayoutRegistry(LayoutStore(tmp_path)), Repository("localhost", "app")
    odd: Descriptor = registry.put_bytes(repository, "text/plain", b"x")
    manifest = Manifest(media_type=MANIFEST, config=built.config, layers=(odd,))
    pinned = registry.put_manifest(repository, MANIFEST, manifest_bytes(manifest))

    with pytest.raises(DocumentError, match="media type"):
        sbom_of_reference(registry, pinned)
