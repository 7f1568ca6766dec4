"""Names of images as Docker and Kubernetes complete them: without a host they are Docker Hub's."""

from imagekit.model.reference import is_host

_HUB = "docker.io"


def with_registry(text: str) -> str:
    """Return the name with the host, and the ``library/`` of single words on Docker Hub."""
    host, slash, path = text.partition("/")
    if not slash:
        return f"{_HUB}/library/{text}"
    if not is_host(host):
        return f"{_HUB}/{text}"
    return f"{_HUB}/library/{path}" if host == _HUB and "/" not in path else text
