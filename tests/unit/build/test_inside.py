"""Files of a mounted image are reached without ever leaving it."""

import errno
import os
import stat
import struct
from pathlib import Path

import pytest

from imagekit.build import attributes, inside, tree_snapshot
from imagekit.build.mount_points import FILES, FOLDERS, LINKS, add_mount_points
from imagekit.build.tidy import remove_identities, tidy_bootstrap, tidy_layer, varying
from imagekit.build.tree_snapshot import EMPTY
from imagekit.errors import BuildError

STUBS = {*FILES, *FOLDERS, *LINKS}


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder of the host that no image may reach."""
    folder = tmp_path / "host"
    (folder / "apt").mkdir(parents=True)
    (folder / "hosts").write_text("")
    (folder / "passwd").write_text("root")
    return folder


@pytest.fixture
def root(tmp_path: Path, host: Path) -> Path:
    """An image whose /etc is a link to the host's."""
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "etc").symlink_to(host)
    return folder


def test_nothing_is_written_through_a_linked_folder(root: Path, host: Path) -> None:
    """Whatever the depth at which the link stands."""
    for name in ("etc/hosts", "etc/apt/sources.list", "etc/new/file"):
        with pytest.raises(BuildError, match="cannot be written in the image"):
            inside.place(root, name, "evil")

    assert sorted(path.name for path in host.rglob("*")) == ["apt", "hosts", "passwd"]
    assert not (host / "hosts").read_text()


def test_nothing_is_removed_through_a_linked_folder(root: Path, host: Path) -> None:
    """A file of the host stays."""
    inside.remove(root, "etc/hosts")
    tidy_layer(root, EMPTY)

    assert (host / "hosts").exists()
    assert (root / "etc").is_symlink()


def test_nothing_is_read_through_a_linked_folder(root: Path) -> None:
    """The host's files are not there, as far as the image goes."""
    assert inside.read(root, "etc/passwd", limit=100) is None
    assert inside.files(root, "etc") == ()
    assert not inside.is_file(root, "etc/passwd")


def test_a_linked_file_is_replaced_and_its_target_stays(root: Path, host: Path) -> None:
    """The last name may be a link too; it is the link that goes."""
    (root / "conf").symlink_to(host / "passwd")

    inside.place(root, "conf", "ours")

    assert (host / "passwd").read_text() == "root"
    assert not (root / "conf").is_symlink()
    assert (root / "conf").read_text() == "ours"


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_only_regular_files_are_read(root: Path, host: Path, kind: str) -> None:
    """A FIFO would block for ever."""
    path = root / "odd"
    if kind == "link":
        path.symlink_to(host / "passwd")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()

    assert inside.read(root, "odd", limit=100) is None


def test_a_folder_in_the_place_of_a_file_is_an_error(root: Path) -> None:
    """It is told as the image's fault, not as ours."""
    (root / "conf").mkdir()

    with pytest.raises(BuildError, match="/conf cannot be written"):
        inside.place(root, "conf", "x")


def test_reading_is_bounded(root: Path) -> None:
    """No more than asked for."""
    (root / "large").write_text("x" * 100)

    assert inside.read(root, "large", limit=10) == b"x" * 10


def test_missing_folders_are_made_and_modes_set(root: Path) -> None:
    """Whatever the umask says."""
    previous = os.umask(0o077)
    try:
        inside.place(root, "usr/sbin/policy-rc.d", "#!/bin/sh\n", mode=0o755)
    finally:
        os.umask(previous)

    assert stat.S_IMODE((root / "usr/sbin/policy-rc.d").stat().st_mode) == 0o755


def test_names_of_a_folder_are_sorted(root: Path) -> None:
    """So that what is made of them is the same everywhere."""
    (root / "lists").mkdir()
    for name in ("b", "a", "c"):
        (root / "lists" / name).touch()

    assert inside.files(root, "lists") == ("a", "b", "c")


