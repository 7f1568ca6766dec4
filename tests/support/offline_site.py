"""A site with a registry, one published image, and the policies of publisher and nodes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# A static program that every Debian has, so that the image is small and starts without another.
PROGRAM = Path("/sbin/ldconfig")
SAID = "ldconfig ("
RECIPE = """\
schema: 1
name: apps/hello
version: 1.0.0
base: scratch
steps:
  - copy: {from: hello, to: /usr/bin/hello}
entrypoint: [/usr/bin/hello]
cmd: [--version]
tests:
  - args: [--version]
    stdout: ^ldconfig
tags: {immutable: ["{version}"]}
"""
NODES = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: nodes, version: 1, expires: 2999-01-01T00:00:00Z}
images:
  - match: {glob: "GLOB"}
    proof: vsa
    authorities: [{name: staging, key: {path: staging/imagekit.pub}}]
    vsa: {verifierIds: ["urn:imagekit:stage"], maxAge: 30d}
"""


def as_root(*words: str) -> list[str]:
    """Return what runs a command as root: this process, or a user by sudo."""
    return [*words] if os.geteuid() == 0 else ["sudo", "-n", *words]


def without_network(env: Mapping[str, str]) -> list[str]:
    """Return what runs a command as this user, without any network.

    In a user namespace of its own it could not tell root's folders from a stranger's.
    """
    if os.geteuid() == 0:
        return ["unshare", "--net"]
    user = (f"--reuid={os.geteuid()}", f"--regid={os.getegid()}", "--init-groups")
    # What sudo leaves of the environment is root's.
    own = ("env", "-i", *(f"{name}={value}" for name, value in env.items()))
    return as_root("unshare", "--net", "setpriv", *user, *own)


class Site:
    """A HOME, a registry with one published image, and the policies of both ends."""

    def __init__(self, home: Path, host: str) -> None:
        """Publish the image."""
        self.home = home
        self.image = f"{host}/site/apps/hello:1.0.0"
        (home / "recipes/hello").mkdir(parents=True)
        (home / "recipes/hello/recipe.yaml").write_text(RECIPE)
        shutil.copy(PROGRAM, home / "recipes/hello/hello")
        self.done("key", "generate")
        self.done("key", "generate", "--out", "staging")
        glob = f"{host}/site/**"
        require = ("--require", "cyclonedx,slsaprovenance1")
        policy = self.done("policy", "new", "--image", glob, "--key", "imagekit.pub", *require)
        (home / "policy.yaml").write_text(policy)
        (home / "nodes.yaml").write_text(NODES.replace("GLOB", glob))
        to = f"{host}/site"
        self.done("publish", "recipes/hello", "--to", to, "--key", "imagekit.key")

    def run(self, *words: str, offline: bool = False) -> subprocess.CompletedProcess[str]:
        """Run imagekit; ``offline`` without any network."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
        env |= {"HOME": str(self.home), "IMAGEKIT_KEY_PASSWORD": "x"}
        env |= {"PYTHONPATH": os.pathsep.join(sys.path)}
        before = without_network(env) if offline else []
        return subprocess.run(
            [*before, sys.executable, "-m", "imagekit", *words],
            cwd=self.home,
            env=env,
            capture_output=True,
            text=True,
            # A build of several layers of packages, where other tests run beside it.
            timeout=900,
            check=False,
        )

    def done(self, *words: str, offline: bool = False) -> str:
        """Run imagekit, which must succeed, and return what it printed."""
        ran = self.run(*words, offline=offline)
        assert ran.returncode == 0, ran.stderr + ran.stdout
        return ran.stdout

    def stage(self, to: str, *more: str) -> str:
        """Stage the image."""
        key = ("--key", "staging/imagekit.key")
        return self.done("stage", self.image, "--policy", "policy.yaml", *key, "--to", to, *more)

    def check(self, path: str) -> subprocess.CompletedProcess[str]:
        """Check a receipt, offline."""
        return self.run("receipt", "check", path, "--policy", "nodes.yaml", offline=True)
