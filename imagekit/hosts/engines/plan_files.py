"""Which files send a host's engines to the gate: values in, files out.

What must hold:

1. The gate *replaces* a registry and is never its mirror: every engine goes to the origin when a
   mirror refuses (containers-registries.conf(5), ``mirror``; containerd's docs/hosts.md).
2. No file has a key that its engine does not know: one in policy.json refuses every pull
   (containers-policy.json(5)), and containerd asks the origin where hosts.toml is wrong.
3. A registry in another spelling, and one that was not named, is the gate as well, which judges it
   by its canonical spelling, or refuses it.
4. Settings of others are kept where files are shared (daemon.json); where a file is ours as a
   whole it has a name of its own.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.errors import InputError
from imagekit.hosts.engines.engine import Engine, GateAddress, PlanRemark, Route, SystemFile
from imagekit.hosts.hostfiles import HOME, HOST, FilePlaces

REGISTRIES = PurePosixPath("registries.conf.d/99-imagekit.conf")
"""The last of the drop-ins (containers-registries.conf.d(5)): a later one would override it."""
POLICY = PurePosixPath("policy.json")
DAEMON = PurePosixPath("/etc/docker/daemon.json")
HOSTS = PurePosixPath("/etc/containerd/certs.d")
DEFAULT = "_default"
"""The folder that containerd reads for a host that has none of its own. It compares names as they
are written: ``REG.site`` or ``reg.site:443`` would be asked itself beside a folder ``reg.site``."""
_OTHER_USERS = PlanRemark(
    code="USERS_OVERRIDE",
    message="a rootless user may have a registries.conf and a policy.json of their own, which "
    "override these",
    hint="find them with `imagekit doctor`, and let no other host answer on the network",
)
_ONE_USER = PlanRemark(
    code="ONE_USER",
    message="this keeps one user from mistakes and enforces nothing: who writes these files can "
    "change them, and no other user, daemon or root reads them",
    hint="for all users of the host, as root: the same without --user",
)
_HEAD = "# Written by `imagekit trust install`; `imagekit trust remove` takes it back.\n"


class Plan(Struct, frozen=True, kw_only=True):
    """The files as they should be, with remarks."""

    files: tuple[SystemFile, ...]
    remarks: tuple[PlanRemark, ...] = ()


class Wish(Struct, frozen=True, kw_only=True):
    """What an admin asked for."""

    gate: GateAddress
    engines: frozenset[Engine]
    authorization: str = ""
    """Name of the Docker authorization plugin to ask; empty for none."""
    policy: bytes = b""
    """A policy.json to use; empty for one that accepts only what the gate serves."""


def plan(wish: Wish, existing: Mapping[PurePosixPath, bytes], places: FilePlaces = HOST) -> Plan:
    """Return the files for these engines.

    Args:
        wish: the gate, the engines that are present, and what else is wanted.
        existing: the shared files that are there already, by their path.
        places: where the files go: those of the host, or of one user.

    Raises:
        InputError: a shared file cannot be read, so its settings could not be kept.
    """
    parts = []
    if Engine.CONTAINERS in wish.engines:
        parts.append(_containers(wish, places))
    if Engine.CONTAINERD in wish.engines:
        parts.append(_containerd(wish.gate))
    if Engine.DOCKER in wish.engines:
        parts.append(_docker(wish, existing.get(DAEMON)))
    return Plan(
        files=tuple(file for part in parts for file in part.files),
        remarks=tuple(remark for part in parts for remark in part.remarks),
    )


def _containers(wish: Wish, places: FilePlaces) -> Plan:
    gate, folder = wish.gate, places.containers
    files = [
        SystemFile(
            path=folder / REGISTRIES,
            content=_registries(gate).encode(),
            why="podman, buildah, skopeo and Apptainer: these registries are the gate",
        ),
        SystemFile(
            path=folder / POLICY,
            content=wish.policy or _only_from(gate.routes),
            why="podman, buildah and skopeo: nothing else is pulled",
        ),
        *_certificate(gate, folder / "certs.d", "podman, buildah, skopeo"),
    ]
    return Plan(files=tuple(files), remarks=(_ONE_USER if places == HOME else _OTHER_USERS,))


def _registries(gate: GateAddress) -> str:
    lines = [
        _HEAD,
        "# Replaced and not mirrored: behind a mirror that refuses, the origin is asked.\n",
    ]
    for route in gate.routes:
        lines += [
            "\n[[registry]]\n",
            f"prefix = {json.dumps(route.registry)}\n",
            f"location = {json.dumps(_location(gate, route))}\n",
        ]
        if not gate.tls:
            lines.append("insecure = true\n")
    return "".join(lines)


def _location(gate: GateAddress, route: Route) -> str:
    return f"{gate.address}/{route.below}" if route.below else gate.address


def _only_from(routes: tuple[Route, ...]) -> bytes:
    """Return a policy.json that accepts what the gate serves: the gate has verified it.

    containers-policy.json(5): the most specific scope decides, and ``default`` on all others.
    """
    accept = [{"type": "insecureAcceptAnything"}]
    document = {
        "default": [{"type": "reject"}],
        "transports": {
            "docker": {route.registry: accept for route in routes},
            # What is in the storage already, and what Buildah makes of it.
            "containers-storage": {"": accept},
        },
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _containerd(gate: GateAddress) -> Plan:
    files = [
        file
        for folder, below in (
            (DEFAULT, ""),
            *((route.registry, route.below) for route in gate.routes),
        )
        for file in _host(gate, folder, below)
    ]
    read = PlanRemark(
        code="CONFIG_PATH",
        message=f"containerd's CRI reads {HOSTS} only where its configuration says so",
        hint=f'in /etc/containerd/config.toml: config_path = "{HOSTS}" below registry; ctr and '
        f"nerdctl take --hosts-dir {HOSTS}",
    )
    others = PlanRemark(
        code="OTHERS_REFUSED",
        message="containerd compares a registry's name as it is written, so it asks the gate for "
        "every other registry too, and the gate refuses what is not behind it",
        hint="let the gate stand before what nodes need besides, such as registry.k8s.io",
    )
    return Plan(files=tuple(files), remarks=(read, others))


def _host(gate: GateAddress, name: str, below: str) -> Iterator[SystemFile]:
    folder = HOSTS / name
    authority = ""
    if gate.authority and gate.tls:
        yield SystemFile(
            path=folder / "imagekit-gate.crt",
            content=gate.authority,
            why="containerd: the authorities of the gate's certificate",
        )
        authority = f"  ca = {json.dumps(str(folder / 'imagekit-gate.crt'))}\n"
    whose = "every other spelling and registry" if name == DEFAULT else name
    yield SystemFile(
        path=folder / "hosts.toml",
        content=_hosts(gate, below, authority).encode(),
        why=f"containerd: {whose} is the gate",
    )


def _hosts(gate: GateAddress, below: str, authority: str) -> str:
    """Return hosts.toml: server and host are both the gate, as one alone means the origin.

    https://github.com/containerd/containerd/blob/main/docs/hosts.md
    """
    url = f"{gate.url}/v2/{below}" if below else gate.url
    override = "  override_path = true\n" if below else ""
    server = json.dumps(url)
    return (
        f'{_HEAD}server = {server}\n\n[host.{server}]\n  capabilities = ["pull", "resolve"]\n'
        f"{override}{authority}"
    )


def _docker(wish: Wish, before: bytes | None) -> Plan:
    gate = wish.gate
    document = dict(_daemon(before))
    if not gate.tls:
        known = document.get("insecure-registries") or []
        if not isinstance(known, list):
            raise _bad_daemon("insecure-registries is no list")
        document["insecure-registries"] = [*known, *({gate.address} - {*map(str, known)})]
    if wish.authorization:
        plugins = document.get("authorization-plugins") or []
        if not isinstance(plugins, list):
            raise _bad_daemon("authorization-plugins is no list")
        document["authorization-plugins"] = [
            *plugins,
            *({wish.authorization} - {*map(str, plugins)}),
        ]
    files = [*_certificate(gate, PurePosixPath("/etc/docker/certs.d"), "docker")]
    if document != _daemon(before):
        why = "docker: what it asks before it pulls or runs" if wish.authorization else "docker"
        content = json.dumps(document, indent=2).encode() + b"\n"
        files.append(SystemFile(path=DAEMON, content=content, why=why))
    return Plan(files=tuple(files), remarks=_docker_remarks(wish, document))


def _docker_remarks(wish: Wish, document: Mapping[str, object]) -> tuple[PlanRemark, ...]:
    names = ", ".join(f"{_location(wish.gate, route)}/..." for route in wish.gate.routes)
    remarks = [
        PlanRemark(
            code="DOCKER_NAMES",
            message="docker cannot replace a registry: images are pulled by the gate's own name",
            hint=f"pull {names}, and let the firewall keep the daemon from every other registry",
        )
    ]
    if document.get("registry-mirrors"):
        remarks.append(
            PlanRemark(
                code="FALLS_THROUGH",
                message=f"{DAEMON} has registry-mirrors: what a mirror refuses is pulled from "
                "Docker Hub",
                hint="remove registry-mirrors",
            )
        )
    if not wish.authorization:
        remarks.append(
            PlanRemark(
                code="NO_AUTHORIZATION",
                message="whoever reaches docker's socket can pull from anywhere",
                hint="let it ask: imagekit trust install --docker-authorization imagekit",
            )
        )
    return tuple(remarks)


def _daemon(before: bytes | None) -> Mapping[str, object]:
    if before is None or not before.strip():
        return {}
    return strictjson.loads_object(before, what=str(DAEMON))


def _bad_daemon(why: str) -> InputError:
    return InputError(f"{DAEMON} cannot be extended: {why}", hint="correct it", code="BAD_FILE")


def _certificate(gate: GateAddress, folder: PurePosixPath, whose: str) -> tuple[SystemFile, ...]:
    if not gate.authority or not gate.tls:
        return ()
    return (
        SystemFile(
            path=folder / gate.address / "ca.crt",
            content=gate.authority,
            why=f"{whose}: the authorities of the gate's certificate",
        ),
    )