def test_mount_points_are_the_same_whatever_made_them(tmp_path: Path) -> None:
    """Buildah leaves empty files, of its own modes; what holds something is the image's own."""
    (tmp_path / "etc").mkdir(mode=0o700)
    (tmp_path / "etc/hosts").touch(mode=0o600)
    (tmp_path / "etc/hostname").write_text("mine\n")
    (tmp_path / "run/secrets").mkdir(parents=True, mode=0o700)
    (tmp_path / "run/secrets/token").touch()
    (tmp_path / "run/.containerenv").write_text('engine="buildah-1.28.2"\n')
    (tmp_path / "run/imagekit").mkdir()
    (tmp_path / "run/sshd").mkdir()

    tidy_layer(tmp_path, EMPTY)

    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {*STUBS, "run/sshd"}
    assert (tmp_path / "etc/hostname").read_text() == "mine\n"
    assert (tmp_path / "run/.containerenv").read_text() == ""
    assert stat.S_IMODE((tmp_path / "etc/hosts").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "run/secrets").stat().st_mode) == 0o755


def test_mount_points_are_made_whatever_the_umask_is(tmp_path: Path) -> None:
    """An image from scratch has them too: rootless Podman makes none in a store of root's."""
    previous = os.umask(0o077)
    try:
        tidy_layer(tmp_path, EMPTY)
    finally:
        os.umask(previous)

    made = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*")}
    assert set(made) == STUBS
    assert made["etc/mtab"].readlink() == Path("/proc/mounts")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in made.values() if path.is_dir()}
    assert modes == {0o755}


@pytest.mark.parametrize("name", sorted(STUBS))
def test_what_stands_at_a_mount_point_is_left(tmp_path: Path, name: str) -> None:
    """A link stays a link, and is not followed."""
    path, elsewhere = tmp_path / "root" / name, tmp_path / "elsewhere"
    path.parent.mkdir(parents=True)
    elsewhere.mkdir()
    path.symlink_to(elsewhere)

    add_mount_points(tmp_path / "root")

    assert path.readlink() == elsewhere
    assert list(elsewhere.iterdir()) == []


def test_a_full_disk_is_no_choice_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the layer would differ from that of another host."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(OSError, match="full"):
        add_mount_points(tmp_path)


def test_a_new_system_has_nothing_of_this_host(tmp_path: Path) -> None:
    """Neither its name nor its mirror, in whatever form mmdebstrap wrote it."""
    for name in ("sources.list.d", "auth.conf.d", "apt.conf.d"):
        (tmp_path / "etc/apt" / name).mkdir(parents=True)
    (tmp_path / "etc/hostname").write_text("builder7\n")
    mirror = "deb http://user:pass@site.example/debian x main\n"
    for name in (
        "sources.list",
        "sources.list.d/0000sources.list",
        "sources.list.d/0001main.sources",
        "auth.conf.d/site.conf",
        "apt.conf.d/99mmdebstrap",
    ):
        (tmp_path / "etc/apt" / name).write_text(mirror)
    (tmp_path / "etc/apt/apt.conf.d/70debconf").write_text("of a package")

    tidy_bootstrap(tmp_path)

    assert (tmp_path / "etc/hostname").read_text() == "localhost\n"
    kept = [path for path in (tmp_path / "etc/apt").rglob("*") if path.is_file()]
    assert "site.example" not in "".join(path.read_text() for path in kept)
    assert sorted(path.name for path in kept) == ["70debconf", "sources.list"]


