"""The registry ports over a session: every byte is checked against its digest."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.errors import (
    DocumentError,
    IntegrityError,
    NotFoundError,
    RegistryError,
    TagRaceError,
)
from imagekit.oci.codec import as_referrer, index_bytes, parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, Repository, TaggedReference
from imagekit.oci.registry import protocol
from imagekit.oci.registry.answer_checks import check_status, claimed_digest, documents
from imagekit.oci.registry.bodies import BytesBody, FileBody
from imagekit.oci.registry.cache import AnswerCache
from imagekit.oci.registry.session import Session, read_bounded
from imagekit.oci.registry.transport import Body, Response
from imagekit.oci.types import (
    INDEX,
    INDEX_TYPES,
    MAX_MANIFEST,
    Descriptor,
    Index,
    RawManifest,
)

if TYPE_CHECKING:
    from imagekit.oci.registry.upload import Upload
    from imagekit.progress import Count

_PIECE = 1 << 20
_MANIFESTS = 16 << 20
_STORED = 4 << 20
# Of twelve writers at once, the list had one without reading back, and all with it.
_READ_BACK = 20
# RFC 9110 section 13.1.2: the request is carried out only where nothing is there.
_IF_ABSENT = {"If-None-Match": "*"}
_WINDOW = 0.8
"""Which part of the time that is waited for other writers of a tag an own write may take."""
_OK, _CREATED, _NOT_FOUND = 200, 201, 404
_PRECONDITION_FAILED = 412


class RegistryClient:
    """A registry's pull and push halves.

    Args:
        session: the conversation.
        sleep: waits between two looks at the list of referrers, or at a tag.
        now: a time that only goes on.
    """

    def __init__(
        self,
        session: Session,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._sleep = sleep
        self._now = now
        self._manifests: AnswerCache[RawManifest] = AnswerCache(most=_MANIFESTS)
        self._blobs: AnswerCache[bytes] = AnswerCache()
        # Of one process: a registry removes what nothing refers to, and not within minutes.
        self._stored: AnswerCache[bool] = AnswerCache(most=_STORED)

    def resolve(self, reference: TaggedReference) -> PinnedReference:
        """Return what the tag points to now."""
        return reference.pin(self.manifest(reference).digest)

    def manifest(self, reference: Reference) -> RawManifest:
        """Return the exact bytes of a manifest; those known by digest are not asked for again."""
        if isinstance(reference, PinnedReference):
            cached = self._manifests.get((reference.repository.name, reference.digest))
            if cached is not None:
                return cached
        manifest = self._get_manifest(reference)
        key = (reference.repository.name, manifest.digest)
        self._manifests.keep(key, manifest, size=len(manifest.raw))
        return manifest

    def remembers(self, repository: Repository, digest: Digest) -> bool:
        """Return whether the manifest or blob is known."""
        key = (repository.name, digest)
        return self._manifests.get(key) is not None or self._blobs.get(key) is not None

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Return a small blob whole; one that is known by digest is not asked for again."""
        if descriptor.size > limit:
            raise IntegrityError(
                f"the blob {descriptor.digest} has {descriptor.size} bytes, more than {limit}",
                code="TOO_LARGE",
            )
        # Another repository may not have it, or not for this user: that is an answer, too.
        key = (repository.name, descriptor.digest)
        cached = self._blobs.get(key)
        if cached is not None and len(cached) == descriptor.size:
            return cached
        with self.stream(repository, descriptor) as pieces:
            raw = b"".join(pieces)
        self._blobs.keep(key, raw, size=len(raw))
        return raw

    @contextmanager
    def stream(self, repository: Repository, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        """Yield a blob in pieces; the last one only when size and digest were right."""
        url = protocol.blob_path(repository, descriptor.digest)
        with self._session.send(
            repository, "GET", url, expected=descriptor.size, follow=True
        ) as response:
            check_status(response, (_OK,), what=f"the blob {descriptor.digest}")
            yield _checked(response, descriptor)

    def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        """Return all that name the manifest as their subject.

        Also what stands in the fallback tag of a registry that has the API. One that got it later
        must list what was attached before (distribution-spec, "Enabling the Referrers API"), but
        not every one does, nor does a proxy with an API of its own.
        """
        has_api, entries = self._listing(reference)
        if has_api:
            merged = (*self._from_tag(reference), *entries)
            entries = tuple({entry.digest: entry for entry in merged}.values())
            _check_count(len(entries), what=f"the referrers of {reference}")
        return entries

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the tags of a repository."""
        tags: list[str] = []
        what = f"the tags of {repository}"
        try:
            for page in self._pages(repository, protocol.tags_path(repository), what=what):
                tags += protocol.parse_tags(page)
                if len(tags) > protocol.MAX_TAGS:
                    raise RegistryError(f"{what}: over {protocol.MAX_TAGS}", code="TOO_LARGE")
        except NotFoundError:
            # Of a list that goes on, half is not the whole.
            if tags:
                raise
            return ()
        # distribution-spec, "Listing Tags": in lexical order, with or without regard to case. Here
        # always with it, whatever the registry does.
        return tuple(sorted(set(tags)))

    def repositories(self, host: str) -> tuple[Repository, ...]:
        """Return the repositories that the registry lists for this user."""
        registry, what = Repository(host, protocol.CATALOG), f"the repositories of {host}"
        names: list[str] = []
        for page in self._pages(registry, protocol.catalog_path(), what=what):
            names += protocol.parse_repositories(page)
            if len(names) > protocol.MAX_REPOSITORIES:
                raise RegistryError(f"{what}: over {protocol.MAX_REPOSITORIES}", code="TOO_LARGE")
        return tuple(Repository.parse(f"{host}/{name}") for name in sorted(set(names)))

    def has_blob(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Return whether the blob is there."""
        url = protocol.blob_path(repository, descriptor.digest)
        with self._session.send(repository, "HEAD", url, push=True) as response:
            if response.status == _NOT_FOUND:
                return False
            # A redirect to where blobs lie says that it is there.
            if 300 <= response.status < 400:  # noqa: PLR2004 - the class of redirects
                return True
            check_status(response, (_OK,), what=f"the blob {descriptor.digest}")
            return True

    def put_blob(
        self,
        repository: Repository,
        descriptor: Descriptor,
        source: Path,
        *,
        known_in: Sequence[Repository] = (),
        count: "Count | None" = None,
    ) -> bool:
        """Upload a file as a blob, unless it is there or can be mounted."""
        if self._is_stored(repository, descriptor):
            return False
        with closing(FileBody(source, descriptor, count=count)) as body:
            sent = self._upload(repository, descriptor, body).store(known_in)
        self._stored.keep((repository.name, descriptor.digest), True, size=0)
        return sent

    def put_bytes(self, repository: Repository, media_type: str, raw: bytes) -> Descriptor:
        """Upload a small blob, unless it is there."""
        descriptor = Descriptor(media_type=media_type, digest=Digest.of(raw), size=len(raw))
        if not self._is_stored(repository, descriptor):
            self._upload(repository, descriptor, BytesBody(raw)).store()
            self._stored.keep((repository.name, descriptor.digest), True, size=0)
        return descriptor

    def put_manifest(self, repository: Repository, media_type: str, raw: bytes) -> PinnedReference:
        """Store a manifest by digest; where it has a subject, it is listed as its referrer."""
        parsed = parse_manifest(raw, media_type)
        manifest = RawManifest(media_type=media_type, digest=Digest.of(raw), raw=raw)
        self._put(repository, str(manifest.digest), manifest)
        if parsed.subject is not None:
            subject = PinnedReference(repository, parsed.subject.digest)
            self._list(subject, (as_referrer(manifest, parsed),))
        return PinnedReference(repository, manifest.digest)

    def put_referrers(
        self, subject: PinnedReference, manifests: Sequence[RawManifest]
    ) -> tuple[Descriptor, ...]:
        """Store manifests that name one subject, and list them all at once."""
        descriptors = tuple(_referrer_of(subject, manifest) for manifest in manifests)
        for manifest in manifests:
            self._put(subject.repository, str(manifest.digest), manifest)
        return self._list(subject, descriptors)

    def tag(self, reference: TaggedReference, manifest: RawManifest) -> None:
        """Let the tag point to the manifest."""
        self._put(reference.repository, reference.tag, manifest)

    def tag_once(self, reference: TaggedReference, manifest: RawManifest) -> PinnedReference:
        """Let the tag point to the manifest if it is not there, and return what it points to then.

        A registry that knows conditions (RFC 9110 section 13.1.2) decides. Of others this holds:
        who is returned its own manifest saw no tag, wrote it soon after that look, and saw its own
        there after a time that is longer. Whoever wrote over it later had looked before it was
        there: that took longer than "soon", and is an error.
        """
        settle = self._session.settle_seconds
        decides = self._knows_conditions(reference.repository, manifest)
        began = self._now()
        existing = self._held(reference)
        if existing is not None:
            return existing
        try:
            self._put(reference.repository, reference.tag, manifest, only_if_absent=True)
        except RegistryError:
            # 412, or what registries with immutable tags of their own answer.
            existing = self._held(reference)
            if existing is None:
                raise
            return existing
        took = self._now() - began
        if not decides:
            if took > settle * _WINDOW:
                raise TagRaceError(
                    f"storing {reference} took {took:.1f} s: whether somebody else wrote it in the "
                    "meantime is not known",
                    hint="look what the tag points to, and publish again when the registry is "
                    "less busy",
                    code="TAG_RACE",
                )
            self._sleep(settle)
        return self.resolve(reference)

    def _held(self, reference: TaggedReference) -> PinnedReference | None:
        try:
            return self.resolve(reference)
        except NotFoundError:
            return None

    def _knows_conditions(self, repository: Repository, manifest: RawManifest) -> bool:
        """Return whether a manifest that is there is refused where it is sent on that condition."""
        # A registry without conditions stores the same bytes once more, and nothing has changed.
        url = protocol.manifest_path(repository, str(manifest.digest))
        headers = {"Content-Type": manifest.media_type, **_IF_ABSENT}
        with self._session.send(
            repository, "PUT", url, headers=headers, body=BytesBody(manifest.raw), push=True
        ) as response:
            return response.status == _PRECONDITION_FAILED

    def _get_manifest(self, reference: Reference) -> RawManifest:
        pinned = reference.digest if isinstance(reference, PinnedReference) else None
        name = str(pinned) if isinstance(reference, PinnedReference) else reference.tag
        url = protocol.manifest_path(reference.repository, name)
        headers = {"Accept": protocol.ACCEPT}
        with self._session.send(reference.repository, "GET", url, headers=headers) as response:
            check_status(response, (_OK,), what=str(reference))
            what = f"the manifest of {reference}"
            raw = read_bounded(response, MAX_MANIFEST, what=what)
            claimed = claimed_digest(response, what=what)
            media_type = protocol.media_type(response.header("Content-Type"))
        # distribution-spec, "Pulling manifests": of a tag the digest is computed from what came.
        # Docker-Content-Digest may be left out, and where it is there it has to match.
        digest = Digest.of(raw) if pinned is None else pinned
        digest.check(raw, what=what)
        _check_claim(claimed, raw, what=what)
        # What is neither a manifest nor what it says it is goes no further.
        with documents(str(reference)):
            parse_manifest(raw, media_type)
        return RawManifest(media_type=media_type, digest=digest, raw=raw)

    def _put(
        self,
        repository: Repository,
        name: str,
        manifest: RawManifest,
        *,
        only_if_absent: bool = False,
    ) -> None:
        url = protocol.manifest_path(repository, name)
        headers = {"Content-Type": manifest.media_type, **(_IF_ABSENT if only_if_absent else {})}
        body = BytesBody(manifest.raw)
        with self._session.send(
            repository, "PUT", url, headers=headers, body=body, push=True
        ) as response:
            check_status(response, (_OK, _CREATED), what=f"{repository}: storing {name}")
            what = f"what was sent as {name}"
            claimed = claimed_digest(response, what=what)
        _check_claim(claimed, manifest.raw, what=what)

    # Referrers: the API, else the tag (distribution-spec "Listing Referrers", "Pushing
    # Manifests with Subject").

    def _listing(self, reference: PinnedReference) -> tuple[bool, tuple[Descriptor, ...]]:
        """Return whether the registry has the API, and the referrers.

        The API is asked for every time. A 404 says that there is none, and also that the subject
        is not there: what one answer says of one subject says nothing of another, nor of the
        same subject later, when a withdrawal may be listed.
        """
        entries = self._from_api(reference)
        return (False, self._from_tag(reference)) if entries is None else (True, entries)

    def _from_api(self, reference: PinnedReference) -> tuple[Descriptor, ...] | None:
        by_digest: dict[Digest, Descriptor] = {}
        what = f"the referrers of {reference}"
        url = protocol.referrers_path(reference.repository, reference.digest)
        try:
            for page in self._pages(reference.repository, url, what=what, kind=INDEX):
                for entry in _index(page, INDEX, what=what).manifests:
                    # What is attached meanwhile moves the others: a page may repeat some of the one
                    # before.
                    by_digest[entry.digest] = entry
                _check_count(len(by_digest), what=what)
        except _NoApiError:
            return None
        return tuple(by_digest.values())

    def _from_tag(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        tag = TaggedReference(reference.repository, protocol.fallback_tag(reference.digest))
        try:
            manifest = self._get_manifest(tag)
        except NotFoundError:
            return ()
        # distribution-spec, "Listing Referrers", lets a client conclude from something else than an
        # index that there are no referrers. Here it is an error, as a withdrawal may be among them.
        what = f"the referrers of {reference}"
        entries = _index(manifest.raw, manifest.media_type, what=what).manifests
        _check_count(len(entries), what=what)
        return entries

    def _list(
        self, subject: PinnedReference, descriptors: Sequence[Descriptor]
    ) -> tuple[Descriptor, ...]:
        """Make referrers visible, whoever else writes the same index at the same time.

        Registries ignore If-Match, so the index is read back and written again until the own
        entries are in it; the pause is longer than another writer takes between reading and
        writing.
        """
        # distribution-spec, "Pushing Manifests with Subject": OCI-Subject says that the registry
        # took note of the subject. The list is read all the same: what counts is that others see
        # it.
        missing = list(descriptors)
        for attempt in range(_READ_BACK):
            began = time.monotonic()
            has_api, entries = self._listing(subject)
            there = {entry.digest for entry in entries}
            missing = [entry for entry in descriptors if entry.digest not in there]
            if not missing:
                return entries
            # A registry with the API lists it by itself, perhaps a little later.
            if not has_api:
                self._put_index(subject, (*entries, *missing))
            took = time.monotonic() - began
            jitter = random.uniform(0.01, 0.05)  # noqa: S311 - no secret
            self._sleep(min(2.0, 2 * took + jitter * (1 + attempt)))
        raise RegistryError(
            f"{subject}: the referrer {missing[0].digest} does not appear in the registry's list",
            hint="others write the same list without pause; run it again",
            code="REFERRER_LOST",
        )

    def _put_index(self, subject: PinnedReference, entries: tuple[Descriptor, ...]) -> None:
        raw = index_bytes(Index(media_type=INDEX, manifests=entries))
        index = RawManifest(media_type=INDEX, digest=Digest.of(raw), raw=raw)
        self._put(subject.repository, protocol.fallback_tag(subject.digest), index)

    def _pages(
        self, repository: Repository, url: str, *, what: str, kind: str = ""
    ) -> Iterator[bytes]:
        """Yield the pages of a list.

        Raises:
            RegistryError: a page is missing, or they do not end.
        """
        at: str | None = f"{self._session.base(repository)}{url}"
        headers = {"Accept": kind} if kind else {}
        for number in range(protocol.MAX_PAGES):
            if at is None:
                return
            with self._session.send(repository, "GET", at, headers=headers) as response:
                # Only the first page says whether there is an API; without a later one the list is
                # not whole.
                if kind and number == 0 and response.status in protocol.NO_REFERRERS_API:
                    raise _NoApiError(what)
                check_status(response, (_OK,), what=what)
                media_type = protocol.media_type(response.header("Content-Type"))
                if kind and not media_type:
                    # Perhaps the headers were cut off: that is no word on what the registry can.
                    raise RegistryError(
                        f"{what}: the registry does not say what it sent",
                        hint="try again; if it fails again, ask whoever runs the registry",
                        code="BAD_ANSWER",
                    )
                # distribution-spec, "Listing Referrers": the Content-Type has to be that of an
                # index. A page for unknown paths, answered with 200, is none.
                if kind and media_type != kind:
                    raise (
                        _NoApiError(what)
                        if number == 0
                        else DocumentError(
                            f"{what}: page {number + 1} is {protocol.shown(media_type)}",
                            code="BAD_MEDIA_TYPE",
                        )
                    )
                link = response.header("Link")
                yield read_bounded(response, MAX_MANIFEST, what=what)
            at = protocol.next_page(link, at) if link else None
        if at is not None:
            raise RegistryError(
                f"{what}: over {protocol.MAX_PAGES} pages",
                hint="the registry's pages do not end; nothing was concluded from them",
                code="TOO_LARGE",
            )

    def _is_stored(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Return whether a blob is there; one that was seen there is not asked for again."""
        key = (repository.name, descriptor.digest)
        if self._stored.get(key) is None:
            if not self.has_blob(repository, descriptor):
                return False
            self._stored.keep(key, True, size=0)
        return True

    def _upload(self, repository: Repository, descriptor: Descriptor, body: Body) -> "Upload":
        from imagekit.oci.registry.upload import Upload

        return Upload(
            self._session, repository, descriptor=descriptor, body=body, sleep=self._sleep
        )


class _NoApiError(Exception):
    """The answer is something, but no list of referrers."""


def _check_claim(claimed: Digest | None, raw: bytes, *, what: str) -> None:
    """Compare the bytes with Docker-Content-Digest, where there is one."""
    # distribution-spec, "Pulling manifests": it may be by another algorithm than the digest asked
    # for.
    if claimed is not None:
        claimed.check(raw, what=what)


def _check_count(count: int, *, what: str) -> None:
    if count > protocol.MAX_REFERRERS:
        raise RegistryError(
            f"{what}: over {protocol.MAX_REFERRERS}",
            hint="no image needs so many: somebody filled the list, and it was not used",
            code="TOO_LARGE",
        )


def _checked(response: Response, descriptor: Descriptor) -> Iterator[bytes]:
    """Yield the body, the last piece held back until size and digest are known."""
    hasher = hashlib.new(descriptor.digest.algorithm)
    held, size = b"", 0
    # What goes on behind the size is not read: it need not end.
    while size <= descriptor.size and (piece := response.read(_PIECE)):
        size += len(piece)
        hasher.update(piece)
        if held:
            yield held
        held = piece
    if size != descriptor.size or hasher.hexdigest() != descriptor.digest.hex:
        raise IntegrityError(
            f"the registry's bytes are not those of {descriptor.digest}",
            hint="something between here and the store altered or cut them: do not use them",
            code="CONTENT_DIGEST_MISMATCH",
        )
    yield held


def _index(raw: bytes, media_type: str, *, what: str) -> Index:
    with documents(what):
        parsed = parse_manifest(raw, media_type) if media_type in INDEX_TYPES else None
        if not isinstance(parsed, Index):
            raise DocumentError("the list of referrers is no index", code="BAD_MEDIA_TYPE")
        return parsed


def _referrer_of(subject: PinnedReference, manifest: RawManifest) -> Descriptor:
    parsed = parse_manifest(manifest.raw, manifest.media_type)
    if parsed.subject is None or parsed.subject.digest != subject.digest:
        raise IntegrityError(f"{manifest.digest} does not name {subject} as its subject")
    return as_referrer(manifest, parsed)
