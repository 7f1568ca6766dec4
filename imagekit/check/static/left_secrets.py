"""IK401 to IK408: secrets that were left in files, in variables, or in a layer that hides them."""

from collections.abc import Iterator

from imagekit.check.static.image_tree import ImageTree
from imagekit.check.static.portability_finding import CONFIG, PortabilityFinding, found
from imagekit.check.static.secret_rules import secret_variable

SNAKE_OIL = frozenset({"etc/ssl/private/ssl-cert-snakeoil.key"})
"""Made on each installation for tests, and said to be worth nothing."""


def secret_findings(tree: ImageTree) -> Iterator[PortabilityFinding]:
    """Yield the secrets of an image; their values are never shown."""
    shown = {(file.layer, file.source): path for path, file in tree.regular.items()}
    for place, (code, what) in sorted(tree.examined.secrets.items()):
        path = shown.get(place)
        if path is not None and path not in SNAKE_OIL:
            yield found(code, path, f"it holds {what}")
        elif path is None:
            layer, hidden = place
            message = f"layer {layer + 1} holds {what}, which a later one hides"
            yield found("IK407", hidden, message)
    for name, value in sorted(tree.env.items()):
        what = secret_variable(name, value)
        if what:
            yield found("IK406", CONFIG, f"the variable {name[:100]} holds a secret: {what}")
