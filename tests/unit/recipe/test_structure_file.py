"""container-structure-test files: what they say is read whole, or refused with its place."""

from pathlib import Path

import pytest

from imagekit.errors import Diagnostic, RecipeError
from imagekit.recipe import load
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
from tests.unit.recipe.conftest import MakeRecipe

HEAD = "schemaVersion: 2.0.0\n"
ALL = """\
schemaVersion: "2.0.0"
globalEnvVars:
  - {key: A, value: "1"}
  - {key: PATH, value: "/opt:$PATH"}
commandTests:
  - name: says its version
    command: solve
    args: [--version]
    envVars: [{key: A, value: "2"}]
    expectedOutput: ["^2\\\\.", "MPI"]
    excludedOutput: [debug]
    expectedError: ["^$"]
    excludedError: [warning]
    exitCode: 3
fileExistenceTests:
  - {name: no shell, path: /bin/sh, shouldExist: false}
  - name: the program
    path: /opt/solve
    permissions: -rwxr-xr-x
    uid: 0
    gid: 5
    isExecutableBy: other
fileContentTests:
  - {name: hosts, path: /etc/hosts, expectedContents: [localhost], excludedContents: [site]}
metadataTest:
  envVars: [{key: B, value: "^x", isRegex: true}]
  env: [{key: C, value: d}]
  unboundEnvVars: [{key: D}]
  labels: [{key: l, value: v}]
  entrypoint: []
  cmd: [a]
  workdir: /w
  user: u
  exposedPorts: ["8080"]
  unexposedPorts: ["22"]
  volumes: [/v]
  unmountedVolumes: [/n]
licenseTests:
  - {debian: true, files: [/LICENSE]}
containerRunOptions: {user: "1000"}
"""


def _folder(
    make_recipe: MakeRecipe, text: str, tests: str = "tests: {structure: s.yaml}\n"
) -> Path:
    folder = make_recipe(tests)
    (folder / "s.yaml").write_text(text)
    return folder


def _read(make_recipe: MakeRecipe, text: str) -> StructureTests:
    (test,) = load(_folder(make_recipe, text)).tests
    assert test.structure is not None
    return test.structure


def _faults(make_recipe: MakeRecipe, text: str) -> list[Diagnostic]:
    with pytest.raises(RecipeError) as caught:
        load(_folder(make_recipe, text))
    return list(caught.value.diagnostics)


def test_all_of_the_format_is_read(make_recipe: MakeRecipe) -> None:
    """Variables of all commands stand below those of one; both words for the image's are read."""
    tests = _read(make_recipe, ALL)

    (command,) = tests.commands
    place = command.place
    assert (Path(place.file).name, place.line) == ("s.yaml", 6)
    assert command == CommandTest(
        name="says its version",
        command=("solve", "--version"),
        env={"A": "2", "PATH": "/opt:$PATH"},
        exit_code=3,
        output=ExpectedText(expected=("^2\\.", "MPI"), excluded=("debug",)),
        error=ExpectedText(expected=("^$",), excluded=("warning",)),
        place=place,
    )
    no_shell, program = tests.files
    assert no_shell == ExistenceTest(
        name="no shell", path="/bin/sh", should_exist=False, place=no_shell.place
    )
    assert program == ExistenceTest(
        name="the program",
        path="/opt/solve",
        permissions="-rwxr-xr-x",
        uid=0,
        gid=5,
        executable_by="other",
        place=program.place,
    )
    (content,) = tests.contents
    assert content == ContentTest(
        name="hosts",
        path="/etc/hosts",
        content=ExpectedText(expected=("localhost",), excluded=("site",)),
        place=content.place,
    )
    metadata = tests.metadata
    assert metadata is not None
    assert metadata == MetadataTest(
        env=(
            ExpectedValue(key="B", value="^x", is_regex=True),
            ExpectedValue(key="C", value="d"),
        ),
        unbound_env=("D",),
        labels=(ExpectedValue(key="l", value="v"),),
        entrypoint=(),
        cmd=("a",),
        workdir="/w",
        user="u",
        ports=("8080",),
        unexposed_ports=("22",),
        volumes=("/v",),
        unmounted_volumes=("/n",),
        place=metadata.place,
    )
    (licenses,) = tests.licenses
    assert licenses == LicenseTest(debian=True, files=("/LICENSE",), place=licenses.place)
    assert (tests.user, tests.file) == ("1000", "s.yaml")


