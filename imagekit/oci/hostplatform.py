"""The platform of this machine, in the words of OCI's image indexes."""

import platform

from imagekit.oci.types import Platform

# image-spec, image-index, platform: the values of Go's GOARCH. Others are the kernel's own words,
# such as ppc64le, s390x and riscv64.
_GOARCH = {"x86_64": "amd64", "aarch64": "arm64"}


def host_platform() -> Platform:
    """Return the platform of the images that run on this machine."""
    machine = platform.machine()
    return Platform(os="linux", architecture=_GOARCH.get(machine, machine))
