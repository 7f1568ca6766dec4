"""``imagekit sbom FOLDER``: what is written of a root file system."""

import json
from pathlib import Path

from tests.support.command import imagekit

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
