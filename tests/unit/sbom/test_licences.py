"""Licences are translated where that is certain and otherwise left in their own words."""

import pytest

from imagekit.sbom.contents import License
from imagekit.sbom.licences import debian_spdx, of_copyright, of_python


@pytest.mark.parametrize(
    "stated",
    [
        "GPL",
        "public-domain",
        "GPL-2+ or Foo",
        "GPL-2+, and Expat",
        "GPL-2 with exception",
        "or",
        "",
    ],
)
def test_what_is_not_certain_is_not_translated(stated: str) -> None:
    """No SPDX expression comes of words that could mean two things."""
    assert debian_spdx(stated) == ""


@pytest.mark.parametrize(
    ("stated", "spdx"),
    [
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("Expat and BSD-3-clause", "MIT AND BSD-3-Clause"),
    ],
)
def test_debian_short_names_become_spdx(stated: str, spdx: str) -> None:
    """The short names of copyright-format 1.0 have SPDX ids."""
    assert spdx == debian_spdx(stated)


def test_prose_names_nothing() -> None:
    """Free text without a pointer to a common licence says nothing that a program may repeat."""
    assert of_copyright(b"You may use this for anything but evil.") == ()


def test_prose_with_a_common_licence_names_it() -> None:
    """GPL-2 there may mean later versions too, so that it stays a name; Apache-2.0 is an id."""
    raw = b"see /usr/share/common-licenses/GPL-2. and /usr/share/common-licenses/Apache-2.0."

    assert (
        License(stated="Apache-2.0", spdx="Apache-2.0"),
        License(stated="GPL-2"),
    ) == of_copyright(raw)


def test_a_whole_text_in_the_licence_field_is_left_out() -> None:
    """Old metadata put the text of the licence there."""
    assert of_python("", "Copyright me\nPermission is granted", []) == ()
