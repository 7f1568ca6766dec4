"""Keys on a real token (SoftHSM2): they sign, everybody verifies, and what fails says why."""

import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from imagekit.cli.main import main
from imagekit.clock import SystemClock
from imagekit.errors import SigningKeyError
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.location import REGISTRY
from imagekit.oci.reference import Repository, TaggedReference
from imagekit.oci.registry.connect import light
from imagekit.oci.registry.options import RegistryOptions
from imagekit.sign.keyed import KeySigner
from imagekit.signatures.keys.open import find_key, open_key
from imagekit.signatures.publickey import public_key_pem
from imagekit.signatures.signature import verify_legacy_signature, verify_signature
from tests.e2e.keys.conftest import PIN, TokenBox
from tests.support.fakes import push_image
from tests.support.signing import sign

pytestmark = pytest.mark.real

CURVES = [pytest.param(ec.SECP256R1(), id="P-256"), pytest.param(ec.SECP384R1(), id="P-384")]


def _never() -> str:
    raise AssertionError("no PIN is needed here")


def _pin() -> str:
    return PIN


@pytest.mark.parametrize("curve", CURVES)
def test_a_key_on_a_token_signs_in_both_forms(box: TokenBox, curve: ec.EllipticCurve) -> None:
    """A bundle's hash goes with the curve, a legacy signature has SHA-256, and no other holds."""
    public_key = box.add("images", "01", ec.generate_private_key(curve))

    key = open_key(box.uri("object=images"), _pin)

    assert key.public_key == public_key
    assert verify_signature(public_key, key.sign(b"m"), b"m")
    assert verify_legacy_signature(public_key, key.sign_legacy(b"m"), b"m")
    assert not verify_signature(public_key, key.sign(b"m"), b"n")


