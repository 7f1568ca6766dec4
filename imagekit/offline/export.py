"""One file for a site without a registry: ``imagekit export``."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

from msgspec import Struct
from msgspec.structs import replace

from imagekit.documents.quantity import count, size
from imagekit.errors import PolicyError
from imagekit.files import storage_errors
from imagekit.inputs import read_regular
from imagekit.oci.archive import (
    INDEX_FILE,
    LAYOUT_FILE,
    MemberContent,
    blob_path,
    whole,
    write_archive,
)
from imagekit.oci.codec import as_referrer, index_bytes, parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Reference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import INDEX, NOTHING, REF_NAME, Descriptor, Index
from imagekit.offline.closure import Closure, find_closure
from imagekit.offline.exported import (
    POLICY_FOLDER,
    RECORD,
    EnclosedPolicy,
    Exported,
    Member,
    check_path,
    record_bytes,
)
from imagekit.policy.load import policy_bytes
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.policy.schema.named_files import MAX_TRUST_ROOT
from imagekit.progress import Advanced, Done, Note, Progress, Started
from imagekit.verify.signed import MAX_SIGNATURE, SUFFIX
from imagekit.verify.verdict import Judge, Verdict, allowed

_VERSION = b'{"imageLayoutVersion":"1.0.0"}'


class PolicyFiles(Struct, frozen=True, kw_only=True):
    """A policy, and the exact bytes of its file and of all that it names."""

    policy: OpenedPolicy
    files: Mapping[str, bytes]
    """The policy's own, its signature's where it has one, and those of keys and trusted roots."""
    name: str
    """The name of the policy's file."""


class Export(Struct, frozen=True, kw_only=True):
    """The verdict, and what was exported where it allowed that."""

    verdict: Verdict
    closure: Closure | None = None
    record: Exported | None = None
    new: bool = False
    """Whether the file was written; else the same bytes were there, or nothing was wanted."""


class ExportOptions(Struct, frozen=True, kw_only=True):
    """What goes into the file."""

    platforms: tuple[str, ...] = ()
    """Which platforms of an index; all by default."""
    dry_run: bool = False
    """Find everything, and write nothing."""


def export(
    reference: Reference,
    file: Path,
    *,
    judge: Judge,
    reader: RegistryReader,
    policy: PolicyFiles,
    options: ExportOptions | None = None,
    progress: Progress,
) -> Export:
    """Verify an image, then write it with everything that is attached to it into one file.

    Args:
        reference: the image.
        file: the archive, an OCI layout in a tar file; it appears whole or not at all.
        judge: judges the image by the policy.
        reader: where the image is.
        policy: is enclosed, so that the receiver can judge by the same one.
        options: what goes into the file.
        progress: gets the events.

    Raises:
        PolicyError: the policy names files outside of its folder, which cannot be enclosed.
        ImagekitError: there was no verdict, or something could not be read or written.
    """
    wanted = options or ExportOptions()
    verdict = judge(reference)
    pinned = allowed(reference, verdict)
    if pinned is None:
        return Export(verdict=verdict)
    closure = find_closure(reader, pinned, platforms=wanted.platforms, unread=verdict.unread)
    for left in closure.left_out:
        progress(Note(message=f"not exported: {left}"))
    named = EnclosedPolicy(
        file=policy.name,
        name=policy.policy.name,
        version=policy.policy.version,
        digest=policy.policy.digest,
    )
    record, contents = _contents(
        reader, closure, reference=reference, named=named, files=policy.files
    )
    if wanted.dry_run:
        return Export(verdict=verdict, closure=closure, record=record)
    return Export(
        verdict=verdict,
        closure=closure,
        record=record,
        new=_write(file, contents, progress=progress),
    )


def _write(file: Path, contents: Sequence[MemberContent], *, progress: Progress) -> bool:
    progress(Started(stage="export", detail=str(file)))
    began = time.monotonic()
    total = sum(content.size for content in contents)
    done = 0

    def written(more: int) -> None:
        nonlocal done
        done += more
        progress(Advanced(stage="export", done=done, total=total))

    new = write_archive(file, contents, written=written)
    summary = f"{count(len(contents), 'file')}, {size(total)}" if new else "the same file is there"
    progress(Done(stage="export", summary=summary, seconds=time.monotonic() - began))
    return new


