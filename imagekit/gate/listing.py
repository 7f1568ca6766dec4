"""Lists: tags, referrers and repositories, as far as the configuration gives them."""

import json
from collections.abc import Callable, Sequence
from urllib.parse import quote

from msgspec import Struct

from imagekit.gate.answers import Answer, RequestRefusedError
from imagekit.gate.clients import Asker
from imagekit.gate.decisions.service import DecisionService
from imagekit.gate.request_paths import AskCatalog, AskReferrers, AskTags
from imagekit.gate.upstreams import Site, Upstreams
from imagekit.oci.codec import descriptor_document
from imagekit.oci.reference import PinnedReference
from imagekit.oci.types import INDEX

_PAGE = 1000


class Listings(Struct, frozen=True, kw_only=True):
    """Which lists are given."""

    with_tags: bool = True
    with_referrers: bool = True
    with_catalog: bool = False

    def catalog(
        self, ask: AskCatalog, upstreams: Upstreams, *, seen: Callable[[str], bool]
    ) -> Answer:
        """Answer ``_catalog``: what layouts hold; a registry's is not asked for.

        Args:
            ask: which part of the list.
            upstreams: what is in front of which.
            seen: returns whether the client may see a repository.

        Raises:
            RequestRefusedError: it is not given.
        """
        names = upstreams.catalog() if self.with_catalog else None
        if names is None:
            raise _off("the list of repositories")
        names = tuple(name for name in names if seen(name))
        return _page("repositories", names, count=ask.count, last=ask.last, path="/v2/_catalog")

    async def answer(
        self, ask: AskTags | AskReferrers, site: Site, decisions: DecisionService, *, asker: Asker
    ) -> Answer:
        """Answer a list of tags or referrers.

        Raises:
            RequestRefusedError: it is not given, or the upstream does not give it.
        """
        if isinstance(ask, AskTags):
            if not self.with_tags:
                raise _off("the list of tags")
            tags = await decisions.tags(site.upstream, site.repository, asker=asker)
            path = f"/v2/{ask.path}/tags/list"
            return _page("tags", tags, count=ask.count, last=ask.last, path=path, name=ask.path)
        if not self.with_referrers:
            raise _off("the list of referrers")
        return await self._referrers(ask, site, decisions, asker=asker)

    async def _referrers(
        self, ask: AskReferrers, site: Site, decisions: DecisionService, *, asker: Asker
    ) -> Answer:
        subject = PinnedReference(site.repository, ask.digest)
        referrers = await decisions.referrers(site.upstream, subject, asker=asker)
        wanted = set(ask.artifact_types)
        listed = [
            referrer for referrer in referrers if not wanted or referrer.artifact_type in wanted
        ]
        # distribution-spec, "Listing Referrers": where there are none, the list is empty and no
        # 404.
        document = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [descriptor_document(referrer) for referrer in listed],
        }
        # distribution-spec, "Listing Referrers": a client that asked for a filter sees whether
        # there was one.
        headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        body = json.dumps(document, separators=(",", ":")).encode()
        return Answer(content_type=INDEX, body=body, headers=headers)


def _page(
    key: str,
    names: Sequence[str],
    *,
    count: int | None,
    last: str,
    path: str,
    name: str = "",
) -> Answer:
    """Return one page (distribution-spec "Listing Tags"), with the way to the next one."""
    # By order and not by place: the tag in ``last`` may be gone by now.
    rest = [entry for entry in names if entry > last] if last else [*names]
    limit = _PAGE if count is None else count
    page = rest[:limit]
    document = {**({"name": name} if name else {}), key: page}
    headers = {}
    # With n=0 the list is empty, and there is no Link.
    if page and len(rest) > len(page):
        # Relative (RFC 8288 section 3.1): what clients call this host, the gate need not know.
        headers["Link"] = f'<{path}?n={limit}&last={quote(page[-1], safe="")}>; rel="next"'
    return Answer(body=json.dumps(document).encode(), headers=headers)


def _off(what: str) -> RequestRefusedError:
    return RequestRefusedError(404, "UNSUPPORTED", f"imagekit gate: {what} is not given here")
