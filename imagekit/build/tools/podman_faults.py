"""What raw errors of Podman and Buildah mean for a user, and the ways out that work here."""

from imagekit.errors import ToolError

STAGED = "run what is staged, which needs no storage: imagekit run --staged FILE.sqsh"
"""The way out that needs nothing of the host's configuration."""
OWN_IDS = (
    'or keep no owners: in storage.conf, [storage.options.overlay] ignore_chown_errors = "true"'
)
LOCAL_STORAGE = "or in ~/.config/containers/storage.conf: [storage] graphroot on a local disk"
LOCAL_BUILDS = "set XDG_DATA_HOME to a folder of a local disk: images are built there, too"
LOCAL_IDS = "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
OVERLAY = 'in ~/.config/containers/storage.conf: [storage] driver = "overlay"'
TRUST_FILES = (
    "policy.json takes images of the gate only: imagekit trust show (--user); pull it from there"
)
_NETWORK = "NETWORK_STORAGE"
_ENDS = "invalid argument"
_FAULTS = (
    # What is printed, in parts of one line; what it means; what to do; the code.
    (
        ("insufficient UIDs or GIDs",),
        "the image has files of other users, and this user has no subordinate ids for them",
        f"{STAGED}; {OWN_IDS}",
        "NO_SUBORDINATE_IDS",
    ),
    (
        ("lchown", _ENDS),
        "the image has files of other users, and this user has no subordinate ids for them",
        f"{STAGED}; {OWN_IDS}",
        "NO_SUBORDINATE_IDS",
    ),
    (
        # What runc says of a user that has no id in the container.
        ("unable to setup user", _ENDS),
        "the container runs as another user, and this user has no subordinate ids for one",
        f"as root: {LOCAL_IDS}",
        "NO_SUBORDINATE_IDS",
    ),
    (
        (".pivot_root", "permission denied"),
        "Podman's storage is on a network file system, which refuses the ids of containers",
        f"{STAGED}; {LOCAL_STORAGE}",
        _NETWORK,
    ),
    (
        # What fuse-overlayfs leaves, which ends on NFS.
        ("/merged: transport endpoint is not connected",),
        "Podman's storage is on a network file system, on which overlays do not work",
        f"{STAGED}; {LOCAL_STORAGE}",
        _NETWORK,
    ),
    (
        # The kernel's overlay; the mount_program that it asks for ends as above.
        ("a network file system with user namespaces is not supported",),
        "Podman's storage is on a network file system, on which overlays do not work",
        f"{STAGED}; {LOCAL_STORAGE}",
        _NETWORK,
    ),
    (
        ("lchown", "operation not permitted"),
        "Podman's storage is on a file system that refuses the ids of containers",
        f"{STAGED}; {LOCAL_STORAGE}",
        _NETWORK,
    ),
    (
        ("is rejected by policy",),
        "Podman's policy refuses the image",
        TRUST_FILES,
        "REJECTED_BY_PODMAN",
    ),
)


def explained(error: ToolError) -> ToolError:
    """Return the error with what it means and the way out, where Podman's words are known.

    Args:
        error: what Podman ended with. What it printed is kept, and only explained: nothing is
            decided by the words of another program.
    """
    lines = error.output.splitlines()
    for parts, message, hint, code in _FAULTS:
        if any(all(part in line for part in parts) for line in lines):
            return ToolError(
                message,
                hint=hint,
                code=code,
                argv=error.argv,
                status=error.status,
                output=error.output,
            )
    return error


def explained_build(error: ToolError) -> ToolError:
    """Return the error of Buildah with what it means and the way out, as ``explained`` does."""
    if explained(error).code != _NETWORK:
        return error
    return ToolError(
        "the storage of builds is on a network file system, which refuses what containers need",
        hint=LOCAL_BUILDS,
        code=_NETWORK,
        argv=error.argv,
        status=error.status,
        output=error.output,
    )
