"""Attacks on who counts: names that look alike, one signer who counts twice, and the revoked."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from imagekit.errors import PolicyError, VerificationError
from imagekit.oci.digest import Digest
from imagekit.policy.authorities import identifies
from imagekit.policy.load import parse_policy
from imagekit.policy.ruleset import Deny, OpenedPolicy
from imagekit.signatures.authority import Authority, Identity, Pattern, TrustRoot
from imagekit.signatures.results import Certified, ServiceResult, TransparencyResult
from imagekit.signatures.sigstore.certificate import certified
from imagekit.verify.verdict import Verdict
from tests.support.attacks_kit import RealStage, errors
from tests.support.fakes import MemorySigner
from tests.support.signed import NOW, World

pytestmark = pytest.mark.real

_ISSUER = "https://issuer.site"
_EMAIL = "user@example.com"
_ROOT = TrustRoot(name="site", raw=b"{}", digest=Digest.of(b"{}"))


@dataclass
class _Vouches:
    """A verifier of certificates that knows whose bundle it is by its bytes."""

    known: dict[bytes, Certified] = field(default_factory=dict)
    times: tuple[datetime, ...] = (NOW,)

    def bundle(self, raw: bytes, root: TrustRoot) -> tuple[Certified, TransparencyResult]:
        """Return who signed."""
        log = ServiceResult(there=True, times=self.times)
        return self.known[raw], TransparencyResult(root=root.digest, log=log)

    def legacy(
        self, payload: bytes, annotations: object, root: TrustRoot
    ) -> tuple[Certified, TransparencyResult]:
        """Refuse: nobody here signs so."""
        del payload, annotations, root
        raise VerificationError("no legacy signature", code="BAD_SIGNATURE")

    def key_bundle(self, *_: object, root: TrustRoot) -> TransparencyResult:
        """Testify of nothing: no key is asked for here."""
        return TransparencyResult(root=root.digest)

    def key_legacy(self, *_: object, root: TrustRoot) -> TransparencyResult:
        """Testify of nothing."""
        return TransparencyResult(root=root.digest)

    def sign(self, world: World, subject: str, issuer: str = _ISSUER) -> None:
        """Attach a signature by an identity."""
        made = World(repository=world.repository)
        made.sign(signer=MemorySigner())
        blob = next(raw for raw in made.registry.blobs.values() if b"dsseEnvelope" in raw)
        document = json.loads(blob)
        document["verificationMaterial"] = {"certificate": {"rawBytes": "AAAA"}}
        bundle = json.dumps(document).encode()
        self.known[bundle] = Certified(subject=subject, issuer=issuer)
        world.attach_raw(bundle)


def _identity(subject: str, *, issuer: str = _ISSUER, regexp: bool = False) -> Identity:
    return Identity(issuer=Pattern(text=issuer), subject=Pattern(text=subject, regexp=regexp))


def _policy(world: World, *identities: Identity, **rule: Any) -> OpenedPolicy:
    """List each identity as an authority of its own."""
    authorities = tuple(
        Authority(name=f"who-{number}", identities=(one,), trust_root=_ROOT)
        for number, one in enumerate(identities)
    )
    return world.policy(authorities=authorities, **rule)


@pytest.fixture
def world() -> World:
    """An image that nobody signed yet."""
    return World()


@pytest.mark.parametrize(
    "subject",
    [
        f"{_EMAIL}.evil.org",
        f"evil-{_EMAIL}",
        f"{_EMAIL}\n",
        f"{_EMAIL}\0",
        f"{_EMAIL}\0.evil.org",
        f"{_EMAIL} ",
        _EMAIL.upper(),
        "user@exampleXcom",
        "us\u0435r@example.com",
        "user@ex\u00e4mple.com",
        "user@e\u0301xample.com",
        "\u202euser@example.com",
        "",
    ],
)
@pytest.mark.parametrize("regexp", [False, True])
def test_05_06_names_that_look_alike(world: World, subject: str, *, regexp: bool) -> None:
    """Attacks 5 and 6: what only begins or looks like the name is another name."""
    vouches = _Vouches()
    vouches.sign(world, subject)
    listed = _identity(_EMAIL.replace(".", r"\.") if regexp else _EMAIL, regexp=regexp)

    verdict = world.judge(_policy(world, listed), certificates=vouches)

    assert errors(verdict) == {"signature": "IDENTITY_MISMATCH"}


def test_05_pattern_matches_the_whole(world: World) -> None:
    """Attack 5: neither the issuer's pattern nor the subject's matches a part."""
    listed = Identity(
        issuer=Pattern(text=r"https://issuer\.site", regexp=True),
        subject=Pattern(text="user@.*", regexp=True),
    )

    assert identifies(Certified(subject=_EMAIL, issuer=_ISSUER), listed)
    assert not identifies(Certified(subject=f"evil {_EMAIL}", issuer=_ISSUER), listed)
    assert not identifies(Certified(subject=_EMAIL, issuer=f"{_ISSUER}.evil.org"), listed)
    assert not identifies(Certified(subject=_EMAIL, issuer="https://issuerXsite"), listed)
    assert not identifies(Certified(subject="user@a\nevil", issuer=_ISSUER), listed)


def test_05_alternative_matches_the_whole(world: World) -> None:
    """Attack 5: each branch of an alternative has to match wholly, not only the last."""
    listed = _identity("a@site|b@site", regexp=True)

    assert identifies(Certified(subject="b@site", issuer=_ISSUER), listed)
    assert not identifies(Certified(subject="a@site.evil.org", issuer=_ISSUER), listed)
    assert not identifies(Certified(subject="evil.b@site", issuer=_ISSUER), listed)


def test_04_policy_without_an_issuer(world: World) -> None:
    """Attack 4: an identity by its subject alone is anybody's; such a policy does not load."""
    document = {
        "apiVersion": "imagekit/v1",
        "kind": "ImagePolicy",
        "metadata": {"name": "site", "version": 1, "expires": "2036-01-01T00:00:00Z"},
        "images": [
            {
                "match": {"glob": "r.site/**"},
                "authorities": [{"name": "a", "keyless": {"identities": [{"subject": _EMAIL}]}}],
            }
        ],
    }

    with pytest.raises(PolicyError) as caught:
        parse_policy(yaml.safe_dump(document).encode(), file="policy.yaml", folder=Path())
    assert any("issuer" in each.message for each in caught.value.diagnostics)


