"""Raw errors of Podman get their meaning and a way out; what is not known stays as it is."""

import pytest

from imagekit.build.tools.podman_faults import LOCAL_BUILDS, explained, explained_build
from imagekit.errors import ToolError

# As Podman 4.3 and 5.4 print them.
_NO_IDS = (
    'Error: writing blob: adding layer with blob "sha256:28b0": ApplyLayer stdout:  stderr: '
    "potentially insufficient UIDs or GIDs available in user namespace (requested 0:42 for "
    "/etc/gshadow): Check /etc/subuid and /etc/subgid: lchown /etc/gshadow: invalid argument"
)
_NO_USER = (
    "Error: OCI runtime error: /usr/sbin/runc: runc create failed: unable to start "
    "container process: unable to setup user: invalid argument"
)
# As it is on a home of NFS 4.2, by vfs and by fuse-overlayfs.
_NFS = (
    'Error: writing blob: adding layer with blob "sha256:cd6e": ApplyLayer stdout:  stderr: '
    "setting up pivot dir: mkdir /home/a/.local/share/containers/storage/vfs/dir/f450/"
    ".pivot_root3055320758: permission denied exit status 1"
)
_FUSE = (
    'Error: adding content to container "imagekit-work-job-bf64-main": mounting build container '
    '"e84a": lstat /home/a/.local/share/imagekit/containers/overlay/ca29/merged: transport '
    "endpoint is not connected"
)

_KERNEL = (
    "Error: a network file system with user namespaces is not supported.  Please use a "
    "mount_program: backing file system is unsupported for this graph driver"
)


@pytest.mark.parametrize(
    ("output", "code"),
    [
        (_NO_IDS, "NO_SUBORDINATE_IDS"),
        ("x\nError: lchown /etc/gshadow: invalid argument", "NO_SUBORDINATE_IDS"),
        (_NO_USER, "NO_SUBORDINATE_IDS"),
        (_NFS, "NETWORK_STORAGE"),
        (_FUSE, "NETWORK_STORAGE"),
        (_KERNEL, "NETWORK_STORAGE"),
        ("Error: lchown /home/a/x: operation not permitted", "NETWORK_STORAGE"),
        (
            "Error: Source image rejected: Running image oci:/tmp/x: is rejected by policy.",
            "REJECTED_BY_PODMAN",
        ),
    ],
)
def test_what_is_known_is_explained(output: str, code: str) -> None:
    """With what Podman printed, which may say more."""
    error = ToolError("podman pull: ended with 125", argv=("podman",), status=125, output=output)

    told = explained(error)

    assert told.code == code
    assert told.hint
    assert (told.argv, told.status, told.output) == (("podman",), 125, output)


@pytest.mark.parametrize("output", ["", "invalid argument", "lchown x\ninvalid argument"])
def test_what_is_not_known_stays(output: str) -> None:
    """The parts have to stand in one line."""
    error = ToolError("podman pull: ended with 125", output=output)

    assert explained(error) is error


@pytest.mark.parametrize("output", [_NFS, _FUSE, _KERNEL])
def test_builds_have_a_storage_of_their_own(output: str) -> None:
    """So that Podman's configuration is no remedy for them."""
    error = ToolError("buildah copy: ended with 125", argv=("b",), status=125, output=output)

    told = explained_build(error)

    assert (told.code, told.hint) == ("NETWORK_STORAGE", LOCAL_BUILDS)
    assert (told.argv, told.status, told.output) == (("b",), 125, output)


@pytest.mark.parametrize("output", ["", _NO_IDS])
def test_other_errors_of_builds_stay(output: str) -> None:
    """What helps a user who runs an image helps nobody who builds one."""
    error = ToolError("buildah copy: ended with 125", output=output)

    assert explained_build(error) is error
