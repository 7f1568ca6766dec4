"""A store is read by a storage of its own driver, whatever this user's Podman has."""

import json
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.tools.podman import ContainerOptions, Podman
from imagekit.errors import InputError
from imagekit.hosts.apptainer_run import Apptainer
from imagekit.hosts.run_options import RunOptions
from imagekit.hosts.run_staged import run_file, run_staged
from imagekit.oci.digest import Digest
from imagekit.oci.reference import parse_reference
from imagekit.offline.check_receipt import Checked
from imagekit.offline.stage_target import StageKind
from imagekit.policy.findings import Finding
from imagekit.verify.verdict import Verdict
from tests.support.fake_engine import FakeEngine
from tests.support.fake_podman import FakePodman, StoredFake

IMAGE = "a" * 64


def _checked(store: Path, driver: str, *, good: bool = True) -> Checked:
    (store / f"{driver}-images").mkdir(parents=True)
    (store / f"{driver}-images/images.json").write_text("[]")
    digest = Digest.of(b"image")
    finding = Finding(check="bytes", code="X", message="x", severity="ok" if good else "error")
    verdict = Verdict(
        reference=parse_reference(f"r.site/app@{digest}"),
        digest=digest,
        policy="p",
        policy_digest=digest,
        findings=(finding,),
    )
    return Checked(path=store, kind=StageKind.STORE, verdict=verdict, image=IMAGE)


def _holding(store: Path) -> FakePodman:
    return FakePodman(stores={str(store): {IMAGE: StoredFake(str(Digest.of(b"image")))}})


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_a_storage_of_the_stores_driver_is_used_as_it_is(tmp_path: Path, driver: str) -> None:
    """With the store beside it, in the words that this driver takes."""
    store = tmp_path / "store"
    programs = _holding(store)

    status = run_staged(
        _checked(store, driver), ["x"], podman=Podman(programs=programs, driver=driver)
    )

    (ran,) = programs.asked
    assert status == 7
    assert ran[:4] == ("podman", "--storage-opt", f"{driver}.imagestore={store}", "run")
    assert ran[-2:] == (IMAGE, "x")


@pytest.mark.parametrize(("own", "driver"), [("vfs", "overlay"), ("overlay", "vfs"), ("", "vfs")])
def test_another_storage_is_made_for_another_driver(tmp_path: Path, own: str, driver: str) -> None:
    """It is gone afterwards."""
    store = tmp_path / "store"
    programs = _holding(store)

    run_staged(_checked(store, driver), [], podman=Podman(programs=programs, driver=own))

    (ran,) = programs.asked
    root = Path(ran[ran.index("--root") + 1])
    assert ran[ran.index("--storage-driver") + 1] == driver
    assert f"{driver}.imagestore={store}" in ran
    assert not root.exists()


def test_a_store_of_others_wants_ids_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before Podman starts; one's own store needs none."""
    store, programs = tmp_path / "store", _holding(tmp_path / "store")
    checked, podman = _checked(store, "vfs"), Podman(programs=programs, driver="vfs")
    monkeypatch.setattr("imagekit.hosts.probe.maps_others", lambda _: False)

    assert run_staged(checked, [], podman=podman) == 7

    owner = store.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(InputError, match="no subordinate ids") as raised:
        run_staged(checked, [], podman=podman)
    assert raised.value.code == "NO_SUBORDINATE_IDS"
    assert "imagekit run --staged FILE.sqsh" in raised.value.hint
    assert len(programs.asked) == 1

    monkeypatch.setattr("imagekit.hosts.probe.maps_others", lambda _: True)
    assert run_staged(checked, [], podman=podman) == 7


def test_what_was_not_allowed_does_not_run(tmp_path: Path) -> None:
    """Whoever asks."""
    programs = FakePodman()

    with pytest.raises(InputError, match="not allowed"):
        run_staged(
            _checked(tmp_path / "store", "vfs", good=False), [], podman=Podman(programs=programs)
        )
    assert programs.asked == []


@pytest.mark.parametrize(
    ("entrypoint", "arguments", "command"),
    [
        (None, [], ["/bin/solver"]),
        (None, ["/bin/sh"], ["/bin/sh"]),
        ("/bin/ls", [], []),
        ("", ["/bin/sh"], ["/bin/sh"]),
    ],
)
def test_a_bundle_runs_its_command_unless_another_is_named(
    tmp_path: Path, entrypoint: str | None, arguments: list[str], command: list[str]
) -> None:
    """What replaces the entrypoint replaces what the image would start."""
    process = {"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": [], "args": ["/bin/solver"]}
    (tmp_path / "config.json").write_text(json.dumps({"process": process, "mounts": []}))
    bundle = replace(_checked(tmp_path / "s", "vfs"), path=tmp_path, kind=StageKind.BUNDLE)
    programs = FakePodman()
    podman = Podman(programs=programs, container=ContainerOptions(entrypoint=entrypoint))

    run_staged(bundle, arguments, podman=podman)

    (ran,) = programs.asked
    assert list(ran[ran.index(f"{tmp_path}/rootfs:O") + 1 :]) == command


def test_a_sif_is_run_by_apptainer_where_it_was_allowed(tmp_path: Path) -> None:
    """And nothing else is given to it."""
    programs = FakeEngine()
    apptainer = Apptainer(programs=programs, choose=lambda image, _: image, options=RunOptions())
    sif = replace(_checked(tmp_path / "s", "vfs"), path=tmp_path / "x.sif", kind=StageKind.SIF)
    denied = _checked(tmp_path / "d", "vfs", good=False)

    assert run_file(sif, ["-x"], apptainer=apptainer) == 7
    with pytest.raises(InputError, match="not allowed"):
        run_file(replace(denied, kind=StageKind.SIF), [], apptainer=apptainer)
    with pytest.raises(InputError, match="Apptainer is not given"):
        run_file(replace(sif, kind=StageKind.SQUASHFS), [], apptainer=apptainer)

    (ran,) = programs.asked
    assert ran[-2:] == (str(tmp_path / "x.sif"), "-x")
