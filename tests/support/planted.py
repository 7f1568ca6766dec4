"""A small healthy image, and each fault that the static checks find, planted in it one by one."""

import tarfile
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from tests.support.archives import archive, entry, link
from tests.support.elf import linked

LOADER = "/lib64/ld-linux-x86-64.so.2"
PATH = "PATH=/usr/local/bin:/usr/bin"
KEY = b"-----BEGIN PRIVATE KEY-----\n" + b"A" * 64 + b"\n-----END PRIVATE KEY-----\n"
_Entry = tuple[tarfile.TarInfo, bytes]


def program(name: str, **said: Any) -> _Entry:
    """Return a program that the loader of the image starts."""
    return entry(name, linked(**{"interpreter": LOADER, **said}), mode=0o755)


def library(name: str, **said: Any) -> _Entry:
    """Return a library, whose soname is its file's."""
    return entry(name, linked(**{"soname": name.rpartition("/")[2], **said}))


def script(name: str, line: str) -> _Entry:
    """Return a script with a first line."""
    return entry(name, f"#!{line}\necho\n".encode(), mode=0o755)


_SYMBOLS = ("GLIBC_2.2.5", "GLIBC_2.34")
_FOLDERS = ("dev", "proc", "sys", "etc", "usr", "usr/bin", "usr/local", "usr/local/bin", "opt")
HEALTHY: tuple[_Entry, ...] = (
    *(entry(name) for name in _FOLDERS),
    entry("tmp", mode=0o1777),
    entry("root", mode=0o700),
    entry("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nsolver:x:1000:1000::/:/bin/sh\n"),
    entry("etc/group", b"root:x:0:\nsolver:x:1000:\n"),
    entry("etc/shadow", b"root:*:19000:0:99999:7:::\n", mode=0o640, gid=42),
    link("bin", "usr/bin"),
    link("lib", "usr/lib"),
    link("lib64", "usr/lib64"),
    library("usr/lib64/ld-linux-x86-64.so.2"),
    library("usr/lib/x86_64-linux-gnu/libc.so.6", defines=_SYMBOLS),
    program("usr/bin/sh", needed=("libc.so.6",), wants={"libc.so.6": _SYMBOLS}),
    program("usr/bin/env", needed=("libc.so.6",)),
    entry("usr/bin/passwd", linked(interpreter=LOADER), mode=0o4755),
    program("usr/local/bin/solve", needed=("libfast.so.1", "libc.so.6")),
    entry("usr/lib/libfast.so.1.2", linked(soname="libfast.so.1", needed=("libc.so.6",))),
    link("usr/lib/libfast.so.1", "libfast.so.1.2"),
    script("usr/local/bin/run", "/bin/sh -e"),
    script("usr/local/bin/run2", "/usr/bin/env sh"),
    # What is bundled: found by whoever loads it, and by nobody else.
    library("opt/w/numbers.so", needed=("libblas.so",), rpath="$ORIGIN/w.libs"),
    library("opt/w/w.libs/libblas.so", needed=("libgfortran.so",)),
    library("opt/w/w.libs/libgfortran.so", needed=("libc.so.6",)),
    link("etc/mtab", "/proc/mounts"),
    link("dev/stdout", "/proc/self/fd/1"),
    link("usr/share/doc/x", "../gone"),
    entry("opt/w/tests/server.pem", KEY),
    entry("etc/ssh/ssh_config", b"Host *\n"),
    entry("usr/lib/pkgconfig/fast.pc", b"prefix=/usr\nlibdir=${prefix}/lib\n"),
)  # fmt: skip


