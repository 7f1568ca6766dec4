"""What a registry hides: children of an index, withdrawals; and what strangers attach.

No peer knows withdrawals or lists of denied digests; all of them look at what they are given.
"""

from contextlib import nullcontext, suppress

from imagekit.errors import RegistryError
from imagekit.oci.location import parse_located
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import EMPTY, EMPTY_JSON, MANIFEST
from imagekit.sign.withdraw import withdraw
from tests.e2e.differential.bed import STRANGER, Form
from tests.e2e.differential.case import Case
from tests.e2e.differential.changes import Attack
from tests.e2e.differential.copies import Copy, packed
from tests.e2e.differential.front import LATER, LINKS, NO_API
from tests.e2e.differential.store import Document

_DENIED = "no peer has a list of what is denied whoever signed it"
_OURS = "withdrawals are imagekit's own statements: no peer looks for them"
_TORN = ("no-relation", "torn")
_READABLE = [name for name in LINKS if name not in _TORN]
_BOTH = (False, True)


def _second(copy: Copy) -> str:
    return copy.children[1].document.digest


def _hidden(attack: Attack) -> None:
    """Let the registry have no manifest of the second platform for now."""
    attack.copy.after.append(lambda copy: copy.store.delete(_second(copy)))


def _withdrawn(attack: Attack, email: str = "") -> None:
    def act(copy: Copy) -> None:
        signer = attack.bed.signer(attack.form, email)
        options = RegistryOptions()
        # It is stored; whoever reads it back says so where the list cannot be read.
        with suppress(RegistryError) if copy.store.path.endswith(_TORN) else nullcontext():
            withdraw(parse_located(copy.tagged), signer=signer, reason="broken", options=options)

    attack.copy.after.append(act)


def _withdrawn_by_a_stranger(attack: Attack) -> None:
    _withdrawn(attack, STRANGER)


def _withdrawn_beside(attack: Attack) -> None:
    """Put an image beside it, in a repository that has no list of referrers."""
    _withdrawn(attack)
    store = attack.copy.store
    attack.bed.unsigned(f"{store.path}{NO_API}", attack.form, referrers=store.referrers).push()


def _strangers_artifact(attack: Attack) -> None:
    """Attach a program to the image, as anybody may who pushes."""

    def act(copy: Copy) -> None:
        kind = "application/vnd.sylabs.sif.layer.v1.sif"
        raw = b"#!/bin/sh evil"
        layer = {"mediaType": kind, "digest": copy.store.put_blob(raw), "size": len(raw)}
        empty = {"mediaType": EMPTY, "digest": copy.store.put_blob(EMPTY_JSON), "size": 2}
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": kind,
            "config": empty,
            "layers": [layer],
            "subject": copy.top.document.descriptor(),
        }
        attached = Document(packed(document), MANIFEST)
        copy.store.put(attached.digest, attached)

    attack.copy.after.append(act)


def _later(way: str, ours: str) -> Case:
    return Case(
        name=f"withdrawn/{LATER}{way}",
        form=Form.IMAGE,
        change=_withdrawn,
        ours=ours,
        peers="A A A A",
        why=_OURS,
        attack=47,
        referrers=(True,),
    )


HIDDEN_CASES = (
    Case(
        name="index/child-denied",
        form=Form.INDEX,
        denied=_second,
        level="top",
        ours="deny: REVOKED",
        peers="A A A A",
        why=_DENIED,
        attack=46,
        referrers=_BOTH,
    ),
    Case(
        name="index/child-denied-and-hidden",
        form=Form.INDEX,
        change=_hidden,
        denied=_second,
        level="top",
        ours="deny: REVOKED",
        peers="A A A A",
        why=_DENIED,
        attack=46,
        referrers=_BOTH,
    ),
    Case(
        name="index/child-hidden",
        form=Form.INDEX,
        change=_hidden,
        level="top",
        ours="OK",
        peers="A A A A",
        attack=46,
    ),
    Case(
        name="image/strangers-artifact-beside",
        form=Form.IMAGE,
        change=_strangers_artifact,
        ours="OK",
        peers="A A A A",
        attack=45,
        referrers=_BOTH,
    ),
    Case(
        name="withdrawn/listed",
        form=Form.IMAGE,
        change=_withdrawn,
        ours="withdrawal: WITHDRAWN",
        peers="A A A A",
        why=_OURS,
        referrers=_BOTH,
    ),
    Case(
        name="withdrawn/by-a-stranger",
        form=Form.IMAGE,
        change=_withdrawn_by_a_stranger,
        ours="OK",
        peers="A A A A",
        referrers=_BOTH,
    ),
    Case(
        name="withdrawn/beside-one-without-the-api",
        form=Form.IMAGE,
        change=_withdrawn_beside,
        neighbour=NO_API,
        ours="withdrawal: WITHDRAWN",
        peers="A A A A",
        why=_OURS,
        attack=47,
        referrers=(True,),
    ),
    *(_later(way, "withdrawal: WITHDRAWN") for way in _READABLE),
    *(_later(way, "no verdict: BAD_ANSWER") for way in _TORN),
)
