"""Package databases of hostile images: whatever they say, an SBOM can be written, or it is said."""

import json
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.sbom.catalogue import catalogue, owned_files
from imagekit.sbom.contents import LayerFiles, Subject
from imagekit.sbom.cyclonedx import cyclonedx_json

_SUBJECT = Subject(name="r.site/apps/demo", version="1", digest="sha256:" + "a" * 64)
_PATHS = (
    "var/lib/dpkg/status",
    "var/lib/dpkg/status.d/libc6",
    "var/lib/dpkg/info/libc6.list",
    "var/lib/dpkg/info/libc6.md5sums",
    "usr/share/doc/libc6/copyright",
    "etc/os-release",
    "usr/lib/x.dist-info/METADATA",
    "usr/lib/x.dist-info/RECORD",
    "usr/lib/x.dist-info/direct_url.json",
    "usr/lib/y.egg-info",
)
_KNOWN = """\
Package: libc6
Version: 1:2.3~x+y
Status: install ok installed
Depends: libc6 | x (>= 1), libc6:any
Provides: libc6
Source: glibc (2)
Maintainer: A <a@b
Homepage: javascript:x
Architecture: amd64
Name: a
Requires-Dist: a[b]>=1; x
License: MIT OR
License-Expression: GPL-2.0+
Classifier: License :: OSI Approved :: MIT License
 folded
Files: *
ID=debian
CPE_NAME=cpe:2.3:o:*
../../etc/passwd,,

"""
_LINES = st.sampled_from(_KNOWN.split("\n")) | st.text(max_size=30)
_TEXTS = st.lists(_LINES, max_size=12).map(
    lambda lines: "\n".join(lines).encode("utf-8", "replace")
)
_DOCUMENTS = st.dictionaries(st.sampled_from(_PATHS), _TEXTS | st.binary(max_size=60), max_size=6)
_LINKS = st.dictionaries(
    st.sampled_from(("usr/lib", "lib", "etc", "etc/os-release")),
    st.sampled_from(("/lib", "usr/lib", "../..", ".", "/", "etc/os-release", "")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_DOCUMENTS, _LINKS), min_size=1, max_size=3))
def test_an_sbom_of_anything(drawn: list[tuple[Mapping[str, bytes], Mapping[str, str]]]) -> None:
    """The same layers give the same bytes, valid JSON, with every reference known."""
    layers = [
        LayerFiles(layer=f"sha256:{number}", documents=documents, links=links)
        for number, (documents, links) in enumerate(drawn)
    ]
    owned_files(layers[0])("etc/passwd")
    try:
        raw = cyclonedx_json(catalogue(layers, subject=_SUBJECT), tool_version="1")
    except DocumentError:
        return
    assert cyclonedx_json(catalogue(layers, subject=_SUBJECT), tool_version="1") == raw
    document = json.loads(raw)
    known = {each["bom-ref"] for each in document.get("components", [])} | {_SUBJECT.ref}
    for entry in document["dependencies"]:
        assert {entry["ref"], *entry.get("dependsOn", [])} <= known
