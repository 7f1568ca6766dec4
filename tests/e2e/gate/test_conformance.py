"""OCI's own conformance suite, its pull half, at a gate in front of every kind of upstream."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.gate.kit import GateProcess, Site
from tests.support.programs import bench_program

pytestmark = pytest.mark.real

# The suite writes its report behind the results, and falls over it where nothing is pushed.
_OFF = {
    "OCI_API_PUSH": "false",
    "OCI_API_BLOBS_DELETE": "false",
    "OCI_API_BLOBS_MOUNT_ANONYMOUS": "false",
    "OCI_API_MANIFESTS_DELETE": "false",
    "OCI_API_TAGS_DELETE": "false",
}
_MUST = (
    "Ping",
    "Tag listing",
    "Blob get",
    "Blob head",
    "Manifest get by digest",
    "Manifest get by tag",
    "Manifest head by digest",
    "Manifest head by tag",
    "Referrers",
)


def test_conformance(bench: Path, site: Site, gate: GateProcess, tmp_path: Path) -> None:
    """No test of the suite fails, and all that a gate has to do is tested."""
    program = bench_program(bench, "conformance")
    first = site.push("apps/conform", "1")
    second = site.push("apps/conform", "2", content=bytes(100_000))
    index, children = site.push_index("apps/conform", "3", "amd64", "arm64")
    manifests = (first, second, index, *children)
    raw = [json.loads(site.writer().manifest(each).raw) for each in manifests]
    blobs = [
        part["digest"] for one in raw if "config" in one for part in (one["config"], *one["layers"])
    ]
    settings = {
        "OCI_REGISTRY": gate.host,
        "OCI_TLS": "disabled",
        "OCI_REPO1": "apps/conform",
        "OCI_RESULTS_DIR": str(tmp_path / "results"),
        "OCI_RO_DATA_TAGS": "1 2 3",
        "OCI_RO_DATA_MANIFESTS": " ".join(str(each.digest) for each in manifests),
        "OCI_RO_DATA_BLOBS": " ".join(blobs),
        "OCI_RO_DATA_REFERRERS": " ".join(str(each.digest) for each in manifests[:3]),
    }

    ran = subprocess.run(
        [str(program)],
        env={**os.environ, **_OFF, **settings},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    results = dict(re.findall(r"(?m)^\s*([A-Za-z ]+?)\.+:\s+(\w+)", ran.stdout))
    assert "OCI Conformance Result: Pass" in ran.stdout, ran.stderr[-2000:]
    assert results["FAIL"] == "0"
    assert {results[each] for each in _MUST} == {"Pass"}
