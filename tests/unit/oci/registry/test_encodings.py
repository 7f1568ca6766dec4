"""Bodies with a Content-Encoding: taken as they came, since that is what digests are of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.oci.registry.options import RegistryOptions
from tests.support.hostile import Answer, HostileRegistry
from tests.support.server_requests import BODY, DIGEST, WAYS


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "br", "identity"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_body_is_taken_as_it_came(
    way: Callable[..., bytes], encoding: str, tmp_path: Path
) -> None:
    """Servers that call a compressed file an encoding of what is in it send the right bytes."""
    answer = Answer(body=BODY, headers={"Content-Encoding": encoding})
    with HostileRegistry(lambda _: answer) as server:
        url = f"http://{server.host}/v2/a/b/blobs/{DIGEST}"
        assert way(url, RegistryOptions(), tmp_path) == BODY
    assert [asked.headers["accept-encoding"] for asked in server.asked] == ["identity"]
