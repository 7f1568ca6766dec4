"""Verifying against cosign, as processes, side by side; and where our time goes.

    python benchmarks/verify_vs_cosign.py [RUNS] [IMAGES]

``cosign verify --key`` looks for one signature; ``imagekit verify`` also binds the name and, of the
single images, wants SBOM and provenance, which are bundles of their own. Measured are:

- one image, cold: a process each;
- the same with ten more signatures by other keys;
- a hundred signed images in repositories of their own: one ``imagekit verify --from-file`` against
  a hundred cosigns, as many at once as there are processors (``xargs -P``): cosign takes one image;
- one image signed keyless, where ``scripts/sigstore up`` runs;
- the parts of our cold run: Python, imports, HTTP, cryptography, the rest;
- what no code of ours can go below: a process that imports the modules of the standard library and
  of other packages that a cold run imports, and does nothing.

cosign is the one of ``tests/support/bench/setup cosign``.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import requests
from common import (
    by_turns,
    cosign,
    environment,
    imagekit,
    process,
    publish,
    push_signed,
    registry,
    sigstore,
    tell,
    write_policy,
)

ENTRY = "import sys; from imagekit.cli.main import main; sys.exit(main())"
EMAIL = "bench@imagekit.test"
KEYLESS = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {{name: bench, version: 1, expires: 2999-01-01T00:00:00Z}}
default: reject
trustRoots: {{private: {{path: {root}}}}}
images:
  - match: {{glob: "{host}/**"}}
    authorities:
      - name: release
        keyless:
          trustRoot: private
          identities: [{{issuer: "{issuer}", subject: {email}}}]
"""
PROBE = """
import builtins, importlib, sys, time
began = time.perf_counter()
spent = {"imports": 0.0, "HTTP": 0.0, "cryptography": 0.0}
depth = 0

def timed(part, function):
    def wrapped(*args, **kwargs):
        global depth
        depth += 1
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            depth -= 1
            # What one part does inside of another is the other's.
            if depth == 0:
                spent[part] += time.perf_counter() - start
    return wrapped

builtins.__import__ = timed("imports", builtins.__import__)
importlib.import_module = timed("imports", importlib.import_module)
from imagekit.oci.registry.client import RegistryClient
from imagekit.signatures import signature
from imagekit.verify import verify
from imagekit.verify import candidates
from imagekit.cli.main import main
verify._REQUESTS = 1  # one after the other, or parts would overlap
for name in ("manifest", "blob", "referrers"):
    setattr(RegistryClient, name, timed("HTTP", getattr(RegistryClient, name)))
candidates.verify_signature = timed("cryptography", candidates.verify_signature)
candidates.verify_legacy_signature = timed("cryptography", candidates.verify_legacy_signature)
code = main(sys.argv[1:])
whole = time.perf_counter() - began
spent["rest"] = whole - sum(spent.values())
print(*[f"{part}={seconds}" for part, seconds in spent.items()], file=sys.stderr)
sys.exit(code)
"""

MODULES = """
import sys
from imagekit.cli.main import main
code = main(sys.argv[1:])
print(*[name for name in sys.modules if not name.startswith(("imagekit", "__"))], file=sys.stderr)
sys.exit(code)
"""
# Some names are built in by extension modules, and no import finds them.
TRY_IMPORT = """\
try:
    import {name}
except ImportError:
    pass
"""


