"""Send this host's engines to the gate and nowhere else, and undo that.

  imagekit trust install --gate https://gate.example.org:5443 --registry registry.example.org
  imagekit trust install --gate http://127.0.0.1:5443 --registry registry.example.org --dry-run
  imagekit trust install --user --gate https://gate.example.org --registry registry.example.org
  imagekit trust show
  imagekit trust test --good registry.example.org/apps/hello:1 --bad registry.example.org/apps/bad:1
  imagekit trust remove

The files are shown before they are written (--dry-run shows only), what was there is kept, a second
time changes nothing. `test` lets every engine that is installed pull both images and ends with 0
where all of them pull the good one and refuse the bad one, else with 3.

--user writes the files of the calling user, for rootless Podman, Buildah and Skopeo: it needs no
root. It keeps that user from mistakes, and enforces nothing: the files are the user's to change.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.errors import DeniedError, InputError, UsageError
from imagekit.inputs import read_input

if TYPE_CHECKING:
    from imagekit.hosts.engines.engine import Engine, GateAddress, Route
    from imagekit.hosts.engines.install import Installation
    from imagekit.hosts.engines.plan_files import Wish
    from imagekit.hosts.hostfiles import HostFiles

_MAX_AUTHORITY = 1 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="install|show|test|remove")
    _configure_install(verbs.add_parser("install", help="write the files that ask the gate"))
    shown = verbs.add_parser("show", help="what is installed, and whether it still is as written")
    tested = verbs.add_parser("test", help="let every engine pull a good and a bad image")
    tested.add_argument("--good", metavar="REFERENCE", required=True, help="an image to be pulled")
    tested.add_argument("--bad", metavar="REFERENCE", required=True, help="one to be refused")
    removed = verbs.add_parser("remove", help="undo what was installed")
    removed.add_argument("--force", action="store_true", help="also where a file was changed since")
    for verb in (removed, verbs.choices["install"]):
        verb.add_argument("--dry-run", action="store_true", help="only show what would change")
    for verb in (shown, removed, verbs.choices["install"]):
        whose = verb.add_mutually_exclusive_group()
        whose.add_argument(
            "--root",
            type=Path,
            default=Path("/"),
            metavar="FOLDER",
            help="the host's files are below this folder, such as the image that nodes boot",
        )
        whose.add_argument(
            "--user",
            action="store_true",
            help="the files of the calling user, in ~/.config, for rootless Podman",
        )


def _configure_install(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gate", required=True, metavar="URL", help="https://HOST[:PORT]; http:// on loopback"
    )
    parser.add_argument(
        "--registry",
        action="append",
        required=True,
        metavar="[NAME=]HOST",
        help="a registry that is reached through the gate only; with NAME= where the gate stands "
        "before several, as its --upstream has it; may be repeated",
    )
    parser.add_argument(
        "--gate-ca", type=Path, metavar="FILE", help="certificate authorities (PEM) for the gate"
    )
    parser.add_argument(
        "--engine",
        action="append",
        choices=("containers", "containerd", "docker"),
        help="only for these; all that are installed where it is left out; containers is Podman, "
        "Buildah, Skopeo, CRI-O and Apptainer",
    )
    parser.add_argument(
        "--policy-json",
        type=Path,
        metavar="FILE",
        help="a policy.json to install (imagekit policy export); else one that takes only what "
        "comes through the gate",
    )
    parser.add_argument(
        "--docker-authorization",
        default="",
        metavar="PLUGIN",
        help="let docker ask this authorization plugin",
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Run the verb.

    Raises:
        ImagekitError: a file cannot be read or written.
    """
    if arguments.verb == "test":
        return _test(arguments, console)
    from imagekit.hosts.hostfiles import HostFiles

    files = _user_files() if arguments.user else HostFiles(arguments.root)
    if arguments.verb == "show":
        return _show(files, _shown_in(files, arguments), console)
    return _change(arguments, files, console)


def _shown_in(
    files: "HostFiles", arguments: argparse.Namespace
) -> Callable[[PurePosixPath], object]:
    """Return how paths are shown: a user's from the root, a host's as they are on that host."""
    return files.shown if arguments.user else str


def _user_files() -> "HostFiles":
    from imagekit.hosts.hostfiles import HOME, HostFiles
    from imagekit.paths import home_of

    return HostFiles(home_of(os.environ), HOME)


def _change(arguments: argparse.Namespace, files: "HostFiles", console: Console) -> int:
    from imagekit.hosts.engines.install import install, remove

    if arguments.verb == "install":
        done = install(_wish(arguments), files, dry_run=arguments.dry_run)
    else:
        done = remove(files, force=arguments.force, dry_run=arguments.dry_run)
    shown = _shown_in(files, arguments)
    console.result(_text(done, shown, dry_run=arguments.dry_run), _document(done, shown))
    return 0


def _wish(arguments: argparse.Namespace) -> "Wish":
    from imagekit.hosts.engines.plan_files import Wish

    policy = _file(arguments.policy_json) if arguments.policy_json else b""
    if policy:
        from imagekit.documents import strictjson

        strictjson.loads_object(policy, what=str(arguments.policy_json))
    return Wish(
        gate=_gate(arguments),
        engines=_engines(arguments),
        authorization=arguments.docker_authorization,
        policy=policy,
    )


