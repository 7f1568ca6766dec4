"""An exported image, and tar files that are it but for one thing."""

import io
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from imagekit.build.tools.podman import Podman
from imagekit.oci.location import LocatedReference
from imagekit.oci.reference import Reference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.offline.export import Export, ExportOptions, PolicyFiles, enclose, export
from imagekit.offline.import_ import Imported, ImportOptions, import_archive, opened
from imagekit.progress import silent
from imagekit.signatures.publickey import public_key_pem
from imagekit.verify.policies import load_unsigned
from imagekit.verify.verdict import Judge, Verdict
from imagekit.verify.verify import verify
from tests.support.fakes import FixedClock
from tests.support.signed import NOW, World, signed_world

POLICY = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: site, version: 3, expires: 2027-06-30T00:00:00Z}
images:
  - match: {glob: "r.site/apps/**"}
    authorities: [{name: release, key: {path: keys/release.pub}}]
    attestations: [{type: cyclonedx}]
"""

Member = tuple[tarfile.TarInfo, bytes]


@dataclass
class Site:
    """A registry with one signed image, and the policy that allows it."""

    world: World
    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Site":
        """Sign an image in both forms; write the policy with its key."""
        made = cls(signed_world(), folder)
        made.world.sign_legacy()
        (folder / "keys").mkdir()
        (folder / "keys/release.pub").write_bytes(public_key_pem(made.world.signer.public_key))
        (folder / "policy.yaml").write_text(POLICY)
        return made

    @property
    def policy(self) -> PolicyFiles:
        """The policy as it lies there."""
        file = self.folder / "policy.yaml"
        return enclose(file, load_unsigned(file))

    def judge(self, reference: LocatedReference | Reference, reader: RegistryReader) -> Verdict:
        """Judge by the policy."""
        return verify(reference, policy=self.policy.policy, reader=reader, clock=FixedClock(NOW))

    def export(
        self,
        name: str = "image.tar",
        *,
        options: ExportOptions | None = None,
        judge: Judge | None = None,
    ) -> Export:
        """Export the image; ``judge`` for a sender who lies."""
        registry = self.world.registry
        return export(
            self.world.reference,
            self.folder / name,
            judge=judge or (lambda reference: self.judge(reference, registry)),
            reader=registry,
            policy=self.policy,
            options=options,
            progress=silent,
        )

    def import_(
        self, name: str = "image.tar", *, to: str = "", options: ImportOptions | None = None
    ) -> Imported:
        """Import the file into the layout ``images``."""
        with opened(self.folder / name) as (archive, record):
            return import_archive(
                archive,
                record,
                to=to or f"oci:{self.folder}/images",
                judge=self.judge,
                make_podman=_no_podman,
                options=options or ImportOptions(),
                progress=silent,
            )

    def members(self) -> list[Member]:
        """Return what a good export holds."""
        self.export("good.tar")
        with tarfile.open(self.folder / "good.tar") as archive:
            return [(one, archive.extractfile(one).read()) for one in archive]  # type: ignore[union-attr]  # only files

    def rewrite(self, change: Callable[[list[Member]], Iterable[Member]]) -> Path:
        """Write a good export as ``image.tar``, changed."""
        file = self.folder / "image.tar"
        file.write_bytes(tar_bytes(change(self.members())))
        return file


def tar_bytes(members: Iterable[Member]) -> bytes:
    """Return a tar file of these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for header, raw in members:
            if header.isfile():
                header.size = len(raw)
            archive.addfile(header, io.BytesIO(raw))
    return buffer.getvalue()


def member(path: str, raw: bytes = b"", **fields: object) -> Member:
    """Return a member of a tar file."""
    header = tarfile.TarInfo(path)
    for name, value in fields.items():
        setattr(header, name, value)
    return header, raw


def _no_podman() -> Podman:
    raise AssertionError("no runtime was asked for")
