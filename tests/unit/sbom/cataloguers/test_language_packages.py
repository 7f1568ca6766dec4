"""Packages of languages: of Node.js, R, Ruby and Perl."""

import json
from collections.abc import Callable, Mapping

import pytest

from imagekit.sbom.contents import Component, Kind, License, Sbom, Supplier

Listed = Callable[[Mapping[str, bytes]], Sbom]

LEFT_PAD = {
    "name": "left-pad", "version": "1.3.0", "license": "WTFPL", "author": "azer <a@example.org>",
    "dependencies": {"@types/node": "*"},
}  # fmt: skip
NODE_TYPES = {
    "name": "@types/node", "version": "20.1.0", "licenses": [{"type": "MIT", "url": "https://x"}],
    "author": {"name": "DefinitelyTyped", "email": "d@example.org"}, "homepage": 7,
}  # fmt: skip
DESCRIPTION = b"""\
Package: data.table
Version: 1.14.8
Title: Extension of `data.frame`
Depends: R (>= 3.1.0), base
Imports: methods,
    abc (>= 2)
License: MPL-2.0 | file LICENSE
URL: https://r-datatable.com, https://other.example
Maintainer: Matt Dowle <m@example.org>
Built: R 4.2.2; x86_64-pc-linux-gnu; 2023-02-20 12:00:00 UTC; unix
"""
GEMSPEC = b"""\
# -*- encoding: utf-8 -*-
# stub: nokogiri 1.15.4 x86_64-linux lib

Gem::Specification.new do |s|
  s.name = "nokogiri".freeze
  s.version = "1.15.4"
  s.platform = "x86_64-linux".freeze
  s.licenses = ["MIT".freeze]
  s.homepage = "https://nokogiri.org".freeze
  s.summary = "Makes it easy".freeze
  s.add_runtime_dependency(%q<racc>.freeze, ["~> 1.4".freeze])
end
"""
RACC = b's.name = "racc"\ns.version = Gem::Version.new("1.7.1")\n'
RECORD = {"name": "JSON::XS", "version": "4.03", "pathname": "M/ML/MLEHMANN/JSON-XS-4.03.tar.gz"}


def of_kind(found: Sbom, kind: Kind) -> dict[str, Component]:
    """Return the components of a kind by their names."""
    return {component.name: component for component in found.components if component.kind is kind}


def test_installed_packages_of_node_are_listed(listed: Listed) -> None:
    """Scoped ones, too; what a package has in folders of its own is none."""
    found = listed(
        {
            "app/node_modules/left-pad/package.json": json.dumps(LEFT_PAD).encode(),
            "app/node_modules/@types/node/package.json": json.dumps(NODE_TYPES).encode(),
            "app/node_modules/left-pad/test/package.json": b'{"name": "no", "version": "1"}',
            "app/package.json": b'{"name": "own", "version": "1"}',
        }
    )

    packages = of_kind(found, Kind.NPM)
    assert set(packages) == {"left-pad", "@types/node"}
    assert packages["@types/node"].purl == "pkg:npm/%40types/node@20.1.0"
    assert packages["@types/node"].licenses == (License(stated="MIT", spdx="MIT"),)
    assert packages["@types/node"].supplier == Supplier(
        name="DefinitelyTyped", email="d@example.org"
    )
    assert packages["left-pad"].depends == ("pkg:npm/%40types/node@20.1.0",)


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"\xff", b"{" * 100_000, b'{"name": "x"}', b'{"name": "../x", "version": "1"}',
     b'{"name": ["x"], "version": "1"}', b'{"name": "x", "version": "%s"}' % (b"1" * 201)],
)  # fmt: skip
def test_a_manifest_that_states_no_package_is_a_note(listed: Listed, raw: bytes) -> None:
    """It is neither an error nor a component."""
    found = listed({"node_modules/x/package.json": raw})

    assert found.components == ()
    assert found.notes == ("/node_modules/x/package.json states no valid name and version",)


def test_a_package_in_a_folder_of_a_package_of_the_system_is_part_of_it(listed: Listed) -> None:
    """What dpkg owns is its package's, and stays one of Node's as well."""
    status = b"Package: node-x\nVersion: 1\nArchitecture: all\n\n"
    place = "usr/share/node_modules/x/package.json"
    found = listed(
        {
            "var/lib/dpkg/status": status,
            "var/lib/dpkg/info/node-x.list": f"/{place}\n".encode(),
            place: b'{"name": "x", "version": "1.0.0"}',
        }
    )

    debian = of_kind(found, Kind.DEBIAN)["node-x"]
    assert ("imagekit:part-of", debian.ref) in of_kind(found, Kind.NPM)["x"].properties


