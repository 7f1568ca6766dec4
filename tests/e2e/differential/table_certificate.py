"""Certificates that Fulcio would never give, by its own key: each breaks one thing."""

from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.e2e.differential.bed import Form
from tests.e2e.differential.case import Case
from tests.e2e.differential.changes import Attack, Change, statement_of
from tests.e2e.differential.copies import packed
from tests.e2e.differential.forge import Wish, forged_bundle, namesake
from tests.support.sigstore.issuer import EMAIL

_IDENTITY = "signature: IDENTITY_MISMATCH"
_ISSUER = "signature: ISSUER_MISMATCH"
_BAD = "signature: BAD_CERTIFICATE"
_EVIL = "eve@evil.test"


def _forged(*, by_namesake: bool = False, **wish: Any) -> Change:
    def act(attack: Attack) -> None:
        stack = attack.bed.stack
        authority = (lambda: namesake(stack)) if by_namesake else None
        said = packed(statement_of(attack))
        attack.copy.bundle.bundle = forged_bundle(stack, Wish(authority=authority, **wish), said)

    return act


def _case(name: str, change: Change, ours: str, peers: str, why: str = "", **more: object) -> Case:
    return Case(
        name=f"certificate/{name}",
        form=Form.REKOR1,
        change=change,
        ours=ours,
        peers=peers,
        why=why,
        **{"referrers": (True,), **more},  # type: ignore[arg-type]  # fields of the case
    )


def _mail(*names: str) -> tuple[x509.GeneralName, ...]:
    return tuple(x509.RFC822Name(name) for name in names)


CERTIFICATE_CASES = (
    _case("as-fulcio-makes-it", _forged(), "OK", "A - A A"),
    _case("of-fulcios-namesake", _forged(by_namesake=True), _BAD, "R - R R", command=True),
    _case(
        "expired-when-it-signed", _forged(begins=timedelta(hours=-2)), _BAD, "R - R R", attack=15
    ),
    _case("not-yet-valid-when-it-signed", _forged(begins=timedelta(hours=2)), _BAD, "R - R R"),
    _case("without-sct", _forged(logged=False), _BAD, "R - R R"),
    _case(
        "for-servers",
        _forged(usage=ExtendedKeyUsageOID.SERVER_AUTH),
        _BAD,
        "R - R A",
        "sigstore-js does not look at what the certificate is for",
    ),
    _case(
        "two-names",
        _forged(names=_mail(EMAIL, _EVIL)),
        _IDENTITY,
        "A - A A",
        "who of several names signed nobody knows: the others take the first",
        attack=6,
    ),
    _case(
        "two-names-ours-second", _forged(names=_mail(_EVIL, EMAIL)), _IDENTITY, "R - R R", attack=6
    ),
    _case(
        "name-and-address",
        _forged(names=(*_mail(EMAIL), x509.UniformResourceIdentifier("https://evil.test"))),
        _IDENTITY,
        "R - R R",
    ),
    _case(
        "name-as-address",
        _forged(names=(x509.UniformResourceIdentifier(EMAIL),)),
        "OK",
        "A - A A",
    ),
    _case("name-as-host", _forged(names=(x509.DNSName(EMAIL),)), _IDENTITY, "R - R R"),
    _case(
        "name-with-nul",
        _forged(names=_mail(f"{EMAIL}\0.evil.test")),
        _IDENTITY,
        "R - R R",
        attack=6,
    ),
    _case("name-in-upper-case", _forged(names=_mail(EMAIL.upper())), _IDENTITY, "R - R R"),
    _case(
        "name-with-more", _forged(names=_mail(f"{EMAIL}.evil.test")), _IDENTITY, "R - R R", attack=5
    ),
    _case("name-with-a-line-feed", _forged(names=_mail(f"{EMAIL}\n")), _IDENTITY, "R - R R"),
    _case("no-name", _forged(names=()), _BAD, "R - R R"),
    _case("no-issuer", _forged(issuers=()), _ISSUER, "R - R R"),
    _case(
        "another-issuer", _forged(issuers=("https://evil.test",) * 2), _ISSUER, "R - R R", attack=4
    ),
    _case("two-issuers", _forged(issuers=("https://evil.test", "http://x")), _ISSUER, "R - R R"),
)
