"""What attackers change: each function returns or is a change of one thing."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from imagekit.documents.fields import base64_text
from imagekit.oci.types import IN_TOTO
from imagekit.sign.keyed import KeySigner
from imagekit.signatures.bundle import key_bundle_bytes
from imagekit.signatures.dsse import pae
from imagekit.signatures.ports import PrivateKey
from imagekit.signatures.simplesigning import SIGNATURE_ANNOTATION
from tests.e2e.differential.bed import STRANGER, TAG, Bed, Form
from tests.e2e.differential.copies import Copy, Json, Layer, packed
from tests.e2e.differential.store import Document


@dataclass(frozen=True)
class Attack:
    """A signed image in the attacker's hands, and the place where it was signed."""

    bed: Bed
    copy: Copy
    form: Form

    def other(self, **signed: Any) -> Copy:
        """Sign something else in the same repository: another image unless ``before`` is given."""
        choices: dict[str, Any] = {"before": another, **signed}
        store = self.copy.store
        return self.bed.signed(store.path, self.form, referrers=store.referrers, **choices)

    def edit_bundle(self, change: Callable[[Json], object]) -> None:
        """Change the bundle of the image's signature as JSON."""
        document = self.copy.bundle.json
        change(document)
        self.copy.bundle.bundle = packed(document)


Change = Callable[[Attack], object]


def another(copy: Copy) -> None:
    """Make it another image."""
    reconfigured(lambda config: config.update(created="2001-01-01T00:00:00Z"))(copy)


def reconfigured(change: Callable[[Json], object]) -> Callable[[Copy], None]:
    """Change the configuration of the image, or of the first platform's."""

    def act(copy: Copy) -> None:
        node = (copy.children or [copy.top])[0]
        descriptor = node.document.json["config"]
        raw = next(raw for raw in copy.blobs if Document(raw, "").digest == descriptor["digest"])
        config = json.loads(raw)
        change(config)
        new = packed(config)
        copy.blobs.append(new)
        said = {"digest": Document(new, "").digest, "size": len(new)}
        copy.edit(node, lambda manifest: manifest["config"].update(said))
        if copy.children:
            copy.relist()

    return act


def manifest(change: Callable[[Json], object]) -> Callable[[Copy], None]:
    """Change the manifest or index."""
    return lambda copy: copy.edit(copy.top, change)


def text(old: str, new: str) -> Callable[[Copy], None]:
    """Replace a text of the manifest once, as bytes."""

    def act(copy: Copy) -> None:
        document = copy.top.document
        assert old.encode() in document.raw
        raw = document.raw.replace(old.encode(), new.encode(), 1)
        copy.top.document = Document(raw, document.media_type)

    return act


def image(change: Callable[[Copy], None]) -> Change:
    """Do to the signed image what could be done to the unsigned one."""
    return lambda attack: change(attack.copy)


def nothing(attack: Attack) -> None:
    """Leave it as it was published."""


def bundle(change: Callable[[Json], object]) -> Change:
    """Change the bundle."""
    return lambda attack: attack.edit_bundle(change)


def bundle_text(old: str, new: str) -> Change:
    """Replace a text of the bundle once, as bytes."""

    def act(attack: Attack) -> None:
        raw = attack.copy.bundle.bundle
        assert old.encode() in raw, raw
        attack.copy.bundle.bundle = raw.replace(old.encode(), new.encode(), 1)

    return act


def envelope(change: Callable[[Json], object]) -> Change:
    """Change the DSSE envelope."""
    return bundle(lambda document: change(document["dsseEnvelope"]))


def material(change: Callable[[Json], object]) -> Change:
    """Change what is needed to verify the envelope."""
    return bundle(lambda document: change(document["verificationMaterial"]))


def statement(change: Callable[[Json], object]) -> Change:
    """Change the statement, and leave the signature."""

    def act(sealed: Json) -> None:
        said = json.loads(base64.b64decode(sealed["payload"]))
        change(said)
        sealed["payload"] = base64_text(packed(said))

    return envelope(act)