@pytest.mark.parametrize("curve", CURVES)
def test_cosign_accepts_what_a_token_signed(
    box: TokenBox, bench: Path, registry: str, curve: ec.EllipticCurve
) -> None:
    """Bundle and legacy form of an image; a stranger's key is refused."""
    public_key = box.add("images", "01", ec.generate_private_key(curve))
    stranger = box.add("other", "02", ec.generate_private_key(curve))
    repository = Repository(registry, f"apps/{curve.name}")
    writer = light(REGISTRY, RegistryOptions())
    image = push_image(writer, repository)
    manifest = writer.manifest(image)
    signer = KeySigner(open_key(box.uri("object=images"), _pin))
    sign(writer, signer, image, manifest=manifest.descriptor, tags=("1",), clock=SystemClock())
    writer.tag(TaggedReference(repository, "1"), manifest)
    hashed = ("--signature-digest-algorithm", "sha384") if curve.key_size == 384 else ()

    def verified(by: bytes, *words: str) -> bool:
        (box.folder / "by.pub").write_bytes(by)
        done = subprocess.run(
            [
                *(str(bench / "cosign"), "verify", "--key", str(box.folder / "by.pub")),
                *("--insecure-ignore-tlog=true", "--allow-http-registry", *words),
                f"{repository}:1",
            ],
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.returncode == 0

    assert verified(public_key_pem(public_key), "--new-bundle-format=true", *hashed)
    assert verified(public_key_pem(public_key), "--new-bundle-format=false")
    assert not verified(public_key_pem(stranger), "--new-bundle-format=true", *hashed)
    assert not verified(public_key_pem(stranger), "--new-bundle-format=false")


def test_every_way_to_name_a_key_finds_it(box: TokenBox, monkeypatch: pytest.MonkeyPatch) -> None:
    """By securesystemslib's URI, by label, by id, as p11tool and as cosign print it."""
    monkeypatch.setenv("PYKCS11LIB", box.module)
    box.add("decoy", "02", ec.generate_private_key(ec.SECP256R1()))
    public_key = box.add("images", "0A01", ec.generate_private_key(ec.SECP256R1()))
    full = "model=SoftHSM%20v2;manufacturer=SoftHSM%20project;id=%0A%01;object=images;type=private"

    for uri in (
        "hsm:2561",
        "hsm:2561?label=site+keys",
        "pkcs11:object=images",
        box.uri("id=%0A%01"),
        box.uri(full),
        box.uri(f"slot-id={box.slot};id=%0a%01;object=images"),
        f"pkcs11:;slot-id={box.slot};id=%0a%01?module-path={box.module}",
    ):
        assert find_key(uri, _never).public_key == public_key


def test_a_slot_is_chosen_among_tokens(box: TokenBox) -> None:
    """Without a label the number of the slot says which token."""
    public_key = box.add("images", "01", ec.generate_private_key(ec.SECP256R1()))
    box.initialise("others")
    named = f"object=images?module-path={box.module}"

    assert open_key(f"pkcs11:slot-id={box.slot};{named}", _pin).public_key == public_key
    with pytest.raises(SigningKeyError, match="several tokens"):
        find_key(f"pkcs11:{named}", _pin)


def test_a_slot_does_not_choose_among_tokens_of_one_label(box: TokenBox) -> None:
    """The library signs by the label: rather than by either token, it does not sign."""
    box.initialise("site keys")

    with pytest.raises(SigningKeyError, match="several tokens"):
        find_key(f"pkcs11:slot-id={box.slot};object=x?module-path={box.module}", _pin)


def test_the_pin_comes_from_the_file_that_the_uri_names(box: TokenBox) -> None:
    """With pin-source nobody is asked."""
    public_key = box.add("images", "01", ec.generate_private_key(ec.SECP256R1()))
    (box.folder / "pin").write_text(f"{PIN}\nnot this\n")

    key = open_key(f"{box.uri('object=images')}&pin-source=file:{box.folder}/pin", _never)

    assert key.public_key == public_key


def test_a_wrong_pin_is_tried_once(box: TokenBox) -> None:
    """The error is the password's; the same PIN is not tried again, which would lock a token."""
    box.add("images", "01", ec.generate_private_key(ec.SECP256R1()))
    asked = []

    def wrong() -> str:
        asked.append(1)
        return "0000"

    key = find_key(box.uri("object=images"), wrong)
    for _ in range(3):
        with pytest.raises(SigningKeyError, match="PIN does not open") as caught:
            key.sign(b"m")
        assert caught.value.code == "WRONG_PASSWORD"

    assert len(asked) == 1
    assert open_key(box.uri("object=images"), _pin).sign(b"m")


@pytest.mark.parametrize(
    ("uri", "said", "code"),
    [
        ("pkcs11:token=other;object=images?module-path={module}", "no such token", "NO_KEY"),
        (
            "pkcs11:token=other;slot-id={slot};object=images?module-path={module}",
            "no such",
            "NO_KEY",
        ),
        ("pkcs11:slot-id=1;object=images?module-path={module}", "no such token", "NO_KEY"),
        ("pkcs11:token=site%20keys;object=none?module-path={module}", "0 public keys", "NO_KEY"),
        ("pkcs11:object=twice?module-path={module}", "2 public keys", "NO_KEY"),
        ("pkcs11:object=rsa?module-path={module}", "could not find ECDSA", "NO_KEY"),
        ("pkcs11:object=p521?module-path={module}", "not a supported EC curve", "NO_KEY"),
        ("pkcs11:object=zero?module-path={module}", "has the id 0005", "BAD_KEY"),
        ("pkcs11:object=images;serial=1?module-path={module}", "and not '1'", "NO_KEY"),
        ("pkcs11:object=images?module-path=/no/module.so", "no such file", "NO_MODULE"),
        ("pkcs11:object=images?module-path=/etc/passwd", "invalid ELF", "NO_MODULE"),
        ("pkcs11:object=images", "no PKCS #11 library is named", "NO_MODULE"),
        ("hsm:1", "no PKCS #11 library is named", "NO_MODULE"),
    ],
)
def test_what_is_not_there_is_told(box: TokenBox, uri: str, said: str, code: str) -> None:
    """Missing token, key or library: each has its message and a remedy, and no PIN goes out."""
    for label, identifier, key in (
        ("images", "01", ec.generate_private_key(ec.SECP256R1())),
        ("twice", "02", ec.generate_private_key(ec.SECP256R1())),
        ("twice", "03", ec.generate_private_key(ec.SECP256R1())),
        ("rsa", "04", rsa.generate_private_key(65537, 2048)),
        ("zero", "0005", ec.generate_private_key(ec.SECP256R1())),
        ("p521", "06", ec.generate_private_key(ec.SECP521R1())),
    ):
        box.add(label, identifier, key)

    with pytest.raises(SigningKeyError, match=said) as caught:
        find_key(uri.format(module=box.module, slot=box.slot), _pin)

    assert caught.value.code == code
    assert caught.value.hint


def test_a_token_that_is_removed_is_told(box: TokenBox) -> None:
    """Between two signatures: the next one is an error and no traceback."""
    box.add("images", "01", ec.generate_private_key(ec.SECP256R1()))
    key = open_key(box.uri("object=images"), _pin)
    assert key.sign(b"m")

    box.remove()

    with pytest.raises(SigningKeyError, match="gone, or has failed") as caught:
        key.sign(b"m")
    assert caught.value.code == "NO_KEY"


def test_halves_that_do_not_belong_together_are_refused(box: TokenBox) -> None:
    """What the private half signs must hold under the public one, or nothing was signed."""
    box.add("public", "01", ec.generate_private_key(ec.SECP256R1()))
    box.add("private", "01", ec.generate_private_key(ec.SECP256R1()), "--no-public-key", "--force")
    _delete_private(box, "public")

    with pytest.raises(SigningKeyError, match="does not hold"):
        open_key(box.uri("id=%01"), _pin)


def _delete_private(box: TokenBox, label: str) -> None:
    import pkcs11

    token = pkcs11.lib(box.module).get_token(token_label="site keys")
    with token.open(rw=True, user_pin=PIN) as session:
        session.get_key(pkcs11.ObjectClass.PRIVATE_KEY, label=label).destroy()


def test_the_command_shows_a_key_on_a_token(
    box: TokenBox, capsys: pytest.CaptureFixture[str]
) -> None:
    """The public half needs no PIN; it is what a policy is made of."""
    public_key = box.add("images", "01", ec.generate_private_key(ec.SECP384R1()))

    assert main(["key", "show", box.uri("object=images"), "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert (shown["half"], shown["kind"]) == ("private", "ECDSA P-384")
    assert shown["fingerprint"] == public_key.fingerprint


def test_the_commands_sign_and_verify_with_a_token(
    box: TokenBox, pin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the URI on the command line to a verdict; nothing of the PIN is seen."""
    box.add("images", "01", ec.generate_private_key(ec.SECP384R1()))
    folder = box.folder / "layout"
    registry = LayoutRegistry(LayoutStore.create(folder))
    repository = Repository("localhost", "app")
    registry.tag(
        TaggedReference(repository, "1"), registry.manifest(push_image(registry, repository))
    )
    reference, uri = f"oci:{folder}:app:1", box.uri("object=images")
    assert main(["key", "show", uri, "--json"]) == 0
    (box.folder / "token.pub").write_text(json.loads(capsys.readouterr().out)["public_key"])
    words = ["policy", "new", "--image", "localhost/**", "--key", str(box.folder / "token.pub")]
    assert main(words) == 0
    (box.folder / "policy.yaml").write_text(capsys.readouterr().out)
    verify = ["verify", reference, "--policy", str(box.folder / "policy.yaml")]

    assert main(verify) == 3
    assert main(["sign", reference, "--key", uri]) == 0
    assert main(verify) == 0

    said = capsys.readouterr()
    assert pin not in said.out + said.err


def test_a_wrong_pin_ends_the_command_with_2(
    box: TokenBox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is asked of a registry, which does not exist here."""
    box.add("images", "01", ec.generate_private_key(ec.SECP256R1()))
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "271828")

    assert main(["sign", "127.0.0.1:9/app:1", "--key", box.uri("object=images")]) == 2

    said = capsys.readouterr().err
    assert "[WRONG_PASSWORD]: the PIN does not open" in said
    assert "271828" not in said
