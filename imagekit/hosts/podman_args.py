"""Options of ``podman run`` that are handed on by ``--podman-arg``: a list, each in one exact form.

What must hold:

1. An option is one word: ``--name=value``, or ``--name`` where it has no value. So Podman cannot
   read its value as a further option, nor a word as the image.
2. Its name is on the list. What names other bytes than those that were judged is not on it.
3. ``--mount`` brings folders of this host, and no image.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

from imagekit.errors import UsageError
from imagekit.hosts.run_options import REFUSED, covers, direct, refuse_root

_FLAGS = frozenset(
    {
        *("--env-host", "--http-proxy", "--init", "--interactive", "--no-healthcheck"),
        *("--no-hosts", "--oom-kill-disable", "--passwd", "--privileged", "--publish-all"),
        *("--read-only", "--read-only-tmpfs", "--sig-proxy", "--tty", "--unsetenv-all"),
    }
)
_VALUES = frozenset(
    {
        # What it may use.
        *("--blkio-weight", "--blkio-weight-device", "--cgroup-conf", "--cgroup-parent"),
        *("--cgroupns", "--cgroups", "--cpu-period", "--cpu-quota", "--cpu-rt-period"),
        *("--cpu-rt-runtime", "--cpu-shares", "--cpus", "--cpuset-cpus", "--cpuset-mems"),
        *("--device-cgroup-rule", "--device-read-bps", "--device-read-iops"),
        *("--device-write-bps", "--device-write-iops", "--memory", "--memory-reservation"),
        *("--memory-swap", "--memory-swappiness", "--oom-score-adj", "--pids-limit"),
        *("--shm-size", "--timeout", "--ulimit"),
        # Who it is, and what it sees.
        *("--cap-add", "--cap-drop", "--env-file", "--env-merge", "--gidmap", "--group-add"),
        *("--hostuser", "--image-volume", "--ipc", "--mount", "--passwd-entry", "--personality"),
        *("--pid", "--secret", "--security-opt", "--subgidname", "--subuidname", "--sysctl"),
        *("--systemd", "--tmpfs", "--tz", "--uidmap", "--umask", "--unsetenv", "--uts"),
        # Its name and network.
        *("--add-host", "--annotation", "--cidfile", "--dns", "--dns-option", "--dns-search"),
        *("--expose", "--hostname", "--ip", "--ip6", "--label", "--label-file", "--log-driver"),
        *("--log-opt", "--mac-address", "--name", "--network-alias", "--pidfile", "--publish"),
        *("--stop-signal", "--stop-timeout"),
    }
)
KNOWN = _FLAGS | _VALUES
"""All that is handed on; docs/run.md lists them."""
_OWN = frozenset(
    {
        *("--device", "--entrypoint", "--env", "--gpus", "--network", "--user", "--userns"),
        *("--volume", "--workdir"),
    }
)
_ANOTHER_IMAGE = "another image than the one that was judged would run"
_ANOTHER_STORE = "the image would come from a storage that was not compared"
_FOREGROUND = "imagekit run stays until the container ends, and returns its exit code"
_REASONS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("--rootfs", "--pull", "--volumes-from", "--pod", "--pod-id-file"),
        (_ANOTHER_IMAGE, "name the image as REFERENCE"),
    ),
    **dict.fromkeys(
        ("--arch", "--os", "--platform", "--variant"),
        ("it chooses another image of an index", "name that image by its digest as REFERENCE"),
    ),
    **dict.fromkeys(
        ("--root", "--runroot", "--storage-driver", "--storage-opt", "--imagestore"),
        (_ANOTHER_STORE, "set the storage in storage.conf, or use --staged"),
    ),
    **dict.fromkeys(
        ("--signature-policy", "--tls-verify", "--authfile", "--cert-dir", "--creds"),
        ("imagekit decides what is pulled, and how", "see --policy, --plain-http and --ca-file"),
    ),
    **dict.fromkeys(
        ("--init-path", "--hooks-dir", "--runtime", "--conmon", "--module", "--cdi-spec-dir"),
        ("it names programs that nobody judged", "set it in containers.conf, as all of Podman's"),
    ),
    **dict.fromkeys(
        ("--detach", "--restart", "--replace", "--rm", "--rmi"),
        (_FOREGROUND, "leave it out; imagekit run ... & is in the background"),
    ),
}
_LESS_ISOLATED = frozenset(
    {
        *("--cap-add", "--cgroupns", "--device-cgroup-rule", "--env-host", "--ipc", "--pid"),
        *("--privileged", "--security-opt", "--uts"),
    }
)
_MOUNTS = frozenset({"bind", "devpts", "ramfs", "tmpfs", "volume"})
_TARGETS = frozenset({"target", "destination", "dst"})
_MOUNT_KEYS = _TARGETS | {
    *("type", "source", "src", "ro", "readonly", "rw", "U", "chown", "idmap", "relabel", "z", "Z"),
    *("bind-nonrecursive", "bind-propagation", "tmpfs-mode", "tmpfs-size", "tmpcopyup"),
    *("notmpcopyup", "uid", "gid", "mode"),
}


def checked(words: Sequence[str]) -> tuple[str, ...]:
    """Return the options, each of which Podman reads as it was read here.

    Raises:
        UsageError: one is not on the list, or not in its form (code ``run/refused-option``).
    """
    for word in words:
        _check(word)
    return tuple(words)


def remarks(words: Sequence[str]) -> Iterator[str]:
    """Yield what the caller should know of options that were checked."""
    lax = sorted({word.partition("=")[0] for word in words} & _LESS_ISOLATED)
    if lax:
        yield f"{', '.join(lax)}: isolation is what you chose; the verdict is about the image only"
    covered = [target for word in words for target in _targets(word) if covers(target)]
    if covered:
        yield f"mounts cover {', '.join(covered)}: what runs from there was not judged"


def _check(word: str) -> None:
    name, equals, value = word.partition("=")
    plain = name.isascii() and " " not in name and word.isprintable()
    if not plain or not name.startswith("--") or name == "--":
        raise UsageError(
            f"--podman-arg {word!a} is no whole option",
            hint="one long option with its value in one word: --podman-arg=--shm-size=1g",
            code=REFUSED,
        )
    if name in _FLAGS:
        if equals and value not in {"true", "false"}:
            _refuse(word, f"{name} is true or false", f"--podman-arg={name}")
    elif name in _VALUES:
        if not equals:
            _refuse(word, f"{name} has a value", f"in the same word: --podman-arg={name}=VALUE")
    elif name in _OWN:
        _refuse(word, f"imagekit run has {name} itself", f"{name} {value or 'VALUE'}")
    else:
        unknown = ("imagekit does not know what it does", "docs/run.md lists what is handed on")
        _refuse(word, *_REASONS.get(name, unknown))
    for target in _targets(word):
        refuse_root(target, f"--podman-arg={word}")


def _targets(word: str) -> Iterator[str]:
    """Yield where an option mounts something."""
    name, _, value = word.partition("=")
    if name == "--tmpfs":
        yield direct(value.partition(":")[0])
    if name == "--mount":
        yield direct(_mounted(word, value))


def _mounted(word: str, value: str) -> str:
    """Return where a mount lies in the container (podman-run(1), ``--mount``)."""
    parts = [part.partition("=") for part in value.split(",")]
    kinds = [text for key, _, text in parts if key == "type"]
    targets = [text for key, _, text in parts if key in _TARGETS]
    unknown = {key for key, _, _ in parts} - _MOUNT_KEYS
    # Newer versions of Podman read the value as CSV: a quotation mark that hides a comma begins a
    # part, whose key is unknown then.
    if unknown or len(kinds) != 1 or len(targets) != 1:
        reason = f"{min(unknown)!a} is not known" if unknown else "it has one type and one target"
        _refuse(word, reason, "--podman-arg=--mount=type=bind,source=HOST,target=CONTAINER")
    if kinds[0] not in _MOUNTS:
        kinds_known = ", ".join(sorted(_MOUNTS))
        _refuse(word, f"{kinds[0]!a} may bring files that nobody judged", f"type: {kinds_known}")
    return targets[0]


def _refuse(word: str, reason: str, remedy: str) -> NoReturn:
    raise UsageError(f"--podman-arg {word!a} is refused: {reason}", hint=remedy, code=REFUSED)