def _engines(arguments: argparse.Namespace) -> "frozenset[Engine]":
    from imagekit.hosts.engines.engine import Engine
    from imagekit.hosts.engines.pull import present

    engines = frozenset(map(Engine, arguments.engine)) if arguments.engine else present()
    if arguments.user:
        if (arguments.engine and engines != {Engine.CONTAINERS}) or arguments.docker_authorization:
            raise UsageError(
                "--user is for rootless Podman, Buildah and Skopeo: daemons read no files of users",
                hint="leave --docker-authorization out, and of --engine all but containers",
            )
        engines &= {Engine.CONTAINERS}
    if not engines:
        raise InputError(
            "no engine is installed on this host",
            hint="name those that will be: --engine containers",
            code="NO_ENGINE",
        )
    return engines


def _gate(arguments: argparse.Namespace) -> "GateAddress":
    from imagekit.hosts.engines.engine import GateAddress
    from imagekit.oci.hostname import canonical_host, is_loopback
    from imagekit.oci.reference import is_host

    scheme, _, address = arguments.gate.rstrip("/").partition("://")
    if scheme not in {"https", "http"} or not is_host(address):
        raise UsageError(f"--gate {arguments.gate} is no address", hint="write https://HOST:PORT")
    address = canonical_host(address, scheme=scheme)
    if scheme == "http" and not is_loopback(address):
        raise UsageError(
            f"{arguments.gate} would be asked without TLS, and is not on this host",
            hint="give the gate a certificate (--tls-cert) and write https://",
        )
    return GateAddress(
        address=address,
        routes=tuple(_routes(arguments.registry)),
        tls=scheme == "https",
        authority=_file(arguments.gate_ca) if arguments.gate_ca else b"",
    )


def _routes(words: Sequence[str]) -> "Sequence[Route]":
    from imagekit.hosts.engines.engine import Route
    from imagekit.oci.hostname import canonical_host
    from imagekit.oci.reference import check_path, is_host

    routes = []
    for word in words:
        below, equals, registry = word.rpartition("=")
        if not is_host(registry):
            raise UsageError(f"--registry {word} is no HOST[:PORT]", hint="write registry.site")
        if equals:
            check_path(below, whole=word)
        routes.append(Route(registry=canonical_host(registry), below=below))
    if len(routes) > 1 and not all(route.below for route in routes):
        raise UsageError(
            "a gate before several registries has a name for each",
            hint="write --registry NAME=HOST, as the gate's --upstream has it",
        )
    return routes


def _file(path: Path) -> bytes:
    try:
        raw = read_input(path, limit=_MAX_AUTHORITY)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", code="BAD_FILE") from error
    if not raw:
        raise InputError(f"{path} is empty", code="BAD_FILE")
    return raw


def _text(done: "Installation", shown: Callable[[PurePosixPath], object], *, dry_run: bool) -> str:
    lines = []
    for change in done.changes:
        lines.append(
            f"{change.verb} {shown(change.path)}" + (f"  ({change.why})" if change.why else "")
        )
        if dry_run:
            lines.append(change.diff().rstrip("\n"))
    if not done.changes:
        lines.append("nothing to change")
    for remark in done.remarks:
        lines.append(f"! {remark.code}: {remark.message}")
        if remark.hint:
            lines.append(f"  {remark.hint}")
    return "\n".join(lines)


def _document(done: "Installation", shown: Callable[[PurePosixPath], object]) -> dict[str, object]:
    return {
        "schema": 1,
        "changes": [
            {
                "path": str(shown(change.path)),
                "change": change.verb,
                "why": change.why,
                "diff": change.diff(),
            }
            for change in done.changes
        ],
        "remarks": [
            {"code": remark.code, "message": remark.message, "hint": remark.hint}
            for remark in done.remarks
        ],
    }


def _show(files: "HostFiles", shown: Callable[[PurePosixPath], object], console: Console) -> int:
    from imagekit.hosts.engines.install import show

    states = show(files)
    lines = [f"{installed.state:<9} {shown(installed.file.path)}" for installed in states]
    document = [
        {"path": str(shown(installed.file.path)), "state": installed.state} for installed in states
    ]
    console.result("\n".join(lines or ["nothing is installed"]), {"schema": 1, "files": document})
    return (
        0 if all(installed.state == "installed" for installed in states) else DeniedError.exit_code
    )


def _test(arguments: argparse.Namespace, console: Console) -> int:
    from imagekit.hosts.engines.install import try_engines
    from imagekit.oci.reference import parse_reference

    good, bad = (str(parse_reference(reference)) for reference in (arguments.good, arguments.bad))
    tries = try_engines(good, bad)
    if not tries:
        raise InputError("no engine on this host can pull", code="NO_ENGINE")
    lines = [f"{'engine':<9} {'good image':<11} bad image"]
    for attempt in tries:
        pulled, refused = (
            "pulled" if attempt.good.pulled else "REFUSED",
            "PULLED" if attempt.bad.pulled else "refused",
        )
        lines.append(f"{attempt.engine:<9} {pulled:<11} {refused}")
        lines += [
            f"          {line}" for line in (attempt.good.last_line, attempt.bad.last_line) if line
        ]
    document = [
        {
            "engine": attempt.engine,
            "good": {"pulled": attempt.good.pulled, "said": attempt.good.last_line},
            "bad": {"pulled": attempt.bad.pulled, "said": attempt.bad.last_line},
            "right": attempt.right,
        }
        for attempt in tries
    ]
    console.result("\n".join(lines), {"schema": 1, "engines": document})
    return 0 if all(attempt.right for attempt in tries) else DeniedError.exit_code