def test_json_is_read_too(make_recipe: MakeRecipe) -> None:
    """The format is either."""
    text = '{"schemaVersion": "2.0.0", "metadataTest": {"workdir": "/"}}'

    assert _read(make_recipe, text).metadata is not None


COMMAND = HEAD + "commandTests: [{{name: n, command: c, {}}}]\n"
FILE = HEAD + "fileExistenceTests: [{{name: n, path: /p, {}}}]\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("commandTests: [{name: n, command: c}]\n", "missing-key"),
        ("schemaVersion: 1.0.0\nmetadataTest: {workdir: /}\n", "not-matching"),
        (HEAD, "no-tests"),
        (HEAD + "commandTests: []\n", "no-tests"),
        (HEAD + "commandtests: []\n", "unknown-key"),
        (COMMAND.format("setup: [[a]]"), "unsupported"),
        (COMMAND.format("teardown: [[a]]"), "unsupported"),
        (COMMAND.format("timeout: 3"), "unknown-key"),
        (COMMAND.format("expectedOutput: ['(']"), "bad-regex"),
        (COMMAND.format("expectedOutput: ['[[:alpha:]]']"), "bad-regex"),
        (HEAD + "commandTests: [{command: c}]\n", "missing-key"),
        (FILE.format("shouldExist: false, uid: 0"), "contradiction"),
        (FILE.format("permissions: '0755'"), "not-matching"),
        (FILE.format("isExecutableBy: me"), "not-matching"),
        (
            HEAD + "metadataTest: {labels: [{key: l, value: '(', isRegex: true}]}\n",
            "bad-regex",
        ),
        (COMMAND.format("args: []") + "containerRunOptions: {privileged: true}\n", "unsupported"),
        (COMMAND.format("args: []") + "containerRunOptions: {bindMounts: []}\n", "unsupported"),
    ],
)
def test_what_would_be_passed_over_is_refused(
    make_recipe: MakeRecipe, text: str, code: str
) -> None:
    """A test that is not run must not count as one that passed."""
    (fault,) = _faults(make_recipe, text)

    assert fault.code == f"recipe/{code}"
    assert fault.line > 0


def test_a_fault_is_shown_in_its_own_file(make_recipe: MakeRecipe) -> None:
    """With the line and the remedy."""
    (fault,) = _faults(make_recipe, COMMAND.format("setup: [[a]]"))

    assert Path(fault.file).name == "s.yaml"
    assert "setup: [[a]]" in fault.source
    assert "-c" in fault.hint


@pytest.mark.parametrize(
    ("tests", "code"),
    [
        ("tests: {structure: no.yaml}\n", "no-such-file"),
        ("tests: {structure: ../s.yaml}\n", "path-leaves-recipe"),
        ("tests: {structure: sub}\n", "no-such-file"),
        ("tests: [{structure: s.yaml, run: a}]\n", "run-or-args"),
        ("tests: [{structure: s.yaml, exit_code: 1}]\n", "run-or-args"),
        ("tests: [{structure: s.yaml, signal: {within: 1}}]\n", "run-or-args"),
        ("tests: s.yaml\n", "wrong-kind"),
    ],
)
def test_the_recipe_names_one_file_of_its_own(
    make_recipe: MakeRecipe, tests: str, code: str
) -> None:
    """And what else it may say is how its commands are run."""
    folder = _folder(make_recipe, ALL, tests)
    (folder / "sub").mkdir()

    with pytest.raises(RecipeError) as caught:
        load(folder)

    assert [each.code for each in caught.value.diagnostics] == [f"recipe/{code}"]


def test_files_stand_in_a_list_of_tests_as_well(make_recipe: MakeRecipe) -> None:
    """Each with how its commands are run."""
    text = "tests:\n  - run: a\n  - {structure: s.yaml, user: image, read_only: false}\n"

    command, file = load(_folder(make_recipe, ALL, text)).tests

    assert command.structure is None
    assert file.structure is not None
    assert (file.user, file.read_only, file.network) == ("image", False, False)
