"""The archives of one command: each is asked once, whichever recipes need it."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from imagekit.build import apt_sources
from imagekit.build.tools.mirrors import DISTRIBUTIONS, Mirrors, MirrorSource, mirrors_here
from imagekit.errors import ToolError
from imagekit.oci.types import Platform
from imagekit.process import Runner
from imagekit.recipe.recipe import AptSource
from imagekit.resolve.apt_root import AptRoot
from imagekit.resolve.ground import Ground

_DEBIAN: Mapping[str, str] = {
    "386": "i386",
    "arm": "armhf",
    "mips64le": "mips64el",
    "ppc64le": "ppc64el",
}
"""Debian's words for Go's, where they are others."""


class AptRoots:
    """Roots of apt, which go when the block of ``with`` ends.

    Args:
        runner: runs apt.
        mirrors: what the command line says of mirrors, by the names of the archives.
    """

    def __init__(self, runner: Runner, mirrors: Mapping[str, str]) -> None:
        self.runner = runner
        self._mirrors = mirrors
        self._stack = ExitStack()
        self._opened: dict[object, AptRoot] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def root(self, ground: Ground, platform: Platform, sources: tuple[AptSource, ...]) -> AptRoot:
        """Return the root for a system, its indexes fetched.

        Args:
            ground: the system.
            platform: what it is for.
            sources: the repositories that the recipe names.

        Raises:
            ToolError: a mirror is not known, or a source does not answer.
        """
        stated = {**ground.mirrors, **self._mirrors}
        named = tuple((s.uri, s.suite, s.components, s.key) for s in sources)
        key = (ground.distribution, ground.suite, tuple(stated.items()), platform, named)
        if key not in self._opened:
            name = self._stack.enter_context(TemporaryDirectory(prefix="imagekit-lock-"))
            mirrors = self._mirrors_of(ground, stated, optional=bool(sources))
            opened = self._open(Path(name), ground, platform, sources=sources, mirrors=mirrors)
            opened.update()
            self._opened[key] = opened
        return self._opened[key]

    def _mirrors_of(
        self, ground: Ground, stated: Mapping[str, str], *, optional: bool
    ) -> Mirrors | None:
        try:
            return mirrors_here(self.runner, ground.distribution, stated)
        except ToolError:
            if not optional:
                raise
            return None

    def _open(
        self,
        root: Path,
        ground: Ground,
        platform: Platform,
        *,
        sources: tuple[AptSource, ...],
        mirrors: Mirrors | None,
    ) -> AptRoot:
        own: tuple[MirrorSource, ...] = ()
        lines = ""
        if mirrors is not None:
            keyring = DISTRIBUTIONS[ground.distribution].keyring_of()
            own = mirrors.sources(ground.distribution, ground.suite)
            lines = mirrors.lines(ground.distribution, ground.suite, keyring=str(keyring))
        others = [MirrorSource(archive=s.uri, uri=s.uri, suite=s.suite) for s in sources]
        files = dict(apt_sources.files(lines, sources, folder=str(root)))
        # A minimal system is made of the distribution alone.
        files["bootstrap/mirrors.list"] = lines.encode()
        return AptRoot(
            self.runner,
            root,
            architecture=_DEBIAN.get(platform.architecture, platform.architecture),
            archives=(*own, *others),
            files=files,
        )
