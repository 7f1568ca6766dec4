"""What the page gives for Slurm's oci.conf is what Slurm 22.05 can read."""

import re
from pathlib import Path

KNOWN = set("%bejnprstu")
"""What may stand behind a percent sign (oci.conf(5)); slurmstepd dies of others."""


def test_oci_conf_has_only_known_patterns(project: Path) -> None:
    """The whole example is run by the tests of hosts; this holds it where there is no Slurm."""
    text = (project / "docs/slurm.md").read_text(encoding="utf-8")
    lines = re.findall(r'^RunTime\w+="(.*)"$', text, re.MULTILINE)

    assert len(lines) == 4
    for line in lines:
        assert set(re.findall("%(.)", line)) <= KNOWN, line
