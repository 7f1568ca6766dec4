"""What is pure of the private Sigstore: tokens, trust files, versions, its state on disk."""

import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from sigstore.models import ClientTrustConfig

from tests.support.sigstore.issuer import Issuer, email_claims, workflow_claims
from tests.support.sigstore.processes import Process, free_ports, start, stop, wait_for
from tests.support.sigstore.programs import (
    PUBLISHED,
    StackError,
    is_new_enough,
    missing,
    program_path,
)
from tests.support.sigstore.stack import State, load, up
from tests.support.sigstore.trust import Addresses, make_keys, write_trust

ISSUER = "http://127.0.0.1:1"
ADDRESSES = Addresses(
    issuer=ISSUER,
    ci_issuer="http://127.0.0.1:2",
    ctlog="http://127.0.0.1:3",
    fulcio="http://127.0.0.1:4",
    tsa="http://127.0.0.1:5",
    rekor="http://127.0.0.1:6",
    rekor1="http://127.0.0.1:7",
)


def _claims(issuer: Issuer, token: str) -> dict[str, object]:
    key = jwt.PyJWKSet.from_dict(issuer.keys()).keys[0]
    claims: dict[str, object] = jwt.decode(
        token, key.key, ["RS256"], audience="sigstore", issuer=ISSUER
    )
    return claims


def test_a_token_of_another_issuer_is_refused() -> None:
    """Two issuers have two keys."""
    token = Issuer(ISSUER).token(email_claims({}))
    with pytest.raises(jwt.InvalidSignatureError):
        _claims(Issuer(ISSUER), token)


def test_an_expired_token_is_expired() -> None:
    """A negative time makes a token that has been valid once."""
    issuer = Issuer(ISSUER)
    with pytest.raises(jwt.ExpiredSignatureError):
        _claims(issuer, issuer.token(email_claims({}), seconds=-60))


def test_a_token_says_who_it_is() -> None:
    """The published keys verify it, and the chosen claims stand in it."""
    issuer = Issuer(ISSUER)
    claims = _claims(issuer, issuer.token(email_claims({"email": "you@example.org"})))
    assert claims["email"] == "you@example.org"
    assert claims["email_verified"] is True


def test_a_workflow_is_named_by_its_file_and_ref() -> None:
    """The claim that becomes the certificate's subject follows what was chosen."""
    claims = workflow_claims({"repository": "a/b", "workflow": "c.yml", "ref": "refs/tags/1"})
    assert claims["job_workflow_ref"] == "a/b/c.yml@refs/tags/1"
    assert claims["repository_owner"] == "a"


@pytest.mark.parametrize("version", ["", "go1.25.9", "go1.9", "devel", "1.26"])
def test_an_old_go_does_not_do(version: str) -> None:
    """Older than 1.26, or not Go: the programs would not build."""
    assert not is_new_enough(version)


@pytest.mark.parametrize("version", ["go1.26", "go1.26.8\n", "go1.27rc1", "go2.0"])
def test_a_new_go_does(version: str) -> None:
    """1.26 or later."""
    assert is_new_enough(version)


def test_programs_are_named_by_their_version(tmp_path: Path) -> None:
    """Another pin is another file, so that it is built anew; each is missing at first."""
    assert program_path("fulcio", tmp_path).name == PUBLISHED["fulcio"].replace("@", "-")[-13:]
    paths = {program_path(name, tmp_path) for name in missing(tmp_path)}
    assert len(paths) == len(PUBLISHED) + 1


@pytest.mark.parametrize("suffix", ["", "_v1"])
def test_sigstore_python_reads_the_trust_files(tmp_path: Path, suffix: str) -> None:
    """Keys, certificates and addresses are in the form that clients expect, one log in each."""
    make_keys(tmp_path)
    (tmp_path / "tsa.pem").write_bytes((tmp_path / "fulcio.pem").read_bytes())
    write_trust(tmp_path, ADDRESSES)
    trust = ClientTrustConfig.from_json((tmp_path / f"trust_config{suffix}.json").read_text())
    assert len(trust.trusted_root.get_fulcio_certs()) == 1
    assert len(trust.trusted_root.get_timestamp_authorities()) == 1
    (log,) = trust.signing_config.get_tlogs()
    assert ("_v1" in suffix) == ("V1" in type(log).__name__ or type(log).__name__ == "RekorClient")


def test_private_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    """Whoever reads them can sign as anybody."""
    make_keys(tmp_path)
    keys = list(tmp_path.glob("*.key"))
    assert len(keys) == 4
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)


def _process(folder: Path, program: str) -> Process:
    return start("child", [sys.executable, "-c", program], folder)


def test_a_program_that_ends_is_told_with_its_words(tmp_path: Path) -> None:
    """Waiting for what has died ends at once."""
    child = _process(tmp_path, "raise SystemExit('no such option')")
    with pytest.raises(StackError, match="no such option"):
        wait_for(child, lambda: False, tmp_path)
    stop([child])


def test_waiting_is_bounded(tmp_path: Path) -> None:
    """A program that never is ready is told, and can be stopped."""
    child = _process(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(StackError, match="not ready"):
        wait_for(child, lambda: False, tmp_path, 0.1)
    stop([child])
    assert not child.is_running()


def test_another_process_of_the_same_id_is_left_alone(tmp_path: Path) -> None:
    """A number that was given anew is somebody else's."""
    child = _process(tmp_path, "import time; time.sleep(60)")
    stop([Process(name="gone", pid=child.pid, began="1")])
    assert child.is_running()
    stop([child])


def test_ports_are_distinct() -> None:
    """Each service has one of its own."""
    assert len(set(free_ports(12))) == 12


def test_a_state_is_read_as_it_was_kept(tmp_path: Path) -> None:
    """What was started can be stopped by a later command; what is half started is not up."""
    state = State(addresses=ADDRESSES, processes=(), owner="user", ready=False)
    state.save(tmp_path)
    assert load(tmp_path) == state
    assert not state.is_running()


def test_a_damaged_state_is_told(tmp_path: Path) -> None:
    """With the file and what to do."""
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(StackError, match=r"stack\.json.*delete"):
        load(tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """``--dir`` of a folder with files in it removes none of them."""
    precious = tmp_path / "mine" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("x")
    with pytest.raises(StackError, match="holds no stack"):
        up(precious.parent, tmp_path / "cache", lambda _: None, rekor1=False, owner="user")
    assert precious.exists()


def test_the_script_tells_what_it_does(project: Path) -> None:
    """Without a verb it ends with usage, with --help with the verbs."""
    script = project / "scripts" / "sigstore"
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=False)
    assert all(verb in done.stdout for verb in ("up", "down", "status", "build"))
    assert subprocess.run([script], capture_output=True, check=False).returncode == 2
