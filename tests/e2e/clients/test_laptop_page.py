"""docs/laptop.md runs as it stands there, for an ordinary user, with this test's own hosts."""

import os
import re
import shutil
from pathlib import Path

import pytest

from imagekit.oci.location import REGISTRY
from imagekit.oci.reference import parse_reference
from imagekit.oci.registry.connect import reader
from imagekit.oci.registry.options import RegistryOptions
from tests.e2e.clients.conftest import Site
from tests.support.outcomes import WITH_IDS, noted
from tests.support.users import OrdinaryUser, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.mark.root
def test_every_console_command_of_the_page_works(site: Site, project: Path) -> None:
    """In their order, each ending with 0; by gate and by file it is the digest of the registry."""
    image = f"{site.registry}/{site.good.name}:1.0.0"
    digest = str(
        reader(REGISTRY, RegistryOptions()).manifest(parse_reference(image)).descriptor.digest
    )
    with ordinary_user(f"ik-laptop-{os.getpid()}") as user:
        _laptop(user, site)

        ran = user.run(
            ["bash", "-euc", _script(project, site)],
            {"PATH": f"{user.home}/bin:{os.environ['PATH']}"},
        )

        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert ran.stdout.splitlines().count(digest) == 2, ran.stdout
    noted(
        "laptop from an export, docs/laptop.md",
        WITH_IDS,
        "every command of the page; the gate and the file give the registry's digest",
    )


def _script(project: Path, site: Site) -> str:
    text = (project / "docs/laptop.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    script = re.sub(r"^\$ ", "", "".join(blocks), flags=re.MULTILINE)
    for printed, ours in (
        ("gate.example.org:5443", site.gate.host),
        ("registry.example.org", site.registry),
        ("apps/solver", site.good.name),
    ):
        assert printed in script
        script = script.replace(printed, ours)
    return script


def _laptop(user: OrdinaryUser, site: Site) -> None:
    """Give the user what the page takes for granted: imagekit, the policy, the gate's authority."""
    shutil.copy(site.gate.authority, user.home / "gate.pem")
    policy = site.policy
    shutil.copy(policy, user.home / "policy.yaml")
    shutil.copytree(policy.parent / "release", user.home / "release")
    shim = user.home / "bin/imagekit"
    shim.parent.mkdir()
    # Users need not reach the Python of these tests, which may be in root's home.
    shim.write_text('#!/bin/sh\nexec /usr/bin/python3 -P -m imagekit "$@"\n')
    shim.chmod(0o755)
    user.give(user.home)
