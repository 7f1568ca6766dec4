"""The conditions of a SLSA provenance v1: who built the image, how, and on which base images.

Base images are those among ``resolvedDependencies`` whose URI names an image (see ``images``);
BuildKit lists the image of its frontend there, too, which ran in the build. Each must match one
of the policy's globs, and there must be one: a list that names no image proves nothing about it.
An image from scratch has none, and a rule for such images does not ask for them.

https://slsa.dev/spec/v1.0/provenance
"""

from collections.abc import Mapping

from imagekit.documents.fields import Fields
from imagekit.policy.condition import ProvenanceCondition
from imagekit.policy.glob import matches
from imagekit.signatures.results import Refusal
from imagekit.verify.conditions.images import image_named
from imagekit.verify.conditions.untrusted_json import (
    by_lower_case,
    exactly,
    fields_of,
    objects,
    shown,
)

# A build that records every package which it fetched lists thousands.
MAX_DEPENDENCIES = 50_000
_NAMES = by_lower_case(
    "buildDefinition", "buildType", "resolvedDependencies", "runDetails", "builder", "id", "uri"
)


def check_provenance(
    predicate: Mapping[str, object], condition: ProvenanceCondition
) -> Refusal | None:
    """Return why a provenance does not do, or None.

    Raises:
        DocumentError: it is no provenance that can be read whole.
    """
    document = exactly(fields_of(predicate, "the provenance"), _NAMES)
    definition = exactly(document.object("buildDefinition"), _NAMES)
    details = exactly(document.object("runDetails"), _NAMES)
    # SLSA v1.0, "Verifying artifacts", step 1: a builder is recognised by key and builder.id
    # together; the rule has verified the key.
    builder = exactly(details.object("builder"), _NAMES).text("id")
    kind = definition.text("buildType")
    if condition.builder_ids and builder not in condition.builder_ids:
        return Refusal(
            code="BUILDER_NOT_ALLOWED",
            message=f"it was built by {shown(builder)!r}; the policy allows "
            f"{', '.join(condition.builder_ids)}",
            hint="build it where the policy wants it built",
        )
    # SLSA v1.0, "Verifying artifacts", step 2. It wants ``externalParameters`` compared as well,
    # which a rule can do by an expression.
    if condition.build_types and kind not in condition.build_types:
        return Refusal(
            code="BUILD_TYPE_NOT_ALLOWED",
            message=f"its build is of type {shown(kind)!r}; the policy allows "
            f"{', '.join(condition.build_types)}",
            hint="build it as the policy wants it built",
        )
    return _base_fault(definition, condition.base_images) if condition.base_images else None


def _base_fault(definition: Fields, globs: tuple[str, ...]) -> Refusal | None:
    has_base = False
    for dependency in objects(definition, "resolvedDependencies", limit=MAX_DEPENDENCIES):
        uri = exactly(dependency, _NAMES).optional_text("uri")
        image = image_named(uri)
        if image is None:
            continue
        has_base = True
        if not any(matches(glob, image.repository) for glob in globs):
            return Refusal(
                code="BASE_NOT_ALLOWED",
                message=f"it was built on {shown(uri)!r}, an image of {image.repository}; "
                f"the policy allows {', '.join(globs)}",
                hint="build it on a base image that the policy allows",
            )
    if has_base:
        return None
    return Refusal(
        code="BASE_NOT_ALLOWED",
        message="the provenance names no base image among its resolvedDependencies",
        hint="let the builder record them; a rule for images from scratch leaves baseImages out",
    )
