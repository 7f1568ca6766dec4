"""sigstore: a whole private Sigstore on loopback, for tests and for trying things out."""

import argparse
import sys
from pathlib import Path

from tests.support.sigstore import stack
from tests.support.sigstore.programs import StackError, build, cache_folder


def main() -> int:
    """Run the command; return its exit code."""
    options = _options()
    cache = cache_folder()
    folder = Path(options.dir).absolute() if options.dir else cache / "stack"
    try:
        return _run(options, folder, cache)
    except (StackError, OSError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sigstore", description=__doc__.partition(": ")[2])
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--dir", metavar="FOLDER", help="where the stack's files lie")
    up = verbs.add_parser("up", parents=[where], help="build what is missing, and start it")
    up.add_argument("--rekor1", action="store_true", help="with a Rekor v1, for the legacy form")
    up.add_argument("--owner", default="user", help=argparse.SUPPRESS)
    verbs.add_parser("down", parents=[where], help="stop it and remove its files")
    verbs.add_parser("status", parents=[where], help="tell what runs; 3 where nothing does")
    verbs.add_parser("build", parents=[where], help="build the programs only")
    return parser.parse_args()


def _run(options: argparse.Namespace, folder: Path, cache: Path) -> int:
    match options.verb:
        case "build":
            with stack.lock(cache, _say):
                build(cache, _say)
        case "up":
            return _up(options, folder, cache)
        case "down":
            _say("stopped" if stack.down(folder, cache, _say) else "it was not up")
        case _:
            return _status(folder)
    return 0


def _up(options: argparse.Namespace, folder: Path, cache: Path) -> int:
    before = stack.load(folder)
    state = stack.up(folder, cache, _say, rekor1=options.rekor1, owner=options.owner)
    _say("it was up already" if state == before else "up")
    _tell(state, folder)
    return 0


def _status(folder: Path) -> int:
    state = stack.load(folder)
    if state is None:
        _say(f"not up: no stack in {folder}")
        return 3
    for process in state.processes:
        running = "runs" if process.is_running() else "HAS ENDED"
        sys.stdout.write(f"{process.name:18} {running}, process {process.pid}\n")
    if not state.is_running():
        _say("not whole: `scripts/sigstore up` starts it anew")
        return 3
    _tell(state, folder)
    return 0


def _tell(state: stack.State, folder: Path) -> None:
    at = state.addresses
    lines = {
        "trust config": folder / "trust_config.json",
        "trusted root": folder / "trusted_root.json",
        "signing config": folder / "signing_config.json",
        **(
            {"the same, Rekor v1": folder / "*_v1.json, rekor1.pub, fulcio.pem"}
            if at.rekor1
            else {}
        ),
        "fulcio": at.fulcio,
        "rekor v2": at.rekor,
        **({"rekor v1": at.rekor1} if at.rekor1 else {}),
        "timestamps": at.timestamps,
        "issuer": at.issuer,
        "issuer (workflows)": at.ci_issuer,
        "a token": f"curl '{at.issuer}/token?email=you@example.org'",
    }
    for name, value in lines.items():
        sys.stdout.write(f"{name:18} {value}\n")


def _say(message: str) -> None:
    sys.stderr.write(f"sigstore: {message}\n")


if __name__ == "__main__":
    sys.exit(main())
