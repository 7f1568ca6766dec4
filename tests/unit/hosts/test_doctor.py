"""How a host's state is told, to people and to programs."""

import pytest
from msgspec.structs import replace

from imagekit.hosts.doctor import Diagnosis, diagnose, document, text
from imagekit.hosts.host import Host, HostCheck, Status

HOST = Host(root=True, system="Debian 12", kernel="6.1", cgroups="none", programs={})


def _diagnosis(*statuses: Status) -> Diagnosis:
    checks = tuple(HostCheck(name="n", status=s, message="m", hint="h") for s in statuses)
    return Diagnosis(host=HOST, checks=checks)


def test_a_host_without_anything_has_problems() -> None:
    """A bare host is not called good."""
    assert diagnose(HOST).exit_code == 6


@pytest.mark.parametrize(
    ("statuses", "code"),
    [((), 0), (("ok", "remark"), 0), (("ok", "problem"), 6)],
)
def test_only_problems_change_the_exit_code(statuses: tuple[Status, ...], code: int) -> None:
    """A remark is no failure; a problem is one of tools."""
    assert _diagnosis(*statuses).exit_code == code


def test_the_text_has_a_line_and_a_remedy_for_each_check_and_counts_them() -> None:
    """What is wrong and what to do stand together."""
    shown = text(_diagnosis("remark", "problem", "problem")).splitlines()

    assert shown[0].split() == ["host", "Debian", "12,", "kernel", "6.1,", "cgroups", "none"]
    assert [line.split() for line in shown[1:5]] == [["!", "n", "m"], ["h"], ["✗", "n", "m"], ["h"]]
    assert shown[-1] == "1 remark, 2 problems"


def test_the_document_has_the_promised_shape() -> None:
    """Programs read it by these words."""
    found = document(replace(_diagnosis("ok"), host=HOST))

    assert found == {
        "schema": 1,
        "checks": [{"name": "n", "status": "ok", "message": "m", "hint": "h"}],
    }
