"""Keyless signing by sigstore-python: an identity token, a short-lived certificate, a log."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from imagekit.documents import strictjson
from imagekit.documents.fields import base64_text
from imagekit.errors import InputError, SigningKeyError, ToolError, VerificationError
from imagekit.inputs import read_input
from imagekit.oci.digest import Digest
from imagekit.signatures.authority import Authority, Identity, Need, Pattern, TrustRoot
from imagekit.signatures.bundle import CertificateBundle, parse_bundle
from imagekit.signatures.results import Certified
from imagekit.signatures.sigstore.certificate import certified
from imagekit.signatures.sigstore.deadline import within
from imagekit.signatures.sigstore.promise import InclusionPromise
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.signatures.simplesigning import (
    CERTIFICATE_ANNOTATION,
    CHAIN_ANNOTATION,
    LOG_ANNOTATION,
    SIGNATURE_ANNOTATION,
)

if TYPE_CHECKING:
    from sigstore.models import Bundle, ClientTrustConfig
    from sigstore.sign import Signer

MAX_CONFIG = 4 << 20
"""Largest trust configuration that is read, in bytes."""

_Result = TypeVar("_Result")
_DEADLINE = 120.0
# A certificate must not end while something is signed by it.
_MARGIN = timedelta(seconds=30)

Token = Callable[[], str]
"""Finds an identity token (a JWT); asked again when a certificate has expired."""


class TrustConfig:
    """Where to sign keyless, and what verifies it: Sigstore's ClientTrustConfig.

    https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
    """

    def __init__(self, config: "ClientTrustConfig", root: bytes) -> None:
        self.config = config
        self.root = TrustRoot(name="sigstore", raw=root, digest=Digest.of(root))

    @classmethod
    def from_file(cls, path: Path) -> "TrustConfig":
        """Read a trust configuration.

        Raises:
            InputError: it cannot be read, or is none.
        """
        from sigstore.models import ClientTrustConfig

        try:
            raw = read_input(path, limit=MAX_CONFIG)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}", code="BAD_CONFIG") from error
        document = strictjson.loads_object(raw, what=str(path))
        hint = "it is Sigstore's ClientTrustConfig: trustedRoot and signingConfig in one document"
        if not {"trustedRoot", "signingConfig"} <= set(document):
            raise InputError(f"{path} is no trust configuration", hint=hint, code="BAD_CONFIG")
        try:
            config = ClientTrustConfig.from_json(raw.decode())
            config.signing_config.get_tlogs()
        except Exception as error:  # the library raises what its parsers raise
            reason = " ".join(str(error).split())
            message = f"{path} is no trust configuration: {reason:.300}"
            raise InputError(message, hint=hint, code="BAD_CONFIG") from error
        return cls(config, strictjson.dumps(document["trustedRoot"]))

    @classmethod
    def public(cls) -> "TrustConfig":
        """Return that of the public good instance, refreshed by TUF.

        Raises:
            ToolError: it cannot be fetched.
        """
        from sigstore.models import ClientTrustConfig

        from imagekit.signatures.sigstore import internals

        config = _services(ClientTrustConfig.production)
        return cls(config, internals.root_json(config))


class KeylessSigner:
    """Signs with keys that live for minutes, certified for an identity: ``ports.Signer``.

    A certificate is asked for when something is to be signed, and again when it has expired: a
    build may take longer than a token lives.

    Args:
        config: where to sign.
        token: finds the identity token.
        name: how findings call who signs.
    """

    def __init__(self, config: TrustConfig, token: Token, *, name: str = "publisher") -> None:
        self._config = config
        self._token = token
        self._name = name
        self._signer: Signer | None = None
        self._until = datetime.now(UTC)
        self._who: Certified | None = None
        self._verifier = SigstoreVerifier()

    @property
    def authority(self) -> Authority:
        """What a policy must list: the identity in the certificate, under the trusted root."""
        who = self._identity()
        identity = Identity(issuer=Pattern(text=who.issuer), subject=Pattern(text=who.subject))
        return Authority(
            name=self._name,
            identities=(identity,),
            trust_root=self._config.root,
            tlog=Need.REQUIRED,
        )

    def bundle(self, statement: bytes) -> bytes:
        """Sign a statement; the bundle has certificate, log entry and time."""
        from sigstore.dsse import Statement

        signer = self._ready()
        return _services(lambda: signer.sign_dsse(Statement(statement))).to_json().encode()

    def legacy(self, payload: bytes) -> Mapping[str, str]:
        """Sign a payload, where a Rekor v1 is configured; that form is read with no other log."""
        from imagekit.signatures.sigstore.internals import logs_in_rekor_v1

        # This form has room for a promise (SET) only, which Rekor v2 does not give.
        if not logs_in_rekor_v1(self._config.config):
            return {}
        signer = self._ready()
        return self._annotations(_services(lambda: signer.sign_artifact(payload)))

    def made(self, bundle: bytes) -> bool:
        """Return whether a bundle is by this identity, and holds."""
        if not isinstance(parse_bundle(bundle), CertificateBundle):
            return False
        try:
            who, _ = self._verifier.bundle(bundle, self._config.root)
        except VerificationError:
            return False
        return who == self._identity()

    def made_legacy(self, payload: bytes, annotations: Mapping[str, str]) -> bool:
        """Return whether a legacy signature is by this identity, and holds."""
        if CERTIFICATE_ANNOTATION not in annotations:
            return False
        try:
            who, _ = self._verifier.legacy(payload, annotations, self._config.root)
        except VerificationError:
            return False
        return who == self._identity()

    def _identity(self) -> Certified:
        if self._who is None:
            self._ready()
        if self._who is None:
            raise SigningKeyError("Fulcio gave no certificate", code="NO_CERTIFICATE")
        return self._who

    def _ready(self) -> "Signer":
        """Return what signs, with a certificate that is good for a while."""
        if self._signer is None or datetime.now(UTC) + _MARGIN > self._until:
            self._signer = self._certify()
        return self._signer

    def _certify(self) -> "Signer":
        from sigstore.oidc import IdentityToken
        from sigstore.sign import Signer, SigningContext

        raw = self._token()
        # It is Fulcio that verifies the token; here it is only checked to be one.
        try:
            token = IdentityToken(raw)
        except Exception as error:  # the library raises IdentityError, without a public base
            hint = "a JWT whose audience is `sigstore` and that has not expired; ask for a new one"
            message = f"the identity token cannot be used: {error}"
            raise SigningKeyError(message, hint=hint, code="BAD_TOKEN") from error
        context = SigningContext.from_trust_config(self._config.config)
        signer = _services(lambda: Signer(token, context))
        # It was just asked for and is kept; the library shows it in bundles only.
        certificate = signer._signing_cert()  # noqa: SLF001
        self._who = certified(certificate)
        self._until = certificate.not_valid_after_utc
        return signer

    def _annotations(self, bundle: "Bundle") -> Mapping[str, str]:
        """Write what cosign writes beside a payload."""
        from cryptography.hazmat.primitives.serialization import Encoding

        from imagekit.signatures.sigstore.internals import entry_message

        entry = entry_message(bundle.log_entry)
        if entry.inclusion_promise is None or entry.integrated_time is None:
            return {}
        promise = InclusionPromise(
            signature=bytes(entry.inclusion_promise.signed_entry_timestamp),
            body=bytes(entry.canonicalized_body),
            time=datetime.fromtimestamp(entry.integrated_time, UTC),
            index=entry.log_index,
            log_id=bytes(entry.log_id.key_id),
        )
        # SIGNATURE_SPEC.md, OCI Image Manifest V1: certificate and chain in PEM.
        return {
            SIGNATURE_ANNOTATION: base64_text(bundle.signature),
            CERTIFICATE_ANNOTATION: bundle.signing_certificate.public_bytes(Encoding.PEM).decode(),
            CHAIN_ANNOTATION: self._chain(),
            LOG_ANNOTATION: promise.text,
        }

    def _chain(self) -> str:
        from cryptography.hazmat.primitives.serialization import Encoding

        chain = self._config.config.trusted_root.get_fulcio_certs()
        return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in chain)

    def __str__(self) -> str:
        return str(self._who) if self._who else "keyless"


def ambient_token() -> str | None:
    """Return the token of the CI that this runs in (GitHub, GitLab, ...), or None outside of one.

    Raises:
        ToolError: there is a CI that should give one, and does not.
    """
    from sigstore.oidc import detect_credential

    return _services(detect_credential)


def interactive_token(config: TrustConfig) -> str:
    """Let the user log in by a browser; only for terminals.

    Raises:
        ToolError: that failed.
    """
    from sigstore.oidc import Issuer

    def ask() -> str:
        return str(Issuer(config.config.signing_config.get_oidc_url()).identity_token())

    return _services(ask, deadline=600.0)


def _services(call: Callable[[], _Result], *, deadline: float = _DEADLINE) -> _Result:
    """Call what talks to services, with a time limit and with our own errors.

    The library sets no limit to how long it waits for Fulcio and Rekor, so that a thread is left
    behind where one of them never answers.

    Raises:
        ToolError: a service failed or was late.
    """
    try:
        return within(deadline, call)
    except Exception as error:  # the library raises what its parsers and clients raise
        raise ToolError(
            f"signing keyless failed: {_messages(error):.500}",
            hint="check that the services of the trust configuration answer and accept this "
            "identity",
            code="SIGSTORE",
        ) from error


def _messages(error: Exception) -> str:
    """Return the messages of the library and of the service."""
    messages = [
        " ".join(str(cause).split()) for cause in (error, error.__cause__) if cause is not None
    ]
    return ": ".join(dict.fromkeys(filter(None, messages))) or type(error).__name__
