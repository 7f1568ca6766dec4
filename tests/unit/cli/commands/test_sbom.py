"""``imagekit sbom FOLDER``: what is written of a root file system."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from tests.support.command import imagekit
from tests.support.exports import member, tar_bytes

PACKAGES = "usr/lib/python3/dist-packages"
FOLDED = """\
Metadata-Version: 2.1
Name: numpy
Version: 1.26.4
License: Copyright (c) 2005-2023, NumPy Developers.
        All rights reserved.
        \n\
        Redistribution and use in source and binary forms
Classifier: License :: OSI Approved :: BSD License
Requires-Dist: other>=1

The text.
"""
OTHER = "Metadata-Version: 2.1\nName: other\nVersion: 1.0\nLicense: MIT\n\n"


def test_headers_behind_a_folded_licence_are_read(tmp_path: Path) -> None:
    """As numpy, scipy and matplotlib write it: a line of blanks does not end the headers."""
    for name, text in (("numpy-1.26.4", FOLDED), ("other-1.0", OTHER)):
        folder = tmp_path / "root" / PACKAGES / f"{name}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(text)

    said = imagekit(tmp_path, "sbom", "root")

    assert said.returncode == 0, said.stderr
    document = json.loads(said.stdout)
    needs = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    assert needs["pkg:pypi/numpy@1.26.4"] == ["pkg:pypi/other@1.0"]
    (numpy,) = (each for each in document["components"] if each["name"] == "numpy")
    assert "licenses" in numpy


def test_a_database_that_is_not_read_is_noted(tmp_path: Path) -> None:
    """What is installed by rpm, Conda or as an egg is never passed over in silence."""
    databases = (
        "usr/share/rpm/rpmdb.sqlite",
        "opt/conda/conda-meta/zlib-1.3-0.json",
        f"{PACKAGES}/old-1.0.egg-link",
    )
    for name in databases:
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text("{}")

    said = imagekit(tmp_path, "sbom", "root")

    assert said.returncode == 0, said.stderr
    for name in databases:
        assert str(Path(name).parent) in said.stderr, name


def _package(folder: Path, version: str, licence: str) -> None:
    place = folder / PACKAGES / "solver.dist-info"
    place.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: solver\nVersion: {version}\nLicense: {licence}\n\n"
    (place / "METADATA").write_text(text)


def test_a_folder_and_a_document_are_compared(tmp_path: Path) -> None:
    """Whatever each side is; under --json as a document."""
    _package(tmp_path / "old", "1.0", "MIT")
    _package(tmp_path / "new", "2.0", "BSD-3-Clause")
    assert imagekit(tmp_path, "sbom", "old", "-o", "old.json").returncode == 0

    text = imagekit(tmp_path, "sbom", "diff", "old.json", "new")
    made = imagekit(tmp_path, "sbom", "diff", "old.json", "new", "--format", "json")

    assert "solver  1.0 -> 2.0  licence: MIT -> BSD-3-Clause" in text.stdout, text.stderr
    assert json.loads(made.stdout)["summary"] == "1 changed (1 of another licence)"


def test_an_sbom_is_shown_in_four_ways(tmp_path: Path) -> None:
    """Of a folder or of a document."""
    _package(tmp_path / "root", "1.0", "MIT")
    ways = {
        "table": "pypi\tsolver\t1.0\tMIT\t",
        "licence": "MIT: 1 component\n  solver 1.0",
        "origin": "unknown, pypi: 1 component\n  solver 1.0",
        "tree": "solver 1.0",
    }

    for way, text in ways.items():
        said = imagekit(tmp_path, "sbom", "show", "root", "--by", way)
        assert said.stdout == f"{text}\n", said.stderr


def test_the_profile_wants_a_creator(tmp_path: Path) -> None:
    """By option or by imagekit.toml; before anything is read."""
    _package(tmp_path / "root", "1.0", "MIT")

    refused = imagekit(tmp_path, "sbom", "root", "--profile", "bsi")
    made = imagekit(
        tmp_path, "sbom", "root", "--profile", "bsi", IMAGEKIT_SBOM_MANUFACTURER="HPC <a@b.org>"
    )

    assert refused.returncode == 2
    assert "--manufacturer" in refused.stderr
    assert json.loads(made.stdout)["specVersion"] == "1.7", made.stderr


def test_formats_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    """--spec is of CycloneDX; SPDX alone is written."""
    _package(tmp_path / "root", "1.0", "MIT")

    refused = imagekit(tmp_path, "sbom", "root", "--format", "spdx3", "--spec", "1.7")
    made = imagekit(tmp_path, "sbom", "root", "--format", "spdx3")

    assert refused.returncode == 64
    assert "@graph" in json.loads(made.stdout), made.stderr


def test_a_file_that_is_no_sbom_is_refused_with_its_name(tmp_path: Path) -> None:
    """SPDX 2 is JSON, too."""
    (tmp_path / "a.json").write_text('{"spdxVersion": "SPDX-2.3"}')

    said = imagekit(tmp_path, "sbom", "show", "a.json")

    assert said.returncode == 2
    assert "a.json is not CycloneDX" in said.stderr


def test_an_archive_is_read_as_the_folder_that_it_was_made_of(tmp_path: Path) -> None:
    """As docker save writes it; its digest is nobody's, and is left out."""
    _package(tmp_path / "root", "1.0", "MIT")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(tmp_path / "root", arcname=".")
    diff_id = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    listed = [{"Config": "c.json", "RepoTags": ["solver:1"], "Layers": ["l.tar"]}]
    files = {
        "c.json": json.dumps(config).encode(),
        "l.tar": layer.getvalue(),
        "manifest.json": json.dumps(listed).encode(),
    }
    (tmp_path / "a.tar").write_bytes(tar_bytes([member(*item) for item in files.items()]))

    shown = imagekit(tmp_path, "sbom", "show", "a.tar")
    written = imagekit(tmp_path, "sbom", "a.tar", "-o", "a.json", "--json")

    assert shown.stdout == "pypi\tsolver\t1.0\tMIT\t\n", shown.stderr
    assert json.loads(written.stdout)["digest"] is None


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Neither JSON nor a tar file."""
    (tmp_path / "a.bin").write_bytes(b"nothing")

    said = imagekit(tmp_path, "sbom", "a.bin")

    assert said.returncode == 2
    assert "a.bin is not an archive" in said.stderr
