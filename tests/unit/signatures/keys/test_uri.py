"""URIs of keys: what they name, and what they may not hold."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from imagekit.errors import SigningKeyError
from imagekit.signatures.keys.uri import SCHEMES, CloudUri, TokenUri, is_key_uri, parse_key_uri

GCP = "projects/p/locations/eu/keyRings/r/cryptoKeys/k"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("pkcs11:object=a?pin-value=1234", "PIN in it"),
        ("pkcs11:object=a;pin-value=1234", "PIN in it"),
        ("hsm:2?label=a&pin=1234", "PIN in it"),
        ("pkcs11:token=site", "names no key"),
        ("pkcs11:", "names no key"),
        ("pkcs11:object=a;object=b", "'object=b'"),
        ("pkcs11:object=%zz", "'object=%zz'"),
        ("pkcs11:object", "'object'"),
        ("pkcs11:object=", "no readable value"),
        ("pkcs11:object=%ff", "no readable value"),
        ("pkcs11:object=%00", "no readable value"),
        ("pkcs11:object=%1b%5b2J", "no readable value"),
        ("pkcs11:object=a;slot-id=", "slot-id that is no number"),
        ("pkcs11:object=a;slot-id=-1", "slot-id that is no number"),
        ("pkcs11:object=a;slot-id=18446744073709551616", "slot-id that is no number"),
        ("pkcs11:object=a;slot-description=x", "'slot-description'"),
        ("pkcs11:object=a;type=cert", "cannot sign"),
        ("pkcs11:object=a?module-name=softhsm2", "'module-name'"),
        ("pkcs11:object=a?pin-source=|cat%20/pin", "command"),
        ("pkcs11:id=", "cannot name"),
        ("pkcs11:id=%00%01", "cannot name"),
        ("pkcs11:id=%01%02%03%04%05%06%07%08%09", "cannot name"),
        ("hsm:x", "names no key"),
        ("hsm:-1", "names no key"),
        ("hsm:\u0662", "names no key"),
        ("hsm:99999999999999999999", "names no key"),
        ("hsm:2?slot=1", "'slot'"),
        ("hsm:2 ?label=a", "blanks"),
        ("awskms:", "names no key"),
        ("awskms://localhost:4566/alias/a", "names no key"),
        ("awskms:alias/a\x1b[2J", "control"),
        (f"gcpkms:{GCP}", "not the URI"),
        (f"gcpkms:{GCP}/cryptoKeyVersions/1/../2", "not the URI"),
        ("azurekms://evil.example.org/keys/k", "not the URI"),
        ("azurekms://v.vault.azure.net.evil.org/keys/k", "not the URI"),
        ("azurekms://v.vault.azure.net/secrets/k", "not the URI"),
        ("hv:a/b/c", "not the URI"),
        ("hv:../sys/1", "not the URI"),
        ("file2:/key", "not the URI"),
        ("hsm:" + "1" * 5000, "too long"),
    ],
)
def test_bad_uris_are_refused(uri: str, said: str) -> None:
    """Each is an error with a remedy, and what is shown does not steer a terminal."""
    with pytest.raises(SigningKeyError, match=said) as caught:
        parse_key_uri(uri)

    assert caught.value.code == "BAD_KEY"
    assert caught.value.message.isprintable()


def test_a_pin_is_not_repeated() -> None:
    """The message that refuses a secret does not hold it, and says where it belongs."""
    with pytest.raises(SigningKeyError) as caught:
        parse_key_uri("pkcs11:object=a?pin-value=271828")

    assert "271828" not in caught.value.message + caught.value.hint
    assert "IMAGEKIT_KEY_PASSWORD" in caught.value.hint


def test_hsm_uris_are_securesystemslibs() -> None:
    """The id is a number, 2 where there is none; a plus is a blank in the token's label."""
    assert parse_key_uri("hsm:") == TokenUri(text="hsm:", identifier=2)
    text = "hsm:10?label=YubiKey+PIV+%2315%2B"
    assert parse_key_uri(text) == TokenUri(text=text, identifier=10, token="YubiKey PIV #15+")


