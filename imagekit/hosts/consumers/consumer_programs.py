"""Consumers that are programs: skopeo, Podman and cosign, each with what it judges by.

Each is asked as it would pull, by digest. Whatever it ends with but 0 is no acceptance.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, field

from imagekit.build.tools.podman import PULL_SECONDS, Podman, Programs
from imagekit.errors import ConsumerRefusedError, ToolError, ToolNotFoundError
from imagekit.files import storage_errors
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.process import Runner, which

_COSIGN_SECONDS = 120.0


class Skopeo(Struct, frozen=True, kw_only=True):
    """``skopeo copy`` by a policy of containers-policy.json(5).

    It copies the whole image to a folder that is gone afterwards: it judges nothing else.
    """

    policy: Path
    registries: Path | None = None
    """A folder of containers-registries.d(5), instead of the host's."""
    options: RegistryOptions = field(default_factory=RegistryOptions)
    programs: Programs = field(default_factory=Runner)

    def __str__(self) -> str:
        return f"skopeo by {self.policy}"

    def check(self) -> None:
        """Look whether it is installed."""
        _installed("skopeo")

    def ask(self, image: PinnedReference) -> None:
        """Copy the image."""
        words = ["skopeo", "--policy", str(self.policy)]
        words += ["--registries.d", str(self.registries)] if self.registries else []
        words += ["copy", "--quiet", f"--src-tls-verify={_tls(image, self.options)}"]
        with _asked(self, image), tempfile.TemporaryDirectory(prefix="imagekit-skopeo-") as folder:
            if self.options.ca_file is not None:
                # containers-certs.d(5): a file that ends in .crt is an authority.
                with storage_errors(f"the certificates {self.options.ca_file}"):
                    shutil.copy(self.options.ca_file, Path(folder) / "ca.crt")
                words += ["--src-cert-dir", folder]
            words += [f"docker://{_pinned(image)}", f"dir:{folder}/image"]
            self.programs.run(words, limit=PULL_SECONDS)


class PodmanPull(Struct, frozen=True, kw_only=True):
    """``podman pull`` by a policy of containers-policy.json(5), into a storage of its own."""

    policy: Path
    options: RegistryOptions = field(default_factory=RegistryOptions)
    programs: Programs = field(default_factory=Runner)

    def __str__(self) -> str:
        return f"podman by {self.policy}"

    def check(self) -> None:
        """Look whether it is installed."""
        _installed("podman")

    def ask(self, image: PinnedReference) -> None:
        """Pull the image."""
        podman = Podman(programs=self.programs, options=self.options, policy=self.policy)
        with (
            _asked(self, image),
            tempfile.TemporaryDirectory(prefix="imagekit-podman-") as folder,
            podman.in_temporary_storage(Path(folder), "vfs") as own,
        ):
            own.pull(image)


class Cosign(Struct, frozen=True, kw_only=True):
    """``cosign verify`` by a public key, or by an identity."""

    key: str = ""
    """A file, or the URI of a key; empty for an identity."""
    identity: str = ""
    issuer: str = ""
    trusted_root: Path | None = None
    tlog: bool = True
    """Whether an entry of a transparency log is wanted."""
    options: RegistryOptions = field(default_factory=RegistryOptions)
    programs: Programs = field(default_factory=Runner)

    def __str__(self) -> str:
        return f"cosign by {self.key or self.identity}"

    def check(self) -> None:
        """Look whether it is installed."""
        _installed("cosign")

    def ask(self, image: PinnedReference) -> None:
        """Verify the image."""
        words = ["cosign", "verify", "--output", "json", *self._signer()]
        if self.trusted_root is not None:
            words += ["--trusted-root", str(self.trusted_root)]
        words += [] if self.tlog else ["--insecure-ignore-tlog=true"]
        words += ["--allow-http-registry"] if _tls(image, self.options) == "false" else []
        if self.options.ca_file is not None:
            words += ["--registry-cacert", str(self.options.ca_file)]
        with _asked(self, image):
            self.programs.run([*words, _pinned(image)], limit=_COSIGN_SECONDS)

    def _signer(self) -> tuple[str, ...]:
        if self.key:
            return ("--key", self.key)
        return (
            *("--certificate-identity", self.identity),
            *("--certificate-oidc-issuer", self.issuer),
        )


@contextmanager
def _asked(consumer: object, image: PinnedReference) -> Iterator[None]:
    """Turn a program's failure into a refusal, with what it wrote."""
    try:
        yield
    except ToolNotFoundError:
        raise
    except ToolError as error:
        raise ConsumerRefusedError(
            f"{consumer} does not accept {_pinned(image)}: {error.message}",
            hint="no tag was written; look at what it says, and at what it judges by",
            code="publish/consumer-refused",
            argv=error.argv,
            status=error.status,
            output=error.output,
        ) from error


def _installed(program: str) -> None:
    if which(program) is None:
        raise ToolNotFoundError(
            f"{program} is not installed, and has to accept the image before it is tagged",
            hint=f"install {program}, or take it out of the file of --consumers",
            code="publish/no-consumer",
        )


def _tls(image: PinnedReference, options: RegistryOptions) -> str:
    plain = options.of(image.repository.host).plain_http or image.repository.is_loopback
    return "false" if plain else "true"


def _pinned(image: PinnedReference) -> str:
    return f"{image.repository.name}@{image.digest}"