def main() -> int:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    peer = cosign()
    if peer is None:
        print("there is no cosign: run tests/support/bench/setup cosign")
        return 1
    with registry() as (folder, host):
        image = publish(folder, f"{host}/x")
        policy = write_policy(folder, host, "cyclonedx", "slsaprovenance1")
        cold(folder, (image, policy), peer, runs, "one image, one signer")
        parts(folder, (image, policy), runs)
        imports_alone(folder, (image, policy), peer, runs)
        for number in range(10):
            other = folder / f"other{number}"
            imagekit(folder, "key", "generate", "--out", str(other))
            imagekit(folder, "sign", image, "--key", str(other / "imagekit.key"))
        cold(folder, (image, policy), peer, runs, "one image, eleven signers")
        many(folder, host, peer, max(1, runs // 4), count)
        keyless(folder, host, peer, runs)
    return 0


def cold(folder: Path, of: tuple[str, str], peer: Path, runs: int, what: str) -> None:
    """Compare processes on one image."""
    times = by_turns(
        runs,
        lambda: process(folder, ours("verify", of[0], "--policy", of[1])),
        lambda: process(folder, [*theirs(peer), of[0]]),
    )
    tell(what, *times, "cosign verify --key")


def many(folder: Path, host: str, peer: Path, runs: int, count: int) -> None:
    """Compare one process of ours with one of theirs for each image."""
    images = push_signed(folder, f"{host}/many", count)
    (folder / "images.txt").write_text("\n".join(images) + "\n")
    policy = write_policy(folder, host)
    at_once = str(os.cpu_count() or 1)
    xargs = ["xargs", "-a", "images.txt", "-n", "1", "-P", at_once, *theirs(peer)]
    times = by_turns(
        runs,
        lambda: process(folder, ours("verify", "--from-file", "images.txt", "--policy", policy)),
        lambda: process(folder, xargs),
    )
    tell(f"{count} images", *times, f"xargs -P {at_once} cosign verify")


def keyless(folder: Path, host: str, peer: Path, runs: int) -> None:
    """Compare processes on one image that was signed keyless, in the bundle form."""
    found = sigstore()
    if found is None:
        print("keyless: not measured; run scripts/sigstore up")
        return
    stack, issuer = found
    image = push_signed(folder, f"{host}/keyless", 1)[0]
    token = requests.get(f"{issuer}/token", params={"email": EMAIL}, timeout=10).text
    config = str(stack / "trust_config.json")
    imagekit(
        folder, "sign", image, "--keyless", "--identity-token", token, "--trust-config", config
    )
    shutil.copy(stack / "trusted_root.json", folder)
    (folder / "keyless.yaml").write_text(
        KEYLESS.format(root="trusted_root.json", host=host, issuer=issuer, email=EMAIL)
    )
    who = ["--certificate-identity", EMAIL, "--certificate-oidc-issuer", issuer]
    root = ["--trusted-root", "trusted_root.json", "--allow-http-registry"]
    times = by_turns(
        runs,
        lambda: process(folder, ours("verify", image, "--policy", "keyless.yaml")),
        lambda: process(folder, [str(peer), "verify", *who, *root, image]),
    )
    tell("one image, keyless", *times, "cosign verify")


def parts(folder: Path, of: tuple[str, str], runs: int) -> None:
    """Print where the time of a cold run goes: the least of each part, by the clock."""
    least: dict[str, float] = {}
    for _ in range(runs):
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], env=environment(folder), check=True)
        spent = {"Python itself": time.monotonic() - began}
        shown = last_line(folder, PROBE, of)
        spent |= {part: float(value) for part, value in (each.split("=") for each in shown.split())}
        least = {part: min(value, least.get(part, value)) for part, value in spent.items()}
    whole = sum(least.values())
    print("where the time of a cold run goes, requests one after the other:")
    for part, seconds in least.items():
        print(f"  {part:<28} {seconds * 1e3:8.1f} ms   {seconds / whole:4.0%}", flush=True)


def imports_alone(folder: Path, of: tuple[str, str], peer: Path, runs: int) -> None:
    """Compare a process that only imports what is not ours with the whole of cosign's."""
    names = last_line(folder, MODULES, of)
    script = folder / "imports.py"
    script.write_text("".join(TRY_IMPORT.format(name=name) for name in names.split()))
    times = by_turns(
        runs,
        lambda: process(folder, [sys.executable, str(script)]),
        lambda: process(folder, [*theirs(peer), of[0]]),
    )
    tell("imports of others' modules alone", *times, "the whole of cosign verify --key")


def last_line(folder: Path, program: str, of: tuple[str, str]) -> str:
    """Return what a program that verifies by our command writes to stderr in the end."""
    return subprocess.run(
        [sys.executable, "-c", program, "verify", of[0], "--policy", of[1]],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    ).stderr.splitlines()[-1]


def ours(*words: str) -> list[str]:
    """Return our command, started as the script that pip installs starts it."""
    return [sys.executable, "-c", ENTRY, *words]


def theirs(peer: Path) -> list[str]:
    """Return theirs, up to the reference: by key, no transparency log is asked for."""
    words = ["verify", "--key", "imagekit.pub", "--insecure-ignore-tlog=true"]
    return [str(peer), *words, "--allow-http-registry"]


if __name__ == "__main__":
    sys.exit(main())
