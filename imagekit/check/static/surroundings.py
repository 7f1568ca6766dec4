"""IK501 to IK508: what programs rely on around them: CA certificates, users, locales, stubs."""

import re
import stat
from collections.abc import Iterator

from imagekit.check.static.image_tree import ImageTree
from imagekit.check.static.portability_finding import CONFIG, PortabilityFinding, found
from imagekit.oci.tar import EntryKind

BUNDLES = (
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
)
"""Where distributions keep the certificates that all programs use."""
CLIENTS = ("curl", "wget", "git-remote-https", "aria2c")
"""Programs that are of no use without."""
STUBS = ("dev", "proc", "sys", "tmp", "etc/passwd", "etc/group")
"""What Podman, Apptainer and Charliecloud mount over, and one of them at least cannot do without.

etc/hosts and etc/resolv.conf are made, or passed over, where they are missing."""
_GIT = ("usr/lib/git-core", "usr/libexec/git-core")
_BUNDLE_VARIABLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR")
_PATHS = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONHOME", "JAVA_HOME", "R_HOME")


def surrounding_findings(tree: ImageTree) -> Iterator[PortabilityFinding]:
    """Yield what programs would look for and not find."""
    yield from _certificates(tree)
    yield from _users(tree)
    yield from _locale(tree)
    yield from _time_zone(tree)
    yield from _variables(tree)
    yield from _stubs(tree)
    yield from _folders(tree)


def _certificates(tree: ImageTree) -> Iterator[PortabilityFinding]:
    named = [name for name in _BUNDLE_VARIABLES if name in tree.env]
    for name in named:
        if tree.find(tree.env[name]) is None:
            yield found("IK501", CONFIG, f"{name} names {tree.env[name][:200]}, which is not there")
    if named or any(_is_there(tree, bundle) for bundle in BUNDLES):
        return
    clients = {place for name in CLIENTS if (place := _client(tree, name))}
    if clients:
        message = "programs that speak TLS, and no certificates for them"
        yield found("IK501", BUNDLES[0], message, breaks=clients)


def _client(tree: ImageTree, name: str) -> str:
    if name.startswith("git-"):
        places = (tree.real(f"{folder}/{name}") for folder in _GIT)
        return next((place for place in places if place in tree.regular), "")
    return tree.command(name)


def _is_there(tree: ImageTree, path: str) -> bool:
    file = tree.find(path)
    return file is not None and file.kind is EntryKind.FILE and file.size > 0


def _users(tree: ImageTree) -> Iterator[PortabilityFinding]:
    user, _, group = tree.config.user.partition(":")
    for name, path, what in ((user, "etc/passwd", "user"), (group, "etc/group", "group")):
        if not name or name.isdigit():
            continue
        known = {line.partition(":")[0] for line in tree.text(path).splitlines()}
        if name not in known:
            yield found("IK502", CONFIG, f"the {what} {name[:100]!r} is not in /{path}")
    if _is_there(tree, "etc/passwd"):
        # passwd(5): the third field is the user's number.
        lines = (line.split(":")[2:3] for line in tree.text("etc/passwd").splitlines())
        if ["0"] not in lines:
            yield found("IK502", "etc/passwd", "it has no user 0")


def _locale(tree: ImageTree) -> Iterator[PortabilityFinding]:
    for name in ("LC_ALL", "LANG", "LC_CTYPE"):
        value = tree.env.get(name, "")
        language = value.partition("@")[0]
        if not value or language.upper() in {"C", "POSIX", "C.UTF-8", "C.UTF8"}:
            continue
        if tree.is_folder("usr/lib/locale") and _has_locale(tree, language):
            continue
        yield found("IK503", CONFIG, f"{name} is {value[:100]!r}, which no file of a locale has")


def _has_locale(tree: ImageTree, language: str) -> bool:
    if _is_there(tree, "usr/lib/locale/locale-archive"):
        return True
    stem, _, charset = language.partition(".")
    names = (language, f"{stem}.{charset.lower().replace('-', '')}", stem)
    return any(tree.is_folder(f"usr/lib/locale/{name}") for name in names if name)


def _time_zone(tree: ImageTree) -> Iterator[PortabilityFinding]:
    zone = tree.env.get("TZ", "").removeprefix(":")
    # POSIX.1-2017, 8.3: other values than names of files are rules, such as ``UTC0``.
    if "/" not in zone and zone not in {"UTC", "GMT"}:
        return
    path = zone if zone.startswith("/") else f"usr/share/zoneinfo/{zone}"
    if "/" in zone and not _is_there(tree, path):
        yield found("IK504", CONFIG, f"TZ is {zone[:100]!r}, and there is no /{path[:200]}")


def _variables(tree: ImageTree) -> Iterator[PortabilityFinding]:
    for name in _PATHS:
        for value in re.split("[: ]", tree.env.get(name, "")):
            if value.startswith("/") and tree.find(value) is None:
                message = f"{name} names {value[:200]}, which is not there"
                yield found("IK505", CONFIG, message)
    folders = tree.env.get("PATH", "").split(":") if "PATH" in tree.env else []
    if folders and not any(tree.is_folder(folder) for folder in folders if folder):
        yield found("IK505", CONFIG, "PATH names no folder that is there")
    if any(not folder.startswith("/") for folder in folders):
        yield found("IK505", CONFIG, "PATH names the folder that a user happens to be in")


def _stubs(tree: ImageTree) -> Iterator[PortabilityFinding]:
    if not tree.objects and not tree.examined.scripts:
        # Data alone: no container is made of it.
        return
    for name in STUBS:
        # Links such as etc/resolv.conf may lead to what the runtime fills.
        if name not in tree.files.files and tree.find(name) is None:
            yield found("IK506", name, "it is not there to be mounted over")


def _is_for_all(mode: int) -> bool:
    """Return whether others may read, write and enter a folder (inode(7))."""
    return mode & stat.S_IRWXO == stat.S_IRWXO


def _folders(tree: ImageTree) -> Iterator[PortabilityFinding]:
    tmp = tree.find("tmp")
    if tmp is not None and tmp.kind is EntryKind.FOLDER and not _is_for_all(tmp.mode):
        yield found("IK507", "tmp", f"it has the mode {tmp.mode:04o}")
    workdir = tree.config.workdir
    if workdir.strip("/") and not tree.is_folder(workdir):
        yield found("IK508", CONFIG, f"the folder {workdir[:200]} is not there")