def test_04_other_issuer_with_the_same_subject(world: World) -> None:
    """Attack 4: the attacker's own issuer vouches for the right name."""
    vouches = _Vouches()
    vouches.sign(world, _EMAIL, issuer="https://evil.org")

    verdict = world.judge(_policy(world, _identity(_EMAIL)), certificates=vouches)

    assert errors(verdict) == {"signature": "ISSUER_MISMATCH"}


def test_04_issuer_of_one_and_subject_of_another(world: World) -> None:
    """Attack 4: issuer and subject must be of one identity in the policy, not of two."""
    vouches = _Vouches()
    vouches.sign(world, "b@site", issuer=_ISSUER)
    both = (_identity("a@site"), _identity("b@site", issuer="https://other.site"))

    verdict = world.judge(_policy(world, *both), certificates=vouches)

    assert errors(verdict) == {"signature": "ISSUER_MISMATCH"}


def _certificate(*names: x509.GeneralName, issuers: tuple[bytes, ...] = ()) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(
            x509.Name([]), x509.Name([]), key.public_key(), x509.random_serial_number()
        )
        .not_valid_before(now)
        .not_valid_after(now + timedelta(minutes=10))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
    )
    oids = ("1.3.6.1.4.1.57264.1.1", "1.3.6.1.4.1.57264.1.8")
    for oid, raw in zip(oids, issuers, strict=False):
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), raw)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())


