"""Licences as images state them: Debian's copyright files and Python's metadata.

Nothing is guessed: what is stated in a form that machines read is translated to SPDX where the
translation has one meaning, and otherwise kept in its own words.
"""

import re
from collections.abc import Iterable

from imagekit.sbom.contents import License
from imagekit.sbom.text import clean, decoded

_FORMAT = "copyright-format/1.0"
_COMMON = re.compile(r"/usr/share/common-licenses/([A-Za-z0-9][A-Za-z0-9.+-]{0,40})")
_MAX_NAME = 300

_DEBIAN = {
    "expat": "MIT",
    "mit": "MIT",
    "apache-2.0": "Apache-2.0",
    "artistic-2.0": "Artistic-2.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "bsl-1.0": "BSL-1.0",
    "cc0-1.0": "CC0-1.0",
    "cc0": "CC0-1.0",
    "isc": "ISC",
    "mpl-1.1": "MPL-1.1",
    "mpl-2.0": "MPL-2.0",
    "openssl": "OpenSSL",
    "psf-2": "PSF-2.0",
    "python-2.0": "Python-2.0",
    "unicode-dfs-2016": "Unicode-DFS-2016",
    "unlicense": "Unlicense",
    "zlib": "Zlib",
    "zpl-2.1": "ZPL-2.1",
}
"""Short names of copyright-format 1.0 whose text is that of one SPDX licence."""

_OPERATORS = frozenset({"OR", "AND"})
_GNU = re.compile(r"(a?gpl|lgpl|gfdl)-([123](?:\.[0-9])?)(?:\.0)?(\+?)", re.IGNORECASE)

_CLASSIFIERS = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}


def of_copyright(raw: bytes) -> tuple[License, ...]:
    """Return the licences of a Debian copyright file; nothing where it is prose without any.

    The machine-readable form names them. Prose that points to /usr/share/common-licenses names
    the text, and leaves open whether later versions count: it is kept as a name.
    """
    text = decoded(raw)
    if _FORMAT in text[:1000]:
        names = (_stated(line) for line in text.split("\n") if line[:8].lower() == "license:")
        return _unique(License(stated=name, spdx=debian_spdx(name)) for name in names if name)
    return _unique(
        License(stated=name, spdx=_DEBIAN.get(name.lower(), ""))
        for name in (match.rstrip(".") for match in _COMMON.findall(text))
    )


def debian_spdx(stated: str) -> str:
    """Translate Debian's ``GPL-2+ or Artistic-2.0`` to SPDX; empty where that is not certain."""
    words = clean(stated, _MAX_NAME).replace(",", " ").split()
    translated: list[str] = []
    for word in words:
        if word.lower() in {"or", "and"}:
            if not translated or translated[-1] in _OPERATORS:
                return ""
            translated.append(word.upper())
            continue
        if translated and translated[-1] not in _OPERATORS:
            return ""
        spdx = _short_name(word)
        if not spdx:
            return ""
        translated.append(spdx)
    # In copyright-format "and" and "or" bind as in SPDX, but a comma binds weaker than both.
    whole = bool(translated) and translated[-1] not in _OPERATORS and "," not in stated
    return " ".join(translated) if whole else ""


def of_python(expression: str, text: str, classifiers: list[str]) -> tuple[License, ...]:
    """Return the licences of a Python package: PEP 639's expression, else the older fields."""
    if expression:
        return (License(stated=clean(expression, _MAX_NAME), spdx=clean(expression, _MAX_NAME)),)
    names = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")]
    exact = [name for name in names if name and name != "OSI Approved"]
    if exact:
        return _unique(License(stated=name, spdx=_CLASSIFIERS.get(name, "")) for name in exact)
    # The field may hold the licence's whole text.
    name = clean(text, _MAX_NAME) if "\n" not in text.strip() else ""
    return (License(stated=name, spdx=name),) if name and name != "UNKNOWN" else ()


def _short_name(word: str) -> str:
    gnu = _GNU.fullmatch(word)
    if gnu is None:
        return _DEBIAN.get(word.lower(), "")
    family, version, later = gnu.groups()
    number = version if "." in version else f"{version}.0"
    return f"{family.upper()}-{number}-{'or-later' if later else 'only'}"


def _stated(line: str) -> str:
    return clean(line.partition(":")[2], _MAX_NAME)


def _unique(licenses: Iterable[License]) -> tuple[License, ...]:
    return tuple(sorted(set(licenses)))
