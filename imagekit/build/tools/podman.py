"""Podman as the container runtime: images by digest only, whatever tags say meanwhile."""

import json
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, Self

from imagekit.errors import DocumentError, IntegrityError, ToolError
from imagekit.files import storage_errors
from imagekit.inputs import read_input
from imagekit.oci.codec import index_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import INDEX, REF_NAME, Index
from imagekit.paths import temporary_place

_MAX_AUTHORITIES = 4 << 20
_PULL_SECONDS = 3600.0
_HEX = frozenset("0123456789abcdef")
_ID = 64


class Finished(Protocol):
    """How a program ended."""

    @property
    def stdout(self) -> str:
        """What it wrote."""
        ...


class Programs(Protocol):
    """Runs programs, as ``imagekit.process.Runner`` does."""

    def run(self, argv: Sequence[str], *, limit: float = ...) -> Finished:
        """Run a program to its end; another exit code than 0 is a ToolError."""
        ...

    def foreground(self, argv: Sequence[str]) -> int:
        """Run a program with this process's own streams; return its exit code."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Podman:
    """The port ``ContainerRuntime`` over Podman.

    ``run_options`` are what this host needs, such as another OCI runtime.
    """

    programs: Programs
    options: RegistryOptions = field(default_factory=RegistryOptions)
    run_options: tuple[str, ...] = ()
    terminal: bool = False
    """Whether the container gets a terminal, as its caller has one."""
    words: tuple[str, ...] = ("podman",)
    """The program, with the options that choose another storage."""
    driver: str = ""
    """Of its storage; empty where that is not known."""

    def with_words(self, words: tuple[str, ...]) -> Self:
        """Return one that uses the storage that these words choose."""
        return replace(self, words=words)

    def pull(self, reference: PinnedReference, *, among: Collection[Digest] | None = None) -> str:
        """Pull by digest and return the image's id in the local storage.

        Podman chooses a manifest of an index by itself, and its registry may have more of them by
        now than when the index was judged: what it chose is compared afterwards.

        Args:
            reference: the image or index.
            among: manifests of which the stored one must be; None allows any.

        Raises:
            ToolError: Podman failed.
            IntegrityError: what it stored has another digest.
        """
        if reference.repository.layout is not None:
            found = self._pull_layout(reference)
        else:
            found = self._pull_registry(reference)
        image = found.strip().rpartition("\n")[2].strip()
        if len(image) != _ID or not _HEX.issuperset(image):
            raise ToolError(f"podman pull did not tell the id of {reference}")
        self._check(image, reference, among)
        return image

    def name(self, image: str, name: str) -> None:
        """Call an image in the storage by a name, and no more by that of a folder it came from.

        Raises:
            ToolError: Podman failed.
        """
        self.programs.run((*self.words, "tag", image, name), limit=60.0)
        shown = self.programs.run((*self.words, "image", "inspect", image), limit=60.0).stdout
        for other in _names(shown):
            # Podman makes a name of the folder's path where an image comes from a layout.
            if other.startswith("localhost/") and "/imagekit-" in other:
                self.programs.run((*self.words, "untag", image, other), limit=60.0)

    def run(
        self,
        reference: PinnedReference,
        arguments: Sequence[str],
        *,
        among: Collection[Digest] | None = None,
    ) -> int:
        """Pull what is not there, run it in the foreground, and return its exit code.

        Raises:
            ToolError: Podman is missing or the pull failed.
            IntegrityError: what it stored is not ``among`` what was judged.
        """
        # By id: names in the storage can be moved by whoever owns it.
        return self.start(self.pull(reference, among=among), arguments)

    def start(self, image: str, arguments: Sequence[str], *, more: Sequence[str] = ()) -> int:
        """Run what is there already, in the foreground, and return its exit code.

        Args:
            image: an image's id; or a folder, where ``more`` ends with ``--rootfs``.
            arguments: what goes to the entrypoint.
            more: further options.

        Raises:
            ToolError: Podman is missing.
        """
        terminal = ("--tty",) if self.terminal else ()
        # Never a pull behind our back.
        fixed = ("--rm", "--interactive", *terminal, "--read-only", "--pull", "never")
        options = (*fixed, *self.run_options, *more)
        return self.programs.foreground((*self.words, "run", *options, image, *arguments))

    def _pull_registry(self, reference: PinnedReference) -> str:
        repository = reference.repository
        plain = self.options.plain_http or repository.is_loopback
        words = [*self.words, "pull", "--quiet", f"--tls-verify={'false' if plain else 'true'}"]
        pinned = f"{repository.name}@{reference.digest}"
        if self.options.ca_file is None:
            return self.programs.run((*words, pinned), limit=_PULL_SECONDS).stdout
        with tempfile.TemporaryDirectory(prefix="imagekit-ca-") as folder:
            with storage_errors(f"the certificates {self.options.ca_file}"):
                # Podman takes whatever ends in .crt as an authority.
                raw = read_input(self.options.ca_file, limit=_MAX_AUTHORITIES)
                (Path(folder) / "ca.crt").write_bytes(raw)
            words += ["--cert-dir", folder]
            return self.programs.run((*words, pinned), limit=_PULL_SECONDS).stdout

    def _pull_layout(self, reference: PinnedReference) -> str:
        with one_image(reference) as folder:
            words = (*self.words, "pull", "--quiet", f"oci:{folder}")
            return self.programs.run(words, limit=_PULL_SECONDS).stdout

    def _check(
        self, image: str, reference: PinnedReference, among: Collection[Digest] | None
    ) -> None:
        """Compare what the storage says it holds with what was asked for, and may be chosen."""
        shown = self.programs.run((*self.words, "image", "inspect", image), limit=60.0).stdout
        stored = _digests(shown)
        if str(reference.digest) not in stored:
            what = f"podman stored another image than {reference}"
        elif among is not None and stored.isdisjoint(map(str, among)):
            what = f"podman chose a manifest of {reference} that was not judged with it"
        else:
            return
        # An image that containers use stays, and then the hint says what to do.
        with suppress(ToolError):
            self.programs.run((*self.words, "rmi", image), limit=60.0)
        raise IntegrityError(
            what, hint=f"remove it: podman rmi {image[:12]}", code="CONTENT_DIGEST_MISMATCH"
        )


@contextmanager
def one_image(reference: PinnedReference) -> Iterator[Path]:
    """Make a layout with this one image, for programs that cannot choose by digest themselves.

    Args:
        reference: the image, in a layout.

    Raises:
        ToolError: it is in no layout.
        RegistryError: the layout cannot be read.
    """
    layout = reference.repository.layout
    if layout is None:
        raise ToolError(f"{reference} is in no layout")
    wanted = LayoutRegistry().manifest(reference).descriptor
    # Without a name Podman makes one of the folder's path, which may not be one at all.
    tag = f"{reference.digest.algorithm}-{reference.digest.hex}"
    named = {REF_NAME: f"{reference.repository.name}:{tag}"}
    with _folder() as folder:
        with storage_errors(f"the layout {layout}"):
            (folder / "blobs").symlink_to(layout.resolve() / "blobs")
            (folder / "oci-layout").write_bytes((layout / "oci-layout").read_bytes())
            one = Index(media_type=INDEX, manifests=(replace(wanted, annotations=named),))
            (folder / "index.json").write_bytes(index_bytes(one))
        yield folder


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder whose name can be a repository's: Podman makes one of it."""
    folder = temporary_place() / f"imagekit-{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _names(shown: str) -> tuple[str, ...]:
    """Return the names of the one image that ``podman image inspect`` showed."""
    try:
        return tuple(str(name) for name in json.loads(shown)[0].get("RepoTags") or [])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DocumentError("podman image inspect did not show an image") from error


def _digests(shown: str) -> frozenset[str]:
    """Return the digests of the one image that ``podman image inspect`` showed."""
    try:
        found = json.loads(shown)[0]
        names = found.get("RepoDigests") or []
        return frozenset({str(found["Digest"]), *(str(n).rpartition("@")[2] for n in names)})
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DocumentError("podman image inspect did not show an image") from error
