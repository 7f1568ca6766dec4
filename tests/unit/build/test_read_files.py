"""What a build depends on of its recipe: each step of what it sees, and of nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from imagekit.build.bases import BaseImage
from imagekit.build.build import plan_of
from imagekit.build.job import LayerPlan
from imagekit.recipe import load
from imagekit.recipe.recipe_digest import content_digest

_DIGEST = "a" * 64
_TEXT = f"""schema: 1
name: app
version: "1.0"
title: An app
base: {{bootstrap: {{distribution: debian, suite: bookworm}}}}
env: {{A: b}}
build_args: {{LEVEL: "1"}}
secrets: {{token: {{env: TOKEN}}}}
stages: {{build: {{steps: [{{run: make}}]}}}}
steps:
  - copy: {{from: files, to: /opt/files}}
  - copy: {{from: text, to: /opt/}}
  - copy: {{from_stage: build, from: /out, to: /opt/out}}
  - fetch: {{url: "https://site.example/x.tar", sha256: "{_DIGEST}", to: /opt/x}}
  - run: echo one
  - run: echo two
tests: [{{run: "true"}}]
tags: {{immutable: ["{{version}}"], moving: [latest]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a recipe with all kinds of steps."""
    folder = tmp_path / "app"
    (folder / "files").mkdir(parents=True)
    (folder / "files/tool").write_text("x")
    (folder / "text").write_text("x")
    (folder / "recipe.yaml").write_text(_TEXT)
    return folder


def _plan(folder: Path) -> LayerPlan:
    return plan_of(load(folder), BaseImage(), env={"SOURCE_DATE_EPOCH": "1"}).layers[-1]


class _Edit(NamedTuple):
    """A change of a recipe's folder."""

    name: str
    do: Callable[[Path], object]


def _edit(old: str, new: str) -> _Edit:
    def edit(folder: Path) -> None:
        file = folder / "recipe.yaml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    return _Edit(new, edit)


def _write(name: str, text: str = "y") -> _Edit:
    return _Edit(f"{name} {text}", lambda folder: (folder / name).write_text(text))


def _chmod(name: str, mode: int) -> _Edit:
    return _Edit(f"{name} {mode:o}", lambda folder: (folder / name).chmod(mode))


def _name(value: object) -> str | None:
    return value.name if isinstance(value, _Edit) else None


@pytest.mark.parametrize(
    "edit",
    [
        _edit("An app", "The app"),
        _edit("moving: [latest]", "moving: []"),
        _edit('run: "true"', 'run: "false"'),
        _edit("schema: 1", "# A comment\nschema: 1"),
        _edit('version: "1.0"', 'version: "1.1"'),
        _edit("env: TOKEN", "env: OTHER"),
        _edit("tests:", "time_limit: 60\ntests:"),
        _edit("tests:", "cmd: [app]\nlabels: {a: b}\ntests:"),
        _write("README.md"),
        _write("notes"),
        _chmod("text", 0o600),
    ],
    ids=_name,
)
def test_what_no_step_sees_redoes_none(folder: Path, edit: _Edit) -> None:
    """Neither the layer nor a step of it has another key."""
    before = _plan(folder)

    edit.do(folder)

    after = _plan(folder)
    assert (after.key, after.step_keys) == (before.key, before.step_keys)


@pytest.mark.parametrize(
    ("edit", "first"),
    [
        (_write("files/tool"), 1),
        (_write("files/more"), 1),
        (_chmod("files/tool", 0o755), 1),
        (_edit("to: /opt/files", "to: /opt/file"), 1),
        (_edit("to: /opt/files", "owner: '1:1', to: /opt/files"), 1),
        (_edit("to: /opt/files", "mode: '0700', to: /opt/files"), 1),
        (_write("text"), 2),
        (_edit("run: make", "run: make all"), 3),
        (_edit("to: /opt/out", "to: /opt/output"), 3),
        (_edit(_DIGEST, "b" * 64), 4),
        (_edit("x.tar", "y.tar"), 4),
        (_edit("to: /opt/x", "to: /opt/x, extract: true"), 4),
        (_edit("echo one", "echo 1"), 5),
        (_edit("A: b", "A: c"), 5),
        (_edit("token: {", "key: {"), 3),
        (_edit("run: echo two", "run: echo 2"), 6),
        (_edit("run: echo two", "run: [echo, two]"), 6),
        (_edit("run: echo two", "{run: echo two, network: none}"), 6),
    ],
    ids=_name,
)
def test_an_edit_redoes_the_first_step_that_sees_it_and_those_behind(
    folder: Path, edit: _Edit, first: int
) -> None:
    """What stands before it is what it was."""
    before = _plan(folder)

    edit.do(folder)

    after = _plan(folder)
    same = [old == new for old, new in zip(before.step_keys, after.step_keys, strict=True)]
    assert same == [number < first for number in range(1, 7)]
    assert after.key != before.key


def test_a_build_argument_is_seen_by_commands_only(folder: Path) -> None:
    """Also by those of a stage, and so by what copies from that."""
    before = _plan(folder)

    _edit('LEVEL: "1"', 'LEVEL: "2"').do(folder)

    after = _plan(folder)
    assert after.step_keys[:2] == before.step_keys[:2]
    assert not set(after.step_keys[2:]) & set(before.step_keys)


def test_a_step_that_is_added_leaves_the_keys_of_the_others(folder: Path) -> None:
    """The layer is another one."""
    before = _plan(folder)

    _edit("  - run: echo two\n", "  - run: echo two\n  - run: echo three\n").do(folder)

    after = _plan(folder)
    assert after.step_keys[:-1] == before.step_keys
    assert after.key not in {before.key, *after.step_keys}


_SCRIPT = """FROM scratch
COPY --chown=1:1 files text /opt/
RUN --mount=type=bind,source=bound,target=/bound ["/opt/tool"]
"""


@pytest.fixture
def script(folder: Path) -> Path:
    """The folder of a recipe with a Containerfile."""
    (folder / "bound").mkdir()
    (folder / "Containerfile").write_text(_SCRIPT)
    text = 'schema: 1\nname: app\nversion: "1.0"\ntitle: App\ncontainerfile: Containerfile\n'
    tags = 'tags: {immutable: ["{version}"], moving: [latest]}\n'
    (folder / "recipe.yaml").write_text(text + tags)
    return folder


@pytest.mark.parametrize(
    ("edit", "same"),
    [
        (_edit("title: App", "title: An app"), True),
        (_write("README.md"), True),
        (_write("Containerfile", f"# A comment\n\n{_SCRIPT}"), True),
        (_write("Containerfile", f"{_SCRIPT}CMD x\n"), False),
        (_edit("containerfile:", "build_args: {A: b}\ncontainerfile:"), False),
        (_write("files/tool"), False),
        (_write("text"), False),
        (_write("bound/x"), False),
        (_write(".containerignore"), False),
    ],
    ids=_name,
)
def test_a_containerfile_is_done_again_for_what_it_can_see(
    script: Path, edit: _Edit, *, same: bool
) -> None:
    """Its own text, its arguments, and what COPY and RUN name of the folder."""
    before = _plan(script)

    edit.do(script)

    assert (_plan(script).key == before.key) is same


@pytest.mark.parametrize(
    "copy",
    [
        "COPY . /opt/",
        "COPY t* /opt/",
        'COPY ["text", "/opt/"]',
        "COPY link /opt/",
        "COPY ./../text /opt/",
        "ARG X=text\nCOPY $X /opt/",
        "ADD text . /opt/",
        "RUN --mount=type=bind,target=/bound ls /bound",
    ],
)
def test_where_it_is_unclear_what_a_containerfile_sees_it_sees_all(script: Path, copy: str) -> None:
    """Patterns, variables, links and the whole folder are not looked into."""
    (script / "link").symlink_to("text")
    (script / "Containerfile").write_text(f"FROM scratch\n{copy}\n")
    before = _plan(script)

    _write("README.md").do(script)

    assert _plan(script).key != before.key


def test_the_content_of_a_file_has_no_name_and_no_time(tmp_path: Path) -> None:
    """A link leads to it; that it can be executed counts, and so does whether it is a folder."""
    for name in ("one", "two", "folder", "tool"):
        (tmp_path / name).mkdir() if name == "folder" else (tmp_path / name).write_text("x")
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "link").symlink_to("two")

    digests = {path.name: content_digest(path) for path in tmp_path.iterdir()}

    assert digests["one"] == digests["two"] == digests["link"]
    assert len(set(digests.values())) == 3
