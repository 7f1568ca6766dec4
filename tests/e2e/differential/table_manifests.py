"""Changes of an index where the policy looks at its manifests alone, as skopeo always does.

The others look at the index alone, so that they have no say here.
"""

from tests.e2e.differential.bed import Form
from tests.e2e.differential.case import Case
from tests.e2e.differential.changes import Attack, Change, image, manifest
from tests.e2e.differential.copies import Copy, Json

_SIGNATURE = "signature: NO_SIGNATURE"
_MISSING = "signature: MISSING_MANIFEST"


def _case(name: str, change: Change, ours: str, peers: str, why: str = "") -> Case:
    return Case(
        name=f"manifests/{name}",
        form=Form.INDEX,
        change=change,
        ours=ours,
        peers=peers,
        why=why,
        level="manifests",
    )


def _listing(change: object) -> Change:
    return image(manifest(change))  # type: ignore[arg-type]  # a change of JSON


def _unsigned_first(attack: Attack) -> None:
    attack.copy.children[0].bundles, attack.copy.children[0].layers = [], []


def _unsigned_under_another_type(attack: Attack) -> None:
    _unsigned_first(attack)

    def change(index: Json) -> None:
        index["manifests"][0]["mediaType"] = "application/json"

    attack.copy.edit(attack.copy.top, change)


def _unsigned_without_a_platform(attack: Attack) -> None:
    _unsigned_first(attack)

    def change(index: Json) -> None:
        del index["manifests"][0]["platform"]

    attack.copy.edit(attack.copy.top, change)


def _hidden(attack: Attack) -> None:
    """Let the registry have no manifest of the first platform for now."""

    def act(copy: Copy) -> None:
        copy.store.delete(copy.children[0].document.digest)

    attack.copy.after.append(act)


def _emptied(index: Json) -> None:
    index["manifests"] = []


def _annotated(index: Json) -> None:
    index["annotations"] = {"a": "b"}


MANIFESTS_CASES = (
    _case("signed", lambda _: None, "OK", "- A - -"),
    _case("index-annotated", _listing(_annotated), "OK", "- A - -"),
    _case("order-changed", _listing(lambda index: index["manifests"].reverse()), "OK", "- A - -"),
    _case("signature-of-a-manifest-gone", _unsigned_first, _SIGNATURE, "- R - -"),
    _case("unsigned-under-another-type", _unsigned_under_another_type, _MISSING, "- R - -"),
    _case("unsigned-without-a-platform", _unsigned_without_a_platform, _SIGNATURE, "- R - -"),
    _case("manifest-hidden", _hidden, _MISSING, "- R - -"),
    _case("index-of-nothing", _listing(_emptied), _MISSING, "- R - -"),
)