def test_pkcs11_uris_are_those_of_rfc_7512() -> None:
    """As p11tool prints them: what is said about the token is kept to be compared."""
    text = (
        "pkcs11:model=SoftHSM%20v2;serial=ab;token=site%20keys;id=%0A%01;object=sch%C3%B6n;"
        "type=private?module-path=/usr/lib/lib+x.so&pin-source=file:///etc/pin"
    )

    assert parse_key_uri(text) == TokenUri(
        text=text,
        identifier=0x0A01,
        label="schön",
        token="site keys",
        checked=(("serial", "ab"), ("model", "SoftHSM v2")),
        module="/usr/lib/lib+x.so",
        pin_file="/etc/pin",
    )


def test_pkcs11_uris_are_those_that_cosign_prints() -> None:
    """With the number of the slot, in percents of small letters; also without the token's label."""
    text = "pkcs11:token=site%20keys;slot-id=7;id=%0a%01;object=images?module-path=/usr/lib/x.so"

    parsed = parse_key_uri(text)

    assert parsed == TokenUri(
        text=text,
        identifier=0x0A01,
        label="images",
        token="site keys",
        slot=7,
        module="/usr/lib/x.so",
    )
    assert parse_key_uri(text.replace("token=site%20keys", "")) == replace(
        parsed, text=text.replace("token=site%20keys", ""), token=""
    )


@pytest.mark.parametrize("source", ["file:///run/pin", "file:/run/pin", "/run/pin"])
def test_a_pin_file_is_named_in_three_ways(source: str) -> None:
    """A URI of a file, with and without an empty host, or a path."""
    parsed = parse_key_uri(f"pkcs11:object=a?pin-source={source}")

    assert isinstance(parsed, TokenUri)
    assert parsed.pin_file == "/run/pin"


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("awskms:alias/images", ("alias/images",)),
        ("awskms:///alias/images", ("alias/images",)),
        ("awskms:arn:aws:kms:eu-west-1:1:key/ab-c", ("arn:aws:kms:eu-west-1:1:key/ab-c",)),
        (f"gcpkms:{GCP}/cryptoKeyVersions/2", (f"{GCP}/cryptoKeyVersions/2",)),
        (f"gcpkms://{GCP}/versions/2", (f"{GCP}/cryptoKeyVersions/2",)),
        ("azurekms://site.vault.azure.net/keys/k", ("site", "k", "")),
        ("azurekms://site.vault.azure.net/keys/k/0a", ("site", "k", "0a")),
        (str(Path("azurekms://site.vault.azure.net/keys/k")), ("site", "k", "")),
        ("hv:images", ("images", "")),
        ("hv:images/3", ("images", "3")),
    ],
)
def test_clouds_uris_are_taken_as_securesystemslib_and_cosign_write_them(
    uri: str, parts: tuple[str, ...]
) -> None:
    """Both spellings name the same key, also after a command line made a path of it."""
    assert parse_key_uri(uri) == CloudUri(text=uri, scheme=uri.partition(":")[0], parts=parts)


@pytest.mark.parametrize("text", ["imagekit.key", "/keys/hsm", "hsm", "C:/key", "./hsm:1", ""])
def test_files_are_no_uris(text: str) -> None:
    """Only a known scheme with its colon makes a URI; a file of that name is ./NAME."""
    assert not is_key_uri(text)


@given(
    st.sampled_from(SCHEMES),
    st.text(st.sampled_from(string.printable + "é\u202e\0%;=&?/"), max_size=60),
)
def test_anything_is_a_key_or_an_error(scheme: str, rest: str) -> None:
    """No text makes another exception; what comes out has no control characters."""
    parsed = _parsed_or_told(f"{scheme}:{rest}")
    if isinstance(parsed, SigningKeyError):
        assert parsed.message.isprintable()
        return
    if isinstance(parsed, TokenUri):
        words = (parsed.label, parsed.token, parsed.module, parsed.pin_file)
        assert all(word.isprintable() for word in words)
        assert parsed.identifier is not None or parsed.label
    else:
        assert parsed.parts[0].isprintable()
        assert parsed.parts[0]


def _parsed_or_told(text: str) -> TokenUri | CloudUri | SigningKeyError:
    try:
        return parse_key_uri(text)
    except SigningKeyError as error:
        return error
