"""Opening and signing policies in files."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.documents.report import Report
from imagekit.errors import PolicyError
from imagekit.oci.digest import Digest
from imagekit.policy.load import load_policy
from imagekit.policy.new import new_policy
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.policy.signers import PolicySigners
from imagekit.signatures.authority import Authority
from imagekit.signatures.bundle import parse_bundle
from imagekit.signatures.intoto import statement_of
from imagekit.signatures.publickey import public_key_pem
from imagekit.verify.policies import load_unsigned, open_policy, sign_policy
from imagekit.verify.rollback import SqliteRollbackStore, default_path
from imagekit.verify.signed import check_signature
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.signed import World

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def signer() -> MemorySigner:
    """The admin's key."""
    return MemorySigner()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A policy that names a key file, besides the key in it."""
    file = tmp_path / "site.yaml"
    text = new_policy("r.site/**", MemorySigner().public_key, now=NOW)
    (tmp_path / "b.pub").write_bytes(public_key_pem(MemorySigner().public_key))
    listed = "    authorities:\n      - {name: b, key: {path: b.pub}}\n"
    file.write_text(text.replace("    authorities:\n", listed))
    return file


def _open(
    file: Path, signer: MemorySigner | None, memory: SqliteRollbackStore | None = None
) -> OpenedPolicy:
    signers = None
    if signer is not None:
        signers = PolicySigners(authorities=(Authority(name="admin", key=signer.public_key),))
    return open_policy(file, signers=signers, memory=memory, clock=FixedClock(NOW))


def test_signed(file: Path, signer: MemorySigner) -> None:
    """What was signed is obeyed, remembered under the policy's name, and covers its files."""
    signature, policy, new = sign_policy(file, signer)

    assert (signature.name, new) == ("site.yaml.sigstore.json", True)
    statement = statement_of(parse_bundle(signature.read_bytes()).envelope)
    named = {subject.name: subject.digest for subject in statement.subjects}
    raw = (file.parent / "b.pub").read_bytes()
    assert named == {"site": Digest.of(file.read_bytes()), "b.pub": Digest.of(raw)}
    assert [each.code for each in _open(file, signer).standing] == ["OK"]
    kept = SqliteRollbackStore(default_path()).highest("@policy:site")
    assert kept is not None
    assert kept.sequence == policy.version


def test_signed_once(file: Path, signer: MemorySigner) -> None:
    """What stands there and still holds is not signed again; what does not hold is."""
    sign_policy(file, signer)
    assert sign_policy(file, signer)[2] is False
    assert sign_policy(file, MemorySigner())[2] is True
    sign_policy(file, signer)
    (file.parent / "b.pub").write_bytes(public_key_pem(MemorySigner().public_key))

    assert sign_policy(file, signer)[2] is True
    (file.parent / "site.yaml.sigstore.json").write_text("{}")
    assert sign_policy(file, signer)[2] is True


