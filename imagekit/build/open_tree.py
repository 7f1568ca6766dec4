"""A mounted tree of which one folder is open: no entry is reached through a link.

A program that outlived its step could otherwise put a link to the host in a folder's place between
the moment when the tree was looked at and the one when it is read or written.
"""

import os
from pathlib import Path
from typing import Self

from imagekit import rooted


class OpenTree:
    """Opens the folders of a tree, one at a time."""

    def __init__(self, root: Path) -> None:
        self._top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open = os.dup(self._top)
        self._folder = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._open)
        os.close(self._top)

    def place(self, path: str) -> rooted.OpenPlace:
        """Open the folder of a path, until the next call, and return it with the last name.

        Raises:
            OSError: it is no folder any more.
        """
        folder, _, name = path.rpartition("/")
        if folder != self._folder:
            self.leave()
            for part in folder.split("/") if folder else ():
                self._enter(os.open(part, rooted.FOLDER, dir_fd=self._open))
            self._folder = folder
        return rooted.OpenPlace(self._open, name)

    def leave(self) -> None:
        """Go back to the top: what is open may not be where it was."""
        self._enter(os.dup(self._top))
        self._folder = ""

    def _enter(self, handle: int) -> None:
        os.close(self._open)
        self._open = handle
