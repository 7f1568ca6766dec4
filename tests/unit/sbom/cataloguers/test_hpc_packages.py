"""Packages of conda, Spack and EasyBuild, and environment modules."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from imagekit.sbom.contents import Component, Kind, License, Sbom

Listed = Callable[[Mapping[str, bytes]], Sbom]

NUMPY = {
    "name": "numpy", "version": "2.3.4", "build": "py312h33ff503_0", "subdir": "linux-64",
    "channel": "https://conda.anaconda.org/conda-forge/linux-64", "license": "BSD-3-Clause",
    "url": "https://conda.anaconda.org/conda-forge/linux-64/numpy-2.3.4-py312h33ff503_0.conda",
    "sha256": "ab" * 32, "depends": ["python >=3.12,<3.13.0a0", "libgcc >=14"],
    "files": ["lib/numpy.so", "bin/f2py"], "paths_data": {"paths": [{"_path": "lib/numpy.so"}]},
}  # fmt: skip
PYTHON = {"name": "python", "version": "3.12.12", "build": "hd63d673_1_cpython"}
EASYCONFIG = b"""\
easyblock = 'ConfigureMake'
name = 'HDF5'
version = '1.14.0'
versionsuffix = '-parallel'
homepage = 'https://portal.hdfgroup.org/display/support'
toolchain = {'name': 'gompi', 'version': '2023a'}
sources = [SOURCE_TAR_GZ]
"""


def spec(name: str, hash_: str, **more: Any) -> dict[str, Any]:
    """Return a node of Spack's specification."""
    return {"name": name, "version": "1.2", "hash": hash_, "arch": {}, **more}


def of_kind(found: Sbom, kind: Kind) -> dict[str, Component]:
    """Return the components of a kind by their names."""
    return {component.name: component for component in found.components if component.kind is kind}


def test_packages_of_conda_are_listed(listed: Listed) -> None:
    """With the archive that they came from; what they own is not unmanaged."""
    found = listed(
        {
            "opt/conda/conda-meta/numpy-2.3.4-py312h33ff503_0.json": json.dumps(NUMPY).encode(),
            "opt/conda/conda-meta/python-3.12.12-hd63d673_1_cpython.json": json.dumps(
                PYTHON
            ).encode(),
            "opt/conda/conda-meta/history": b"==> 2026 <==\n",
            "opt/conda/lib/numpy.so": b"\x7fELF",
        }
    )

    conda = of_kind(found, Kind.CONDA)
    assert conda["numpy"].purl == (
        "pkg:conda/numpy@2.3.4?build=py312h33ff503_0&channel=conda-forge&subdir=linux-64&type=conda"
    )
    assert conda["numpy"].hashes == (("sha256", "ab" * 32),)
    assert conda["numpy"].licenses == (License(stated="BSD-3-Clause", spdx="BSD-3-Clause"),)
    assert conda["numpy"].depends == (conda["python"].ref,)
    assert of_kind(found, Kind.PROGRAM) == {}
    assert found.notes == ()


@pytest.mark.parametrize("raw", [b"", b"[", b'{"name": 3, "version": "1"}', b'{"files": 7}'])
def test_a_record_that_is_none_is_a_note(listed: Listed, raw: bytes) -> None:
    """It is neither an error nor a component."""
    found = listed({"conda-meta/x-1-0.json": raw})

    assert (found.components, len(found.notes)) == ((), 1)


def test_packages_of_spack_are_listed(listed: Listed) -> None:
    """From their prefixes and from the database, each once; what is used of the system is none."""
    zlib = spec("zlib", "bbbb")
    nodes = [spec("hdf5", "aaaa", dependencies=[{"name": "zlib", "hash": "bbbb"}]), zlib]
    installs = {
        "aaaa": {"spec": nodes[0], "path": "/opt/s/hdf5", "installed": True},
        "bbbb": {"spec": zlib, "path": "/opt/s/zlib", "installed": True},
        "cccc": {"spec": spec("gone", "cccc"), "path": "/opt/s/gone", "installed": False},
        "dddd": {
            "spec": spec("glibc", "dddd", external={"path": "/usr"}),
            "path": "/usr",
            "installed": True,
        },
    }
    found = listed(
        {
            "opt/s/hdf5/.spack/spec.json": json.dumps({"spec": {"nodes": nodes}}).encode(),
            "opt/s/.spack-db/index.json": json.dumps({"database": {"installs": installs}}).encode(),
            "opt/s/hdf5/lib/libhdf5.so": b"\x7fELF",
            "usr/bin/own": b"\x7fELF",
        }
    )

    spack = of_kind(found, Kind.SPACK)
    assert {name: c.purl for name, c in spack.items()} == {
        "hdf5": "pkg:generic/hdf5@1.2",
        "zlib": "pkg:generic/zlib@1.2",
    }
    assert spack["hdf5"].depends == (spack["zlib"].ref,)
    assert set(of_kind(found, Kind.PROGRAM)) == {"/usr/bin/own"}


def test_software_of_easybuild_is_listed(listed: Listed) -> None:
    """By its easyconfig, with its toolchain."""
    folder = "opt/software/HDF5/1.14.0-gompi-2023a"
    found = listed(
        {
            f"{folder}/easybuild/HDF5-1.14.0-gompi-2023a.eb": EASYCONFIG,
            f"{folder}/easybuild/reprod/HDF5-1.14.0-gompi-2023a.eb": EASYCONFIG,
            f"{folder}/lib/libhdf5.so": b"\x7fELF",
            "opt/x/easybuild/x.eb": b"name = 'x'\nversion = '%(v)s'\n",
        }
    )

    (software,) = of_kind(found, Kind.EASYBUILD).values()
    assert (software.name, software.version) == ("HDF5", "1.14.0")
    assert ("imagekit:easybuild:toolchain", "gompi-2023a-parallel") in software.properties
    assert of_kind(found, Kind.PROGRAM) == {}
    assert found.notes == ("/opt/x/easybuild/x.eb states no valid name and version",)


def test_modules_are_listed(listed: Listed) -> None:
    """In Tcl and in Lua, flat and in a hierarchy; other files in their folders are none."""
    found = listed(
        {
            "opt/modulefiles/gcc/12.3": b"#%Module1.0\nmodule-whatis {GNU compilers}\n",
            "opt/modulefiles/gcc/.version": b"#%Module1.0\nset ModulesVersion 12.3\n",
            "opt/modulefiles/Core/openmpi/4.1.lua": b'whatis("Description: An MPI")\n',
            "opt/modules/all/HDF5/1.14.0.lua": b"help([==[x]==])\n",
            "opt/modulefiles/README/x": b"read me",
            "opt/x/init.lua": b"help()",
        }
    )

    modules = of_kind(found, Kind.MODULE)
    assert {name: (c.version, c.description) for name, c in modules.items()} == {
        "gcc": ("12.3", "GNU compilers"),
        "openmpi": ("4.1", "An MPI"),
        "HDF5": ("1.14.0", ""),
    }
