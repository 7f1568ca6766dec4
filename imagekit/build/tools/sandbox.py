"""A process tree that sees no more of the host than the tools of a build step need.

Run as a program of its own: ``python -I -S sandbox.py SPEC PROGRAM ARGUMENTS``, by root or inside
``buildah unshare``. It imports nothing of imagekit, as it starts once a step. The program runs

- in a mount namespace whose root is empty but for the system's programs and libraries, some files
  of /etc, and the folders that SPEC names. No home, key, registry login or socket of another
  program is there, whatever a step escapes from;
- in a PID namespace: no process of the host can be seen, traced or signalled, and nothing that a
  step started outlives the program;
- in IPC and UTS namespaces of its own, and in an empty network namespace where SPEC says so;
- without the kernel's key rings, which hold tickets and keys of the user or of root.

The container that the program starts there adds its own limits. A program that runs untrusted code
in a chroot instead, as mmdebstrap does, has few of root's capabilities where SPEC names a chroot:
it can mount nothing, so the first process does that when it gets SIGUSR1, once. Where one of these
cannot be set up, the program is not run, and the exit code is 125.
"""

import ctypes
import errno
import fcntl
import json
import os
import platform
import shutil
import signal
import socket
import stat
import struct
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

FAILED = 125
"""The exit code of Buildah and Podman too where they cannot start a container."""
_HOST = b"localhost"
_NO_DOMAIN = b"(none)"
"""What the kernel says where nobody set one; else the host's would be inherited (uname(2))."""
_SYSTEM = ("bin", "sbin", "usr")
"""Top-level folders of the host's system, besides those whose names begin with ``lib``."""
_ETC_FILES = (
    "containers/policy.json",
    "containers/registries.conf",
    "group",
    "hosts",
    "ld.so.cache",
    "nsswitch.conf",
    "passwd",
    "resolv.conf",
    "subgid",
    "subuid",
)
_ETC_FOLDERS = ("alternatives", "ssl/certs")
_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "ptmx": "pts/ptmx",
    "stderr": "/proc/self/fd/2",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
}

# Numbers of mount(2), mount_setattr, umount2, unshare, prctl, landlock(7) and netdevice(7).
_NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _PRIVATE = 2, 4, 8, 1 << 12, 1 << 14, 1 << 18
_NEWNS, _NEWUTS, _NEWIPC, _NEWPID, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
_DETACH, _DEATH_SIGNAL = 2, 1
_AT_FDCWD, _AT_RECURSIVE, _ATTR_RDONLY, _SETATTR = -100, 0x8000, 1, 442
_PIVOT = {"x86_64": 155, "aarch64": 41, "ppc64le": 203, "s390x": 217, "riscv64": 41}
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _SCOPE_ABSTRACT_SOCKETS = 444, 446, 1
# The first of add_key(2), request_key(2) and keyctl(2), which follow each other, for each form of
# system calls (AUDIT_ARCH of seccomp(2)) that a machine has; instructions of its filters.
_KEY_CALLS = {
    "x86_64": ((0xC000003E, 248), (0x40000003, 286)),
    "aarch64": ((0xC00000B7, 217), (0x40000028, 309)),
    "ppc64le": ((0xC0000015, 269),),
    "s390x": ((0x80000016, 278), (0x00000016, 278)),
    "riscv64": ((0xC00000F3, 217),),
}
_LOAD, _AND, _EQUAL, _AT_LEAST, _ABOVE, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x25, 0x06
_ALLOW, _NO_SUCH_CALL, _X32 = 0x7FFF0000, 0x00050000 | errno.ENOSYS, 0x40000000
_SET_SECCOMP, _FILTER = 22, 2
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1
_HIGHEST_HANDLE = 1 << 16
_LINKS = "l"
"""A folder among the layers of an overlay storage, with links to them."""

# Numbers of capabilities(7), prctl(2) and capset(2).
_CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 31)
"""Those that a step has in a container too; of them only SYS_CHROOT (18) leads out of a chroot."""
_BOUND_READ, _BOUND_DROP, _CAPABILITY_VERSION_3 = 23, 24, 0x20080522
_PROC_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_PROC_HIDDEN = ("kcore", "keys", "kmsg", "timer_list")
"""Hidden by OCI runtimes too (runtime-spec config-linux.md, Masked Paths) from a real root."""