def test_built_packages_of_r_are_listed(listed: Listed) -> None:
    """Sources and the folder of translations were not built, and are none."""
    found = listed(
        {
            "usr/lib/R/site-library/data.table/DESCRIPTION": DESCRIPTION,
            "usr/lib/R/library/base/DESCRIPTION": b"Package: base\nVersion: 4.2.2\nBuilt: R 4\n",
            "usr/lib/R/library/translations/DESCRIPTION": b"Package: translations\nVersion: 4\n",
            "src/data.table/DESCRIPTION": DESCRIPTION,
            "usr/lib/R/site-library/data.table/libs/x.so": b"\x7fELF",
        }
    )

    packages = of_kind(found, Kind.R)
    assert set(packages) == {"base", "data.table"}
    table = packages["data.table"]
    assert table.purl == "pkg:cran/data.table@1.14.8"
    assert table.depends == (packages["base"].ref,)
    assert table.licenses == (License(stated="MPL-2.0 | file LICENSE", spdx="MPL-2.0"),)
    assert table.homepage == "https://r-datatable.com"
    assert of_kind(found, Kind.PROGRAM) == {}


@pytest.mark.parametrize(
    ("stated", "spdx"),
    [
        ("GPL (>= 2)", "GPL-2.0-or-later"),
        ("GPL-2 | GPL-3", "GPL-2.0-only OR GPL-3.0-only"),
        ("MIT + file LICENSE", "MIT"),
        ("file LICENSE", ""),
        ("Unlimited", ""),
    ],
)
def test_licences_of_r(listed: Listed, stated: str, spdx: str) -> None:
    """Names that have one meaning in SPDX are translated; all are kept as they are."""
    text = f"Package: x\nVersion: 1\nBuilt: R 4\nLicense: {stated}\n"

    (component,) = listed({"library/x/DESCRIPTION": text.encode()}).components

    assert component.licenses == (License(stated=stated, spdx=spdx),)


def test_gems_are_listed(listed: Listed) -> None:
    """By what their specifications state, which are never evaluated."""
    folder = "var/lib/gems/3.1.0"
    found = listed(
        {
            f"{folder}/specifications/nokogiri-1.15.4-x86_64-linux.gemspec": GEMSPEC,
            f"{folder}/specifications/default/racc-1.7.1.gemspec": RACC,
            f"{folder}/gems/nokogiri-1.15.4-x86_64-linux/lib/nokogiri.so": b"\x7fELF",
        }
    )

    gems = of_kind(found, Kind.GEM)
    assert gems["racc"].version == "1.7.1"
    nokogiri = gems["nokogiri"]
    assert nokogiri.purl == "pkg:gem/nokogiri@1.15.4?platform=x86_64-linux"
    assert nokogiri.depends == (gems["racc"].ref,)
    assert nokogiri.licenses == (License(stated="MIT", spdx="MIT"),)
    assert of_kind(found, Kind.PROGRAM) == {}


def test_distributions_of_perl_are_listed(listed: Listed) -> None:
    """With a version where CPAN's client left a record; their files are owned."""
    folder = "usr/local/lib/perl5/x86_64-linux"
    owned = f"/{folder}/auto/JSON/XS/XS.so type=file\n"
    found = listed(
        {
            f"{folder}/auto/JSON/XS/.packlist": owned.encode(),
            f"{folder}/auto/JSON/XS/XS.so": b"\x7fELF",
            f"{folder}/auto/Try/Tiny/.packlist": b"/x\n",
            f"{folder}/.meta/JSON-XS-4.03/install.json": json.dumps(RECORD).encode(),
            "opt/perl/lib/5.36.0/x86_64-linux/.packlist": b"/opt/perl/bin/perl\n",
        }
    )

    perl = of_kind(found, Kind.PERL)
    assert {name: component.version for name, component in perl.items()} == {
        "JSON-XS": "4.03",
        "Try-Tiny": "",
        "perl": "5.36.0",
    }
    assert perl["JSON-XS"].purl == "pkg:cpan/MLEHMANN/JSON-XS@4.03"
    assert of_kind(found, Kind.PROGRAM) == {}
