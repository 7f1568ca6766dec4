"""Whether the engines of a host can be bypassed: what lets an image past the gate or the policy."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from imagekit.build.tools.podman_faults import LOCAL_STORAGE, STAGED
from imagekit.hosts.host import EngineFile, EngineSetup, HostCheck, Status, last_text

_ANYTHING = "insecureAcceptAnything"
_OTHERS = "_default"
"""Containerd's folder for hosts that have none; it compares names as they are written."""
REGISTRIES_FILE = "99-imagekit.conf"
"""The drop-in that ``imagekit trust install`` writes, which may override others."""
POLICY_FILE = "/etc/containers/policy.json"
_SHOWN = 5


def judge_engines(setup: EngineSetup) -> tuple[HostCheck, ...]:
    """Return a check for each way past the gate or the policy."""
    return (
        _overrides(setup),
        _faults(setup),
        _mirrors(setup),
        _containerd(setup),
        _policy(setup),
        _crio(setup),
        _engines(setup),
        _stores(setup),
    )


def _check(name: str, status: Status, *texts: str) -> HostCheck:
    message, hint = (*texts, "")[:2]
    return HostCheck(name=name, status=status, message=message, hint=hint)


def _overrides(setup: EngineSetup) -> HostCheck:
    if not setup.overrides:
        return _check("policy", "ok", "no user's file overrides the site's")
    names = [str(path) for path in setup.overrides]
    return _check(
        "policy",
        "problem",
        f"{_listed(names)}: override the site's for that user",
        f"remove it: rm -r {names[0]}; what no file can forbid, the network can: let only the "
        "gate answer",
    )


def _faults(setup: EngineSetup) -> HostCheck:
    single = [file for file in (setup.docker, setup.policy) if file is not None]
    bad = [
        file for file in (*setup.registries, *setup.containerd, *setup.crio, *single) if file.fault
    ]
    if not bad:
        return _check("files", "ok", "the engines' files can be read")
    return _check(
        "files",
        "problem",
        f"{bad[0].path} cannot be read: {bad[0].fault}",
        "correct it: with a wrong hosts.toml containerd asks the origin; podman pulls nothing",
    )


def _mirrors(setup: EngineSetup) -> HostCheck:
    """Return whether a refusal of the gate is one: after a mirror, the origin is asked.

    containers-registries.conf(5), ``mirror``: the primary location is tried last.
    """
    mirrors = [
        f"{file.path}: {_text(entry.get('prefix') or entry.get('location'))}"
        for file in setup.registries
        for entry in _tables(file.document.get("registry"))
        if _tables(entry.get("mirror"))
    ]
    if setup.docker is not None and setup.docker.document.get("registry-mirrors"):
        mirrors.append(f"{setup.docker.path}: registry-mirrors")
    mirrors += _redefined(setup.registries)
    if not mirrors:
        return _check("mirrors", "ok", "no mirror falls through to the origin")
    return _check(
        "mirrors",
        "problem",
        f"{_listed(mirrors)}: what a mirror refuses is pulled from the origin",
        "replace the registry instead: imagekit trust install --gate URL --registry HOST",
    )


def _redefined(files: Iterable[EngineFile]) -> Iterator[str]:
    """Yield what a later file has for a prefix of an earlier one.

    containers-registries.conf.d(5): the last file overrides those before it.
    """
    first: dict[str, EngineFile] = {}
    for file in files:
        for entry in _tables(file.document.get("registry")):
            prefix = _text(entry.get("prefix") or entry.get("location"))
            before = first.setdefault(prefix, file)
            if before is not file and file.path.name != REGISTRIES_FILE:
                yield f"{file.path} has {prefix} as {before.path} does, and overrides it"


def _containerd(setup: EngineSetup) -> HostCheck:
    wrong = [f"{file.path}: {why}" for file in setup.containerd for why in _origins(file)]
    if setup.containerd and not any(file.path.parent.name == _OTHERS for file in setup.containerd):
        wrong.append(f"no {_OTHERS}/hosts.toml: a host in another spelling is asked itself")
    if not wrong:
        return _check("containerd", "ok", f"{len(setup.containerd)} hosts.toml, none falls through")
    return _check(
        "containerd",
        "problem",
        _listed(wrong),
        "server and the only host are both the gate: imagekit trust install writes it so",
    )


def _origins(file: EngineFile) -> Iterator[str]:
    """Yield why the origin is asked in spite of the file.

    https://github.com/containerd/containerd/blob/main/docs/hosts.md
    """
    if file.fault:
        return
    hosts = file.document.get("host")
    server = file.document.get("server")
    if not isinstance(hosts, Mapping) or not hosts:
        yield "a server without a host is an error for containerd 1, which then asks the origin"
        return
    if not isinstance(server, str):
        yield "without a server the origin is asked when the hosts refuse"
    elif server.rstrip("/") not in {str(name).rstrip("/") for name in hosts}:
        yield f"{server} is asked when the hosts refuse"


def _policy(setup: EngineSetup) -> HostCheck:
    if setup.policy is None:
        return _check(
            "policy.json",
            "remark",
            "there is none, so podman, buildah and skopeo pull nothing or anything",
            "imagekit trust install, or imagekit policy export",
        )
    accepted = [
        _text(requirement.get("type"))
        for requirement in _tables(setup.policy.document.get("default"))
    ]
    if _ANYTHING in accepted:
        return _check(
            "policy.json",
            "remark",
            f"{setup.policy.path} accepts everything that it does not name",
            "imagekit trust install rejects everything but what the gate serves",
        )
    return _check("policy.json", "ok", "rejects what it does not name")


def _crio(setup: EngineSetup) -> HostCheck:
    """Return whether CRI-O reads the policy.json that all others read (crio.conf(5))."""
    others = [str(path) for path in setup.crio_policies]
    named = last_text(setup.crio, "crio", "image", "signature_policy")
    if named and named != POLICY_FILE:
        others.insert(0, named)
    if not others:
        return _check("crio", "ok", f"reads {POLICY_FILE}")
    return _check(
        "crio",
        "problem",
        f"{_listed(list(map(_text, others)))}: CRI-O pulls by that and not by {POLICY_FILE}",
        "remove signature_policy from crio.conf, and the policies of namespaces",
    )


def _engines(setup: EngineSetup) -> HostCheck:
    if not setup.unverifying:
        return _check("engines", "ok", "none that verifies nothing")
    return _check(
        "engines",
        "remark",
        f"{', '.join(setup.unverifying)}: pull without verifying, whatever policy.json says",
        "let them reach the gate only, or hand out staged images: imagekit stage",
    )


def _stores(setup: EngineSetup) -> HostCheck:
    if not setup.network_stores:
        return _check("stores", "ok", "image stores are on local file systems")
    path, kind = setup.network_stores[0]
    return _check(
        "stores",
        "problem",
        f"{path} is on {kind}: overlay does not work there, and ids of containers are refused",
        f"{STAGED}; {LOCAL_STORAGE}",
    )


def _tables(value: object) -> list[Mapping[str, Any]]:
    entries = value if isinstance(value, list) else []
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _text(value: object) -> str:
    shown = "".join(character if character.isprintable() else "?" for character in str(value or ""))
    return shown[:100]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
