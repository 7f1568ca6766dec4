"""What differs between two locks."""

from msgspec.structs import replace

from imagekit.lock.changes import ChangeKind, changes, markdown, package_changes, summary
from imagekit.lock.lock import (
    LockedArchive,
    LockedFile,
    LockedInstall,
    LockedPlatform,
    LockedTree,
)
from imagekit.oci.digest import Digest
from tests.support.locks import deb, lock_of, of_tree


def _told(before: LockedTree, after: LockedTree) -> list[tuple[str, str, str, str, str]]:
    found = changes(of_tree(before), of_tree(after))
    return [(c.kind, c.what, c.name, c.before, c.after) for c in found]


def test_packages_come_go_and_move() -> None:
    """By name, wherever in the tree they are."""
    before = LockedTree(base="x", bootstrap=(deb("a"), deb("b")))
    install = LockedInstall(manager="apt", asked=("c",), debs=(deb("c"), deb("b", "2.0")))
    after = LockedTree(base="x", bootstrap=(deb("b"),), installs=(install,))

    assert _told(before, after) == [
        ("removed", "deb", "a:amd64", "1.0", ""),
        ("changed", "deb", "b:amd64", "1.0", "2.0"),
        ("added", "deb", "c:amd64", "", "1.0"),
    ]
    assert summary(changes(of_tree(before), of_tree(after))) == (
        "1 entry added, 1 entry removed, 1 entry changed"
    )


def test_another_file_of_the_same_version_is_a_change() -> None:
    """A repository that replaces a package under its version is what nobody should miss."""
    before = LockedTree(base="x", bootstrap=(deb("a"),))
    after = LockedTree(base="x", bootstrap=(deb("a", sha256=Digest.of(b"other")),))

    ((kind, _, _, old, new),) = _told(before, after)
    assert kind is ChangeKind.CHANGED
    assert old.startswith("1.0 (sha256:")
    assert old != new


def test_bases_files_and_stages_are_told_too() -> None:
    """With what they were."""
    tree = LockedTree(base="recipe base", image=Digest.of(b"1"))
    other = replace(tree, image=Digest.of(b"2"), files=(LockedFile(
        url="https://example.org/a", digest=Digest.of(b"a")),))  # fmt: skip
    before = of_tree(tree, build=LockedTree(base="scratch"))
    found = changes(before, of_tree(other))

    assert [(c.kind, c.stage, c.what) for c in found] == [
        ("changed", "", "base"),
        ("added", "", "file"),
        ("removed", "build", "base"),
    ]


def test_a_first_lock_adds_everything_and_equal_ones_nothing() -> None:
    """From nothing, and to nothing."""
    assert {c.kind for c in changes(None, lock_of())} == {ChangeKind.ADDED}
    assert {c.kind for c in changes(lock_of(), None)} == {ChangeKind.REMOVED}
    assert changes(lock_of(), lock_of()) == ()
    assert summary(()) == "nothing changed"
    assert markdown(()) == "Nothing changed."


def test_the_time_is_told() -> None:
    """It is in every layer."""
    (change,) = changes(lock_of(), lock_of(source_date=5))

    assert (change.what, change.after) == ("source date", "5")


def test_the_state_of_an_archive_is_no_change_of_packages() -> None:
    """A mirror is signed anew every few hours."""
    old = lock_of().platforms["linux/amd64"]
    archive = LockedArchive(name="debian", suite="bookworm", release=Digest.of(b"new"))
    new = LockedPlatform(archives=(archive,), image=old.image, stages=old.stages)
    later = lock_of(platforms={"linux/amd64": new})

    assert [change.what for change in changes(lock_of(), later)] == ["archive"]
    assert package_changes(lock_of(), later) == ()


def test_markdown_is_a_table_that_nothing_breaks() -> None:
    """A name of a lock is anybody's text, and ends up in a merge request."""
    hostile = LockedTree(base="a|b <img> @user `x` [y](z)")
    text = markdown(changes(None, of_tree(hostile)))

    row = text.splitlines()[-1]
    assert row.count("|") == 6
    assert not set("<@`[") & set(row)
    table = markdown(changes(None, of_tree(LockedTree(base="", bootstrap=(deb("libc6"),)))))
    assert "| linux/amd64 | deb | libc6:amd64 |  | 1.0 |" in table
