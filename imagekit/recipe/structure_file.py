"""Reads container-structure-test files, schemaVersion 2.0.0.

https://github.com/GoogleContainerTools/container-structure-test#setup. A key that is not known, or
would be passed over here, is a fault: a test that is not run must not count as one that passed.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from imagekit.documents import strictyaml
from imagekit.documents.report import Report, SourceSpan
from imagekit.documents.scalars import (
    LINES,
    Boolean,
    Choice,
    Integer,
    ListOf,
    Text,
    TextRefusedError,
    plain,
)
from imagekit.documents.shape import INVALID, Invalid, Record, Values, item
from imagekit.documents.strictyaml import Node
from imagekit.inputs import read_regular
from imagekit.oci.digest import Digest
from imagekit.recipe.path_inside import path_inside
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

VERSION = "2.0.0"
_NO_DIGEST = Digest.of(b"")


class _Refused(Struct, frozen=True):
    """A key of the format that is not read here."""

    why: str
    hint: str

    def read(self, node: Node, report: Report) -> Invalid:
        """Report it, whatever its value."""
        message = f"`{report.path}` is not read: {self.why}"
        report.error(node.span, "unsupported", message, hint=self.hint)
        return INVALID

    def schema(self) -> dict[str, Any]:
        """Return the schema of what is never accepted."""
        return {"not": {}}


def _regex(text: str) -> str:
    try:
        compile_re2(text)
    except (re.error, OverflowError, RecursionError) as error:
        message = f"this is not a regular expression that is read here: {error}"
        raise TextRefusedError(message, code="bad-regex") from error
    return text


_TEXT = plain("text", pattern=LINES, min_length=0, max_length=65536)
_NAME = plain("the name of the test")
_PATH = plain("a path in the image")
_REGEXES = ListOf(Text("a regular expression", pattern=LINES, parse=_regex, max_length=4096))
_TEXTS = ListOf(_TEXT)
_ID = Integer("a number", minimum=0, maximum=(1 << 32) - 2)
_KEY = plain("a name")
_FRESH = "each test starts from the image as it is pushed"

_VARIABLE: Record[tuple[str, str]] = Record(
    "a variable",
    {
        "key": item(_KEY, "its name", required=True),
        "value": item(_TEXT, "its value; $NAME stands for a variable of the image", required=True),
    },
    make=lambda v: (v["key"], v["value"]),
)


def _value_is_regex(values: Values, report: Report) -> None:
    if values.get("isRegex") and values.get("value") is not None:
        try:
            _regex(values["value"])
        except TextRefusedError as error:
            report.error(values.value("value"), error.code, error.message)


_EXPECTED_VALUE = Record(
    "an expected value",
    {
        "key": item(_KEY, "its name", required=True),
        "value": item(_TEXT, "what it must be", required=True),
        "isRegex": item(
            Boolean("whether"), "whether the value is a regular expression", default=False
        ),
    },
    make=lambda v: ExpectedValue(key=v["key"], value=v["value"], is_regex=v["isRegex"]),
    rules=(_value_is_regex,),
)
_UNBOUND: Record[str] = Record(
    "a variable that is not there",
    {"key": item(_KEY, "its name", required=True)},
    make=lambda v: str(v["key"]),
)


_COMMAND = Record(
    "a command test",
    {
        "name": item(_NAME, "its name", required=True),
        "setup": item(
            _Refused(_FRESH, 'write one command: sh, with args: ["-c", "first && second"]'),
            "what is run before",
        ),
        "teardown": item(_Refused(_FRESH, "take it out"), "what is run behind"),
        "command": item(plain("a command"), "what is run, around the entrypoint", required=True),
        "args": item(_TEXTS, "its arguments", default=()),
        "envVars": item(ListOf(_VARIABLE), "variables besides those of the image", default=()),
        "expectedOutput": item(_REGEXES, "each is found in its stdout", default=()),
        "excludedOutput": item(_REGEXES, "none is found in its stdout", default=()),
        "expectedError": item(_REGEXES, "each is found in its stderr", default=()),
        "excludedError": item(_REGEXES, "none is found in its stderr", default=()),
        "exitCode": item(Integer("an exit code", minimum=0, maximum=255), "how it ends", default=0),
    },
    make=lambda v: CommandTest(
        name=v["name"],
        command=(v["command"], *v["args"]),
        env=dict(v["envVars"]),
        exit_code=v["exitCode"],
        output=ExpectedText(expected=v["expectedOutput"], excluded=v["excludedOutput"]),
        error=ExpectedText(expected=v["expectedError"], excluded=v["excludedError"]),
        place=v.place,
    ),
)


def _of_what_is_there(values: Values, report: Report) -> None:
    if values.get("shouldExist") is False:
        for name in ("permissions", "uid", "gid", "isExecutableBy"):
            if name in values:
                message = f"`{name}` of a file that should not exist"
                report.error(values.key(name), "contradiction", message, hint="take one out")


_FILE = Record(
    "a file existence test",
    {
        "name": item(_NAME, "its name", required=True),
        "path": item(_PATH, "where the file is", required=True),
        "shouldExist": item(Boolean("whether"), "whether it is there", default=True),
        "permissions": item(
            plain("permissions as Go writes them", pattern="[dalTLDpSugct?-]{1,6}[rwx-]{9}"),
            "such as -rw-r--r--, drwxr-xr-x, dtrwxrwxrwx",
            default="",
        ),
        "uid": item(_ID, "whose it is"),
        "gid": item(_ID, "of which group it is"),
        "isExecutableBy": item(
            Choice("who may execute it", ("any", "owner", "group", "other")), "who may", default=""
        ),
    },
    make=lambda v: ExistenceTest(
        name=v["name"],
        path=v["path"],
        should_exist=v["shouldExist"],
        permissions=v["permissions"],
        uid=v["uid"],
        gid=v["gid"],
        executable_by=v["isExecutableBy"],
        place=v.place,
    ),
    rules=(_of_what_is_there,),
)
_CONTENT = Record(
    "a file content test",
    {
        "name": item(_NAME, "its name", required=True),
        "path": item(_PATH, "where the file is", required=True),
        "expectedContents": item(_REGEXES, "each is found in it", default=()),
        "excludedContents": item(_REGEXES, "none is found in it", default=()),
    },
    make=lambda v: ContentTest(
        name=v["name"],
        path=v["path"],
        content=ExpectedText(expected=v["expectedContents"], excluded=v["excludedContents"]),
        place=v.place,
    ),
)
_METADATA = Record(
    "the metadata test",
    {
        "envVars": item(ListOf(_EXPECTED_VALUE), "variables of the image", default=()),
        "env": item(ListOf(_EXPECTED_VALUE), "the older word for envVars", default=()),
        "unboundEnvVars": item(ListOf(_UNBOUND), "variables that it has not", default=()),
        "labels": item(ListOf(_EXPECTED_VALUE), "labels of the image", default=()),
        "entrypoint": item(_TEXTS, "the program"),
        "cmd": item(_TEXTS, "its arguments"),
        "workdir": item(_TEXT, "where it starts"),
        "user": item(_TEXT, "who runs it"),
        "exposedPorts": item(_TEXTS, "ports that are exposed", default=()),
        "unexposedPorts": item(_TEXTS, "ports that are not", default=()),
        "volumes": item(_TEXTS, "volumes", default=()),
        "unmountedVolumes": item(_TEXTS, "paths that are no volumes", default=()),
    },
    make=lambda v: MetadataTest(
        env=v["envVars"] + v["env"],
        unbound_env=v["unboundEnvVars"],
        labels=v["labels"],
        entrypoint=v["entrypoint"],
        cmd=v["cmd"],
        workdir=v["workdir"],
        user=v["user"],
        ports=v["exposedPorts"],
        unexposed_ports=v["unexposedPorts"],
        volumes=v["volumes"],
        unmounted_volumes=v["unmountedVolumes"],
        place=v.place,
    ),
)
_LICENSE = Record(
    "a license test",
    {
        "debian": item(Boolean("whether"), "whether Debian's copyright files", required=True),
        "files": item(ListOf(_PATH), "other files", default=()),
    },
    make=lambda v: LicenseTest(debian=v["debian"], files=v["files"], place=v.place),
)
_NO_OPTION = _Refused(
    "how a test is run is said in the recipe",
    "say `user`, `read_only` or `network` beside `structure` in recipe.yaml",
)
_OPTIONS: Record[str] = Record(
    "the options of containers",
    {
        "user": item(plain("USER or USER:GROUP"), "whom commands run as", default=""),
        **{
            name: item(_NO_OPTION, "an option of Docker")
            for name in (
                "privileged",
                "allocateTty",
                "envFile",
                "envVars",
                "capabilities",
                "bindMounts",
            )
        },
    },
    make=lambda v: str(v["user"]),
)


def _with_global(values: Values) -> tuple[CommandTest, ...]:
    shared: Mapping[str, str] = dict(values["globalEnvVars"])
    return tuple(replace(test, env={**shared, **test.env}) for test in values["commandTests"])


_FILE_SHAPE = Record(
    "a container-structure-test file",
    {
        "schemaVersion": item(
            Choice("the version of the format", (VERSION,)), f"always {VERSION}", required=True
        ),
        "globalEnvVars": item(ListOf(_VARIABLE), "variables of all command tests", default=()),
        "commandTests": item(ListOf(_COMMAND), "what commands do", default=()),
        "fileExistenceTests": item(ListOf(_FILE), "which files there are", default=()),
        "fileContentTests": item(ListOf(_CONTENT), "what files hold", default=()),
        "metadataTest": item(_METADATA, "what the image's configuration says"),
        "licenseTests": item(ListOf(_LICENSE), "which licences files name", default=()),
        "containerRunOptions": item(_OPTIONS, "how containers are run", default=""),
    },
    make=lambda v: StructureTests(
        file="",
        digest=_NO_DIGEST,
        user=v["containerRunOptions"],
        commands=_with_global(v),
        files=v["fileExistenceTests"],
        contents=v["fileContentTests"],
        metadata=v["metadataTest"],
        licenses=v["licenseTests"],
    ),
)


def read_structure(name: str, report: Report, span: SourceSpan) -> StructureTests | None:
    """Return the tests of a file; report what is wrong with it, and return None then.

    Args:
        name: its path below the recipe's folder.
        report: of the recipe, whose folder is known.
        span: where the file is named.
    """
    folder = report.folder
    path = None if folder is None else path_inside(name, folder, report=report, span=span)
    if folder is None or path is None:
        return None
    try:
        raw = read_regular(path, limit=strictyaml.MAX_BYTES)
    except OSError as error:
        report.error(span, "no-such-file", f"`{name}` cannot be read: {error.strerror}")
        return None
    own = Report(str(folder / name), report.area)
    tests = _FILE_SHAPE.read(strictyaml.compose(raw, own), own)
    report.include(own)
    if tests is INVALID:
        return None
    if not (tests.commands or tests.files or tests.contents or tests.metadata or tests.licenses):
        hint = "add commandTests, fileExistenceTests, fileContentTests or a metadataTest"
        report.error(span, "no-tests", f"`{name}` holds no test", hint=hint)
        return None
    return replace(tests, file=name, digest=Digest.of(raw))