def flipped(text: str) -> str:
    """Return base64 with one bit changed in the last byte, where DER has the signature."""
    raw = base64.b64decode(text)
    return base64_text(raw[:-1] + bytes([raw[-1] ^ 1]))


def statement_of(attack: Attack) -> Json:
    """Return what the image's signature says."""
    found: Json = json.loads(base64.b64decode(attack.copy.bundle.json["dsseEnvelope"]["payload"]))
    return found


def seal(key: PrivateKey, payload: bytes, payload_type: str = IN_TOTO) -> bytes:
    """Return a bundle of any payload, signed by a key."""
    raw = key_bundle_bytes(payload, key.sign(pae(payload_type, payload)), key.public_key)
    document = json.loads(raw)
    document["dsseEnvelope"]["payloadType"] = payload_type
    return packed(document)


def says(change: Callable[[Json], object]) -> Change:
    """Let whoever is trusted sign another statement."""

    def act(attack: Attack) -> None:
        said = statement_of(attack)
        change(said)
        signer = attack.bed.signer(attack.form)
        attack.copy.bundle.bundle = signer.bundle(packed(said))

    return act


def says_bytes(change: Callable[[bytes], bytes], payload_type: str = IN_TOTO) -> Change:
    """Let the trusted key sign any bytes instead of the statement."""

    def act(attack: Attack) -> None:
        payload = change(packed(statement_of(attack)))
        attack.copy.bundle.bundle = seal(attack.bed.key, payload, payload_type)

    return act


def subject(**changes: object) -> Change:
    """Let whoever is trusted sign for another subject."""
    return says(lambda said: said["subject"][0].update(changes))


def layer(change: Callable[[Layer], object]) -> Change:
    """Change the signature of the legacy form."""
    return lambda attack: change(attack.copy.layer)


def annotation(name: str, change: Callable[[str], str]) -> Change:
    """Change one annotation of the legacy signature."""

    def act(each: Layer) -> None:
        each.annotations[name] = change(each.annotations.get(name, ""))

    return layer(act)


def payload(change: Callable[[bytes], bytes]) -> Change:
    """Change the payload, and leave the signature."""

    def act(each: Layer) -> None:
        before = each.payload
        each.payload = change(before)
        assert each.payload != before

    return layer(act)


def pays(change: Callable[[bytes], bytes]) -> Change:
    """Let the trusted key sign another payload."""

    def act(attack: Attack) -> None:
        each = attack.copy.layer
        new = change(each.payload)
        assert new != each.payload
        each.payload = new
        each.annotations |= KeySigner(attack.bed.key).legacy(new)

    return act


def pays_json(change: Callable[[Json], object]) -> Change:
    """Let the trusted key sign another payload, changed as JSON."""

    def act(raw: bytes) -> bytes:
        said = json.loads(raw)
        change(said)
        return packed(said)

    return pays(act)


def replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    """Return the replacement of a text that must be there."""

    def act(raw: bytes) -> bytes:
        assert old.encode() in raw, raw
        return raw.replace(old.encode(), new.encode())

    return act


def copied(attack: Attack) -> None:
    """Put the signatures of another image in the place of this one's."""
    other = attack.other()
    attack.copy.top.bundles, attack.copy.top.layers = other.top.bundles, other.top.layers


def retagged(attack: Attack) -> None:
    """Move the tag to another image that is signed, for another tag."""
    other = attack.other(tag="0.9.0")
    other.push()
    other.store.put(TAG, other.top.document)
    attack.copy.top, attack.copy.blobs = other.top, other.blobs


def of_stranger(attack: Attack) -> None:
    """Put signatures by somebody whom nobody trusts in the place of the site's."""
    other = attack.other(before=None, email=STRANGER)
    attack.copy.top.bundles, attack.copy.top.layers = other.top.bundles, other.top.layers


def beside_stranger(attack: Attack) -> None:
    """Put a stranger's signatures before the site's."""
    other = attack.other(before=None, email=STRANGER).top
    top = attack.copy.top
    top.bundles[:0], top.layers[:0] = other.bundles, other.layers


def signature_of(each: Layer) -> bytes:
    """Return the signature of a legacy layer."""
    return base64.b64decode(each.annotations[SIGNATURE_ANNOTATION])
