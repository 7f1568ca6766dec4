"""Where everything comes from: a published image, signers, registries, and signed copies of it."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from imagekit.build.build import BuildOptions
from imagekit.clock import SystemClock
from imagekit.oci.destination import Destination
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, parse_located
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.registry.connect import light
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import INDEX, Descriptor
from imagekit.publish.publish import PublishOptions
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.recipe import load
from imagekit.sign.keyed import KeySigner
from imagekit.sign.open_signer import KeylessOptions, keyless_signer
from imagekit.sign.sign import sign_reference
from imagekit.signatures.keys.key_files import generate
from imagekit.signatures.keys.open import open_key
from imagekit.signatures.ports import PrivateKey, Signer
from tests.e2e.differential.copies import Copy, Node, packed, take
from tests.e2e.differential.store import Document, Store
from tests.support.signing import sign
from tests.support.sigstore.issuer import EMAIL
from tests.support.sigstore_stack import Sigstore

TAG = "1.0.0"
STRANGER = "mallory@imagekit.test"
RECIPE = f"""\
schema: 1
name: apps/hello
version: {TAG}
base: scratch
steps:
  - copy: {{from: hello.txt, to: /hello.txt}}
tags: {{immutable: ["{{version}}"], moving: [latest]}}
"""


class Form(StrEnum):
    """How the image is signed, and which of that the attacker leaves."""

    PUBLISHED = "published"
    """By a key, with all that publish makes."""
    IMAGE = "image"
    """Keyless by Rekor v1, in both forms: what all verifiers read."""
    INDEX = "index"
    """An index of two platforms, signed like that."""
    BUNDLE = "bundle"
    """By a key, as bundle alone."""
    LEGACY = "legacy"
    """By a key, in the legacy form alone."""
    REKOR2 = "keyless, Rekor v2"
    """Keyless, as bundle with a timestamp."""
    REKOR1 = "keyless, Rekor v1"
    """Keyless, as bundle with a promise of the log."""
    FULCIO = "keyless legacy"
    """Keyless, in the legacy form alone, by Rekor v1."""

    @property
    def keyless(self) -> bool:
        """Whether a certificate signed."""
        return self not in {Form.PUBLISHED, Form.BUNDLE, Form.LEGACY}

    @property
    def legacy(self) -> bool:
        """Whether only the legacy form is there."""
        return self in {Form.LEGACY, Form.FULCIO}


@dataclass(frozen=True, kw_only=True)
class Bed:
    """All that signed copies are made with."""

    folder: Path
    stores: dict[bool, str]
    """Hosts of registries with (True) and without the referrers API."""
    stack: Sigstore
    key: PrivateKey
    stranger: PrivateKey
    public: Path
    image: Copy
    """What was published, as it came from the registry."""
    _signers: dict[tuple[str, bool], Signer] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def signer(self, form: Form, email: str = "") -> Signer:
        """Return who signs this form: the site, or somebody else by name."""
        if not form.keyless:
            return KeySigner(self.stranger if email else self.key)
        second = form is Form.REKOR2
        with self._lock:
            made = self._signers.get((email, second))
            if made is None:
                config = self.stack.trust_config if second else self.stack.trust_config_v1
                options = KeylessOptions(
                    identity_token=self.stack.token(email or EMAIL), trust_config=config
                )
                made = self._signers[email, second] = keyless_signer(options)
                made.authority  # noqa: B018  # asks for the certificate, once for all threads
        return made

    def store(self, path: str, *, referrers: bool) -> Store:
        """Return a repository."""
        return Store(self.stores[referrers], path, referrers=referrers)

    def unsigned(self, path: str, form: Form, *, referrers: bool, tag: str = TAG) -> Copy:
        """Return a copy of the published image without signatures, in a repository of its own."""
        store = self.store(path, referrers=referrers)
        image = Node(self.image.top.document)
        if form is not Form.INDEX:
            return Copy(store, tag, image, [], [*self.image.blobs])
        return _index(Copy(store, tag, image, [], [*self.image.blobs]))

    def signed(
        self,
        path: str,
        form: Form,
        *,
        referrers: bool,
        before: Callable[[Copy], None] | None = None,
        email: str = "",
        tag: str = TAG,
        blindly: bool = False,
    ) -> Copy:
        """Push an image, sign it for its tag, and take it out of the registry again.

        Args:
            path: the repository.
            form: by whom it is signed, and how.
            referrers: in which registry.
            before: what is done to the image before it is signed.
            email: who signs instead of the site.
            tag: the tag that it is signed for.
            blindly: whether the signer looks at nothing; ours refuses to sign some images.
        """
        copy = self.unsigned(path, form, referrers=referrers, tag=tag)
        if before is not None:
            before(copy)
        copy.push()
        signer = self.signer(form, email)
        if blindly:
            _sign_blindly(copy, signer)
        else:
            sign_reference(
                parse_located(copy.tagged),
                signer=signer,
                options=RegistryOptions(),
                sbom=False,
                progress=lambda _: None,
            )
        taken = take(copy.store, tag)
        for node in taken.nodes:
            if form.legacy:
                node.bundles = []
            elif form in {Form.BUNDLE, Form.REKOR1, Form.REKOR2}:
                node.layers = []
        return taken


def _sign_blindly(copy: Copy, signer: Signer) -> None:
    repository = Repository.parse(copy.store.name)
    for node in copy.nodes:
        document = node.document
        digest = Digest.parse(document.digest)
        sign(
            light(REGISTRY, RegistryOptions()),
            signer,
            PinnedReference(repository, digest),
            manifest=Descriptor(
                media_type=document.media_type, digest=digest, size=len(document.raw)
            ),
            tags=(copy.tag,),
            clock=SystemClock(),
        )


def _index(copy: Copy) -> Copy:
    """Make an index of the image and of the same for another architecture."""
    config = copy.top.document.json["config"]["digest"]
    raw = next(each for each in copy.blobs if Document(each, "").digest == config)
    other = packed(json.loads(raw) | {"architecture": "arm64"})
    copy.blobs.append(other)
    second = Node(copy.top.document)

    def reconfigure(manifest: dict[str, object]) -> None:
        descriptor = {"digest": Document(other, "").digest, "size": len(other)}
        manifest["config"] = copy.top.document.json["config"] | descriptor

    copy.edit(second, reconfigure)
    entries = [
        node.document.descriptor() | {"platform": {"os": "linux", "architecture": name}}
        for node, name in ((copy.top, "amd64"), (second, "arm64"))
    ]
    listed = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    top = Node(Document(packed(listed), INDEX))
    return Copy(copy.store, copy.tag, top, [copy.top, second], copy.blobs)


def make(folder: Path, stores: dict[bool, str], stack: Sigstore) -> Bed:
    """Publish an image by its recipe, and take it."""
    keys, others, recipe = folder / "keys", folder / "others", folder / "recipe"
    for each in (keys, others, recipe):
        each.mkdir()
    files, strangers = generate(keys, lambda: "secret"), generate(others, lambda: "secret")
    (recipe / "recipe.yaml").write_text(RECIPE)
    (recipe / "hello.txt").write_text("hello\n")
    key = open_key(files.private, lambda: "secret")
    publish_recipe(
        load(recipe),
        to=Destination.parse(f"{stores[False]}/origin"),
        signer=KeySigner(key),
        options=PublishOptions(
            build=BuildOptions(test=False, env={**os.environ, "HOME": str(folder)})
        ),
    )
    store = Store(stores[False], "origin/apps/hello", referrers=False)
    bed = Bed(
        folder=folder,
        stores=stores,
        stack=stack,
        key=key,
        stranger=open_key(strangers.private, lambda: "secret"),
        public=files.public,
        image=take(store, TAG, leave=True),
    )
    for form in (Form.REKOR1, Form.REKOR2):
        for email in ("", STRANGER):
            # Before anything is signed, so that each certificate is valid at every time stamp.
            bed.signer(form, email)
    return bed
