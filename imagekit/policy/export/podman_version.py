"""Which words of containers-policy.json(5) which Podman knows.

An unknown key in policy.json rejects the whole file and with it every pull, so nothing newer than
the target may be written. The versions are those of Podman's vendored containers/image.
"""

from msgspec import Struct

from imagekit.documents.digits import decimal
from imagekit.errors import UsageError

NEWEST = (5, 8)
"""What is written for where no version is asked for; what is newer reads it too."""
_SIGSTORE, _FULCIO, _SEVERAL = (4, 2), (4, 4), (5, 3)


class PodmanVersion(Struct, frozen=True, order=True):
    """A version of Podman."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> "PodmanVersion":
        """Read ``4.3`` or ``5.4.2``; an empty text is the newest.

        Raises:
            UsageError: it is not a version, or older than sigstoreSigned.
        """
        match [decimal(part, most=3) for part in text.split(".")] if text else NEWEST:
            case [int(major), int(minor)] | [int(major), int(minor), int(_)]:
                version = cls(major, minor)
            case _:
                raise UsageError(
                    f"{text!r:.40} is not a version of Podman",
                    hint="write containers-policy:5.4, or containers-policy for the newest",
                )
        if (version.major, version.minor) < _SIGSTORE:
            raise UsageError(
                f"Podman {version} knows no Sigstore signatures in policy.json",
                hint="they came with Podman 4.2 (Skopeo 1.9, Buildah 1.27, CRI-O 1.25)",
            )
        return version

    @property
    def fulcio(self) -> bool:
        """Whether it knows ``fulcio`` and ``rekorPublicKeyData``."""
        return (self.major, self.minor) >= _FULCIO

    @property
    def several(self) -> bool:
        """Whether it knows ``keyDatas`` and ``rekorPublicKeyDatas``: one of several keys."""
        return (self.major, self.minor) >= _SEVERAL

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"
