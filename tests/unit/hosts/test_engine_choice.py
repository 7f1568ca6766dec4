"""Of an index, an engine is told the one judged manifest that is for this host."""

import json

import pytest

from imagekit.errors import InputError
from imagekit.hosts.engine_choice import image_for_host
from imagekit.oci.digest import Digest
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.types import INDEX, MANIFEST
from tests.support.fakes import MemoryRegistry, push_image

HERE = host_platform().architecture
APP = Repository("r.site", "app")


def _index(registry: MemoryRegistry, *architectures: str) -> tuple[PinnedReference, list[Digest]]:
    """Push an index; its tag would be looked up by nobody."""
    entries = []
    for number, architecture in enumerate(architectures):
        image = push_image(registry, APP, content=f"{number}".encode())
        entries.append(
            {
                "mediaType": MANIFEST,
                "digest": str(image.digest),
                "size": registry.manifest(image).descriptor.size,
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    index = registry.put_manifest(APP, INDEX, raw)
    return index, [Digest.parse(str(entry["digest"])) for entry in entries]


def test_an_image_of_its_own_is_asked_for_by_nobody() -> None:
    """It was judged itself."""
    digest = Digest.of(b"image")
    image = PinnedReference(APP, digest, tag="1")

    chosen = image_for_host(image, among=(digest,), reader=MemoryRegistry())

    assert (chosen.digest, chosen.tag) == (digest, None)


def test_of_an_index_this_hosts_image_is_chosen() -> None:
    """Wherever it stands."""
    registry = MemoryRegistry()
    index, digests = _index(registry, "riscv64", HERE, "s390x")

    assert image_for_host(index, among=digests, reader=registry).digest == digests[1]


@pytest.mark.parametrize(
    ("architectures", "judged"),
    [(["riscv64"], [0]), ([HERE, "riscv64"], [1]), ([HERE, HERE], [0, 1]), ([HERE], [])],
    ids=["other platform", "not judged", "two", "none judged"],
)
def test_without_one_judged_image_for_this_host_nothing_is_chosen(
    architectures: list[str], judged: list[int]
) -> None:
    """An engine is never left to choose."""
    registry = MemoryRegistry()
    index, digests = _index(registry, *architectures)
    among = [digests[number] for number in judged]

    with pytest.raises(InputError, match="and not one") as caught:
        image_for_host(index, among=among, reader=registry)

    assert caught.value.code == "run/no-image-for-host"


def test_of_two_that_fit_the_judged_one_is_chosen() -> None:
    """What was not judged is as if it were not there."""
    registry = MemoryRegistry()
    index, digests = _index(registry, HERE, HERE)

    assert image_for_host(index, among=digests[1:], reader=registry).digest == digests[1]