def test_no_layer_has_the_identity_of_a_machine(tmp_path: Path) -> None:
    """Files that programs expect stay, with their owners and modes, and tell nothing."""
    for name in ("etc/machine-id", "var/lib/dbus/machine-id", "var/log/wtmp", "var/log/lastlog"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("0123\n")
        (tmp_path / name).chmod(0o664)

    tidy_layer(tmp_path, EMPTY)

    files = {
        str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*") if path.is_file()
    }
    kept = {"etc/machine-id", "var/log/wtmp", "var/log/lastlog"}
    assert set(files) - STUBS == kept
    assert not any(files[name].read_text() for name in kept)
    assert {stat.S_IMODE(files[name].stat().st_mode) for name in kept} == {0o664}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_apts_folders_belong_to_root(tmp_path: Path) -> None:
    """Whether apt could drop its privileges on this host or not."""
    folder = tmp_path / "var/lib/apt/lists/partial"
    folder.mkdir(parents=True, mode=0o700)
    os.chown(folder, 42, 0)

    tidy_layer(tmp_path, EMPTY)

    assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (0, 0o700)


def test_a_machine_id_is_not_emptied_through_a_link(root: Path, host: Path) -> None:
    """The host's own stays what it is."""
    (host / "machine-id").write_text("0123")

    tidy_layer(root, EMPTY)

    assert (host / "machine-id").read_text() == "0123"


MADE = (
    "etc/ssh/ssh_host_ed25519_key",
    "etc/ssh/ssh_host_ed25519_key.pub",
    "etc/munge/munge.key",
    "etc/ssl/certs/ssl-cert-snakeoil.pem",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "etc/bind/rndc.key",
)


@pytest.mark.parametrize("packages", [True, False])
def test_keys_that_packages_make_are_removed(tmp_path: Path, packages: bool) -> None:  # noqa: FBT001 - a parameter
    """They would be the secret of everybody who pulls; a link by a certificate's hash goes too."""
    for name in (*MADE, "etc/ssl/certs/ca.pem", "etc/ssh/sshd_config", "etc/ssh/moduli"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("made")
    (tmp_path / "etc/ssl/certs/f30dd6ad.0").symlink_to("ssl-cert-snakeoil.pem")
    (tmp_path / "etc/ssl/certs/aaaaaaaa.0").symlink_to("ca.pem")
    present = tree_snapshot.all_of(tmp_path).present

    gone = remove_identities(tmp_path, present, packages=packages)

    assert gone == tuple(sorted((*MADE, "etc/ssl/certs/f30dd6ad.0")))
    left = {path.name for path in tmp_path.rglob("*") if not path.is_dir()}
    assert left == {"aaaaaaaa.0", "ca.pem", "moduli", "sshd_config"}


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "])
def test_an_unknown_packages_private_key_is_removed(tmp_path: Path, kind: str) -> None:
    """Whatever it is called: but not what lies among a package's own files, or what a step made."""
    key = f"-----BEGIN {kind}PRIVATE KEY-----\nAAAA\n"
    for name in ("etc/new/server.pem", "var/lib/new/key", "usr/share/doc/new/example.pem"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(key)
    (tmp_path / "etc/new/public.pem").write_text("-----BEGIN PUBLIC KEY-----\nPRIVATE KEY-----")
    present = tree_snapshot.all_of(tmp_path).present

    assert remove_identities(tmp_path, present, packages=False) == ()
    assert remove_identities(tmp_path, present, packages=True) == (
        "etc/new/server.pem",
        "var/lib/new/key",
    )


def test_the_access_list_of_the_journal_is_no_part_of_an_image(tmp_path: Path) -> None:
    """Systemd's package makes it and no layer keeps one: its mode stays, and so do other lists."""
    journal = tmp_path / "var/log/journal"
    journal.mkdir(parents=True)
    journal.chmod(0o2755)
    entry = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, rights, number)
        for tag, rights, number in (
            (1, 7, 0xFFFFFFFF),
            (4, 5, 0xFFFFFFFF),
            (8, 5, 4),
            (16, 5, 0xFFFFFFFF),
            (32, 5, 0xFFFFFFFF),
        )
    )
    for name in ("system.posix_acl_access", "system.posix_acl_default"):
        os.setxattr(journal, name, entry)
        os.setxattr(journal.parent, name, entry)

    tidy_layer(tmp_path, EMPTY)

    assert attributes.read(str(journal)) == ()
    assert stat.S_IMODE(journal.stat().st_mode) == 0o2755
    assert len(attributes.read(str(journal.parent))) == 2


def test_databases_that_are_new_in_every_build_are_named() -> None:
    """One file of each is enough to tell it by."""
    present = [
        "etc/aliases",
        "etc/aliases.db",
        "var/lib/mysql/ibdata1",
        "var/lib/postgresql/15/main/global/1213",
        "var/lib/postgresql/15/main/global/pg_control",
    ]

    assert varying(present) == (present[1], present[2], present[4])
