"""A published and signed image as an attacker holds it: taken apart, changed, pushed anew.

Whoever owns the registry recomputes every digest, so that a change is not found by a wrong digest
but by what was signed; the keys are not the attacker's.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from imagekit.oci.types import BUNDLE, CONFIG, EMPTY, EMPTY_JSON, INDEX, MANIFEST, SIMPLE_SIGNING
from tests.e2e.differential.store import Document, Store

Json = dict[str, Any]


def packed(document: object) -> bytes:
    """Write JSON."""
    return json.dumps(document, separators=(",", ":")).encode()


@dataclass
class Layer:
    """One signature of the legacy form."""

    payload: bytes
    annotations: dict[str, str]
    media_type: str = SIMPLE_SIGNING
    extra: Json = field(default_factory=dict)
    """Overrides in its descriptor."""


@dataclass
class Attachment:
    """A referrer that holds a bundle."""

    bundle: bytes
    manifest: Json
    """Without layers and subject, which are computed."""
    layer: Json = field(default_factory=lambda: {"mediaType": BUNDLE})
    """Overrides in the descriptor of the bundle."""
    more: list[bytes] = field(default_factory=list)
    """Layers beside it."""
    entry: Json = field(default_factory=dict)
    """Overrides in the entry of the fallback list."""
    subject: Json | None = None
    """Another subject than what it lies beside."""

    @property
    def json(self) -> Json:
        """What the bundle says."""
        found: Json = json.loads(self.bundle)
        return found


@dataclass
class Node:
    """A manifest or an index, with what was attached to it."""

    document: Document
    bundles: list[Attachment] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    sig: Json = field(default_factory=dict)
    """Overrides in the manifest of the .sig tag; its media type too."""


@dataclass
class Copy:
    """An image in one repository, with all that is beside it."""

    store: Store
    tag: str
    top: Node
    children: list[Node] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)
    after: list[Callable[["Copy"], None]] = field(default_factory=list)
    """What is done to the registry when all is pushed."""

    @property
    def tagged(self) -> str:
        """The image by its tag."""
        return f"{self.store.name}:{self.tag}"

    @property
    def nodes(self) -> list[Node]:
        """The manifests of platforms, and the index above them."""
        return [*self.children, self.top]

    @property
    def bundle(self) -> Attachment:
        """The image's signature as bundle."""
        return self.top.bundles[0]

    @property
    def layer(self) -> Layer:
        """The image's signature in the legacy form."""
        return self.top.layers[0]

    def edit(self, node: Node, change: Callable[[Json], object]) -> None:
        """Change a manifest as JSON; what points to it is not followed."""
        document = node.document.json
        change(document)
        node.document = Document(packed(document), node.document.media_type)

    def relist(self) -> None:
        """Let the index list its manifests as they are by now."""

        def change(index: Json) -> None:
            for entry, child in zip(index["manifests"], self.children, strict=True):
                entry.update(child.document.descriptor())

        self.edit(self.top, change)

    def push(self) -> None:
        """Push everything, with the right digests."""
        for raw in [EMPTY_JSON, *self.blobs]:
            self.store.put_blob(raw)
        for node in self.nodes:
            self.store.put(node.document.digest, node.document)
            self._attach(node)
            self._sign(node)
        self.store.put(self.tag, self.top.document)
        for act in self.after:
            act(self)

    def _attach(self, node: Node) -> None:
        entries = []
        for each in node.bundles:
            document = self._referrer(node, each)
            self.store.put(document.digest, document)
            said = {"artifactType": document.json.get("artifactType", EMPTY)}
            entries.append(document.descriptor() | said | each.entry)
        if entries and not self.store.referrers:
            listed = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
            self.store.put(fallback(node), Document(packed(listed), INDEX))

    def _referrer(self, node: Node, each: Attachment) -> Document:
        layers = []
        for number, raw in enumerate([each.bundle, *each.more]):
            said = {"mediaType": BUNDLE, "digest": self.store.put_blob(raw), "size": len(raw)}
            layers.append(said | each.layer if number == 0 else said)
        subject = each.subject or node.document.descriptor()
        return Document(packed(each.manifest | {"layers": layers, "subject": subject}), MANIFEST)

    def _sign(self, node: Node) -> None:
        if not node.layers:
            return
        config = packed({"rootfs": {"type": "layers", "diff_ids": []}})
        layers = []
        for each in node.layers:
            blob = self.store.put_blob(each.payload)
            said = {"mediaType": each.media_type, "digest": blob, "size": len(each.payload)}
            layers.append(said | {"annotations": each.annotations} | each.extra)
        manifest: Json = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": CONFIG,
                "digest": self.store.put_blob(config),
                "size": len(config),
            },
            "layers": layers,
        } | node.sig
        self.store.put(f"{fallback(node)}.sig", Document(packed(manifest), manifest["mediaType"]))


def fallback(node: Node) -> str:
    """Return the tag that lists a manifest's referrers."""
    return node.document.digest.replace(":", "-")


def take(store: Store, tag: str, *, leave: bool = False) -> Copy:
    """Read an image with all that is beside it, and delete it from the registry or leave it."""
    document = store.get(tag)
    assert document is not None
    doomed = [tag]
    top = _node(store, document, doomed)
    children, manifests = [], [document]
    for entry in document.json.get("manifests", []):
        child = store.get(entry["digest"])
        assert child is not None
        manifests.append(child)
        children.append(_node(store, child, doomed))
    blobs = {
        layer["digest"]: store.blob(layer["digest"])
        for each in manifests
        if "layers" in each.json
        for layer in [each.json["config"], *each.json["layers"]]
    }
    for name in () if leave else dict.fromkeys(doomed):
        store.delete(name)
    assert leave or (store.get(tag) is None and store.listed(document.digest) == [])
    return Copy(store, tag, top, children, list(blobs.values()))


def _node(store: Store, document: Document, doomed: list[str]) -> Node:
    node = Node(document)
    for digest in store.listed(document.digest):
        referrer = store.get(digest)
        assert referrer is not None
        manifest = referrer.json
        (layer,) = manifest.pop("layers")
        del manifest["subject"]
        if layer["mediaType"] == BUNDLE:
            node.bundles.append(Attachment(store.blob(layer["digest"]), manifest))
        doomed.append(digest)
    listing = store.get(fallback(node))
    if listing is not None:
        doomed += [listing.digest, fallback(node)]
    sig = store.get(f"{fallback(node)}.sig")
    if sig is not None:
        doomed += [sig.digest, f"{fallback(node)}.sig"]
        node.layers = [
            Layer(store.blob(layer["digest"]), dict(layer["annotations"]), layer["mediaType"])
            for layer in sig.json["layers"]
        ]
    doomed.append(document.digest)
    return node
