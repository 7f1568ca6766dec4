"""Raw errors of Podman get their meaning and a way out; what is not known stays as it is."""

import pytest

from imagekit.build.tools.podman_faults import explained
from imagekit.errors import ToolError

# As Podman 4.3 and 5.4 print them.
_NO_IDS = (
    'Error: writing blob: adding layer with blob "sha256:28b0": ApplyLayer stdout:  stderr: '
    "potentially insufficient UIDs or GIDs available in user namespace (requested 0:42 for "
    "/etc/gshadow): Check /etc/subuid and /etc/subgid: lchown /etc/gshadow: invalid argument"
)
_NFS = "Error: mkdir /home/a/.local/share/containers/storage/.pivot_root1234: permission denied"


@pytest.mark.parametrize(
    ("output", "code"),
    [
        (_NO_IDS, "NO_SUBORDINATE_IDS"),
        ("x\nError: lchown /etc/gshadow: invalid argument", "NO_SUBORDINATE_IDS"),
        (_NFS, "NETWORK_STORAGE"),
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
