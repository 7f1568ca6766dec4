"""Show what an image is, who signed it and what it is made of.

  imagekit inspect registry.example.org/apps/solver:2.1
  imagekit inspect oci:images:apps/solver:2.1 --json

Signatures are shown as they claim to be; `imagekit verify` judges them.
"""

import argparse
from collections.abc import Iterator

from imagekit.cli.console import Console
from imagekit.cli.options import add_registry_options, registry_of
from imagekit.documents.quantity import size
from imagekit.oci.location import parse_located
from imagekit.publish.inspect import Claim, Inspection

_MOST_LABELS = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``imagekit inspect``."""
    parser.add_argument(
        "reference", metavar="REFERENCE", help="HOST/NAME:TAG or oci:FOLDER:NAME:TAG"
    )
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Run ``imagekit inspect``.

    Raises:
        ImagekitError: there is no such image, or it cannot be read.
    """
    from imagekit.oci.registry import connect
    from imagekit.publish.inspect import inspect

    wanted = parse_located(arguments.reference)
    options = registry_of(arguments)
    inspection = inspect(connect.reader(wanted.location, options), wanted.reference)
    shown = wanted.location.shown(str(inspection.reference))
    console.result("\n".join(_lines(inspection, shown)), document(inspection, shown))
    return 0


def document(inspection: Inspection, image: str) -> dict[str, object]:
    """Return what ``--json`` prints of an image with this name."""
    config = inspection.config
    return {
        "schema": 1,
        "reference": image,
        "digest": str(inspection.reference.digest),
        "media_type": inspection.media_type,
        "platforms": [{"platform": name, "digest": str(d)} for name, d in inspection.platforms],
        "layers": [
            {"digest": str(layer.digest), "size": layer.size} for layer in inspection.layers
        ],
        "created": config.created if config else None,
        "labels": dict(config.labels) if config else {},
        "signatures": [_claim(claim) for claim in inspection.signatures],
        "attestations": [_claim(claim) for claim in inspection.attestations],
        "sboms": [
            {
                "digest": str(sbom.digest),
                "size": sbom.size,
                "version": sbom.version,
                "components": sbom.components,
            }
            for sbom in inspection.sboms
        ],
        "notes": list(inspection.notes),
    }


def _claim(claim: Claim) -> dict[str, object]:
    return {
        "form": claim.form,
        "predicate_type": claim.predicate_type,
        "identities": list(claim.identities),
        "key_hint": claim.hint,
        "about_this_digest": claim.about,
        "verified": False,
    }


def _lines(inspection: Inspection, image: str) -> Iterator[str]:
    for name, value in _rows(inspection, image):
        yield f"{name:<13} {_plain(value)}"


def _rows(inspection: Inspection, image: str) -> Iterator[tuple[str, str]]:
    yield "image", image
    for name, digest in inspection.platforms:
        yield "platform", f"{name}  {digest}"
    if inspection.layers:
        total = sum(layer.size for layer in inspection.layers)
        yield "layers", f"{len(inspection.layers)}, {size(total)}"
    for layer in inspection.layers:
        yield "", f"{layer.digest.short}  {size(layer.size)}"
    if inspection.config is not None:
        yield from _config_rows(inspection)
    yield from _attached_rows(inspection)


def _attached_rows(inspection: Inspection) -> Iterator[tuple[str, str]]:
    if not inspection.signatures:
        yield "signatures", "none"
    name = inspection.reference.repository.name
    for claim in inspection.signatures:
        yield "signature", _shown(claim, name)
    for claim in inspection.attestations:
        yield "attestation", f"{claim.predicate_type}  {_shown(claim, name)}"
    for sbom in inspection.sboms:
        yield "sbom", f"CycloneDX {sbom.version}, {sbom.components} components, {sbom.digest.short}"
    for note in inspection.notes:
        yield "note", note
    if inspection.claims:
        yield "", "signatures and attestations are shown unverified: imagekit verify judges them"


def _config_rows(inspection: Inspection) -> Iterator[tuple[str, str]]:
    config = inspection.config
    if config is None:
        return
    if config.created:
        yield "created", config.created
    if config.user:
        yield "user", config.user
    for name, value in sorted(config.labels.items())[:_MOST_LABELS]:
        yield "label", f"{name}={value}"


def _shown(claim: Claim, repository: str) -> str:
    names = [name.removeprefix(f"{repository}:") for name in claim.identities]
    words = [f"{claim.form:<7}", "for " + (", ".join(names) or "no name")]
    if claim.hint:
        from imagekit.signatures.bundle import hinted_fingerprint

        known = hinted_fingerprint(claim.hint)
        words.append(f"key {known[:19]}..." if known else f"key {claim.hint}")
    if not claim.about:
        words.append("about ANOTHER digest")
    return "  ".join(words)


def _plain(text: str) -> str:
    """Replace what would move the terminal's cursor: the text is untrusted."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:400])
