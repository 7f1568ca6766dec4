"""What is said of how a published image was built; nothing of it is verified here."""

from collections.abc import Iterator

from msgspec import Struct

from imagekit.documents.fields import Fields
from imagekit.errors import DocumentError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.sign.provenance import lock_digest_of, recipe_digest_of
from imagekit.signatures.bundle import parse_bundle
from imagekit.signatures.intoto import Statement, statement_of
from imagekit.verify.collect import gather
from imagekit.verify.evidence import Candidate, Form

_LONGEST = 200


class ProvenanceClaim(Struct, frozen=True, kw_only=True):
    """What one provenance says."""

    builder: str
    """The URI of the builder."""
    recipe: Digest
    """The digest of the recipe."""
    path: str
    name: str
    version: str
    lock: Digest | None = None
    """The digest of the lock, where it says that there was one."""


def provenance_claims(
    reader: RegistryReader, image: PinnedReference
) -> tuple[ProvenanceClaim, ...]:
    """Return what provenances of imagekit, attached to an image, say of it.

    Args:
        reader: the way to the registry.
        image: the image; what is said of another one is left out.

    Raises:
        RegistryError: the registry did not answer.
    """
    found = (_statement(entry) for entry in gather(reader, image).candidates)
    statements = (statement for statement in found if statement is not None)
    return tuple(
        claim
        for statement in statements
        if any(subject.digest == image.digest for subject in statement.subjects)
        for claim in _claims(statement)
    )


def _statement(candidate: Candidate) -> Statement | None:
    if candidate.form is not Form.BUNDLE:
        return None
    try:
        return statement_of(parse_bundle(candidate.raw).envelope)
    except DocumentError:
        return None


def _claims(statement: Statement) -> Iterator[ProvenanceClaim]:
    digest = recipe_digest_of(statement)
    if digest is None:
        return
    try:
        whole = Fields.of(statement.predicate, what="the provenance", code="BAD_STATEMENT")
        parameters = whole.object("buildDefinition").object("externalParameters")
        recipe = parameters.object("recipe")
        builder = whole.object("runDetails").object("builder").text("id")
        named = [recipe.optional_text(key)[:_LONGEST] for key in ("path", "name", "version")]
    except DocumentError:
        return
    path, name, version = named
    yield ProvenanceClaim(
        builder=builder[:_LONGEST],
        recipe=digest,
        path=path,
        name=name,
        version=version,
        lock=lock_digest_of(statement),
    )
