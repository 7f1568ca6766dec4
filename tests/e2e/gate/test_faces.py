"""What runtimes call, where the host's configuration names a running gate instead of a policy."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagekit.oci.reference import PinnedReference
from imagekit.oci.types import MANIFEST
from tests.e2e.gate.kit import GateProcess, Site, wait_for

pytestmark = pytest.mark.real


@dataclass
class Face:
    """``imagekit verifier`` as containerd runs it: by its configuration alone."""

    file: Path

    def ask(self, image: PinnedReference, tag: str | None = "1") -> tuple[int, str]:
        """Return exit code and what the user is told."""
        name = f"{image.repository}:{tag}" if tag else str(image)
        descriptor = {"mediaType": MANIFEST, "digest": str(image.digest), "size": 1}
        words = ["-name", name, "-digest", str(image.digest)]
        words += ["-stdin-media-type", "application/vnd.oci.descriptor.v1+json"]
        ran = subprocess.run(
            [sys.executable, "-m", "imagekit", "verifier", *words],
            input=json.dumps(descriptor),
            env={**os.environ, "IMAGEKIT_VERIFIER_CONFIG": str(self.file)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.stderr == ""
        return ran.returncode, ran.stdout


@pytest.fixture
def site(registry: str, tmp_path: Path) -> Site:
    """A registry that other tests use, too, with a key of its own."""
    return Site(registry, tmp_path)


@pytest.fixture
def gate(site: Site) -> Iterator[GateProcess]:
    """A gate in front of it, which calls it hub and looks at a tag again after a second."""
    (site.folder / "gate.yaml").write_text(
        "apiVersion: imagekit/v1\nkind: Gate\ncontact: platform@site.example\n"
        f"upstreams: [{{name: hub, registry: '{site.host}'}}]\ntimes: {{pin: 1s}}\n"
    )
    with GateProcess(site, "--config", str(site.folder / "gate.yaml")) as running:
        yield running


@pytest.fixture
def face(site: Site, gate: GateProcess) -> Face:
    """What asks it."""
    file = site.folder / "verifier.yaml"
    file.write_text(f"gate: http://{gate.host}\nregistries: ['hub={site.host}']\n")
    return Face(file)


def test_what_the_gate_serves_is_allowed(site: Site, face: Face) -> None:
    """By the tag that is pulled, and by the digest alone."""
    image = site.push("apps/face-good", "1")

    assert face.ask(image) == (0, f"imagekit: {image.repository}:1 is allowed by the gate\n")
    assert face.ask(image, tag=None)[0] == 0


def test_what_is_not_signed_is_refused_in_the_gate_s_words(site: Site, face: Face) -> None:
    """They name the policy, the check, and whom to ask."""
    image = site.push("apps/face-bad", "1", signed=False)

    for tag in ("1", None):
        code, said = face.ask(image, tag)

        assert code == 3
        assert "refused by policy site" in said
        assert "NO_SIGNATURE" in said
        assert "platform@site.example" in said


def test_a_tag_that_moved_is_refused(site: Site, face: Face) -> None:
    """The older image was allowed by that tag once; the gate says what it means now."""
    older = site.push("apps/face-moved", "1", content=b"older\n")
    assert face.ask(older)[0] == 0
    newer = site.push("apps/face-moved", "1", content=b"newer\n")
    wait_for(lambda: face.ask(newer)[0] == 0)

    code, said = face.ask(older)

    assert code == 3
    assert f"serves {newer.digest}" in said


def test_without_the_gate_nothing_is_allowed(site: Site, gate: GateProcess, face: Face) -> None:
    """Not even what it allowed a moment ago."""
    image = site.push("apps/face-down", "1")
    assert face.ask(image)[0] == 0
    gate.kill()

    code, said = face.ask(image)

    assert code == 6
    assert "there is no verdict: the gate" in said
    assert "refused" in said


def test_what_is_not_there_is_no_verdict(site: Site, face: Face) -> None:
    """The gate serves no such tag."""
    image = site.push("apps/face-gone", "1")

    code, said = face.ask(image, "2")

    assert code == 6
    assert "answered 404" in said
