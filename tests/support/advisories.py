"""Advisories, as OSV and Debian's tracker publish them, and an image that some of them speak of."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
STATUS = """\
Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.14-1~deb12u1
Maintainer: Debian OpenSSL Team <pkg-openssl-devel@alioth-lists.debian.net>
Description: Secure Sockets Layer toolkit

Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7
Maintainer: Matthias Klose <doko@debian.org>
Description: GNU Bourne Again SHell
"""
REQUESTS = "Metadata-Version: 2.1\nName: requests\nVersion: 2.31.0\n"
HIGH = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"
"""7.5."""


def osv(
    name: str,
    ecosystem: str,
    package: str,
    *events: Mapping[str, str],
    severity: str = HIGH,
    **more: object,
) -> dict[str, Any]:
    """Return an advisory in OSV's format.

    Args:
        name: its id.
        ecosystem: such as ``Debian:12``.
        package: the name that is affected.
        events: of its one range.
        severity: a vector of CVSS 3; none where it is empty.
        more: other keys.
    """
    kind = "SEMVER" if ecosystem in {"Go", "npm", "crates.io"} else "ECOSYSTEM"
    return {
        "schema_version": "1.7.0",
        "id": name,
        "modified": "2026-11-20T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": ecosystem, "name": package},
                "ranges": [{"type": kind, "events": list(events)}],
            }
        ],
        **({"severity": [{"type": "CVSS_V3", "score": severity}]} if severity else {}),
        **more,
    }


def fixed(version: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the events of what every version before one has."""
    return {"introduced": "0"}, {"fixed": version}


def export(folder: Path, ecosystem: str, advisories: Sequence[Mapping[str, object]]) -> Path:
    """Write the export of an ecosystem, as OSV has it: ``ECOSYSTEM/all.zip``."""
    path = folder / ecosystem / "all.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for advisory in advisories:
            archive.writestr(f"{advisory['id']}.json", json.dumps(advisory))
    return path


def write_image(folder: Path) -> None:
    """Write the files of an image of Debian 12 with two packages and one of Python."""
    for name, text in (
        ("etc/os-release", OS_RELEASE),
        ("etc/debian_version", "12.7\n"),
        ("var/lib/dpkg/status", STATUS),
        ("usr/lib/python3/site-packages/requests-2.31.0.dist-info/METADATA", REQUESTS),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
