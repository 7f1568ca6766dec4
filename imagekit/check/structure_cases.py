"""The cases of a container-structure-test file: what each of its tests says, and when it fails.

https://github.com/GoogleContainerTools/container-structure-test, schemaVersion 2.0.0. Its command
tests are run as the recipe says; the others read the image's layers and configuration.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.job import Trial, TrialOutcome
from imagekit.check.cases import Case, CommandCase, LookCase, status_fault, trial_of
from imagekit.check.image_files import ImageFile, ImageFiles
from imagekit.errors import DocumentError
from imagekit.oci.tar import EntryKind
from imagekit.oci.types import ImageConfig
from imagekit.recipe.image_test import ImageTest
from imagekit.recipe.re2 import compile_re2
from imagekit.recipe.structure import (
    CommandTest,
    ContentTest,
    ExistenceTest,
    ExpectedText,
    ExpectedValue,
    LicenseTest,
    MetadataTest,
    StructureTests,
)

METADATA, LICENSES = "metadataTest", "licenseTests"
"""The names of tests that have none in their file: the keys that they stand under."""
# Go's os.Expand: a name, or one of the shell's special characters.
_SPECIAL = "*#$@!?0-9-"
_VARIABLE = re.compile(
    rf"\$(?:\{{([A-Za-z0-9_]+|[{_SPECIAL}])\}}|([A-Za-z_][A-Za-z0-9_]*|[{_SPECIAL}]))"
)
_DEBIAN, _COPYRIGHT = "/usr/share/doc", "copyright"
_NOT_ALLOWED = ("AGPL", "WTFPL")
_EXCEPTED = frozenset({"libgnutls30"})
_EXECUTE = {"any": 0o111, "owner": 0o100, "group": 0o010, "other": 0o001}
_LETTERS = {EntryKind.FOLDER: "d", EntryKind.SYMLINK: "L"}
_T = TypeVar("_T")


class TestedImage(Struct, frozen=True, kw_only=True):
    """What is looked at of an image."""

    config: ImageConfig
    files: Callable[[], ImageFiles]
    """Reads its layers, once."""

    @property
    def env(self) -> Mapping[str, str]:
        """Its variables."""
        return {name: value for name, _, value in (v.partition("=") for v in self.config.env)}


def structure_cases(
    test: ImageTest, tests: StructureTests, image: TestedImage, *, longest: int
) -> Iterator[Case]:
    """Yield the cases of a file, in the order of its format.

    Args:
        test: names the file, and says how its commands are run.
        tests: what the file says.
        image: the image.
        longest: seconds that a command may take, where the recipe does not say it.
    """
    trial = trial_of(test, (), longest=longest, user=tests.user)
    for command in tests.commands:
        yield _command(command, image, trial)
    for file in tests.files:
        look = _look(_file_fault, file, image)
        yield LookCase(name=file.name, place=file.place, look=look)
    for content in tests.contents:
        look = _look(_content_fault, content, image)
        yield LookCase(name=content.name, place=content.place, look=look)
    for licenses in tests.licenses:
        look = _look(_license_fault, licenses, image)
        yield LookCase(name=LICENSES, place=licenses.place, look=look)
    if tests.metadata is not None:
        look = _look(_metadata_fault, tests.metadata, image)
        yield LookCase(name=METADATA, place=tests.metadata.place, look=look)


def _look(
    fault: Callable[[_T, TestedImage], str], test: _T, image: TestedImage
) -> Callable[[], str]:
    def look() -> str:
        try:
            return fault(test, image)
        except DocumentError as error:
            return error.message

    return look


def _command(command: CommandTest, image: TestedImage, trial: Trial) -> CommandCase:
    return CommandCase(
        name=command.name,
        place=command.place,
        trial=replace(
            trial,
            command=tuple(_expanded(word, image) for word in command.command),
            env={name: _expanded(value, image) for name, value in command.env.items()},
        ),
        judge=lambda ran: _command_fault(command, ran),
    )


def _command_fault(test: CommandTest, ran: TrialOutcome) -> str:
    return (
        status_fault(ran.status, (test.exit_code,))
        or _text_fault(test.output, ran.stdout, "its stdout")
        or _text_fault(test.error, ran.stderr, "its stderr")
    )


def _text_fault(wanted: ExpectedText, text: str, what: str) -> str:
    for pattern in wanted.expected:
        if not compile_re2(pattern).search(text):
            return f"{what} does not match {pattern!r}"
    for pattern in wanted.excluded:
        if compile_re2(pattern).search(text):
            return f"{what} matches {pattern!r}"
    return ""


def _file_fault(test: ExistenceTest, image: TestedImage) -> str:
    file = image.files().find(_expanded(test.path, image))
    if file is None:
        return f"{test.path} is not there" if test.should_exist else ""
    if not test.should_exist:
        return f"{test.path} is there"
    permissions = _permissions(file)
    if test.permissions and permissions != test.permissions:
        return f"{test.path} has the permissions {permissions}, expected {test.permissions}"
    if test.executable_by and not file.mode & _EXECUTE[test.executable_by]:
        return f"{test.path} is not executable by {test.executable_by}: {permissions}"
    for name, wanted, got in (("user", test.uid, file.uid), ("group", test.gid, file.gid)):
        if wanted is not None and wanted != got:
            return f"{test.path} is of the {name} {got}, expected {wanted}"
    return ""


def _permissions(file: ImageFile) -> str:
    """Return a mode as Go's fs.FileMode.String writes it."""
    special = ((0o4000, "u"), (0o2000, "g"), (0o1000, "t"))
    letters = _LETTERS.get(file.kind, "")
    letters += "".join(letter for bit, letter in special if file.mode & bit)
    bits = ("rwx"[2 - n % 3] if file.mode & 1 << n else "-" for n in range(8, -1, -1))
    return (letters or "-") + "".join(bits)


