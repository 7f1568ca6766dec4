"""Known causes of files that are another in every build, told from their paths and their bytes.

https://reproducible-builds.org/docs/ has most of them. They are hints for people: nothing is
decided by one.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import chain

_BY_PATH = (
    (
        ("etc/machine-id", "var/lib/dbus/machine-id"),
        "an identity of a machine: remove it in the last step, the system makes one at its start",
    ),
    (
        ("etc/ssh/ssh_host_*", "etc/munge/munge.key", "etc/ssl/private/*"),
        "a key that is made at installation: all who pull the image would share it; remove it",
    ),
    (
        ("etc/ssl/certs/ssl-cert-snakeoil.pem", "etc/ssl/certs/java/cacerts"),
        "made anew at installation: remove it, or make it with a fixed time",
    ),
    (
        ("etc/shadow", "etc/shadow-"),
        "the salt of a password is random: set none, or give a hash (chpasswd --encrypted)",
    ),
    (
        ("*/__pycache__/*.pyc", "*.pyc"),
        "Python's bytecode has its source's time: compile with --invalidation-mode checked-hash",
    ),
    (
        ("*/.git/*", ".git/*"),
        "Git's index has inode numbers and times: remove the .git folder",
    ),
    (
        ("*/CMakeOutput.log", "*/CMakeConfigureLog.yaml", "*/CMakeFiles/*"),
        "CMake's logs name temporary folders: remove the folder that was built in",
    ),
    (
        ("*/DESCRIPTION", "*/Meta/package.rds"),
        "R writes the time of the build: give R CMD INSTALL --built-timestamp",
    ),
    (
        ("var/log/*", "var/cache/*", "*.log"),
        "a log or a cache: remove it in the same step",
    ),
)
# RFC 1952, 2.3.1; POSIX.1-2017 pax, ustar Interchange Format; APPNOTE.TXT 4.3.7.
_GZIP, _TAR, _ZIP = b"\x1f\x8b", b"ustar", b"PK\x03\x04"
_TAR_MAGIC = slice(257, 262)
_TEMPORARY = re.compile(rb"/(?:var/)?tmp/[A-Za-z0-9._-]{4,80}")
_KEY = b"-----BEGIN "
_TIME = re.compile(
    rb"\b(?:1[5-9]\d{8}|2\d{9}|20\d\d[-/. ]?[01]\d[-/. ]?[0-3]\d|[0-2]\d:[0-5]\d:[0-5]\d)\b"
)
_NUMBER = re.compile(rb"\d+")


def cause_of(path: str, first: bytes, other: bytes) -> str:
    """Return what probably makes a file another one in every build, or nothing.

    Args:
        path: where it lies in the image.
        first: the first bytes of it in one build.
        other: and in the other one.
    """
    seen = _by_content(first, other) if first and other else iter(())
    # A name says more than bytes, which are those of many kinds of files.
    return next(chain(_by_path(path), seen), "")


def _by_path(path: str) -> Iterator[str]:
    for patterns, hint in _BY_PATH:
        if any(fnmatchcase(path, pattern) for pattern in patterns):
            yield hint


def _by_content(first: bytes, other: bytes) -> Iterator[str]:
    both = (first, other)
    if all(raw.startswith(_GZIP) for raw in both) and first[4:8] != other[4:8]:
        yield "gzip keeps the time of what it compressed: call it with -n"
    if all(raw[_TAR_MAGIC] == _TAR for raw in both):
        yield "an archive keeps the times of its files: tar --sort=name --mtime=@$SOURCE_DATE_EPOCH"
    if all(raw.startswith(_ZIP) for raw in both):
        yield "an archive keeps the times of its files: touch them with $SOURCE_DATE_EPOCH before"
    if all(_KEY in raw for raw in both):
        yield "a key or certificate that the build makes: make it at the start of a container"
    if first != other and sorted(first.split()) == sorted(other.split()):
        yield "the same words in another order: sort them, or give the program one thread"
    yield from _by_differences(first, other)


def _by_differences(first: bytes, other: bytes) -> Iterator[str]:
    pairs = [
        pair
        for pair in zip(first.splitlines(), other.splitlines(), strict=False)
        if pair[0] != pair[1]
    ]
    if not pairs:
        return
    if all(_TEMPORARY.sub(b"", a) == _TEMPORARY.sub(b"", b) for a, b in pairs):
        yield "it names a temporary folder: build in a folder whose name is always the same"
    elif all(_TIME.search(a) and _TIME.search(b) for a, b in pairs):
        yield "it holds the time: let the program take $SOURCE_DATE_EPOCH"
    elif all(_NUMBER.sub(b"", a) == _NUMBER.sub(b"", b) for a, b in pairs):
        yield "a number is another one: a process, a port, a count of processors, a random number"
