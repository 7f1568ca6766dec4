"""Images signed with a key, logged and stamped by real services, and policies that want it."""

import base64
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY
from imagekit.oci.reference import PinnedReference, Repository, parse_reference
from imagekit.oci.registry import connect
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import Descriptor
from imagekit.signatures.bundle import KeyBundle, parse_bundle
from imagekit.signatures.publickey import parse_public_key, public_key_pem
from imagekit.signatures.simplesigning import (
    LOG_ANNOTATION,
    SIGNATURE_ANNOTATION,
    TIMESTAMP_ANNOTATION,
)
from imagekit.verify.collect import gather
from imagekit.verify.evidence import Candidate, Form
from imagekit.verify.policies import load_unsigned
from imagekit.verify.verify import verify
from tests.support.fakes import FixedClock
from tests.support.sigstore_stack import Sigstore

pytestmark = [
    pytest.mark.real,
    # sigstore-python says of itself that Rekor v2 is young.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

_BUNDLES = "application/vnd.dev.sigstore.bundle"
WAYS = ("bundle of Rekor v1", "bundle of Rekor v2", "legacy")
Change = Callable[[dict[str, Any]], None]


def _run(*words: str | Path, **env: str) -> str:
    done = subprocess.run(
        words,
        env={**os.environ, "COSIGN_PASSWORD": "", **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Signed(Struct, frozen=True):
    """Two images that one key signed in one way, of which the second is there to be stolen from."""

    way: str
    stack: Sigstore
    folder: Path
    image: str
    other: str

    @property
    def key(self) -> Path:
        """The public key."""
        return self.folder / "cosign.pub"

    @property
    def root(self) -> Path:
        """The trusted root that knows the log."""
        return self.stack.trusted_root if "v2" in self.way else self.stack.trusted_root_v1

    @property
    def other_root(self) -> Path:
        """One that knows another log, and the same timestamp authority."""
        return self.stack.trusted_root_v1 if "v2" in self.way else self.stack.trusted_root

    def candidate(self, image: str) -> Candidate:
        """Return what the registry has beside an image."""
        found = gather(_reader(image), _pinned(image)).candidates
        assert len(found) == 1
        return found[0]

    def code(
        self,
        change: Change | None = None,
        *,
        root: Path | None = None,
        at: datetime | None = None,
        not_after: datetime | None = None,
        **words: str,
    ) -> str:
        """Return what the verifier says, by a policy with these words on the key.

        Args:
            change: what was done to the bundle, or to the annotations of the legacy form.
            root: the trusted root.
            at: the time.
            not_after: the key's end.
            **words: ``tlog`` and ``timestamp``.
        """
        policy = self._policy(root or self.root, not_after, words)
        clock = FixedClock(at or datetime.now(UTC))
        reader = Altered(_reader(self.image), change) if change else _reader(self.image)
        verdict = verify(
            _pinned(self.image), policy=load_unsigned(policy), reader=reader, clock=clock
        )
        found = next(each for each in verdict.findings if each.check == "signature")
        assert verdict.allowed == (found.severity == "ok")
        return found.code

    def _policy(self, root: Path, not_after: datetime | None, words: Mapping[str, str], /) -> Path:
        (self.folder / "root.json").write_bytes(root.read_bytes())
        key = {"path": self.key.name}
        if not_after is not None:
            key["notAfter"] = f"{not_after:%Y-%m-%dT%H:%M:%SZ}"
        document = {
            "apiVersion": "imagekit/v1",
            "kind": "ImagePolicy",
            "metadata": {"name": "site", "version": 1, "expires": "2046-01-01T00:00:00Z"},
            "trustRoots": {"site": {"path": "root.json"}},
            "images": [
                {
                    "match": {"glob": "127.0.0.1:*/**"},
                    "authorities": [{"name": "key", "key": key, "trustRoot": "site", **words}],
                    "signedIdentity": "digestOnly",
                }
            ],
        }
        file = self.folder / "policy.yaml"
        file.write_text(yaml.safe_dump(document))
        return file


class Altered:
    """A registry that changes what is beside an image, and has digests and sizes right."""

    def __init__(self, reader: RegistryReader, change: Change) -> None:
        self._reader = reader
        self._change = change
        self._bundles: dict[Digest, bytes] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Return a blob; of a bundle the changed one."""
        changed = self._bundles.get(descriptor.digest)
        return changed or self._reader.blob(repository, descriptor, limit=limit)

    def manifest(self, reference: Any) -> Any:
        """Return a manifest; annotations of signatures are changed, and bundles are others."""
        found = self._reader.manifest(reference)
        if SIGNATURE_ANNOTATION.encode() not in found.raw and _BUNDLES.encode() not in found.raw:
            return found
        manifest = json.loads(found.raw)
        for layer in manifest["layers"]:
            if SIGNATURE_ANNOTATION in layer.get("annotations", ()):
                self._change(layer["annotations"])
            elif layer["mediaType"].startswith(_BUNDLES):
                layer.update(self._bundle(reference.repository, layer))
        raw = json.dumps(manifest).encode()
        return type(found)(media_type=found.media_type, digest=Digest.of(raw), raw=raw)

    def _bundle(self, repository: Repository, layer: Mapping[str, Any], /) -> dict[str, Any]:
        """Keep a changed bundle, and return what makes its descriptor another."""
        old = Descriptor(
            media_type=layer["mediaType"],
            digest=Digest.parse(layer["digest"]),
            size=layer["size"],
        )
        bundle = json.loads(self._reader.blob(repository, old, limit=old.size))
        self._change(bundle["verificationMaterial"])
        raw = json.dumps(bundle).encode()
        self._bundles[Digest.of(raw)] = raw
        return {"digest": str(Digest.of(raw)), "size": len(raw)}


def _pinned(image: str) -> PinnedReference:
    reference = parse_reference(image)
    assert isinstance(reference, PinnedReference)
    return reference


def _reader(image: str) -> RegistryReader:
    return connect.reader(REGISTRY, RegistryOptions())


@pytest.fixture(scope="module", params=WAYS)
def signed(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    sigstore: Sigstore,
    bench: Path,
    registry: str,
) -> Signed:
    """Two images, each signed by cosign with the same key, logged and stamped."""
    folder = tmp_path_factory.mktemp("key")
    subprocess.run(
        [bench / "cosign", "generate-key-pair"],
        cwd=folder,
        env={**os.environ, "COSIGN_PASSWORD": ""},
        check=True,
        capture_output=True,
        timeout=60,
    )
    images = [_push(bench, registry, folder, name) for name in ("image", "other")]
    for image in images:
        _sign(request.param, sigstore, bench, folder / "cosign.key", image)
    return Signed(request.param, sigstore, folder, *images)


def _push(bench: Path, registry: str, folder: Path, name: str) -> str:
    (folder / name).write_text(name)
    with tarfile.open(folder / "layer.tar", "w") as layer:
        layer.add(folder / name, "hello")
    tag = f"{registry}/{folder.name}/{name}:1"
    return _run(bench / "crane", "append", "--insecure", "-f", folder / "layer.tar", "-t", tag)


def _sign(way: str, stack: Sigstore, bench: Path, key: Path, image: str, /) -> None:
    words: Sequence[str | Path] = ("--yes", "--allow-http-registry", "--key", key, image)
    if way == "legacy":
        _run(
            *(bench / "cosign-trixie", "sign", "--rekor-url", str(stack.at.rekor1)),
            *("--timestamp-server-url", stack.at.timestamps, *words),
            SIGSTORE_REKOR_PUBLIC_KEY=str(stack.rekor1_pub),
        )
        return
    config = stack.signing_config if "v2" in way else stack.signing_config_v1
    root = stack.trusted_root if "v2" in way else stack.trusted_root_v1
    _run(
        *(bench / "cosign", "sign", "--signing-config", config, "--trusted-root", root, *words),
    )


class Names(Struct, frozen=True):
    """What log entry and timestamp are called in a form."""

    log: str
    stamp: str
    stolen: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def names(signed: Signed) -> Names:
    """The names in this form, and what the other image has under them."""
    candidate = signed.candidate(signed.other)
    if candidate.form is Form.LEGACY:
        return Names(LOG_ANNOTATION, TIMESTAMP_ANNOTATION, dict(candidate.annotations))
    material = json.loads(candidate.raw)["verificationMaterial"]
    return Names("tlogEntries", "timestampVerificationData", material)


def test_real_ones(signed: Signed) -> None:
    """What cosign logged and stamped is what the policy wants."""
    assert signed.code(tlog="required", timestamp="required") == "OK"
    assert signed.code(tlog="optional", timestamp="optional") == "OK"
    assert signed.code(tlog="off", timestamp="off") == "OK"


def test_taken_away(signed: Signed, names: Names) -> None:
    """Without entry or timestamp, only a policy that wants them refuses."""

    def unlogged(material: dict[str, Any]) -> None:
        del material[names.log]

    def unstamped(material: dict[str, Any]) -> None:
        del material[names.stamp]

    assert signed.code(unlogged, tlog="required") == "NO_TLOG_ENTRY"
    assert signed.code(unlogged, tlog="optional") == "OK"
    assert signed.code(unstamped, timestamp="required") == "NO_TRUSTED_TIME"
    assert signed.code(unstamped, tlog="required", timestamp="optional") == "OK"


def test_swapped(signed: Signed, names: Names) -> None:
    """The entry or timestamp of another image by the same key is none of this one's."""

    def entry(material: dict[str, Any]) -> None:
        material[names.log] = names.stolen[names.log]

    def stamp(material: dict[str, Any]) -> None:
        material[names.stamp] = names.stolen[names.stamp]

    assert signed.code(entry, tlog="required") == "BAD_TLOG_ENTRY"
    assert signed.code(entry, tlog="optional") == "BAD_TLOG_ENTRY"
    assert signed.code(entry, tlog="off") == "OK"
    assert signed.code(stamp, timestamp="required") == "BAD_TIMESTAMP"
    assert signed.code(stamp, timestamp="optional") == "BAD_TIMESTAMP"
    assert signed.code(stamp, timestamp="off", tlog="required") == "OK"


def test_of_another_log(signed: Signed) -> None:
    """Under a root that does not know the log, its entry is none; the timestamp still counts."""
    root = signed.other_root

    assert signed.code(root=root, tlog="required") == "UNKNOWN_LOG"
    assert signed.code(root=root, tlog="optional", timestamp="required") == "OK"


def test_altered(signed: Signed, names: Names) -> None:
    """An entry that was changed in any one place is refused."""

    def change(material: dict[str, Any]) -> None:
        if names.log == LOG_ANNOTATION:
            promise = json.loads(material[names.log])
            promise["Payload"]["integratedTime"] -= 1
            material[names.log] = json.dumps(promise)
            return
        proof = material[names.log][0]["inclusionProof"]
        proof["rootHash"] = base64.b64encode(b"\0" * 32).decode()

    assert signed.code(change, tlog="required") == "BAD_TLOG_ENTRY"


def test_key_that_has_expired_since(signed: Signed, names: Names) -> None:
    """The timestamp keeps an old signature good, and without it the key's end counts."""
    later = datetime.now(UTC) + timedelta(days=100)
    end = later - timedelta(days=1)

    def bare(material: dict[str, Any]) -> None:
        material.pop(names.log)
        material.pop(names.stamp)

    assert signed.code(timestamp="required", at=later, not_after=end) == "OK"
    assert signed.code(bare, at=later, not_after=end) == "KEY_NOT_VALID"


def test_kinds_of_entries(signed: Signed) -> None:
    """These are the kinds that cosign makes; each has been read above."""
    candidate = signed.candidate(signed.image)
    if candidate.form is Form.LEGACY:
        body = json.loads(candidate.annotations[LOG_ANNOTATION])["Payload"]["body"]
    else:
        material = json.loads(candidate.raw)["verificationMaterial"]
        body = material["tlogEntries"][0]["canonicalizedBody"]
    entry = json.loads(base64.b64decode(body))

    assert (
        f"{entry['kind']} {entry['apiVersion']}"
        == {
            "bundle of Rekor v1": "dsse 0.0.1",
            "bundle of Rekor v2": "hashedrekord 0.0.2",
            "legacy": "hashedrekord 0.0.1",
        }[signed.way]
    )


def _sha256(raw: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": Digest.of(raw).hex}


def _log_as_intoto(rekor: str, bundle: KeyBundle, pem: bytes) -> dict[str, Any]:
    def twice(raw: bytes) -> str:
        return base64.b64encode(base64.b64encode(raw)).decode()

    public = base64.b64encode(pem).decode()
    payload, signature = bundle.envelope.payload, bundle.envelope.signatures[0]
    envelope = {
        "payloadType": bundle.envelope.payload_type,
        "payload": twice(payload),
        "signatures": [{"publicKey": public, "sig": twice(signature)}],
    }
    content = {"envelope": envelope, "hash": _sha256(payload), "payloadHash": _sha256(payload)}
    proposed = {"kind": "intoto", "apiVersion": "0.0.2", "spec": {"content": content}}
    answer = requests.post(f"{rekor}/api/v1/log/entries", json=proposed, timeout=30)
    assert answer.status_code in {201, 409}, answer.text
    if answer.status_code == 409:
        answer = requests.get(rekor + answer.headers["Location"], timeout=30)
    (made,) = answer.json().values()
    proof = made["verification"]["inclusionProof"]

    def b64(text: str) -> str:
        return base64.b64encode(bytes.fromhex(text)).decode()

    return {
        "logIndex": str(made["logIndex"]),
        "logId": {"keyId": b64(made["logID"])},
        "kindVersion": {"kind": "intoto", "version": "0.0.2"},
        "integratedTime": str(made["integratedTime"]),
        "inclusionPromise": {"signedEntryTimestamp": made["verification"]["signedEntryTimestamp"]},
        "inclusionProof": {
            "logIndex": str(proof["logIndex"]),
            "rootHash": b64(proof["rootHash"]),
            "treeSize": str(proof["treeSize"]),
            "hashes": [b64(each) for each in proof["hashes"]],
            "checkpoint": {"envelope": proof["checkpoint"]},
        },
        "canonicalizedBody": made["body"],
    }


@pytest.mark.parametrize("signed", ["bundle of Rekor v1"], indirect=True)
def test_older_kind_of_rekor_v1(signed: Signed) -> None:
    """An intoto entry, as cosign once made them, counts and is of this envelope only."""
    bundle = parse_bundle(signed.candidate(signed.image).raw)
    assert isinstance(bundle, KeyBundle)
    pem = public_key_pem(parse_public_key(signed.key.read_bytes()))
    entry = _log_as_intoto(str(signed.stack.at.rekor1), bundle, pem)

    def log(material: dict[str, Any]) -> None:
        material["tlogEntries"] = [entry]

    assert signed.code(log, tlog="required") == "OK"
    other = replace(signed, image=signed.other, other=signed.image)
    assert other.code(log, tlog="required") == "BAD_TLOG_ENTRY"