class PlantedFault(Struct, frozen=True, kw_only=True):
    """A fault, and what must be found of it: nothing else is wrong."""

    code: str
    path: str
    entries: tuple[_Entry, ...] = ()
    without: tuple[str, ...] = ()
    """Paths of the healthy image that are left out."""
    above: tuple[_Entry, ...] = ()
    """The entries of one more layer."""
    config: Mapping[str, Any] = field(default_factory=dict)
    breaks: tuple[str, ...] | None = None
    """What does not work by it; None for the place alone."""
    says: str = ""

    @property
    def layers(self) -> tuple[bytes, ...]:
        """The layers of the image."""
        planted = {info.name for info, _ in self.entries}
        kept = [one for one in HEALTHY if one[0].name not in {*planted, *self.without}]
        first = archive(*kept, *self.entries)
        return (first, archive(*self.above)) if self.above else (first,)


def _planted(code: str, path: str, *entries: _Entry, **more: Any) -> PlantedFault:
    return PlantedFault(code=code, path=path, entries=entries, **more)


def _env(*lines: str) -> dict[str, Any]:
    return {"config": {"env": (PATH, *lines)}}


_CONFIG = "configuration"
_SOLVE = ("/usr/local/bin/solve",)
FAULTS: Mapping[str, PlantedFault] = {
    "library missing": _planted(
        "IK101", "/usr/lib/libfast.so.1.2",
        entry("usr/lib/libfast.so.1.2", linked(soname="libfast.so.1", needed=("libm3.so.6",))),
        program("usr/bin/other", needed=("libfast.so.1",)),
        breaks=("/usr/bin/other", *_SOLVE), says="libm3.so.6 is not in the image",
    ),
    "library of another class": _planted(
        "IK101", "/usr/local/bin/solve", library("usr/lib/libfast.so.1.2", wide=False, machine=3),
        breaks=_SOLVE,
    ),
    "library elsewhere": _planted(
        "IK102", "/usr/local/bin/solve", library("opt/fast/lib/libfast.so.1"),
        without=("usr/lib/libfast.so.1", "usr/lib/libfast.so.1.2"), breaks=_SOLVE,
        says="only in /opt/fast/lib",
    ),
    "rpath that a runpath ends": _planted(
        "IK102", "/opt/w/w.libs/libblas.so",
        library("opt/w/w.libs/libblas.so", needed=("libgfortran.so",), runpath="$ORIGIN/x"),
        breaks=("/opt/w/numbers.so",),
    ),
    "ldconfig not run": _planted(
        "IK102", "/usr/local/bin/solve", library("opt/fast/lib/libfast.so.1"),
        entry("etc/ld.so.conf.d/fast.conf", b"/opt/fast/lib\n"),
        without=("usr/lib/libfast.so.1", "usr/lib/libfast.so.1.2"), breaks=_SOLVE,
    ),
    "loader missing": _planted(
        "IK103", "/usr/bin/alien", program("usr/bin/alien", interpreter="/lib/ld-musl-x86_64.so.1"),
        says="/lib/ld-musl-x86_64.so.1",
    ),
    "library too old": _planted(
        "IK104", "/usr/bin/new",
        program("usr/bin/new", needed=("libc.so.6",), wants={"libc.so.6": ("GLIBC_2.38",)}),
        says="libc.so.6 does not define GLIBC_2.38",
    ),
    "other processor": _planted("IK105", "/usr/bin/arm", program("usr/bin/arm", machine=183)),
    "searched in a home": _planted(
        "IK106", "/usr/bin/odd", program("usr/bin/odd", runpath="/home/ana/build/lib"),
    ),
    "searched where it is started": _planted(
        "IK106", "/usr/bin/odd", program("usr/bin/odd", rpath="lib"),
    ),
    "library of newer processors": _planted(
        "IK107", "/usr/lib/glibc-hwcaps/x86-64-v3/libfast.so.1",
        library("usr/lib/glibc-hwcaps/x86-64-v3/libfast.so.1"),
        without=("usr/lib/libfast.so.1", "usr/lib/libfast.so.1.2"), breaks=_SOLVE,
    ),
    "damaged program": _planted(
        "IK108", "/usr/bin/cut",
        entry("usr/bin/cut", linked(interpreter=LOADER, needed=("libc.so.6",))[:-100], mode=0o755),
    ),
    "interpreter missing": _planted(
        "IK111", "/usr/local/bin/tool", script("usr/local/bin/tool", "/usr/bin/python3.9 -I"),
        says="/usr/bin/python3.9",
    ),
    "interpreter by env missing": _planted(
        "IK111", "/opt/x/bin/tool", script("opt/x/bin/tool", "/usr/bin/env -S A=1 perl -w"),
        says="perl",
    ),
    "entrypoint missing": _planted(
        "IK112", _CONFIG, config={"entrypoint": ("/usr/bin/gone",)}, breaks=(),
    ),
    "command not executable": _planted(
        "IK112", _CONFIG, entry("usr/bin/plain", b"x"), config={"cmd": ("plain",)}, breaks=(),
    ),
    "preloaded library missing": _planted(
        "IK113", "/etc/ld.so.preload", entry("etc/ld.so.preload", b"/usr/lib/libsnoopy.so\n"),
        breaks=(),
    ),
    "dangling link": _planted("IK201", "/opt/libz.so", link("opt/libz.so", "libz.so.9")),
    "link out of the image": _planted(
        "IK202", "/opt/data", link("opt/data", "../../../../etc/hostname"),
    ),
    "links in a circle": _planted("IK203", "/opt/a", link("opt/a", "/opt/a")),
    "setuid": _planted(
        "IK301", "/opt/helper", entry("opt/helper", linked(), mode=0o4755), says="the user 0",
    ),
    "setgid": _planted(
        "IK301", "/opt/helper", entry("opt/helper", linked(), mode=0o2755, gid=7), says="group 7",
    ),
    "known name elsewhere": _planted("IK301", "/opt/su", entry("opt/su", linked(), mode=0o4755)),
    "capability": _planted(
        "IK302", "/usr/bin/net",
        entry("usr/bin/net", linked(), mode=0o755,
              pax_headers={"SCHILY.xattr.security.capability": "\1\0\0\2\0\x20\0\0"}),
    ),
    "writable file": _planted("IK303", "/etc/app.ini", entry("etc/app.ini", b"x", mode=0o666)),
    "writable folder": _planted("IK303", "/opt/shared", entry("opt/shared", mode=0o777)),
    "device": _planted(
        "IK304", "/opt/null", entry("opt/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    ),
    "program of one user": _planted(
        "IK305", "/usr/bin/mine", entry("usr/bin/mine", linked(), mode=0o700),
    ),
    "folder of one user": _planted(
        "IK305", "/opt/closed", entry("opt/closed", mode=0o700), library("opt/closed/a.so"),
        breaks=("/opt/closed/a.so",),
    ),
    "private key": _planted("IK401", "/opt/tls.key", entry("opt/tls.key", KEY), breaks=()),
    "host key": _planted(
        "IK402", "/etc/ssh/ssh_host_rsa_key", entry("etc/ssh/ssh_host_rsa_key", KEY, mode=0o644),
        breaks=(),
    ),
    "token": _planted(
        "IK403", "/opt/app.env", entry("opt/app.env", b"X=ghp_" + b"a1" * 18 + b"\n"), breaks=(),
    ),
    "login": _planted(
        "IK404", "/root/.docker/config.json",
        entry("root/.docker/config.json", b'{"auths": {"r.example": {"auth": "dTpw"}}}'), breaks=(),
    ),
    "password": _planted(
        "IK405", "/etc/shadow",
        entry("etc/shadow", b"root:$6$salt$hashhashhash:1::::::\n", mode=0o640), breaks=(),
    ),
    "secret variable": _planted("IK406", _CONFIG, breaks=(), **_env("DB_PASSWORD=hunter2")),
    "hidden secret": _planted(
        "IK407", "/opt/tls.key", entry("opt/tls.key", KEY), above=(entry("opt/.wh.tls.key", b""),),
        breaks=(), says="layer 1",
    ),
    "history": _planted(
        "IK408", "/root/.bash_history", entry("root/.bash_history", b"make\n"), breaks=(),
    ),
    "no certificates": _planted(
        "IK501", "/etc/ssl/certs/ca-certificates.crt", program("usr/bin/curl"),
        breaks=("/usr/bin/curl",),
    ),
    "certificates named and missing": _planted(
        "IK501", _CONFIG, breaks=(), **_env("SSL_CERT_FILE=/etc/site.pem"),
    ),
    "user without an entry": _planted("IK502", _CONFIG, config={"user": "ana"}, breaks=()),
    "group without an entry": _planted("IK502", _CONFIG, config={"user": "1000:hpc"}, breaks=()),
    "no root": _planted(
        "IK502", "/etc/passwd", entry("etc/passwd", b"solver:x:1000:1000::/:/bin/sh\n"), breaks=(),
    ),
    "locale": _planted("IK503", _CONFIG, breaks=(), **_env("LANG=de_DE.UTF-8")),
    "time zone": _planted("IK504", _CONFIG, breaks=(), **_env("TZ=Europe/Berlin")),
    "variable to nothing": _planted("IK505", _CONFIG, breaks=(), **_env("PYTHONPATH=/opt/gone")),
    "path where one is": _planted(
        "IK505", _CONFIG, config={"env": ("PATH=/usr/bin::/usr/local/bin",)}, breaks=(),
    ),
    "no stub": _planted("IK506", "/proc", without=("proc",), breaks=()),
    "tmp of root": _planted("IK507", "/tmp", entry("tmp", mode=0o755), breaks=()),
    "working folder": _planted("IK508", _CONFIG, config={"workdir": "/work"}, breaks=()),
    "build path of a library": _planted(
        "IK601", "/usr/lib/pkgconfig/fast.pc",
        entry("usr/lib/pkgconfig/fast.pc", b"prefix=/home/ana/spack/opt/fast-1.2\n"),
        says="/home/ana/spack/opt/fast-1.2",
    ),
    "virtual environment": _planted(
        "IK601", "/opt/venv/pyvenv.cfg",
        entry("opt/venv/pyvenv.cfg", b"home = /opt/hostedtoolcache/Python/3.11/bin\n"),
    ),
    "editable package": _planted(
        "IK601", "/opt/w/site-packages/app.pth",
        entry("opt/w/site-packages/app.pth", b"/builds/group/app/src\n"),
    ),
    "proxy of apt": _planted(
        "IK602", "/etc/apt/apt.conf.d/01proxy",
        entry("etc/apt/apt.conf.d/01proxy", b'Acquire::http::Proxy "http://10.0.0.1:3142";\n'),
        breaks=(),
    ),
    "proxy variable": _planted(
        "IK602", _CONFIG, breaks=(), **_env("https_proxy=http://10.0.0.1:3128"),
    ),
    "index of packages": _planted(
        "IK602", "/etc/pip.conf",
        entry("etc/pip.conf", b"[global]\nindex-url = https://mirror.site.example/simple\n"),
        breaks=(),
    ),
    "site": _planted(
        "IK603", "/etc/munge/munge.key", entry("etc/munge/munge.key", b"k" * 128), breaks=(),
    ),
    "realm": _planted(
        "IK603", "/etc/krb5.conf",
        entry("etc/krb5.conf", b"[libdefaults]\n default_realm = SITE.EXAMPLE\n"), breaks=(),
    ),
    "mounts of a site": _planted(
        "IK603", "/etc/fstab", entry("etc/fstab", b"nas:/home /home nfs4 rw 0 0\n"), breaks=(),
    ),
    "SSH of a user": _planted(
        "IK604", "/root/.ssh/authorized_keys",
        entry("root/.ssh/authorized_keys", b"ssh-ed25519 AAAA ana\n"), breaks=(),
    ),
    "machine": _planted(
        "IK605", "/etc/machine-id", entry("etc/machine-id", b"0" * 32 + b"\n"), breaks=(),
    ),
}  # fmt: skip
"""Each kind of fault, by what it is."""
