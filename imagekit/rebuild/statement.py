"""What a second builder attests: that it built an image again, and it came out the same.

The predicate type is a TypeURI of imagekit's own (in-toto attestation framework, spec/v1,
"Predicate"): SLSA's provenance says how something was built, and not that two builds agree.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from imagekit.rebuild.rebuild import Rebuilt
from imagekit.recipe.recipe import Recipe
from imagekit.signatures.intoto import REBUILD, Statement, StatementSubject


def rebuild_statement(
    rebuilt: Rebuilt,
    recipe: Recipe,
    *,
    builder: str,
    subjects: Sequence[StatementSubject],
    now: datetime,
) -> Statement:
    """Return the statement that the image was built again.

    Args:
        rebuilt: what came of it; not a difference.
        recipe: what was built.
        builder: the URI of the second builder.
        subjects: what the statement is about.
        now: when that was.
    """
    return Statement(
        subjects=tuple(subjects),
        predicate_type=REBUILD,
        predicate={
            "builder": {"id": builder},
            "originalBuilders": sorted({claim.builder for claim in rebuilt.claims}),
            "result": rebuilt.comparison.result,
            "finishedOn": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "recipe": {
                "name": recipe.name,
                "version": recipe.version,
                "digest": {recipe.digest.algorithm: recipe.digest.hex},
            },
        },
    )