_libc = ctypes.CDLL(None, use_errno=True)


def own_mounts() -> None:
    """Give this process a mount namespace of its own, whose mounts no other process sees.

    Raises:
        OSError: the kernel refuses it.
    """
    _unshare(_NEWNS)
    _mount(None, "/", flags=_REC | _PRIVATE)


def bind(source: str, target: str, *, writable: bool = True) -> None:
    """Mount a folder, with all that is mounted below it, at another path too (mount(2), MS_BIND).

    Raises:
        OSError: the kernel refuses it.
    """
    _mount(source, target, flags=_BIND | _REC)
    if not writable:
        _read_only(target)


def _keep(folder: str) -> None:
    """Make the layers that are in a folder now read-only; what is made there later is not."""
    # Else containers/storage mounts the folder on itself, without what is mounted below.
    bind(folder, folder)
    with os.scandir(folder) as entries:
        layers = [entry.path for entry in entries if entry.name != _LINKS]
    for layer in layers:
        bind(layer, layer, writable=False)


def main(arguments: Sequence[str]) -> int:
    """Run a program and return its exit code."""
    spec, program = json.loads(arguments[0]), list(arguments[1:])
    executable = shutil.which(program[0])
    try:
        if executable is None:
            raise FileNotFoundError(f"{program[0]} is not installed")
        if spec["join"]:
            _join(spec["join"])
        kinds = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID
        _unshare(kinds if spec["network"] else kinds | _NEWNET)
    except OSError as error:
        return _failed(error)
    inner = os.fork()
    if not inner:
        _first_process(spec, executable, program)
    # SIGTERM goes to the group: the program ends by it, and the first process ends with it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return _code(os.waitpid(inner, 0)[1])


def _join(process: int) -> None:
    """Enter the user and mount namespaces of a process, and end with the process that started us.

    A user's working containers are mounted nowhere else, and a terminal is not handed over to a
    worker.
    """
    for kind in ("user", "mnt"):
        theirs, ours = f"/proc/{process}/ns/{kind}", f"/proc/self/ns/{kind}"
        # setns(2), EINVAL: nobody can enter the user namespace where he is.
        if os.path.samestat(os.stat(theirs), os.stat(ours)):
            continue
        handle = os.open(theirs, os.O_RDONLY | os.O_CLOEXEC)
        _check(_libc.setns(handle, 0), f"setns {theirs}")
        os.close(handle)
    # Python would raise it in the middle of something; what asked for it ends everything.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # prctl(2): new credentials reset it.
    _libc.prctl(_DEATH_SIGNAL, signal.SIGKILL)


def _first_process(spec: dict[str, Any], executable: str, program: list[str]) -> NoReturn:
    """Set up the namespaces, start the program, and end all others when it has ended."""
    status = FAILED
    try:
        _libc.prctl(_DEATH_SIGNAL, signal.SIGKILL)
        if spec["session"]:
            # Else /dev/tty would be the terminal of whoever started this (tty(4)).
            os.setsid()
        _enter_root(spec)
        if not spec["network"]:
            _loopback_up()
        _check(_libc.sethostname(_HOST, len(_HOST)), "sethostname")
        _check(_libc.setdomainname(_NO_DOMAIN, len(_NO_DOMAIN)), "setdomainname")
        _leave_others_sockets()
        _leave_key_rings()
        os.umask(0o022)
        if spec["chroot"]:
            _mask_proc("/proc")
            signal.signal(signal.SIGUSR1, lambda *_: _mount_in_chroot(spec["chroot"]))
        child = os.fork()
        if not child:
            os.closerange(3, _HIGHEST_HANDLE)
            if spec["chroot"]:
                _keep_few_capabilities()
            os.execv(executable, program)  # noqa: S606 - a list, and no shell reads it
        status = _wait_for(child)
    except OSError as error:
        _failed(error)
    finally:
        os._exit(status)


