"""A recipe whose steps plant faults: each is found and named, and publishing refuses it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import imagekit, recipe
from tests.support.elf import linked
from tests.support.planted import LOADER
from tests.support.tinyroot import tiny_root

pytestmark = [pytest.mark.real]

_PROGRAMS = ("sh", "cat", "cp", "mkdir", "chmod", "ln", "rm", "mkfifo", "dd")
_KEY = r"printf '%s\n' '-----BEGIN PRIVATE KEY-----' {} '-----END PRIVATE KEY-----'".format(
    "A" * 64
)
PLANTED: dict[tuple[str, str], str] = {
    ("IK108", "/opt/cut"): "dd if=/usr/bin/cat of=/opt/cut bs=900 count=1",
    (
        "IK111",
        "/usr/bin/tool",
    ): "echo '#!/usr/bin/python3.9' > /usr/bin/tool; chmod 755 /usr/bin/tool",
    ("IK112", "configuration"): ":",
    ("IK113", "/etc/ld.so.preload"): "echo /opt/libgone.so > /etc/ld.so.preload",
    ("IK201", "/opt/dangling"): "ln -s gone /opt/dangling",
    ("IK202", "/opt/out"): "ln -s ../../../etc/passwd /opt/out",
    ("IK203", "/opt/loop"): "ln -s loop /opt/loop",
    ("IK301", "/opt/helper"): "cp /usr/bin/cat /opt/helper; chmod 4755 /opt/helper",
    ("IK303", "/opt/open"): "mkdir /opt/open; chmod 777 /opt/open",
    ("IK304", "/opt/pipe"): "mkfifo /opt/pipe",
    ("IK305", "/opt/mine"): "cp /usr/bin/cat /opt/mine; chmod 700 /opt/mine",
    ("IK401", "/opt/tls.pem"): f"{_KEY} > /opt/tls.pem",
    ("IK403", "/opt/app.env"): f"echo TOKEN=ghp_{'a1' * 18} > /opt/app.env",
    ("IK404", "/root/.netrc"): "echo machine a login b password c > /root/.netrc",
    ("IK405", "/etc/shadow"): "echo 'root:$6$salt$hashhashhash:1::::::' > /etc/shadow",
    ("IK406", "configuration"): ":",
    ("IK501", "configuration"): ":",
    ("IK502", "configuration"): ":",
    ("IK503", "configuration"): ":",
    ("IK504", "configuration"): ":",
    ("IK505", "configuration"): ":",
    ("IK506", "/etc/group"): "rm /etc/group",
    ("IK507", "/tmp"): "chmod 755 /tmp",
    ("IK601", "/opt/fast.pc"): "echo prefix=/home/ana/fast > /opt/fast.pc",
    ("IK602", "/etc/environment"): "echo http_proxy=http://10.0.0.1:3128 > /etc/environment",
    ("IK603", "/etc/fstab"): "echo nas:/home /home nfs4 rw 0 0 > /etc/fstab",
    ("IK508", "configuration"): ":",
    ("IK604", "/root/.ssh/config"): "echo 'Host *' > /root/.ssh/config",
    ("IK101", "/usr/bin/cat"): "rm -f /lib/*/libc.so.6 /usr/lib/*/libc.so.6",
}
"""By number and place, the step that plants it; ``:`` for what the recipe's other keys do."""
FILES: dict[tuple[str, str], dict[str, bytes]] = {
    ("IK102", "/opt/far"): {
        "opt/far": linked(interpreter=LOADER, needed=("libfar.so",)),
        "opt/lib/libfar.so": linked(soname="libfar.so"),
    },
    ("IK103", "/opt/alien"): {"opt/alien": linked(interpreter="/lib/ld-gone.so.1")},
    ("IK104", "/opt/new"): {
        "opt/new": linked(
            interpreter=LOADER, needed=("libold.so",), wants={"libold.so": ("OLD_2",)}
        ),
        "usr/lib/libold.so": linked(soname="libold.so", defines=("OLD_1",)),
    },
    ("IK105", "/usr/bin/arm"): {"usr/bin/arm": linked(interpreter=LOADER, machine=183)},
    ("IK106", "/opt/odd"): {"opt/odd": linked(interpreter=LOADER, runpath="/home/ana/lib")},
    ("IK107", "/usr/lib/glibc-hwcaps/x86-64-v3/libnew.so"): {
        "opt/fast": linked(interpreter=LOADER, needed=("libnew.so",)),
        "usr/lib/glibc-hwcaps/x86-64-v3/libnew.so": linked(soname="libnew.so"),
    },
}
"""By number and place, the files that are copied: programs for this host's processor."""
_HEALTHY = (
    "mkdir -p /opt /etc/ssh /etc/munge /root/.ssh /tmp /dev /proc /sys; chmod 1777 /tmp; "
    "echo root:x:0:0::/: > /etc/passwd; echo root:x:0: > /etc/group"
)
_EXCEPT = """\
check:
  except:
    - {finding: IK301, path: /opt/helper, reason: every node lets it}
"""
_POLICY = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: contained, version: 1, expires: 2036-12-31T00:00:00Z}
images:
  - match: {glob: localhost/**}
    authorities: [{name: release, key: {path: imagekit.pub}}]
    attestations: [{type: selfcontained, allowExcepted: [], maxAge: 9000d}]
"""
_MORE = """\
entrypoint: [/opt/gone]
workdir: /work
user: ana
env:
  PATH: /usr/bin
  API_KEY: "0123456789"
  LANG: de_DE.UTF-8
  TZ: Europe/Berlin
  PYTHONPATH: /opt/gone
  SSL_CERT_FILE: /opt/gone.pem
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a key and a tiny root file system."""
    folder = tmp_path_factory.mktemp("check")
    assert imagekit(folder, "key", "generate").returncode == 0
    return folder


def _publish(
    site: Path, name: str, steps: list[str], /, more: str, files: Mapping[str, bytes] | None = None
) -> tuple[int, str]:
    tiny_root(site / name / "root", _PROGRAMS)
    for path, content in (files or {}).items():
        place = site / name / "root" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(0o755)
    lines = "".join(f"  - run: {json.dumps(step)}\n" for step in steps)
    rest = f"base: scratch\nsteps:\n  - copy: {{from: root, to: /}}\n{lines}{more}"
    recipe(site / name, name, rest)
    said = imagekit(site, "publish", name, "--to", "oci:out", "--key", "imagekit.key")
    return said.returncode, said.stderr


def _found(site: Path, name: str, *words: str) -> tuple[int, Any]:
    said = imagekit(site, "check", f"oci:out:{name}:1.0.0", "--json", *words)
    return said.returncode, json.loads(said.stdout)


def test_each_planted_fault_is_found_by_number_and_place(site: Path) -> None:
    """In an image that real steps made; publishing tells of them, and signs that there are some."""
    copied = {name: raw for files in FILES.values() for name, raw in files.items()}
    steps = [step for step in PLANTED.values() if step != ":"]
    status, told = _publish(site, "faulty", [_HEALTHY, *steps], _MORE, copied)
    assert status == 0, told

    status, document = _found(site, "faulty")

    found = {(one["code"], one["path"]) for one in document["findings"]}
    assert status == 4
    planted = PLANTED.keys() | FILES.keys()
    assert len(planted) >= 30
    assert planted - found == set()
    assert {code for code, _ in found} - {code for code, _ in planted} == set()
    broken = {p for one in document["findings"] if one["code"] == "IK101" for p in one["breaks"]}
    assert {f"/usr/bin/{name}" for name in _PROGRAMS} | {"/opt/helper", "/opt/mine"} <= broken
    assert "IK101  a library is missing" in told


def test_a_healthy_image_has_none_and_a_policy_asks_for_that(site: Path) -> None:
    """An exception is signed with its reason, and allowed or not by its number."""
    (site / "p.yaml").write_text(_POLICY)
    setuid = "cp /usr/bin/cat /opt/helper; chmod 4755 /opt/helper"
    status, told = _publish(site, "refused", [_HEALTHY, setuid], "check: {}\n")
    assert (status, "IK301 /opt/helper" in told) == (2, True)
    for name, steps in (("healthy", [_HEALTHY]), ("excepted", [_HEALTHY, setuid])):
        status, told = _publish(site, name, steps, _EXCEPT)
        assert status == 0, told

    assert _found(site, "healthy")[0] == 0
    assert _found(site, "excepted", "--recipe", "excepted")[0] == 0
    verdicts = {
        name: imagekit(site, "verify", f"oci:out:{name}:1.0.0", "--policy", "p.yaml")
        for name in ("healthy", "excepted", "faulty")
    }
    assert [verdict.returncode for verdict in verdicts.values()] == [0, 3, 3]
    assert "EXCEPTION_NOT_ALLOWED" in verdicts["excepted"].stdout
    assert "NOT_SELF_CONTAINED" in verdicts["faulty"].stdout