def _v2(text: bytes) -> bytes:
    return bytes([0x0C, len(text)]) + text


@pytest.mark.parametrize(
    "names",
    [
        (x509.RFC822Name(_EMAIL), x509.RFC822Name("eve@evil.org")),
        (x509.RFC822Name("eve@evil.org"), x509.RFC822Name(_EMAIL)),
        (x509.RFC822Name(_EMAIL), x509.DNSName("evil.org")),
        (x509.RFC822Name(_EMAIL), x509.RFC822Name(_EMAIL)),
        (x509.DNSName(_EMAIL),),
        (x509.UniformResourceIdentifier(""),),
    ],
)
def test_06_several_names_or_none(names: tuple[x509.GeneralName, ...]) -> None:
    """Attack 6: a certificate of several names, of which one matches, names nobody."""
    with pytest.raises(VerificationError) as caught:
        certified(_certificate(*names, issuers=(_ISSUER.encode(),)))

    assert caught.value.code == "IDENTITY_MISMATCH"


@pytest.mark.parametrize(
    "issuers",
    [
        (),
        (_ISSUER.encode(), _v2(b"https://evil.org")),
        (b"",),
        (b"\xff",),
        (_ISSUER.encode(), b"x"),
    ],
)
def test_06_several_issuers_or_none(issuers: tuple[bytes, ...]) -> None:
    """Attack 6: two issuers that differ, none, or one that is no text: there is no issuer."""
    with pytest.raises((VerificationError, ValueError)):
        certified(_certificate(x509.RFC822Name(_EMAIL), issuers=issuers))


def test_06_what_fulcio_writes() -> None:
    """The certificates above are refused for what they say: like this they are accepted."""
    made = _certificate(x509.RFC822Name(_EMAIL), issuers=(_ISSUER.encode(), _v2(_ISSUER.encode())))

    assert certified(made) == Certified(subject=_EMAIL, issuer=_ISSUER)


def _twice(world: World, *subjects: str, identities: tuple[Identity, ...]) -> Verdict:
    vouches = _Vouches()
    for subject in subjects:
        vouches.sign(world, subject)
    return world.judge(_policy(world, *identities, threshold=2), certificates=vouches)


def test_14_two_signatures_of_one_identity(world: World) -> None:
    """Attack 14: one identity signs twice, each time with another certificate."""
    verdict = _twice(
        world, "a@site", "a@site", identities=(_identity("a@site"), _identity("b@site"))
    )

    assert errors(verdict) == {"signature": "THRESHOLD_NOT_MET"}


def test_14_one_identity_that_two_patterns_match(world: World) -> None:
    """Attack 14: whoever is matched by the patterns of two authorities is one signer."""
    patterns = (_identity("a@.*", regexp=True), _identity(".*@site", regexp=True))

    assert errors(_twice(world, "a@site", identities=patterns)) == {
        "signature": "THRESHOLD_NOT_MET"
    }


def test_14_two_identities_that_one_pattern_matches(world: World) -> None:
    """Attack 14: an issuer's two accounts are not two authorities."""
    patterns = (_identity(".*@site", regexp=True), _identity("boss@other"))

    verdict = _twice(world, "a@site", "b@site", identities=patterns)

    assert errors(verdict) == {"signature": "THRESHOLD_NOT_MET"}


def test_14_two_signers(world: World) -> None:
    """Attack 14, no attack: two distinct signers are two, also where one fits both patterns."""
    patterns = (_identity(".*@site", regexp=True), _identity("a@site"))

    assert _twice(world, "a@site", "b@site", identities=patterns).allowed


