"""A client for sigstore-conformance's protocol, as thin as can be over what verifies images.

    python -m tests.contract.vectors.client verify-bundle --bundle FILE
        (--certificate-identity ID --certificate-oidc-issuer URL | --key FILE)
        [--trusted-root FILE] FILE_OR_DIGEST

Status 0: it verifies. 1: it does not. The trusted root is the public good instance's, as
sigstore-python carries it, where none is given; a log entry is wanted of keys as well. Bundles
with an envelope go the way of every image's: ``verify_candidates`` and ``counting``. Those with the
signature of bare bytes, which no image has, are taken apart here and verified by the same code; of
a key they need the bytes themselves, and not their digest.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import ImagekitError, UsageError, VerificationError
from imagekit.oci.digest import Digest
from imagekit.policy.now import Now
from imagekit.policy.ruleset import Deny
from imagekit.signatures.authority import Authority, Identity, Need, Pattern, TrustRoot
from imagekit.signatures.bundle import BAD_BUNDLE, Proofs
from imagekit.signatures.logentry import Signed
from imagekit.signatures.publickey import PublicKey, parse_public_key
from imagekit.signatures.results import Certified, Refusal, TransparencyResult
from imagekit.signatures.signature import verify_signature
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.verify.candidates import CandidateResult, TrustedSigners, verify_candidates
from imagekit.verify.evidence import Candidate, Evidence, Form
from imagekit.verify.signer_trust import counting

PUBLIC_GOOD = "https://tuf-repo-cdn.sigstore.dev"


def main(arguments: list[str] | None = None) -> int:
    """Run the client; return its exit status."""
    parser = argparse.ArgumentParser(prog="client", description="sigstore-conformance's protocol")
    command = parser.add_subparsers(required=True).add_parser("verify-bundle")
    command.add_argument("--bundle", type=Path, required=True)
    command.add_argument("--certificate-identity", default="")
    command.add_argument("--certificate-oidc-issuer", default="")
    command.add_argument("--key", type=Path)
    command.add_argument("--trusted-root", type=Path)
    command.add_argument("artifact", metavar="FILE_OR_DIGEST")
    words = parser.parse_args(arguments)
    try:
        authority = _authority(words)
        verify(words.bundle.read_bytes(), words.artifact, authority)
    except ImagekitError as error:
        sys.stderr.write(f"{error.code}: {error.message}\n")
        return 1
    sys.stdout.write("verified\n")
    return 0


def verify(bundle: bytes, artifact: str, authority: Authority) -> None:
    """Verify a bundle of an artifact, given by its path or digest.

    Raises:
        ImagekitError: it does not hold, or not for this authority.
    """
    found = _weighed(bundle, artifact, authority)
    if isinstance(found, Evidence):
        if not found.about:
            raise VerificationError("it is of another artifact", code="DIGEST_MISMATCH")
        judged = counting(found, [authority], deny=Deny(), now=Now(datetime.now(UTC)))
        if not isinstance(judged, Refusal):
            return
        found = judged
    raise VerificationError(found.message, code=found.code)


def _authority(words: argparse.Namespace) -> Authority:
    raw = _public_good() if words.trusted_root is None else words.trusted_root.read_bytes()
    root = TrustRoot(name="root", raw=raw, digest=Digest.of(raw))
    if words.key is not None:
        key = parse_public_key(words.key.read_bytes())
        return Authority(name="key", key=key, trust_root=root, tlog=Need.REQUIRED)
    issuer, subject = words.certificate_oidc_issuer, words.certificate_identity
    if not (issuer and subject):
        raise UsageError("neither a key nor an identity with its issuer is given", code="USAGE")
    identity = Identity(issuer=Pattern(text=issuer), subject=Pattern(text=subject))
    return Authority(name="it", identities=(identity,), trust_root=root, tlog=Need.REQUIRED)


def _public_good() -> bytes:
    from sigstore._utils import read_embedded

    return read_embedded("trusted_root.json", PUBLIC_GOOD)


def _weighed(bundle: bytes, artifact: str, authority: Authority) -> CandidateResult:
    document = strictjson.loads(bundle, what="the bundle")
    fields = Fields.of(document, what="the bundle", code=BAD_BUNDLE)
    if fields.get("messageSignature") is not None:
        return _message(bundle, fields, artifact, authority=authority)
    candidate = Candidate(form=Form.BUNDLE, source=Digest.of(bundle), raw=bundle)
    trusted = TrustedSigners(
        authorities=(authority,), digest=_digest(artifact), certificates=SigstoreVerifier()
    )
    return verify_candidates([candidate], trusted)[0]


def _message(bundle: bytes, fields: Fields, artifact: str, /, *, authority: Authority) -> Evidence:
    """Weigh the signature of bare bytes."""
    root = authority.trust_root
    if root is None:
        raise UsageError("there is no trusted root", code="USAGE")
    signatory: PublicKey | Certified
    if authority.key is None:
        what = _digest(artifact) if _is_digest(artifact) else Path(artifact).read_bytes()
        signatory, transparency = SigstoreVerifier().artifact(bundle, what, root)
    else:
        signatory = authority.key
        transparency = _by_key(fields, Path(artifact).read_bytes(), signatory, root)
    return Evidence(
        form=Form.BUNDLE,
        source=Digest.of(bundle),
        signatory=signatory,
        about=True,
        identities=(),
        predicate_type="",
        predicate={},
        witnesses=(transparency,),
    )


def _by_key(
    fields: Fields, message: bytes, key: PublicKey, root: TrustRoot, /
) -> TransparencyResult:
    content = fields.object("messageSignature")
    digest = content.optional_object("messageDigest")
    if digest.values and digest.base64("digest").hex() != Digest.of(message).hex:
        raise VerificationError("the bundle is of another artifact", code="DIGEST_MISMATCH")
    signature = content.base64("signature")
    if not verify_signature(key, signature, message):
        raise VerificationError("the key did not sign this", code="UNTRUSTED_KEY")
    material = fields.object("verificationMaterial")
    if material.get("publicKey") is None:
        raise VerificationError("the bundle is not by a key", code="UNTRUSTED_KEY")
    signed = Signed(signature=signature, message=message)
    return SigstoreVerifier().key_proofs(Proofs(material=material), signed, key, root=root)


def _is_digest(artifact: str) -> bool:
    return artifact.startswith("sha256:")


def _digest(artifact: str) -> Digest:
    if _is_digest(artifact):
        return Digest.parse(artifact)
    return Digest.of(Path(artifact).read_bytes())


if __name__ == "__main__":
    sys.exit(main())
