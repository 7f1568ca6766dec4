"""IK601 to IK605: what the build host, or its site, has left in an image."""

import json
import re
from collections.abc import Callable, Iterator

from imagekit.check.static.image_tree import ImageTree
from imagekit.check.static.portability_finding import CONFIG, PortabilityFinding, found

_PROXY = re.compile(
    r"(?:^|[\s;{])(?:export\s+)?(?:https?_proxy|all_proxy|ftp_proxy|proxy)\s*[=\"' ]+\s*(\w+://\S+)",
    re.IGNORECASE | re.MULTILINE,
)
_APT_PROXY = re.compile(r"Acquire::\w+::Proxy(?:::\S+)?\s+\"(\w+://[^\"]+)\"", re.IGNORECASE)
_INDEX = re.compile(r"^\s*(?:index-url|extra-index-url|registry)\s*=\s*(\S+)", re.MULTILINE)
_FETCHERS = frozenset({"pip.conf", ".npmrc", ".curlrc", ".condarc"})
"""Configuration of programs that fetch packages."""
_PROXY_VARIABLES = frozenset({"http_proxy", "https_proxy", "all_proxy", "ftp_proxy"})
_SITE = {
    "etc/krb5.conf": re.compile(r"^\s*default_realm\s*=", re.MULTILINE),
    "etc/fstab": re.compile(
        r"^\s*[^#\s]\S*\s+/\S*\s+(?:nfs|lustre|gpfs|beegfs|cvmfs|cifs)", re.MULTILINE
    ),
}
"""Files that every distribution may have, and what of them is a site's."""
_SITE_FILES = (
    "etc/munge/munge.key",
    "etc/nslcd.conf",
    "etc/slurm/slurm.conf",
    "etc/slurm-llnl/slurm.conf",
    "etc/sssd/sssd.conf",
)
_SSH = re.compile(r"(?:^|/)\.ssh/(?:authorized_keys|config|known_hosts|id_[a-z0-9]+)$")
_MACHINE_IDS = ("etc/machine-id", "var/lib/dbus/machine-id")
_MACHINE_ID = re.compile(r"[0-9a-f]{32}\s*")
_PC = re.compile(r"^\s*(?:exec_)?(?:prefix|libdir|includedir)\s*=\s*(/[^\s$]+)\s*$", re.MULTILINE)
_LA = re.compile(r"^libdir='(/[^']+)'", re.MULTILINE)
_VENV = re.compile(r"^(?:home|executable)\s*=\s*(/.+?)\s*$", re.MULTILINE)


def trace_findings(tree: ImageTree) -> Iterator[PortabilityFinding]:
    """Yield what is of one host or site only."""
    for path, text in tree.texts():
        yield from _build_paths(tree, path, text)
        yield from _proxies(path, text)
        if path in _SITE and _SITE[path].search(text):
            yield found("IK603", path, "it has entries of a site")
    for name, value in tree.env.items():
        if name.lower() in _PROXY_VARIABLES and value:
            yield found("IK602", CONFIG, f"the variable {name} is set")
    yield from _by_path(tree)


def _by_path(tree: ImageTree) -> Iterator[PortabilityFinding]:
    for path in tree.regular:
        if _SSH.search(path):
            yield found("IK604", path, "it is somebody's configuration of SSH")
    for path in tree.regular.keys() & _SITE_FILES:
        yield found("IK603", path, "it belongs to a site")
    for path in _MACHINE_IDS:
        if path in tree.regular and _MACHINE_ID.fullmatch(tree.text(path)):
            yield found("IK605", path, "every machine that runs it would have the same identity")


def _build_paths(tree: ImageTree, path: str, text: str) -> Iterator[PortabilityFinding]:
    for end, named in _NAMED_PATHS.items():
        if f"/{path}".endswith(end):
            for place in dict.fromkeys(named(text)):
                if tree.find(place) is None:
                    message = f"it names {place[:200]}, which is not in the image"
                    yield found("IK601", path, message, breaks=(path,))


def _all(pattern: re.Pattern[str]) -> Callable[[str], list[str]]:
    return pattern.findall


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.startswith("/")]


def _direct_url(text: str) -> list[str]:
    """Return the path of a package that was installed from a folder (PEP 610)."""
    try:
        document = json.loads(text)
    except ValueError:
        return []
    if not isinstance(document, dict) or not isinstance(document.get("url"), str):
        return []
    info = document.get("dir_info")
    editable = isinstance(info, dict) and info.get("editable") is True
    url: str = document["url"]
    return [url.removeprefix("file://")] if editable and url.startswith("file:///") else []


_NAMED_PATHS: dict[str, Callable[[str], list[str]]] = {
    ".pc": _all(_PC),
    ".la": _all(_LA),
    "/pyvenv.cfg": _all(_VENV),
    ".pth": _lines,
    ".egg-link": _lines,
    "/direct_url.json": _direct_url,
}
"""By the end of a file's name, which paths it names."""


def _proxies(path: str, text: str) -> Iterator[PortabilityFinding]:
    name = path.rpartition("/")[2]
    if path.startswith("etc/apt/apt.conf.d/"):
        if _APT_PROXY.search(text):
            yield found("IK602", path, "apt would ask a proxy")
    elif path.startswith("etc/profile.d/") or path in {"etc/environment", "etc/wgetrc"}:
        if _PROXY.search(text):
            yield found("IK602", path, "it sets a proxy")
    # The public index is the default, and needs no entry.
    elif name in _FETCHERS and (_INDEX.search(text) or _PROXY.search(text)):
        yield found("IK602", path, "packages would be asked for where the build asked for them")