@pytest.mark.parametrize("form", ["bundle", "sig"])
def test_14_one_key_in_both_forms(real: RealStage, form: str) -> None:
    """Attack 14: one key signs twice, in one form or in both."""
    made = real.unsigned
    other = MemorySigner()
    made.sign()
    if form == "bundle":
        made.sign(name=f"{made.repository.name}:2")
    else:
        made.sign_legacy(made.signer, made.signer)
    policy = made.policy(signers=(made.signer, other), threshold=2)

    assert errors(real.judge(made, policy)) == {"signature": "THRESHOLD_NOT_MET"}


@pytest.mark.parametrize("form", ["bundle", "sig"])
def test_17_revoked_key(real: RealStage, form: str) -> None:
    """Attack 17: a stolen key signs, and an authority still lists it."""
    made = real.unsigned
    made.sign() if form == "bundle" else made.sign_legacy()
    deny = Deny(keys=frozenset({made.signer.public_key.fingerprint}))

    assert errors(real.judge(made, made.policy(deny=deny))) == {"signature": "REVOKED"}


def test_17_revoked_digest(real: RealStage) -> None:
    """Attack 17: a denied image is refused by tag and by digest, though it is well signed."""
    made = real.signed
    policy = made.policy(deny=Deny(digests=frozenset({made.image.digest})))

    assert errors(real.judge(made, policy)) == {"deny": "REVOKED"}
    assert errors(real.verify(made, policy, reference=made.image)) == {"deny": "REVOKED"}


def test_17_revoked_identity(world: World) -> None:
    """Attack 17: an identity that an authority's pattern matches, and that is denied by name."""
    vouches = _Vouches()
    vouches.sign(world, "leaver@site")
    policy = replace(
        _policy(world, _identity(".*@site", regexp=True)),
        deny=Deny(identities=(_identity("leaver@site"),)),
    )

    assert errors(world.judge(policy, certificates=vouches)) == {"signature": "REVOKED"}


def test_15_authority_that_ended(world: World) -> None:
    """Attack 15: the log says that it was signed after the authority's end."""
    vouches = _Vouches()
    vouches.sign(world, _EMAIL)
    ended = Authority(name="a", identities=(_identity(_EMAIL),), trust_root=_ROOT, not_after=NOW)

    verdict = world.judge(world.policy(authorities=(ended,)), certificates=vouches)

    assert errors(verdict) == {"signature": "KEY_NOT_VALID"}


def test_15_key_that_ended_without_a_trusted_time(real: RealStage) -> None:
    """Attack 15: nobody testifies that the old key signed in its time, so it did not."""
    made = real.unsigned
    made.sign()
    ended = Authority(name="a", key=made.signer.public_key, not_after=NOW - timedelta(seconds=1))

    assert errors(real.judge(made, made.policy(authorities=(ended,)))) == {
        "signature": "KEY_NOT_VALID"
    }


def test_43_root_of_the_same_name(world: World) -> None:
    """Attack 43: what one trusted root verified does not count for another of the same name."""
    vouches = _Vouches()
    vouches.sign(world, _EMAIL)
    listed = _identity(_EMAIL)
    other = TrustRoot(name="site", raw=b"[]", digest=Digest.of(b"[]"))

    class Narrow(_Vouches):
        def bundle(self, raw: bytes, root: TrustRoot) -> tuple[Certified, TransparencyResult]:
            if root.digest != _ROOT.digest:
                raise VerificationError("not of this root", code="BAD_CERTIFICATE")
            return super().bundle(raw, root)

    narrow = Narrow(known=vouches.known)
    good = Authority(name="a", identities=(listed,), trust_root=_ROOT)
    bad = Authority(name="b", identities=(listed,), trust_root=other)

    assert world.judge(world.policy(authorities=(good,)), certificates=narrow).allowed
    assert errors(world.judge(world.policy(authorities=(bad,)), certificates=narrow)) == {
        "signature": "BAD_CERTIFICATE"
    }
    both = world.policy(authorities=(good, bad), threshold=2)
    assert errors(world.judge(both, certificates=narrow)) == {"signature": "THRESHOLD_NOT_MET"}