def enclose(path: Path, policy: OpenedPolicy) -> PolicyFiles:
    """Read the files that are enclosed with a policy that was loaded.

    Args:
        path: the policy's file.
        policy: what was read from it.

    Raises:
        PolicyError: a file lies outside of the policy's folder, or was changed meanwhile.
    """
    check_path(path.name, what="the policy's name")
    files = {path.name: policy_bytes(path)}
    if Digest.of(files[path.name]) != policy.digest:
        raise _changed(path)
    signature = path.with_name(path.name + SUFFIX)
    if signature.is_file():
        files[signature.name] = _bytes(signature, limit=MAX_SIGNATURE)
    for named, digest in policy.files:
        pure = PurePosixPath(named)
        if pure.is_absolute() or ".." in pure.parts:
            raise PolicyError(
                f"the policy names `{named}`, outside of its folder, which cannot be enclosed",
                hint="move the file beside the policy, or write the key into the policy",
                code="policy/outside",
            )
        check_path(str(pure), what=f"`{named}`, which the policy names,")
        raw = _bytes(path.parent / pure, limit=MAX_TRUST_ROOT)
        if Digest.of(raw) != digest:
            raise _changed(path.parent / pure)
        files[str(pure)] = raw
    return PolicyFiles(policy=policy, files=files, name=path.name)


def _bytes(file: Path, *, limit: int) -> bytes:
    with storage_errors(f"the policy's file {file}"):
        return read_regular(file, limit=limit)


def _changed(file: Path) -> PolicyError:
    return PolicyError(
        f"{file} was changed while it was read", hint="run it again", code="policy/changed"
    )


def _contents(
    reader: RegistryReader,
    closure: Closure,
    *,
    reference: Reference,
    named: EnclosedPolicy,
    files: Mapping[str, bytes],
) -> tuple[Exported, list[MemberContent]]:
    raws = (*closure.manifests, *closure.attached, *(raw for _, raw in closure.tags))
    index = index_bytes(Index(media_type=INDEX, manifests=tuple(_listed(closure))))
    small = {
        LAYOUT_FILE: _VERSION,
        INDEX_FILE: index,
        **{f"{POLICY_FOLDER}/{path}": raw for path, raw in files.items()},
        **{blob_path(raw.descriptor): raw.raw for raw in raws},
    }
    blobs = {path: blob for blob in closure.blobs if (path := blob_path(blob)) not in small}
    members = {
        **{path: Member(digest=Digest.of(raw), size=len(raw)) for path, raw in small.items()},
        **{path: Member(digest=blob.digest, size=blob.size) for path, blob in blobs.items()},
    }
    record = Exported(
        reference=reference, digest=closure.image.digest, policy=named, members=members
    )

    def streamed(path: str, blob: Descriptor) -> MemberContent:
        def pieces() -> AbstractContextManager[Iterator[bytes]]:
            return reader.stream(closure.image.repository, blob)

        return MemberContent(path=path, size=blob.size, pieces=pieces)

    contents = [whole(path, raw) for path, raw in small.items()]
    contents += [streamed(path, blob) for path, blob in blobs.items()]
    return record, [
        whole(RECORD, record_bytes(record)),
        *sorted(contents, key=lambda content: (content.path.startswith("blobs/"), content.path)),
    ]


def _listed(closure: Closure) -> Iterator[Descriptor]:
    """Yield the entries of index.json: what has a name, and what is attached.

    image-spec image-layout.md, "index.json file": the annotation names a descriptor. Entries for
    what is attached are like those of a registry's referrers (distribution-spec, "Listing
    Referrers"), so that a reader finds them without reading every manifest.
    """
    name = closure.image.repository.name
    named = {REF_NAME: f"{name}:{closure.image.tag}"} if closure.image.tag else NOTHING
    yield replace(closure.top.descriptor, annotations=named)
    for tag, raw in sorted(closure.tags, key=lambda pair: pair[0]):
        yield replace(raw.descriptor, annotations={REF_NAME: f"{name}:{tag}"})
    for raw in sorted(closure.attached, key=lambda raw: str(raw.digest)):
        yield as_referrer(raw, parse_manifest(raw.raw, raw.media_type))