def _wait_for(child: int) -> int:
    while True:
        ended, status = os.wait()
        if ended == child:
            return _code(status)


def _enter_root(spec: dict[str, Any]) -> None:
    """Make the new root and change to it; of the old one nothing stays mounted."""
    _mount(None, "/", flags=_REC | _PRIVATE)
    # Opened before anything is mounted over a path of theirs.
    places = [(os.open(name, os.O_PATH), to, rw) for name, to, rw in spec["places"]]
    root = "/tmp"  # noqa: S108 - a new, empty file system, mounted over it
    _mount("sandbox", root, kind="tmpfs", options="mode=755")
    for name in ("proc", "sys", "run", "dev", "etc", "root", "var"):
        os.mkdir(f"{root}/{name}", 0o755)
    for name in ("tmp", "var/tmp"):
        os.mkdir(f"{root}/{name}")
        os.chmod(f"{root}/{name}", 0o1777)  # noqa: S103 - with the sticky bit, as on every host
    _system(root)
    _etc(root)
    _devices(root)
    _mount("proc", f"{root}/proc", kind="proc", flags=_NOSUID | _NODEV | _NOEXEC)
    if spec["sys"]:
        bind("/sys", f"{root}/sys")
    for handle, target, writable in places:
        os.makedirs(root + target, exist_ok=True)
        bind(f"/proc/self/fd/{handle}", root + target, writable=writable)
        os.close(handle)
    for name in spec["kept"]:
        _keep(root + name)
    for name in spec["empty"]:
        os.makedirs(root + name, exist_ok=True)
        _mount("sandbox", root + name, kind="tmpfs", options="mode=700")
    os.chdir(root)
    # pivot_root(2): with "." twice the old root is stacked below the new one, and taken off.
    number = _PIVOT.get(platform.machine())
    if number is None:
        raise OSError(f"pivot_root is not known on {platform.machine()}")
    _check(_libc.syscall(number, b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _DETACH), "umount")
    os.chdir("/")


def _system(root: str) -> None:
    for name in sorted(os.listdir("/")):
        if name not in _SYSTEM and not name.startswith("lib"):
            continue
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{root}/{name}")
        elif os.path.isdir(f"/{name}"):
            os.mkdir(f"{root}/{name}")
            bind(f"/{name}", f"{root}/{name}", writable=False)


def _etc(root: str) -> None:
    for name in _ETC_FILES:
        if os.path.isfile(f"/etc/{name}"):
            os.makedirs(os.path.dirname(f"{root}/etc/{name}"), exist_ok=True)
            shutil.copyfile(f"/etc/{name}", f"{root}/etc/{name}")
    for name in _ETC_FOLDERS:
        if os.path.isdir(f"/etc/{name}"):
            os.makedirs(f"{root}/etc/{name}")
            bind(f"/etc/{name}", f"{root}/etc/{name}", writable=False)


def _devices(root: str) -> None:
    for name in _DEVICES:
        if stat.S_ISCHR(os.stat(f"/dev/{name}").st_mode):
            os.close(os.open(f"{root}/dev/{name}", os.O_CREAT | os.O_EXCL, 0o666))
            bind(f"/dev/{name}", f"{root}/dev/{name}")
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"{root}/dev/{name}")
    for name, kind, options in (
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620"),
        ("shm", "tmpfs", "mode=1777"),
    ):
        os.mkdir(f"{root}/dev/{name}")
        _mount(name, f"{root}/dev/{name}", kind=kind, options=options)


