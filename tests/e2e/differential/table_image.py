"""Changes of the image itself: manifest, configuration, index, the manifests in it, and the tag."""

from imagekit.oci.types import DOCKER_MANIFEST, INDEX
from tests.e2e.differential.bed import Form
from tests.e2e.differential.case import Case
from tests.e2e.differential.changes import (
    Attack,
    beside_stranger,
    copied,
    image,
    manifest,
    of_stranger,
    reconfigured,
    retagged,
    text,
)
from tests.e2e.differential.copies import Copy, Json, fallback, packed
from tests.e2e.differential.store import Document

_NO_SUBJECT = "sigstore-js compares no subject with an image: who calls it must"
_CHILD_ONLY = "skopeo looks at the signature of the platform's manifest only, never at the index's"
_INDEX_ONLY = "cosign looks at the signature of the index only, never at the manifests'"
_OTHER = "signature: DIGEST_MISMATCH"
_BOTH = (False, True)


def _layer(manifest: Json) -> None:
    other = b"other content of a layer"
    manifest["layers"][0] |= {"digest": Document(other, "").digest, "size": len(other)}


def _other_layer(copy: Copy) -> None:
    copy.blobs.append(b"other content of a layer")
    copy.edit((copy.children or [copy.top])[0], _layer)


def _docker(copy: Copy) -> None:
    copy.edit(copy.top, lambda said: said.update(mediaType=DOCKER_MANIFEST))
    copy.top.document = Document(copy.top.document.raw, DOCKER_MANIFEST)


def _pretty(copy: Copy) -> None:
    raw = copy.top.document.raw
    copy.top.document = Document(raw + b"\n", copy.top.document.media_type)


def _bare_config(copy: Copy) -> None:
    """Write a key of the configuration twice: the last counts for some, the first for others."""
    digest = copy.top.document.json["config"]["digest"]
    raw = next(each for each in copy.blobs if Document(each, "").digest == digest)
    new = raw.rstrip()[:-1] + b',"OS":"plan9"}'
    copy.blobs.append(new)
    said = {"digest": Document(new, "").digest, "size": len(new)}
    copy.edit(copy.top, lambda manifest: manifest["config"].update(said))


def _replaced_child(attack: Attack) -> None:
    copy = attack.copy
    reconfigured(lambda config: config.update(created="2001-01-01T00:00:00Z"))(copy)


def _other_child_order(index: Json) -> None:
    index["manifests"].reverse()


def _relabelled(index: Json) -> None:
    first, second = index["manifests"]
    first["platform"], second["platform"] = second["platform"], first["platform"]


def _nested(copy: Copy) -> None:
    inner = copy.top.document
    copy.blobs = [*copy.blobs]
    store = copy.store
    for each in copy.children:
        each.document = Document(each.document.raw, each.document.media_type)
    listed = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner.descriptor()]}
    store.put_blob(b"{}")
    copy.top.document = Document(packed(listed), INDEX)


def _no_index_signature(attack: Attack) -> None:
    attack.copy.top.bundles, attack.copy.top.layers = [], []


def _no_child_signature(attack: Attack) -> None:
    attack.copy.children[0].bundles, attack.copy.children[0].layers = [], []


def _first_child_is_the_image(attack: Attack) -> None:
    """Let the tag name one platform's manifest instead of the index."""
    copy = attack.copy
    copy.after.append(lambda done: done.store.put(done.tag, done.children[0].document))


def _to_other_repository(attack: Attack) -> None:
    """Take image and signatures, whole, from another repository of the same signer."""
    path = f"{attack.copy.store.path}-old"
    old = attack.bed.signed(path, attack.form, referrers=attack.copy.store.referrers)
    attack.copy.top.bundles, attack.copy.top.layers = old.top.bundles, old.top.layers


def _other_tag(attack: Attack) -> None:
    """Let another tag name the signed image."""
    attack.copy.after.append(lambda done: done.store.put("2.0.0", done.top.document))


def _unsigned(attack: Attack) -> None:
    attack.copy.top.bundles, attack.copy.top.layers = [], []


