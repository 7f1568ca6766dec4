"""containers/image's signed images: our verdict is podman's, or stricter for a reason given here.

The policies are written as a site would write them. The images have no configurations, so that
only the reading of these is left out of the verdict.
"""

import base64
import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from imagekit.errors import InvalidReferenceError, NotFoundError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Reference, parse_reference
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.signatures.simplesigning import CHAIN_ANNOTATION
from imagekit.verify.context import VerifyContext
from imagekit.verify.judge import judge
from imagekit.verify.policies import load_unsigned
from tests.contract.vectors.client import PUBLIC_GOOD
from tests.contract.vectors.dirlayout import DirRegistry
from tests.contract.vectors.place import DATA

NOW = datetime(2026, 11, 1, tzinfo=UTC)
KEY_1 = "192.168.64.2:5000/cosign-signed/key-1:latest"
FULCIO_1 = "192.168.64.2:5000/cosign-signed/fulcio-rekor-1:latest"
GITHUB = "https://github.com/login/oauth"


@dataclass(frozen=True, kw_only=True)
class Case:
    """An image under a name, who must have signed it, and what podman's library says."""

    image: str
    reference: str
    authority: Mapping[str, Any]
    identity: str = "matchRepository"
    podman: str = "accept"
    code: str = ""
    """Ours where it is refused."""
    stricter: str = ""
    """Why it is refused here, though podman accepts it."""
    roots: Mapping[str, str] = field(default_factory=dict)
    """Files that the trusted root is made of, by kind of service."""

    def __str__(self) -> str:
        short = self.image.removeprefix("dir-img-")
        by = "-".join(["", *(each for each, file in self.roots.items() if file)])
        name = self.reference.rpartition("/")[2]
        more = "-stricter" if self.stricter else ""
        return f"{short}-{name}-{self.identity}{by}-{self.code or 'OK'}{more}"


def _key(name: str, **more: str) -> dict[str, Any]:
    return {"name": "signer", "key": {"path": name}, **more}


def _keyless(subject: str) -> dict[str, Any]:
    identity = {"issuer": GITHUB, "subject": subject}
    return {"name": "signer", "keyless": {"identities": [identity], "trustRoot": "root"}}


CODES = {
    ("dir-img-cosign-valid", "matchExact"): "REFERENCE_MISMATCH",
    ("dir-img-cosign-valid-with-tag", "matchExact"): "REFERENCE_MISMATCH",
    ("dir-img-cosign-valid-2", "matchRepository"): "REFERENCE_MISMATCH",
    ("dir-img-cosign-modified-manifest", "matchRepository"): "DIGEST_MISMATCH",
    # Docker's schema 1, which podman refuses for its signatures and we for what it is.
    ("dir-img-cosign-manifest-digest-error", "matchRepository"): "BAD_DOCUMENT",
    ("dir-img-cosign-no-manifest", "matchRepository"): "NOT_FOUND",
    ("dir-img-cosign-other-attachment", "matchRepository"): "NO_SIGNATURE",
    ("dir-img-unsigned", "matchRepository"): "NO_SIGNATURE",
}
"""What images are refused for; dir-img-cosign-valid by repository is in ``_listed``."""
LOGGED = {"tlog": "required", "trustRoot": "root"}
REKOR = {"tlogs": "rekor.pub"}
INTERMEDIATE = "intermediate"
FULCIO = {
    **REKOR,
    "certificateAuthorities": "fulcio_v1.crt.pem",
    INTERMEDIATE: "dir-img-cosign-fulcio-rekor-valid/signature-1",
}
MORE = (
    Case(
        image="dir-img-cosign-key-rekor-valid",
        reference=KEY_1,
        authority=_key("cosign2.pub", **LOGGED),
        roots=REKOR,
    ),
    Case(
        image="dir-img-cosign-key-rekor-valid",
        reference=KEY_1,
        authority=_key("cosign2.pub"),
    ),
    Case(
        image="dir-img-cosign-key-rekor-valid",
        reference=KEY_1,
        authority=_key("cosign.pub", **LOGGED),
        roots=REKOR,
        podman="reject",
        code="UNTRUSTED_KEY",
    ),
    Case(
        image="dir-img-cosign-key-rekor-valid",
        reference=KEY_1,
        authority=_key("cosign2.pub", **LOGGED),
        roots={"tlogs": "cosign2.pub"},
        podman="reject",
        code="UNKNOWN_LOG",
    ),
    Case(
        image="dir-img-cosign-valid",
        reference="192.168.64.2:5000/cosign-signed-single-sample:latest",
        authority=_key("cosign.pub", **LOGGED),
        roots=REKOR,
        podman="reject",
        code="NO_TLOG_ENTRY",
    ),
    Case(
        image="dir-img-cosign-fulcio-rekor-valid",
        reference=FULCIO_1,
        authority=_keyless("mitr@redhat.com"),
        roots=FULCIO,
    ),
    Case(
        image="dir-img-cosign-fulcio-rekor-valid",
        reference=FULCIO_1,
        authority=_keyless("this-does-not-match@example.com"),
        roots=FULCIO,
        podman="reject",
        code="IDENTITY_MISMATCH",
    ),
    Case(
        image="dir-img-cosign-fulcio-rekor-valid",
        reference=FULCIO_1,
        authority=_keyless("mitr@redhat.com"),
        roots={**FULCIO, "certificateAuthorities": "pki_root_crts.pem", INTERMEDIATE: ""},
        podman="reject",
        code="BAD_CERTIFICATE",
    ),
    Case(
        image="dir-img-cosign-fulcio-rekor-valid",
        reference=FULCIO_1,
        authority=_keyless("mitr@redhat.com"),
        roots={**FULCIO, INTERMEDIATE: ""},
        code="BAD_CERTIFICATE",
        stricter="podman takes the authority's intermediate certificate from beside the signature; "
        "here the trusted root has it, as every trusted root of Sigstore does",
    ),
    Case(
        image="dir-img-cosign-pki-valid",
        reference="localhost:5000/test:latest",
        authority=_keyless("qiwan@redhat.com"),
        roots={**FULCIO, "certificateAuthorities": "pki_root_crts.pem"},
        code="BAD_PAYLOAD",
        stricter="its signature is in base64 with line breaks, and it has no log entry: a "
        "certificate of a site's own authority says not when it was used, so that policies have no "
        "form for it; such a key can be listed as a key",
    ),
)
"""Cases beside cases.tsv, with the verdicts of containers/image's own tests of these images."""


