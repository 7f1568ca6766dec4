"""A published image is scanned, the result attested, and the policy decides by it.

The registry is Debian's; what others reported is what Trivy writes.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.advisories import export, fixed, osv, write_image
from tests.support.command import imagekit
from tests.support.servers import RegistryServer

pytestmark = pytest.mark.real

RECIPE = """\
schema: 1
name: apps/solver
version: 1.0.0
base: scratch
steps:
  - copy: {from: root, to: /}
"""
POLICY = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: site, version: 1, expires: 2036-01-01T00:00:00Z}
images:
  - match: {glob: "HOST/**"}
    authorities: [{name: ci, key: {path: imagekit.pub}}]
    attestations:
      - {type: cyclonedx}
      - {type: vuln, maxSeverity: medium, maxAge: 7d}
"""
DENIED, FOUND, BAD_INPUT = 3, 4, 2


@dataclass(frozen=True)
class Site:
    """A registry with a published image, advisories, a key and a policy."""

    folder: Path
    host: str

    @property
    def image(self) -> str:
        """The published image."""
        return f"{self.host}/apps/solver:1.0.0"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run imagekit."""
        return imagekit(self.folder, *words, IMAGEKIT_KEY_PASSWORD="x")

    def document(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run it for its document."""
        outcome = self.run(*words, "--json", "--quiet")
        assert outcome.returncode == code, outcome.stderr + outcome.stdout
        found: dict[str, Any] = json.loads(outcome.stdout)
        return found

    def verify(self) -> tuple[int, str]:
        """Judge the image; return the exit code, and the code of the finding on its report."""
        outcome = self.run("verify", self.image, "--policy", "policy.yaml", "--json", "--quiet")
        findings = json.loads(outcome.stdout)["findings"]
        return outcome.returncode, next(f["code"] for f in findings if f["check"] == "vuln")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A registry of its own: what is in it is listed."""
    write_image(tmp_path / "solver/root")
    (tmp_path / "solver/recipe.yaml").write_text(RECIPE)
    (tmp_path / "registry").mkdir()
    with RegistryServer.docker_registry(tmp_path / "registry") as server:
        site = Site(tmp_path, server.host)
        (tmp_path / "policy.yaml").write_text(POLICY.replace("HOST", server.host))
        assert site.run("key", "generate", "--out", ".").returncode == 0
        published = site.run("publish", "solver", "--to", server.host, "--key", "imagekit.key")
        assert published.returncode == 0, published.stderr
        yield site


def _advise(site: Site, *, fixed_in: str) -> None:
    openssl = osv(
        "DEBIAN-CVE-2024-6119",
        "Debian:12",
        "openssl",
        *fixed(fixed_in),
        upstream=["CVE-2024-6119"],
        # What is known must be young as well.
        modified=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    export(site.folder / "db", "Debian", [openssl])
    export(site.folder / "db", "PyPI", [osv("PYSEC-1", "PyPI", "other", *fixed("1"))])


def test_a_scan_decides_what_the_policy_says(site: Site) -> None:
    """Clean: allowed. A new advisory: found, listed, withdrawn, and refused from then on."""
    scan = ("scan", site.image, "--db", "db")
    every = ("scan", "--published", site.host, "--policy", "policy.yaml", "--db", "db")
    sign = ("--key", "imagekit.key")
    assert site.verify() == (DENIED, "MISSING_ATTESTATION")
    _advise(site, fixed_in="3.0.14-1~deb12u1")
    dry = site.document(*scan, "--attest", "--dry-run")
    assert site.verify() == (DENIED, "MISSING_ATTESTATION")
    clean = site.document(*scan, "--attest", *sign)
    # Of Python's packages nothing is known then.
    shutil.rmtree(site.folder / "db/PyPI")
    gap = site.document(*scan, "--attest", *sign, code=BAD_INPUT)
    assert gap["error"]["code"] == "scan/gaps"
    assert [each["images"][0]["vulnerabilities"] for each in (dry, clean)] == [[], []]
    assert site.verify() == (0, "OK")
    assert site.document(*every)["refused"] == 0

    _advise(site, fixed_in="3.0.15-1~deb12u1")
    table = site.run(*scan, "--fail-on", "high")
    assert table.returncode == FOUND
    assert table.stdout.split("\t")[:3] == ["high", "CVE-2024-6119", "libssl3"]
    assert "3.0.15-1~deb12u1" in table.stdout
    listed = site.document(*every, "--withdraw", "--dry-run", code=DENIED)
    assert [(each["status"], each["code"]) for each in listed["images"]] == [
        ("vulnerable", "SEVERITY_TOO_HIGH")
    ]
    # The report that was attested is young, and says nothing of what was not known.
    assert site.verify() == (0, "OK")
    assert site.document(*every, "--withdraw", *sign, code=DENIED)["withdrawn"] == 1
    refused = site.run("verify", site.image, "--policy", "policy.yaml")
    assert refused.returncode == DENIED
    assert "CVE-2024-6119" in refused.stdout
    # What is withdrawn is listed, and not withdrawn again.
    again = site.document(*every, "--withdraw", *sign, code=DENIED)
    assert (again["refused"], again["withdrawn"]) == (1, 0)


def test_a_report_of_another_scanner_is_attested(site: Site) -> None:
    """It names the image by its digest; one of another image is refused, and so is an old one."""
    digest = json.loads(site.run("inspect", site.image, "--json").stdout)["digest"]
    trivy = {
        "SchemaVersion": 2,
        "CreatedAt": "2025-01-01T00:00:00.123456789Z",
        "ArtifactType": "container_image",
        "Metadata": {"RepoDigests": [f"{site.host}/apps/solver@{digest}"]},
        "Results": [{"Target": "debian 12", "Type": "debian"}],
    }
    report = site.folder / "trivy.json"
    words = ("scan", site.image, "--report", "trivy.json", "--attest", "--key", "imagekit.key")

    report.write_text(json.dumps({**trivy, "Metadata": {"RepoDigests": ["a@sha256:" + "0" * 64]}}))
    other = site.document(*words, code=BAD_INPUT)
    report.write_text(json.dumps(trivy))
    site.document(*words)

    assert other["error"]["code"] == "scan/other-image"
    assert site.verify() == (DENIED, "STALE_ATTESTATION")