def _content_fault(test: ContentTest, image: TestedImage) -> str:
    text = _texts((_expanded(test.path, image),), image)
    if not text:
        return f"{test.path} is no file"
    return _text_fault(test.content, next(iter(text.values())), test.path)


def _license_fault(test: LicenseTest, image: TestedImage) -> str:
    packages = image.files().names(_DEBIAN) if test.debian else ()
    folders = [f"{_DEBIAN}/{name}" for name in packages if name not in _EXCEPTED]
    paths = [f"{path}/{_COPYRIGHT}" for path in folders if _is_folder(path, image)]
    paths += test.files
    texts = _texts(paths, image)
    for path in paths:
        if path not in texts:
            return f"{path} is no file"
        for word in _NOT_ALLOWED:
            if word in texts[path].upper():
                return f"{path} names {word}, which the format does not allow"
    return ""


def _is_folder(path: str, image: TestedImage) -> bool:
    file = image.files().find(path)
    return file is not None and file.kind is EntryKind.FOLDER


def _texts(paths: Sequence[str], image: TestedImage) -> Mapping[str, str]:
    contents = image.files().contents(paths)
    return {path: raw.decode("utf-8", "replace") for path, raw in contents.items()}


def _metadata_fault(test: MetadataTest, image: TestedImage) -> str:
    return next(_metadata_faults(test, image), "")


def _metadata_faults(test: MetadataTest, image: TestedImage) -> Iterator[str]:
    config = image.config
    yield from _value_faults(test.env, image.env, "variable")
    yield from _value_faults(test.labels, config.labels, "label")
    for name, wanted, got in (
        ("entrypoint", test.entrypoint, config.entrypoint),
        ("cmd", test.cmd, config.cmd),
        ("workdir", test.workdir, config.workdir),
        ("user", test.user, config.user),
    ):
        if wanted is not None and wanted != got:
            yield f"the {name} is {_said(got)}, expected {_said(wanted)}"
    # As Docker, which counts a port without a protocol for one of TCP.
    ports = {*config.exposed_ports, *(port.partition("/")[0] for port in config.exposed_ports)}
    for what, there, wanted_there, unwanted in (
        ("variable", image.env.keys(), (), test.unbound_env),
        ("port", ports, test.ports, test.unexposed_ports),
        ("volume", frozenset(config.volumes), test.volumes, test.unmounted_volumes),
    ):
        yield from (f"the {what} {name} is not there" for name in wanted_there if name not in there)
        yield from (f"the {what} {name} is there" for name in unwanted if name in there)


def _value_faults(
    wanted: Sequence[ExpectedValue], got: Mapping[str, str], what: str
) -> Iterator[str]:
    for pair in wanted:
        value = got.get(pair.key)
        if value is None:
            yield f"the {what} {pair.key} is not there"
        elif pair.is_regex and not compile_re2(pair.value).search(value):
            yield f"the {what} {pair.key} is {value!r}, which does not match {pair.value!r}"
        elif not pair.is_regex and value != pair.value:
            yield f"the {what} {pair.key} is {value!r}, expected {pair.value!r}"


def _said(value: str | tuple[str, ...]) -> str:
    return repr(value if isinstance(value, str) else list(value))


def _expanded(text: str, image: TestedImage) -> str:
    """Put the image's variables into a text; those that it has not are empty."""
    env = image.env
    return _VARIABLE.sub(lambda found: env.get(found[1] or found[2], ""), text)