def _listed() -> list[Case]:
    """Return the cases of cases.tsv."""
    if DATA is None:
        return []
    with (DATA / "containers-image/cases.tsv").open(newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if not row[0].startswith("#")]
    return [_from_row(row) for row in rows]


def _from_row(row: list[str]) -> Case:
    image, reference, key, identity, podman = row
    code = CODES.get((image, identity), "REFERENCE_MISMATCH") if podman == "reject" else ""
    if key == "cosign2.pub":
        code = "UNTRUSTED_KEY"
    return Case(
        image=image,
        reference=reference,
        authority=_key(key),
        identity=identity,
        podman=podman,
        code=code,
    )


@pytest.mark.parametrize("case", [*_listed(), *(MORE if DATA else ())], ids=str)
def test_verdict(case: Case, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepted where podman accepts it, refused where podman does, and each for its reason."""
    monkeypatch.setattr("imagekit.verify.content._config", lambda *_: {})

    code = _code(case, data / "containers-image", tmp_path)

    assert code == (case.code or "OK")
    if case.podman == "reject":
        assert code != "OK"
    else:
        assert (code == "OK") != bool(case.stricter)


def _code(case: Case, data: Path, folder: Path) -> str:
    """Return the code of the check that decides."""
    reference = _reference(case.reference)
    policy = _policy(case, data, folder, glob=reference.repository.name)
    context = VerifyContext(
        now=NOW,
        open_reader=lambda: DirRegistry(data / case.image),
        certificates=SigstoreVerifier(),
    )
    try:
        verdict = judge(reference, load_unsigned(policy), context)
    except NotFoundError:
        return "NOT_FOUND"
    errors = [each.code for each in verdict.findings if each.severity == "error"]
    assert verdict.allowed != bool(errors)
    return errors[0] if errors else "OK"


def _reference(text: str) -> Reference:
    try:
        return parse_reference(text)
    except InvalidReferenceError:
        # Docker's short names; nothing here is a name without a host.
        return parse_reference(f"docker.io/{text}")


def _policy(case: Case, data: Path, folder: Path, *, glob: str) -> Path:
    """Write a policy with one rule, and the files that it names."""
    for each in data.glob("*.pub"):
        (folder / each.name).write_bytes(each.read_bytes())
    document: dict[str, Any] = {
        "apiVersion": "imagekit/v1",
        "kind": "ImagePolicy",
        "metadata": {"name": "site", "version": 1, "expires": "2036-01-01T00:00:00Z"},
        "images": [
            {
                "match": {"glob": glob},
                "authorities": [dict(case.authority)],
                "signedIdentity": case.identity,
            }
        ],
    }
    if case.roots:
        (folder / "root.json").write_text(json.dumps(_trusted_root(case.roots, data)))
        document["trustRoots"] = {"root": {"path": "root.json"}}
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def _trusted_root(roots: Mapping[str, str], data: Path) -> dict[str, Any]:
    """Make a trusted root of PEM files; the logs of certificates are the public good instance's.

    containers/image does not look at these.
    """
    from sigstore._utils import read_embedded

    since = {"start": "2021-01-01T00:00:00Z"}
    document: dict[str, Any] = {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "ctlogs": json.loads(read_embedded("trusted_root.json", PUBLIC_GOOD))["ctlogs"],
    }
    key = load_pem_public_key((data / roots["tlogs"]).read_bytes())
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    document["tlogs"] = [
        {
            "baseUrl": "https://rekor.sigstore.dev",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": _b64(der),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": since,
            },
            "logId": {"keyId": _b64(bytes.fromhex(Digest.of(der).hex))},
        }
    ]
    if "certificateAuthorities" in roots:
        chain = _intermediates(roots[INTERMEDIATE], data) + x509.load_pem_x509_certificates(
            (data / roots["certificateAuthorities"]).read_bytes()
        )
        document["certificateAuthorities"] = [
            {
                "subject": {"organization": "", "commonName": ""},
                "certChain": {
                    "certificates": [
                        {"rawBytes": _b64(one.public_bytes(Encoding.DER))} for one in chain
                    ]
                },
                "validFor": since,
            }
        ]
    return document


def _intermediates(name: str, data: Path) -> list[x509.Certificate]:
    """Return the certificates that stand beside a signature, but for the root."""
    if not name:
        return []
    signature = json.loads((data / name).read_bytes().partition(b"\n")[2])
    chain = x509.load_pem_x509_certificates(signature["annotations"][CHAIN_ANNOTATION].encode())
    return [one for one in chain if one.issuer != one.subject]


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def test_the_data_is_whole(data: Path) -> None:
    """Every image has a case, and there are acceptances and refusals among them."""
    images = {each.name for each in (data / "containers-image").glob("dir-img-*")}
    cases = [*_listed(), *MORE]

    assert {each.image for each in cases} == images
    assert {each.podman for each in _listed()} == {"accept", "reject"}