def _mount_in_chroot(root: str) -> None:
    """Mount what the programs in a chroot need; no link in it is followed."""
    # Nothing of the chroot has run yet; a signal of what runs later is ignored.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    for name, kind, options in (("dev", "tmpfs", "mode=755"), ("proc", "proc", "")):
        handle = os.open(f"{root}/{name}", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        flags = _NOSUID | _NOEXEC
        _mount(kind, f"/proc/self/fd/{handle}", kind=kind, flags=flags, options=options)
        os.close(handle)
    _devices(root)
    _mask_proc(f"{root}/proc")


def _mask_proc(folder: str) -> None:
    for name in _PROC_READ_ONLY:
        if os.path.exists(f"{folder}/{name}"):
            bind(f"{folder}/{name}", f"{folder}/{name}", writable=False)
    for name in _PROC_HIDDEN:
        if os.path.exists(f"{folder}/{name}"):
            bind("/dev/null", f"{folder}/{name}")


def _keep_few_capabilities() -> None:
    """Drop all other capabilities for good; a program that root executes gets these."""
    for number in range(64):
        if number not in _CAPABILITIES and _libc.prctl(_BOUND_READ, number, 0, 0, 0) == 1:
            _check(_libc.prctl(_BOUND_DROP, number, 0, 0, 0), "prctl")
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Twice the effective, permitted and inheritable ones: 32 of them each.
    held = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(header, held), "capget")
    kept = sum(1 << number for number in _CAPABILITIES)
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)(held[0] & kept, held[1] & kept)), "capset")


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _GET_FLAGS, asked))[1]
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def _leave_others_sockets() -> None:
    """Make the host's abstract sockets unreachable: they have no path, but belong to its network.

    Where the kernel is older than Landlock's scopes (6.12), they can be reached: landlock(7).
    """
    scopes = struct.pack("QQQ", 0, 0, _SCOPE_ABSTRACT_SOCKETS)
    ruleset = _libc.syscall(_LANDLOCK_CREATE, scopes, len(scopes), 0)
    if ruleset >= 0:
        _check(_libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")


class _Program(ctypes.Structure):
    """struct sock_fprog of seccomp(2)."""

    _fields_: ClassVar[Sequence[Any]] = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def _leave_key_rings() -> None:
    """Disable the system calls for keys, as on a kernel without: a ring is a user's (keyrings(7)).

    OCI runtimes, which make a ring of their own where they can, work without.
    """
    calls = _KEY_CALLS.get(platform.machine())
    if calls is None:
        raise OSError(f"the calls for keys are not known on {platform.machine()}")
    steps = [step for form, first in calls for step in _no_keys(form, first)]
    code = b"".join(struct.pack("HBBI", *step) for step in (*steps, (_RETURN, 0, 0, _ALLOW)))
    program = _Program(len(steps) + 1, code)
    _check(_libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0), "seccomp")


def _no_keys(form: int, first: int) -> Sequence[tuple[int, int, int, int]]:
    """Return instructions (code, steps passed over if true and if not, value) for calls of a form.

    The first word that a filter sees is the call's number, the second its form.
    """
    return (
        (_LOAD, 0, 0, 4),
        (_EQUAL, 0, 6, form),
        (_LOAD, 0, 0, 0),
        (_AND, 0, 0, ~_X32 & 0xFFFFFFFF),
        (_AT_LEAST, 0, 2, first),
        (_ABOVE, 1, 0, first + 2),
        (_RETURN, 0, 0, _NO_SUCH_CALL),
        (_RETURN, 0, 0, _ALLOW),
    )


class _Attributes(ctypes.Structure):
    """struct mount_attr of mount_setattr(2)."""

    _fields_: ClassVar[Sequence[Any]] = [
        (name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "namespace")
    ]


def _read_only(path: str) -> None:
    wanted = _Attributes(_ATTR_RDONLY, 0, 0, 0)
    size = ctypes.sizeof(wanted)
    done = _libc.syscall(
        _SETATTR, _AT_FDCWD, os.fsencode(path), _AT_RECURSIVE, ctypes.byref(wanted), size
    )
    _check(done, f"mount_setattr {path}")


def _mount(
    source: str | None, target: str, *, kind: str | None = None, flags: int = 0, options: str = ""
) -> None:
    words = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    done = _libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options) or None)
    _check(done, f"mount {source} on {target}")


def _unshare(kinds: int) -> None:
    _check(_libc.unshare(kinds), "unshare")


def _check(done: int, call: str) -> None:
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def _code(status: int) -> int:
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _failed(error: OSError) -> int:
    os.write(2, f"a step cannot be contained on this host: {error}\n".encode())
    return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
