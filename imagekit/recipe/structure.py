"""The tests of a container-structure-test file, as values.

https://github.com/GoogleContainerTools/container-structure-test, schemaVersion 2.0.0
"""

from collections.abc import Mapping

from msgspec import Struct, field

from imagekit.documents.place import SourcePlace
from imagekit.oci.digest import Digest
from imagekit.oci.types import NOTHING


class ExpectedText(Struct, frozen=True, kw_only=True):
    """Regular expressions (RE2) that must be found in a text, and those that must not."""

    expected: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


class CommandTest(Struct, frozen=True, kw_only=True):
    """A command that is run around the entrypoint."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    exit_code: int = 0
    output: ExpectedText = ExpectedText()
    error: ExpectedText = ExpectedText()
    place: SourcePlace


class ExistenceTest(Struct, frozen=True, kw_only=True):
    """A file that is there as it should be, or is not there."""

    name: str
    path: str
    should_exist: bool = True
    permissions: str = ""
    """As Go writes them: ``-rw-r--r--``; empty for any."""
    uid: int | None = None
    gid: int | None = None
    executable_by: str = ""
    """``any``, ``owner``, ``group`` or ``other``; empty where it does not matter."""
    place: SourcePlace


class ContentTest(Struct, frozen=True, kw_only=True):
    """What a file holds."""

    name: str
    path: str
    content: ExpectedText
    place: SourcePlace


class ExpectedValue(Struct, frozen=True, kw_only=True):
    """A variable or label that the image must have."""

    key: str
    value: str
    is_regex: bool = False


class MetadataTest(Struct, frozen=True, kw_only=True):
    """What the image's configuration must say; None where it may be anything."""

    env: tuple[ExpectedValue, ...] = ()
    unbound_env: tuple[str, ...] = ()
    labels: tuple[ExpectedValue, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    workdir: str | None = None
    user: str | None = None
    ports: tuple[str, ...] = ()
    unexposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    unmounted_volumes: tuple[str, ...] = ()
    place: SourcePlace


class LicenseTest(Struct, frozen=True, kw_only=True):
    """Files that name no licence which the format does not allow."""

    debian: bool
    """Whether they are those of Debian's packages."""
    files: tuple[str, ...] = ()
    place: SourcePlace


class StructureTests(Struct, frozen=True, kw_only=True):
    """All tests of one file."""

    file: str
    """Its path below the recipe's folder."""
    digest: Digest
    """Of its bytes."""
    user: str = ""
    """Whom its commands run as; empty for what the recipe says."""
    commands: tuple[CommandTest, ...] = ()
    files: tuple[ExistenceTest, ...] = ()
    contents: tuple[ContentTest, ...] = ()
    metadata: MetadataTest | None = None
    licenses: tuple[LicenseTest, ...] = ()