def test_unsigned_is_remembered_by_its_path(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy of the same name elsewhere, of a lower version, is another one."""
    memory = SqliteRollbackStore(tmp_path / "seen.db")
    other = tmp_path / "other" / "site.yaml"
    other.parent.mkdir()
    (other.parent / "b.pub").write_bytes((tmp_path / "b.pub").read_bytes())
    other.write_text(file.read_text())
    file.write_text(file.read_text().replace("version: 1", "version: 2"))

    assert _open(file, None, memory).standing == ()
    assert _open(other, None, memory).standing == ()
    file.write_text(other.read_text())
    assert [each.code for each in _open(file, None, memory).standing] == ["POLICY_ROLLBACK"]
    monkeypatch.chdir(tmp_path)
    assert [e.code for e in _open(Path("site.yaml"), None, memory).standing] == ["POLICY_ROLLBACK"]


def test_a_file_that_changes_while_the_policy_is_read(file: Path, signer: MemorySigner) -> None:
    """Each form that was read of it must have been signed: none slips in between two looks."""
    sign_policy(file, signer)
    report = Report("site.yaml", "policy")
    report.note_file("b.pub", (file.parent / "b.pub").read_bytes())
    report.note_file("b.pub", b"evil")
    files = tuple((path, Digest("sha256", digits)) for path, digits in report.files)
    policy = replace(_open(file, signer), files=files)
    bundle = (file.parent / "site.yaml.sigstore.json").read_bytes()
    admin = Authority(name="admin", key=signer.public_key)

    finding = check_signature(policy, bundle, PolicySigners(authorities=(admin,)), now=NOW)

    assert finding.code == "BAD_POLICY_SIGNATURE"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_signature_that_is_no_file(file: Path, signer: MemorySigner, make: object) -> None:
    """A pipe in the place of the signature is not waited for."""
    assert callable(make)
    make(file.parent / "site.yaml.sigstore.json")

    with pytest.raises(PolicyError):
        _open(file, signer)


def test_a_policy_with_faults_is_not_signed(file: Path, signer: MemorySigner) -> None:
    """Nothing is signed that nobody could obey."""
    file.write_text(file.read_text() + "more: 1\n")

    with pytest.raises(PolicyError):
        sign_policy(file, signer)
    assert signer.signed == 0


def test_a_policy_behind_a_link_that_moves(file: Path, tmp_path: Path) -> None:
    """As volumes of Kubernetes do it: the path that is asked for is one, wherever it leads."""
    memory, link = SqliteRollbackStore(tmp_path / "seen.db"), tmp_path / "current"
    for version in (2, 1):
        folder = tmp_path / str(version)
        folder.mkdir()
        (folder / "b.pub").write_bytes((tmp_path / "b.pub").read_bytes())
        (folder / "site.yaml").write_text(
            file.read_text().replace("version: 1", f"version: {version}")
        )
    link.symlink_to("2")
    assert _open(link / "site.yaml", None, memory).standing == ()
    link.unlink()
    link.symlink_to("1")

    (finding,) = _open(link / "site.yaml", None, memory).standing
    assert finding.code == "POLICY_ROLLBACK"


def test_a_path_that_is_no_text(file: Path, tmp_path: Path) -> None:
    """Linux takes any bytes as a name; they are remembered all the same."""
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml"))
    odd.write_bytes(file.read_bytes())
    memory = SqliteRollbackStore(tmp_path / "seen.db")

    assert _open(odd, None, memory).standing == ()
    odd.write_text(file.read_text().replace("version: 1", "version: 9"))
    assert _open(odd, None, memory).standing == ()
    odd.write_bytes(file.read_bytes())
    assert [each.code for each in _open(odd, None, memory).standing] == ["POLICY_ROLLBACK"]


def test_a_verifier_that_cannot_remember(file: Path, signer: MemorySigner, tmp_path: Path) -> None:
    """A signed policy is obeyed with a warning; of another nobody asked that it be remembered."""
    (tmp_path / "blocked").write_text("")
    memory = SqliteRollbackStore(tmp_path / "blocked" / "seen.db")
    sign_policy(file, signer)

    assert [each.code for each in _open(file, signer, memory).standing] == ["OK", "NOT_REMEMBERED"]
    assert _open(file, None, memory).standing == ()


def test_a_policy_that_was_only_read_judges_nothing(file: Path) -> None:
    """Nobody asked who signed it: another type says so, and there is no verdict by mistake."""
    read = load_policy(file)
    world = World()

    with pytest.raises(AttributeError, match="standing"):
        world.judge(read)  # type: ignore[arg-type]  # that is what the type forbids


def test_a_policy_is_opened_whoever_wrote_it_only_by_that_word(file: Path) -> None:
    """It says what the one says that was read, and nothing stands in its verdicts."""
    opened = load_unsigned(file)

    assert opened.standing == ()
    assert opened == OpenedPolicy.of(load_policy(file))
    assert opened.images == load_policy(file).images
