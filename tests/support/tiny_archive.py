"""A signed archive whose packages are in its index only: nothing downloads them."""

import hashlib
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from pathlib import Path

from tests.support.aptrepo import Signer

WITH_ITS_KEY = """\
import sys
from pathlib import Path
from msgspec.structs import replace
from imagekit.build.tools.mirrors import DISTRIBUTIONS
keyring = Path(sys.argv[1])
DISTRIBUTIONS["debian"] = replace(DISTRIBUTIONS["debian"], keyring=keyring)
from imagekit.cli.main import main
sys.exit(main(sys.argv[2:]))
"""
"""imagekit that takes Debian from whoever has this key: KEY WORD..."""
_SUITES = ("bookworm", "bookworm-updates", "bookworm-security")


def package(name: str, version: str, **fields: str) -> str:
    """Return the stanza of a package that does not exist."""
    digest = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
    more = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in fields.items())
    return (
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
        f"Maintainer: A <a@example.org>\n{more}"
        f"Filename: pool/main/{name[0]}/{name}/{name}_{version}_amd64.deb\n"
        f"Size: 100\nSHA256: {digest}\nDescription: {name}\n"
    )


def write_archive(folder: Path, signer: Signer, packages: Sequence[str]) -> None:
    """Write an archive with bookworm, and with updates and fixes that are empty."""
    for suite in _SUITES:
        stanzas = packages if suite == "bookworm" else ()
        _write_suite(folder / "dists" / suite, suite, {"amd64": "\n".join(stanzas)}, signer)


def _write_suite(folder: Path, suite: str, texts: Mapping[str, str], signer: Signer) -> None:
    rows = []
    for architecture, text in texts.items():
        name = f"main/binary-{architecture}/Packages"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        rows.append(f" {hashlib.sha256(text.encode()).hexdigest()} {len(text)} {name}")
    release = "\n".join(
        [
            f"Origin: Tiny\nSuite: {suite}\nCodename: {suite}",
            f"Date: {formatdate(usegmt=True).replace('GMT', 'UTC')}",
            f"Architectures: {' '.join(texts)}\nComponents: main\nSHA256:",
            *rows,
            "",
        ]
    )
    (folder / "InRelease").write_bytes(signer.clear_signed(release))