def _emptied(attack: Attack) -> None:
    """Overwrite the list of referrers by an empty one."""
    raw = packed({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
    attack.copy.top.layers = []
    attack.copy.after.append(lambda done: done.store.put(fallback(done.top), Document(raw, INDEX)))


def _list_is_image(attack: Attack) -> None:
    attack.copy.after.append(lambda done: done.store.put(fallback(done.top), done.top.document))


_IMAGE, _INDEX = Form.IMAGE, Form.INDEX
_DOUBLE = "Go reads the last of keys that differ in case only, others another: two images in one"

IMAGE_CASES = (
    Case(name="image/published", form=Form.PUBLISHED, ours="OK", peers="A A - A", command=True),
    Case(name="image/signed", form=_IMAGE, ours="OK", peers="A A A A", referrers=_BOTH),
    Case(
        name="image/unsigned",
        form=_IMAGE,
        change=_unsigned,
        ours="signature: NO_SIGNATURE",
        peers="R R - -",
        referrers=_BOTH,
        command=True,
        attack=1,
    ),
    Case(
        name="image/strangers-signature",
        form=_IMAGE,
        change=of_stranger,
        ours="signature: IDENTITY_MISMATCH",
        peers="R R R R",
        referrers=_BOTH,
    ),
    Case(
        name="image/strangers-signature-beside",
        form=_IMAGE,
        change=beside_stranger,
        ours="OK",
        peers="A A - -",
        referrers=_BOTH,
    ),
    Case(
        name="image/signatures-of-another-image",
        form=_IMAGE,
        change=copied,
        ours=_OTHER,
        peers="R R R A",
        why=_NO_SUBJECT,
        referrers=_BOTH,
        command=True,
        attack=7,
    ),
    Case(
        name="manifest/other-layer",
        form=_IMAGE,
        change=image(_other_layer),
        ours=_OTHER,
        peers="R R R A",
        why=_NO_SUBJECT,
    ),
    Case(
        name="manifest/annotation-added",
        form=_IMAGE,
        change=image(manifest(lambda said: said.update(annotations={"a": "b"}))),
        ours=_OTHER,
        peers="R R R A",
        why=_NO_SUBJECT,
    ),
    Case(
        name="manifest/line-feed-added",
        form=_IMAGE,
        change=image(_pretty),
        ours=_OTHER,
        peers="R R R A",
        why=_NO_SUBJECT,
    ),
    Case(
        name="manifest/media-type-of-docker",
        form=_IMAGE,
        change=image(_docker),
        ours=_OTHER,
        peers="R R R A",
        why=_NO_SUBJECT,
    ),
    Case(
        name="manifest/index-as-well",
        form=_IMAGE,
        before=manifest(lambda said: said.update(manifests=[])),
        blindly=True,
        referrers=(True,),
        ours="image: BAD_DOCUMENT",
        peers="A R A A",
        why="a document that is manifest and index at once is run as either (CVE-2021-41190)",
        attack=24,
    ),
    Case(
        name="manifest/keys-that-differ-in-case",
        form=_IMAGE,
        before=text('"config":', '"Config":{},"config":'),
        blindly=True,
        ours="image: AMBIGUOUS_JSON",
        peers="A A A A",
        why=_DOUBLE,
        attack=25,
    ),
    Case(
        name="config/other-command",
        form=_IMAGE,
        change=image(reconfigured(lambda said: said.update(config={"Cmd": ["/evil"]}))),
        ours=_OTHER,
        peers="R R R A",
        why=_NO_SUBJECT,
        referrers=_BOTH,
    ),
    Case(
        name="config/keys-that-differ-in-case",
        form=_IMAGE,
        before=_bare_config,
        ours="image: AMBIGUOUS_JSON",
        peers="A A A A",
        why=_DOUBLE,
        attack=25,
    ),
    Case(name="index/signed", form=_INDEX, ours="OK", peers="A A A A", referrers=_BOTH),
    Case(
        name="index/manifest-replaced",
        form=_INDEX,
        change=_replaced_child,
        ours=_OTHER,
        peers="R R R A",
        why=_NO_SUBJECT,
        referrers=_BOTH,
    ),
    Case(
        name="index/manifests-swapped",
        form=_INDEX,
        change=image(manifest(_relabelled)),
        ours="image: PLATFORM_MISMATCH",
        peers="R A R A",
        why=_CHILD_ONLY + ": arm64's image is pulled for amd64; " + _NO_SUBJECT,
    ),
    Case(
        name="index/order-changed",
        form=_INDEX,
        change=image(manifest(_other_child_order)),
        ours=_OTHER,
        peers="R A R A",
        why=f"{_CHILD_ONLY}; {_NO_SUBJECT}",
    ),
    Case(
        name="index/manifest-dropped",
        form=_INDEX,
        change=image(manifest(lambda index: index["manifests"].pop())),
        ours=_OTHER,
        peers="R A R A",
        why=f"{_CHILD_ONLY}; {_NO_SUBJECT}",
    ),
    Case(
        name="index/signature-of-the-index-gone",
        form=_INDEX,
        change=_no_index_signature,
        ours="signature: NO_SIGNATURE",
        peers="R A - -",
        why=_CHILD_ONLY,
        referrers=_BOTH,
        attack=29,
    ),
    Case(
        name="index/signature-of-a-manifest-gone",
        form=_INDEX,
        change=_no_child_signature,
        ours="signature: NO_SIGNATURE",
        peers="A R - -",
        why=_INDEX_ONLY,
        referrers=_BOTH,
        attack=29,
    ),
    Case(
        name="index/tag-names-a-manifest-of-it",
        form=_INDEX,
        change=_first_child_is_the_image,
        ours="OK",
        peers="A A - -",
    ),
    Case(
        name="tag/moved-to-another-tags-image",
        form=_IMAGE,
        change=retagged,
        ours="signature: REFERENCE_MISMATCH",
        peers="A R A A",
        why="bundles bind no tag for the others: an old, vulnerable image passes as the new one",
        referrers=_BOTH,
        command=True,
        attack=19,
    ),
    Case(
        name="tag/another-tag-of-the-image",
        form=_IMAGE,
        change=_other_tag,
        tag="2.0.0",
        ours="signature: REFERENCE_MISMATCH",
        peers="A R A A",
        why="bundles bind no tag for the others: nobody signed that this is 2.0.0",
        attack=8,
    ),
    Case(
        name="tag/image-of-another-repository",
        form=_IMAGE,
        change=_to_other_repository,
        ours="signature: REFERENCE_MISMATCH",
        peers="A R A A",
        why="bundles bind no name for the others: any image of the signer passes for any other",
        referrers=_BOTH,
        attack=8,
    ),
    Case(
        name="referrers/list-emptied",
        form=_IMAGE,
        change=_emptied,
        ours="signature: REFERRERS_LOST",
        peers="R - - -",
        command=True,
        attack=32,
    ),
    Case(
        name="referrers/list-is-the-image-itself",
        form=_IMAGE,
        change=_list_is_image,
        ours="referrers: REFERRERS_LOST",
        peers="A - - -",
        why="cosign takes the legacy form in silence where the list of referrers is broken",
        attack=33,
    ),
)
