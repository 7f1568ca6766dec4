"""Which upstream a request means, however its client spells the registry."""

import pytest

from imagekit.errors import InputError
from imagekit.gate.answers import RequestRefusedError
from imagekit.gate.request_paths import AskManifest
from imagekit.gate.upstreams import Site, Upstream, Upstreams
from imagekit.oci.registry.options import RegistryOptions

_UPSTREAMS = Upstreams.of(
    (
        Upstream.parse("hub=index.docker.io", RegistryOptions()),
        Upstream.parse("site=R.Site:443", RegistryOptions()),
        Upstream.parse("inner=http://registry:80", RegistryOptions()),
    )
)


def _located(ask: AskManifest) -> Site:
    return _UPSTREAMS.site(_UPSTREAMS.choose(ask))


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("docker.io", "docker.io/org/app"),
        ("registry-1.docker.io", "docker.io/org/app"),
        ("r.site", "r.site/org/app"),
        ("R.SITE.", "r.site/org/app"),
        ("r.site:443", "r.site/org/app"),
        ("registry:80", "registry/org/app"),
        ("registry", "registry/org/app"),
    ],
)
def test_a_namespace_in_any_spelling(namespace: str, name: str) -> None:
    """Rights and rules are those of the one name that the upstream has."""
    site = _located(AskManifest("org/app", "1", namespace))

    assert site.repository.name == name


@pytest.mark.parametrize("namespace", ["r.site:80", "127.1", "r.site.evil", "r%2esite", "a b"])
def test_a_namespace_that_is_none(namespace: str) -> None:
    """What is no upstream, or could be several hosts, is not asked for."""
    with pytest.raises(RequestRefusedError):
        _located(AskManifest("org/app", "1", namespace))


@pytest.mark.parametrize("text", ["", "a=", "127.1", "http://r.site:443", "0.0.0.0:5000", "a b"])
def test_no_upstream(text: str) -> None:
    """A gate does not start before a registry that has no one name."""
    with pytest.raises(InputError):
        Upstream.parse(text, RegistryOptions())


def test_official_images_of_docker_hub() -> None:
    """A word alone is below library/, for policies as for the registry."""
    site = _located(AskManifest("hub/debian", "12"))

    assert site.repository.name == "docker.io/library/debian"
    # Rights know it by this one name, too.
    for path, namespace in (("debian", "docker.io"), ("hub/library/debian", "")):
        assert _UPSTREAMS.choose(AskManifest(path, "12", namespace)).path == "hub/library/debian"
