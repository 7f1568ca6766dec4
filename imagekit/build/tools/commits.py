"""Working containers, checked before Buildah commits them.

Buildah makes a tar file of a tree that it commits, in which a name that begins with ``.wh.`` is a
whiteout (image-spec layer.md) and access control lists are missing. It reports neither, and
afterwards neither can be seen: the file is gone, or another one is, and the list's mask has become
the rights of the group. So trees are checked before. Buildah reads its signature policy before it
commits (containers-policy.json(5)); here that is a FIFO, so Buildah waits until the check is done.

Other builds use the same storage, and their trees are changing and not this build's: a container is
this build's where Buildah's own record of it has the build's mark.
"""

import json
import os
import stat
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from imagekit.build import attributes, tree_snapshot
from imagekit.build.job import ContainerStore
from imagekit.build.layer import refuse_whiteout
from imagekit.errors import ImagekitError, ToolError
from imagekit.inputs import read_regular

_PAUSE = 0.02
"""Seconds between two tries to find a reader of the policy."""
_MAX_LIST = 64 << 20
_MAX_RECORD = 16 << 20
_LISTS = ("containers.json", "volatile-containers.json")


class CommitGuard:
    """While it is open, nothing is committed that was not checked.

    Args:
        store: the storage that the containers are in.
        policy: where Buildah reads its policy; made here.
        text: the policy.
        mark: stands in the source of one of the build's secrets, and of no other build's.
    """

    def __init__(self, store: ContainerStore, policy: Path, text: bytes, *, mark: str) -> None:
        self._store = store
        self._policy = policy
        self._text = text
        self._mark = mark
        self._looked = False
        self._sockets = set[str]()
        self._fault: ImagekitError | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="commits")

    def __enter__(self) -> Self:
        self._policy.unlink(missing_ok=True)
        os.mkfifo(self._policy, 0o600)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()
        self._policy.unlink(missing_ok=True)

    def check(self) -> None:
        """Raise the fault of what is committed by now, if it has one.

        Raises:
            BuildError: no layer can hold it (``build/cannot-keep``).
            ToolError: a tree could not be read, or Buildah never waited.
        """
        if self._fault is not None:
            raise self._fault
        if not self._looked:
            raise ToolError(
                "Buildah committed an image without reading its policy, so nothing of it was seen",
                hint="report this with the version of Buildah",
            )

    @property
    def sockets(self) -> tuple[str, ...]:
        """The sockets that Buildah leaves out, sorted."""
        return tuple(sorted(self._sockets))

    def _serve(self) -> None:
        while not self._end.wait(_PAUSE):
            try:
                reader = os.open(self._policy, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                # fifo(7), ENXIO: no process has it open for reading.
                continue
            try:
                self._answer(reader)
            except OSError as error:
                self._fault = self._fault or ToolError(f"Buildah was not answered: {error}")

    def _answer(self, reader: int) -> None:
        try:
            # The next reader opens another FIFO, and does not get the rest of this one.
            other = self._policy.with_name(f"{self._policy.name}-next")
            other.unlink(missing_ok=True)
            os.mkfifo(other, 0o600)
            other.rename(self._policy)
            self._look()
            os.write(reader, self._text)
        finally:
            os.close(reader)

    def _look(self) -> None:
        try:
            for layer in self._layers():
                self._looked = True
                self._check(self._tree(layer))
        except ImagekitError as error:
            self._fault = self._fault or error
        except (OSError, ValueError, RecursionError) as error:
            self._fault = self._fault or ToolError(f"a working container cannot be read: {error}")

    def _check(self, tree: Path) -> None:
        """Refuse what the tar file of a tree would not hold, or hold as something else.

        Raises:
            BuildError: the tree has such an entry.
            OSError: the tree cannot be read.
        """
        for path, state in tree_snapshot.take(tree).entries.items():
            # Overlay's own whiteouts are character devices (kernel, overlayfs.rst).
            if not stat.S_ISCHR(state.mode):
                refuse_whiteout(path)
            if not stat.S_ISLNK(state.mode):
                attributes.refuse_access_list(path, f"{tree}/{path}")
            if stat.S_ISSOCK(state.mode):
                self._sockets.add(path)

    def _layers(self) -> frozenset[str]:
        """Return the layers that the build's working containers write to.

        Raises:
            ToolError: the storage's list cannot be read.
        """
        folder = self._store.folder.real / f"{self._store.driver}-containers"
        layers = set[str]()
        for name in _LISTS:
            try:
                listed = json.loads(read_regular(folder / name, limit=_MAX_LIST)) or ()
                layers.update(
                    str(entry["layer"])
                    for entry in listed
                    if self._is_ours(folder / str(entry["id"]) / "userdata/buildah.json")
                )
            except FileNotFoundError:
                continue
            except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
                message = f"the list of containers {folder / name} cannot be read: {error}"
                raise ToolError(message) from error
        return frozenset(layers)

    def _is_ours(self, record: Path) -> bool:
        """Return whether a container's record has the mark; one that cannot be read has none."""
        try:
            secrets = json.loads(read_regular(record, limit=_MAX_RECORD))["CommonBuildOpts"]
            return any(self._mark in str(secret) for secret in secrets["Secrets"] or ())
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return False

    def _tree(self, layer: str) -> Path:
        graph = self._store.folder.real
        if self._store.driver == "overlay":
            return graph / "overlay" / layer / "diff"
        return graph / self._store.driver / "dir" / layer
