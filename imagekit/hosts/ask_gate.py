"""Asking a running gate whether an image may be used, instead of judging it here.

The gate serves manifests of allowed images, and of proofs that are attached to them, which name
their image as subject and are no images. So its answer is the verdict: 200 with the digest that was
asked about, or 403 with the reason (distribution-spec, "Pulling manifests" and "Error Codes").
Anything else is no verdict, and the caller refuses. Of an index the gate serves what was judged
with it; since the runtime chooses from it later, perhaps elsewhere, all that it lists has to be
served. No module of policies and signatures is imported: a runtime waits for the answer.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import (
    AuthError,
    ImagekitError,
    InputError,
    InvalidReferenceError,
    NotFoundError,
    RegistryError,
)
from imagekit.hosts.hook_types import GateConfig, HookDecision
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, Repository
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.protocol import ACCEPT, manifest_path, shown
from imagekit.oci.registry.proxies import Proxies
from imagekit.oci.registry.stdlib_transport import StdlibTransport
from imagekit.oci.registry.transport import Request, read_up_to
from imagekit.oci.types import MAX_MANIFEST
from imagekit.signatures.sigstore.deadline import within

if TYPE_CHECKING:
    import ssl

_MAX_REFUSAL = 64 << 10
_MAX_SAID = 1000
_MAX_LISTED = 64
_NOBODY = {"os": "unknown", "architecture": "unknown"}
_DIGEST = "Docker-Content-Digest"
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404


class GateJudge:
    """Judges by asking a gate; safe in several threads.

    Args:
        gate: where it is, and what is behind it.
        seconds: the longest that one answer may take, from looking up the name to the last byte.

    Raises:
        InputError: the file of certificate authorities cannot be used.
    """

    def __init__(self, gate: GateConfig, *, seconds: float) -> None:
        self._gate = gate
        self._seconds = seconds
        # Without proxies: the environment of a runtime must not send its questions elsewhere.
        self._transport = StdlibTransport(
            RegistryOptions(connect_seconds=seconds, read_seconds=seconds),
            tls=_context(gate) if gate.tls else None,
            proxies=Proxies({}),
        )

    def __call__(self, reference: Reference) -> HookDecision:
        """Ask for an image: by its tag where it has one, whose digest must then be the same.

        Raises:
            InputError: its registry is not behind the gate.
            IntegrityError: the answer is not what its digest says.
            RegistryError: there was no answer, or one that is no verdict.
        """
        path = manifest_path(self._behind(reference.repository), _asked(reference))
        status, digest, body = self._answer(path)
        if status == _FORBIDDEN:
            reason = f"imagekit: the gate refuses {_named(reference)}: {_said(body)}"
            return HookDecision(allowed=False, digest=None, reason=reason)
        if status != _OK:
            self._no_verdict(status, reference, body)
        ruling = _judged(reference, _served(digest, body), body)
        return self._whole(reference, ruling, body) if ruling.allowed else ruling

    def _whole(self, reference: Reference, ruling: HookDecision, body: bytes) -> HookDecision:
        """Refuse an index of which the gate does not serve everything: the rest was not judged."""
        for digest in _listed(body):
            path = manifest_path(self._behind(reference.repository), str(digest))
            status, _, _ = self._answer(path)
            if status != _OK:
                reason = (
                    f"imagekit: the gate does not serve {digest}, which the index of "
                    f"{_named(reference)} lists, so a runtime could choose what was not judged"
                )
                return HookDecision(allowed=False, digest=ruling.digest, reason=reason)
        return ruling

    def _behind(self, repository: Repository) -> Repository:
        name = self._gate.registries.get(repository.host)
        if name is None:
            raise InputError(
                f"{repository} is not behind the gate {self._gate.url}",
                hint="list its registry in `registries` if the gate stands before it",
                code="verifier/not-behind",
            )
        path = f"{name}/{repository.path}" if name else repository.path
        return Repository(self._gate.address, path)

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        """Return status, stated digest and body, which is read up to a byte too many."""
        try:
            # The transport's own deadline begins when it is connected.
            return within(self._seconds, lambda: self._ask(path))
        except TimeoutError as error:
            raise self._slow() from error
        except RegistryError as error:
            if error.code == "TIMEOUT":
                raise self._slow() from error
            raise self._silent(f"cannot be asked: {error.message}", "CONNECTION") from error

    def _ask(self, path: str) -> tuple[int, str, bytes]:
        request = Request(
            method="GET",
            url=f"{self._gate.url}{path}",
            headers={"Accept": ACCEPT},
            deadline=self._seconds,
        )
        with self._transport.send(request) as response:
            limit = MAX_MANIFEST if response.status == _OK else _MAX_REFUSAL
            return response.status, response.header(_DIGEST), read_up_to(response, limit + 1)

    def _slow(self) -> RegistryError:
        return self._silent(f"did not answer within {self._seconds:g} s", "TIMEOUT")

    def _silent(self, fault: str, code: str) -> RegistryError:
        hint = f"does it run, and is its certificate valid? curl {self._gate.url}/v2/"
        return RegistryError(f"the gate {self._gate.url} {fault}", hint=hint, code=code)

    def _no_verdict(self, status: int, reference: Reference, body: bytes) -> NoReturn:
        message = (
            f"the gate {self._gate.url} answered {status} for {_named(reference)}: {_said(body)}"
        )
        kind: type[RegistryError] = RegistryError
        hint, code = "look at the gate's log", "REGISTRY_ERROR"
        if status == _NOT_FOUND:
            kind, code = NotFoundError, "NOT_FOUND"
            hint = "look at the name, and whether `registries` has the gate's name for the registry"
        elif status == _UNAUTHORIZED:
            kind, code = AuthError, "UNAUTHORIZED"
            hint = "let the gate serve this host without a login (access: users: [anonymous])"
        raise kind(message, hint=hint, code=code, http_status=status)


def _served(stated: str, body: bytes) -> Digest:
    """Return the digest of what was served, which must be the one that is stated.

    distribution-spec, "Pulling manifests": who uses Docker-Content-Digest must verify it.
    """
    if len(body) > MAX_MANIFEST:
        raise RegistryError("the gate's answer is larger than a manifest may be", code="TOO_LARGE")
    try:
        digest = Digest.parse(stated)
    except InvalidReferenceError as error:
        raise RegistryError(
            f"the gate's answer has no {_DIGEST}",
            hint="is it a gate of imagekit that answers there?",
            code="BAD_ANSWER",
        ) from error
    digest.check(body, what="the gate's answer")
    return digest


def _judged(reference: Reference, served: Digest, body: bytes) -> HookDecision:
    named = _named(reference)
    if "subject" in strictjson.loads_object(body, what="the gate's answer"):
        reason = f"imagekit: {named} is no image, but something that is attached to one"
        return HookDecision(allowed=False, digest=served, reason=reason)
    if isinstance(reference, PinnedReference) and reference.digest != served:
        # Also where only the algorithms differ: the bytes cannot be compared then.
        reason = f"imagekit: the gate serves {served} as {named}, and not {reference.digest}"
        return HookDecision(allowed=False, digest=served, reason=reason)
    return HookDecision(
        allowed=True, digest=served, reason=f"imagekit: {named} is allowed by the gate"
    )


def _listed(body: bytes) -> Iterator[Digest]:
    """Yield what an index lists for some platform; an image lists nothing.

    Raises:
        DocumentError: it lists something else than manifests.
    """
    what = "the gate's index"
    document = Fields.of(strictjson.loads(body, what=what), what=what, code="BAD_ANSWER")
    if document.get("manifests") is None:
        return
    for value in document.array("manifests", limit=_MAX_LISTED):
        entry = Fields.of(value, what=what, code="BAD_ANSWER")
        # BuildKit gives attestations this platform, so that no runtime chooses them.
        if entry.get("platform") != _NOBODY:
            yield Digest.parse(entry.text("digest"))


def _asked(reference: Reference) -> str:
    if isinstance(reference, PinnedReference):
        return reference.tag or str(reference.digest)
    return reference.tag


def _named(reference: Reference) -> str:
    return f"{reference.repository}:{reference.tag}" if reference.tag else str(reference)


def _said(body: bytes) -> str:
    """Return the message of an error's body (distribution-spec, "Error Codes"), printable."""
    try:
        document = strictjson.loads_object(body[:_MAX_REFUSAL], what="the refusal")
        message = str(document["errors"][0]["message"])
    except (ImagekitError, LookupError, TypeError):
        return "it gave no reason"
    cut = message.removeprefix("imagekit: ")[:_MAX_SAID]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)


def _context(gate: GateConfig) -> "ssl.SSLContext":
    import ssl

    try:
        return ssl.create_default_context(cafile=gate.ca_file)
    except (OSError, ValueError) as error:
        raise InputError(
            f"the gate's authorities in {gate.ca_file} cannot be used: {shown(str(error))}",
            hint="gateCa names a file of certificates (PEM)",
            code="verifier/gate-ca",
        ) from error
