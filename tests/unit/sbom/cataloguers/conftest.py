"""Images for tests of one cataloguer, made of a few files."""

from collections.abc import Callable, Mapping

import pytest

from imagekit.sbom.catalogue import catalogue
from imagekit.sbom.contents import Sbom, Subject
from imagekit.sbom.layer_files import read_layer

Listed = Callable[[Mapping[str, bytes]], Sbom]


@pytest.fixture
def listed(tar: Callable[..., bytes]) -> Listed:
    """Return what an image of one layer is made of."""

    def make(files: Mapping[str, bytes]) -> Sbom:
        layer = read_layer([tar(files)], layer="sha256:x", digest_programs=True)
        return catalogue([layer], subject=Subject(name="x"))

    return make
