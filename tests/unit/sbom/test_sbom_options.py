"""Who an SBOM is of: names with an address."""

import pytest

from imagekit.errors import InputError
from imagekit.sbom.sbom_options import Party, parse_party


@pytest.mark.parametrize(
    ("text", "party"),
    [
        ("HPC Centre", Party(name="HPC Centre")),
        ("Ada <ada@example.org>", Party(name="Ada", email="ada@example.org")),
        ("HPC <https://hpc.example.org/a>", Party(name="HPC", url="https://hpc.example.org/a")),
    ],
)
def test_a_party_is_read(text: str, party: Party) -> None:
    """As authors stand in commits, with a URL for an organization."""
    assert parse_party(text) == party


@pytest.mark.parametrize(
    "text",
    ["", "<a@b.org>", "A <", "A <>", "A <a@b.org> x", "A <a b@c.org>", "A <ftp://b>", "A\nB",
     "x" * 201, "A <https://b c>", "A <a@b.org\n>"],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    """What the schemas would not take never gets into a document."""
    with pytest.raises(InputError, match="does not name anybody"):
        parse_party(text)
