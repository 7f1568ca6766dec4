"""recipe.yaml: what is refused and where, what comes out, and that the schema agrees."""

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagekit.documents import strictyaml
from imagekit.documents.record import from_document, to_document
from imagekit.documents.report import Report
from imagekit.documents.shape import INVALID, STRUCTURAL
from imagekit.errors import RecipeError
from imagekit.needs.needs import Needs
from imagekit.oci.digest import Digest
from imagekit.oci.types import Platform
from imagekit.recipe import load
from imagekit.recipe.recipe import CopyStep, FetchStep, ImageBase, RunStep, ScratchBase
from imagekit.recipe.schema import FILE
from imagekit.recipe.stated_needs import StatedNeeds
from imagekit.recipe.values import package
from imagekit.recipe.whole import RECIPE, recipe_schema
from tests.support.needs import ALL

HEX = "ab" * 32

FAULTS = {
    "unknown key": ("pakages: []\n", "unknown-key", "did you mean `packages`?"),
    "known from elsewhere": ("environment: {}\n", "unknown-key", "did you mean `env`?"),
    "two steps in one": ("steps: [{run: a, fetch: {}}]\n", "one-key", ""),
    "network of another step": (
        "steps: [{copy: {from: f, to: /f}, network: none}]\n",
        "unknown-key",
        "take it out",
    ),
    "network alone": ("steps: [{network: none}]\n", "one-key", "`run:`"),
    "unknown network": ("steps: [{run: a, network: bridge}]\n", "not-matching", ""),
    "step of another tool": ("steps: [{add: a}]\n", "unknown-key", "did you mean `copy`?"),
    "empty command": ("steps: [{run: []}]\n", "out-of-range", ""),
    "mode as number": (
        "steps: [{copy: {from: f, to: /f, mode: 0755}}]\n",
        "wrong-kind",
        'write it in quotes: "0755"',
    ),
    "mode not octal": ('steps: [{copy: {from: f, to: /f, mode: "0999"}}]\n', "not-matching", ""),
    "absolute source": ("steps: [{copy: {from: /etc/passwd, to: /f}}]\n", "path-leaves-recipe", ""),
    "home as source": ("steps: [{copy: {from: ~/.ssh, to: /f}}]\n", "path-leaves-recipe", ""),
    "source above": ("steps: [{copy: {from: a/../../f, to: /f}}]\n", "path-leaves-recipe", ""),
    "no source": ("steps: [{copy: {from: nothing, to: /f}}]\n", "no-such-file", ""),
    "excluded source": ("steps: [{copy: {from: .git/config, to: /f}}]\n", "excluded-file", ""),
    "relative target": ("steps: [{copy: {from: f, to: f}}]\n", "not-matching", ""),
    "target above": ("steps: [{copy: {from: f, to: /a/../f}}]\n", "bad-path", ""),
    "fetch without digest": ("steps: [{fetch: {url: 'https://h/f', to: /f}}]\n", "missing-key", ""),
    "fetch of a file": (
        f"steps: [{{fetch: {{url: 'file:///etc/passwd', sha256: '{HEX}', to: /f}}}}]\n",
        "not-matching",
        "",
    ),
    "fetch with password": (
        f"steps: [{{fetch: {{url: 'https://u:p@h/f', sha256: '{HEX}', to: /f}}}}]\n",
        "bad-url",
        "",
    ),
    "short digest": (
        "steps: [{fetch: {url: 'https://h/f', sha256: 'abc', to: /f}}]\n",
        "not-matching",
        "`sha256sum FILE` prints it",
    ),
    "apt option": ("packages: [{manager: apt, install: [--force-yes]}]\n", "bad-package", ""),
    "two in one": ("packages: [{manager: apt, install: ['a b']}]\n", "bad-package", ""),
    "pip unpinned": ("packages: [{manager: pip, install: [numpy]}]\n", "bad-package", ""),
    "pip without hash": (
        "packages: [{manager: pip, install: ['numpy==1.0']}]\n",
        "bad-package",
        "",
    ),
    "pip with an option": (
        f"packages: [{{manager: pip, install: ['a==1 --hash=sha256:{HEX} --index-url=x']}}]\n",
        "bad-package",
        "",
    ),
    "pip no marker": (
        f"packages: [{{manager: pip, install: ['a==1 ; x < 1 --hash=sha256:{HEX}']}}]\n",
        "bad-package",
        "python_version",
    ),
    "pip marker before a name": (
        f"packages: [{{manager: pip, install: ['; os_name == \"a\" --hash=sha256:{HEX}']}}]\n",
        "bad-package",
        "",
    ),
    "pip any version": (
        f"packages: [{{manager: pip, install: ['a==1.* --hash=sha256:{HEX}']}}]\n",
        "bad-package",
        "",
    ),
    "install and requirements": (
        f"packages: [{{manager: pip, install: ['a==1 --hash=sha256:{HEX}'], requirements: f}}]\n",
        "one-key",
        "",
    ),
    "neither install nor requirements": (
        "packages: [{manager: pip}]\n",
        "one-key",
        "`install` or `requirements`",
    ),
    "requirements for apt": (
        "packages: [{manager: apt, requirements: f}]\n",
        "bad-package",
        "`install`",
    ),
    "requirements above": (
        "packages: [{manager: pip, requirements: ../f}]\n",
        "path-leaves-recipe",
        "",
    ),
    "layer of others": (
        "packages: [{manager: apt, install: [gcc], layer: new}]\n",
        "not-matching",
        "",
    ),
    "unknown manager": ("packages: [{manager: dnf, install: [a]}]\n", "not-matching", ""),
    "line end in env": ('env: {A: "b\\nc"}\n', "not-matching", ""),
    "NUL in env": ('env: {A: "b\\0"}\n', "not-matching", ""),
    "NUL in run": ('steps: [{run: "b\\0"}]\n', "not-matching", ""),
    "number in env": ("env: {OMP_NUM_THREADS: 1}\n", "wrong-kind", 'write it in quotes: "1"'),
    "bad variable": ("env: {A-B: c}\n", "not-matching", ""),
    "over-long env": (f"env: {{A: {'x' * 40000}}}\n", "not-matching", ""),
    "label of ours": (
        "labels: {org.opencontainers.image.version: '3'}\n",
        "reserved-label",
        "write `version:` at the top of the recipe",
    ),
    "entrypoint as text": ("entrypoint: ls\n", "wrong-kind", ""),
    "port": ("expose: [70000]\n", "out-of-range", ""),
    "regex": ("tests: [{run: a, stdout: '('}]\n", "bad-regex", ""),
    "run and args": ("tests: [{run: a, args: []}]\n", "run-or-args", ""),
    "neither": ("tests: [{exit_code: 1}]\n", "run-or-args", ""),
    "exit code": ("tests: [{run: a, exit_code: 256}]\n", "out-of-range", ""),
    "placeholder": ("tags: {immutable: ['{builds}']}\n", "bad-tag", ""),
    "tag kept for signatures": (
        f"tags: {{immutable: ['sha256-{HEX}.sig']}}\n",
        "bad-tag",
        "take another",
    ),
    "moves and moves not": ("tags: {immutable: ['1'], moving: ['{major}']}\n", "tag-twice", ""),
    "licence": ("licenses: MIT OR\n", "bad-licence", ""),
    "no such day": ("date: 2026-02-30\n", "bad-date", ""),
    "no zone": ("date: 2026-02-03T10:00:00\n", "bad-date", "write: 2026-02-03T10:00:00Z"),
    "before 1970": ("date: 1969-12-31\n", "bad-date", ""),
    "time limit": ("time_limit: 30d\n", "bad-time-limit", ""),
    "secret from two": ("secrets: {t: {env: A, file: b}}\n", "one-key", ""),
    "platform": ("platforms: [windows/amd64]\n", "not-matching", ""),
    "volume": ("volumes: [data]\n", "not-matching", ""),
    "source": ("source: ftp://x\n", "not-matching", ""),
    "duplicate": ("name: y\n", "duplicate-key", "the first is in line 2"),
    "label of needs": (
        "labels: {io.archspec.cpu.target: zen2}\n",
        "reserved-label",
        "write `needs:` at the top of the recipe",
    ),
    "finding by a word": (
        "check: {except: [{finding: setuid, path: /x, reason: it is right}]}\n",
        "not-matching",
        "",
    ),
    "exception without a reason": (
        "check: {except: [{finding: IK301, path: /x}]}\n",
        "missing-key",
        "",
    ),
    "exception with a word for a reason": (
        "check: {except: [{finding: IK301, path: /x, reason: ok}]}\n",
        "not-matching",
        "",
    ),
    "unknown need": ("needs: {gpu: '12'}\n", "unknown-key", "did you mean `cuda`?"),
    "unknown MPI": ("needs: {mpi: {implementation: lam}}\n", "not-matching", ""),
    "MPI without a name": ("needs: {mpi: {version: '4'}}\n", "missing-key", ""),
    "unknown PMI": ("needs: {pmi: [pmi1]}\n", "not-matching", ""),
    "PMI twice": ("needs: {pmi: [pmix, pmix]}\n", "twice", ""),
    "unknown level": ("needs: {cpu: x86-64-v5}\n", "not-matching", "did you mean"),
    "CUDA as number": ("needs: {cuda: 12.10}\n", "wrong-kind", 'in quotes: "12.10"'),
    "version with letters": ("needs: {kernel: {minimum: 5.15-rc1}}\n", "not-matching", ""),
    "option with prefix": ("needs: {kernel: {config: [config_user_ns]}}\n", "not-matching", ""),
    "device as path": ("needs: {devices: [/dev/nvidia0]}\n", "not-matching", "nvidia.com/gpu=all"),
    "too many devices": (f"needs: {{devices: {['a.org/b'] * 65}}}\n", "out-of-range", ""),
}


@pytest.mark.parametrize("row", FAULTS.values(), ids=FAULTS)
def test_refuses_with_code_and_remedy(row: tuple[str, str, str], make_recipe: Any) -> None:
    """Each fault is the only one, has its code, its line, and what to do."""
    text, code, hint = row
    folder = make_recipe(text)
    (folder / "f").touch()
    (folder / ".git").mkdir()
    (folder / ".git" / "config").touch()

    with pytest.raises(RecipeError) as caught:
        load(folder)

    (fault,) = caught.value.diagnostics
    assert (fault.code, fault.line) == (f"recipe/{code}", 5)
    assert hint in fault.hint


BASES = {
    "by tag": ("base: {image: 'r.example/b:1'}\n", "base-not-pinned"),
    "no registry": (f"base: {{image: 'b@sha256:{HEX}'}}\n", "bad-reference"),
    "cut digest": ("base: {image: 'r.example/b@sha256:abc'}\n", "bad-reference"),
    "two": (f"base: {{recipe: a, image: 'r.example/b@sha256:{HEX}'}}\n", "one-key"),
    "unknown distribution": (
        "base: {bootstrap: {distribution: fedora, suite: x}}\n",
        "not-matching",
    ),
    "suite as option": (
        "base: {bootstrap: {distribution: debian, suite: --hook}}\n",
        "not-matching",
    ),
    "none": ("", "no-base"),
    "text": ("base: debian\n", "not-matching"),
    "recipe outside": ("base: {recipe: ../x}\n", "not-matching"),
}


@pytest.mark.parametrize(("base", "code"), BASES.values(), ids=BASES)
def test_refuses_bases(base: str, code: str, make_recipe: Any) -> None:
    """A base is one, known and pinned."""
    with pytest.raises(RecipeError) as caught:
        load(make_recipe(base=base))

    assert [d.code for d in caught.value.diagnostics] == [f"recipe/{code}"]


def test_reports_all_faults_at_once(make_recipe: Any) -> None:
    """Faults of every kind come together, in the order of the file."""
    folder = make_recipe(
        "env: {A: 1}\nsteps: [{copy: {from: ../x, to: /x}}, {run: 3}]\ntests: [{}]\nfoo: 1\n",
        head="schema: 1\nname: X\nversion: 3.10\n",
        base="base: {image: 'r.example/b:9'}\n",
    )
    os.mkfifo(folder / "pipe")

    with pytest.raises(RecipeError) as caught:
        load(folder)

    found = [(d.line, d.code.removeprefix("recipe/")) for d in caught.value.diagnostics]
    assert found == [
        (0, "special-file"),
        (2, "not-matching"),
        (3, "wrong-kind"),
        (4, "base-not-pinned"),
        (5, "wrong-kind"),
        (6, "path-leaves-recipe"),
        (6, "wrong-kind"),
        (7, "run-or-args"),
        (8, "unknown-key"),
    ]


def test_says_how_a_version_is_quoted(make_recipe: Any) -> None:
    """``version: 3.10`` would be 3.1: the message says so, the hint says what to write."""
    with pytest.raises(RecipeError) as caught:
        load(make_recipe(head="schema: 1\nname: x\nversion: 3.10\n"))

    (fault,) = caught.value.diagnostics
    assert fault.message.startswith("`version` is read as the number 3.1; it must be text")
    assert fault.hint == 'write it in quotes: "3.10"'


@pytest.mark.parametrize("target", ["/etc/hostname", "../../outside", "loop"])
def test_refuses_links_out_of_the_folder(target: str, make_recipe: Any, tmp_path: Path) -> None:
    """What is copied lies in the folder after every link was followed."""
    (tmp_path / "outside").write_text("x", encoding="utf-8")
    folder = make_recipe("steps: [{copy: {from: loop, to: /f}}]\n")
    (folder / "loop").symlink_to(target)

    with pytest.raises(RecipeError) as caught:
        load(folder)

    assert caught.value.diagnostics[0].code in {
        "recipe/path-leaves-recipe",
        "recipe/no-such-file",
    }


def test_refuses_a_recipe_that_is_a_link_or_fifo(make_recipe: Any, tmp_path: Path) -> None:
    """recipe.yaml itself is a regular file; a FIFO does not hold the reader."""
    folder = make_recipe()
    (folder / "recipe.yaml").rename(tmp_path / "elsewhere.yaml")
    (folder / "recipe.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(RecipeError, match="cannot read"):
        load(folder)

    (folder / "recipe.yaml").unlink()
    os.mkfifo(folder / "recipe.yaml")
    with pytest.raises(RecipeError, match="not a regular file"):
        load(folder)


def test_says_what_is_missing(tmp_path: Path) -> None:
    """A folder without a recipe, another file and nothing at all have their own messages."""
    (tmp_path / "recipe.yml").touch()

    with pytest.raises(RecipeError) as caught:
        load(tmp_path)
    assert caught.value.hint == "rename recipe.yml to recipe.yaml"
    with pytest.raises(RecipeError, match=r"is not a recipe\.yaml"):
        load(tmp_path / "recipe.yml")
    with pytest.raises(RecipeError, match="there is no"):
        load(tmp_path / "nowhere")


def test_reads_a_whole_recipe(make_recipe: Any) -> None:
    """Every key comes out as the value that it means."""
    folder = make_recipe(
        f"""\
title: X
licenses: MIT AND (GPL-2.0-only OR Apache-2.0)
labels: {{a.b/c: d}}
packages:
  - {{manager: apt, install: [gcc, libc6=2.36-9+deb12u4]}}
  - {{manager: pip, install: ["a==1  --hash=sha256:{HEX}"]}}
steps:
  - run: make
  - run: [make, install]
  - copy: {{from: f, to: /f, mode: "0640", owner: "0:5"}}
  - fetch: {{url: "https://h.example/f.tar", sha256: "{HEX}", to: /opt, extract: true}}
env: {{A: ""}}
expose: [80, 53/udp]
secrets: {{token: {{env: TOKEN}}}}
platforms: [linux/amd64]
tests: [{{args: [-v], exit_code: 3, stderr: a}}]
tags: {{immutable: ["{{version}}"], moving: ["{{major}}.{{minor}}", "{{name}}-latest"]}}
date: 1970-01-02
time_limit: 2h
""",
        base=f"base: {{image: 'r.example/b:1@sha256:{HEX}'}}\n",
    )
    (folder / "f").touch()

    recipe = load(folder / "recipe.yaml")

    run, vector, copy, fetch = recipe.steps
    assert isinstance(recipe.base, ImageBase)
    assert recipe.base.reference.digest == Digest("sha256", HEX)
    assert isinstance(run, RunStep)
    assert (run.command, run.place.line, run.place.column) == ("make", 12, 5)
    assert isinstance(vector, RunStep)
    assert vector.command == ("make", "install")
    assert isinstance(copy, CopyStep)
    assert (copy.mode, copy.owner, copy.place.column) == (0o640, "0:5", 5)
    assert isinstance(fetch, FetchStep)
    assert fetch.extract
    assert recipe.packages[1].install == (f"a==1 --hash=sha256:{HEX}",)
    assert recipe.expose == ("80", "53/udp")
    assert [(s.id, s.env, s.file) for s in recipe.secrets] == [("token", "TOKEN", "")]
    assert recipe.platforms == (Platform(os="linux", architecture="amd64"),)
    assert (recipe.tests[0].args, recipe.tests[0].exit_code) == (("-v",), 3)
    assert recipe.tags.all == ("1.2.3", "1.2", "x-latest")
    assert (recipe.date, recipe.time_limit) == (86400, 7200)
    assert recipe.folder == folder


def test_reads_needs_with_their_places(make_recipe: Any) -> None:
    """Each key is found again when something else in the image contradicts it."""
    recipe = load(
        make_recipe("""\
needs:
  mpi: {implementation: openmpi, version: "4.1"}
  pmi: [pmix]
  cpu: x86-64-v3
  glibc: "2.31"
  cuda: "12.2"
  kernel: {minimum: "5.15", config: [USER_NS]}
  devices: [nvidia.com/gpu=all, example.org/nic]
""")
    )

    assert recipe.needs is not None
    assert recipe.needs.needs == ALL
    assert recipe.needs.place_of("cpu").line == 8
    assert recipe.needs.place_of("absent").line == 6


@pytest.mark.parametrize(
    "said", ["{}", "{cpu: x86-64-v3, mpi: {implementation: mpich}}", "{kernel: {minimum: '5.1'}}"]
)
def test_needs_reach_the_process_that_builds(make_recipe: Any, said: str) -> None:
    """The recipe is sent to it."""
    needs = load(make_recipe(f"needs: {said}\n")).needs

    assert from_document(StatedNeeds, json.loads(json.dumps(to_document(needs)))) == needs


def test_empty_needs_are_not_none(make_recipe: Any) -> None:
    """They ask for what the image's files show."""
    recipe = load(make_recipe("needs: {}\n"))

    assert recipe.needs is not None
    assert recipe.needs.needs == Needs()


def test_reads_what_is_excepted_of_the_check(make_recipe: Any) -> None:
    """With its place; without the key nothing is demanded."""
    said = "check:\n  except:\n    - {finding: IK301, path: /opt/*, reason: nodes allow it}\n"
    check = load(make_recipe(said)).check

    assert check is not None
    (exception,) = check.exceptions
    assert (exception.finding, exception.reason) == ("IK301", "nodes allow it")
    assert exception.covers("IK301", "/opt/a/b")
    assert not exception.covers("IK301", "/usr/opt/a")
    assert exception.place.line == 7
    empty = load(make_recipe("check: {}\n", at="empty")).check
    assert empty is not None
    assert empty.exceptions == ()
    assert load(make_recipe(at="none")).check is None


def test_a_level_of_x86_64_is_of_no_other_platform(make_recipe: Any) -> None:
    """No arm64 processor has one."""
    folder = make_recipe("platforms: [linux/amd64, linux/arm64]\nneeds: {cpu: x86-64-v2}\n")

    with pytest.raises(RecipeError) as caught:
        load(folder)

    (fault,) = caught.value.diagnostics
    assert (fault.code, fault.line) == ("recipe/cpu-of-platform", 6)


def test_has_defaults(make_recipe: Any) -> None:
    """A short recipe is enough; the version is then the only tag."""
    recipe = load(make_recipe())

    assert isinstance(recipe.base, ScratchBase)
    assert recipe.tags.all == ("1.2.3",)
    assert (recipe.time_limit, recipe.date, recipe.env) == (3600, None, {})


def test_shipped_schema_is_the_generated_one() -> None:
    """The file for editors is what the parser's own shape writes."""
    assert json.loads(FILE.read_text(encoding="utf-8")) == recipe_schema()
    jsonschema.Draft202012Validator.check_schema(recipe_schema())


VALIDATOR = jsonschema.Draft202012Validator(recipe_schema())


def _as_yaml(value: Any) -> bytes:
    """Write JSON that is YAML too: there a character beyond the first plane has one escape."""
    return re.sub(
        r"(?<!\\)((?:\\\\)*)\\u(d[89ab]..)\\u(d[cdef]..)",
        lambda pair: f"{pair[1]}\\U{_scalar(pair[2], pair[3]):08x}",
        json.dumps(value, ensure_ascii=True),
    ).encode()


def _scalar(high: str, low: str) -> int:
    return 0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00


def agree(value: Any) -> bool:
    """Return whether schema and parser say the same of a document."""
    report = Report("recipe.yaml", "recipe")
    node = strictyaml.compose(_as_yaml(value), report)
    found = RECIPE.read(node, report)
    codes = {d.code.removeprefix("recipe/") for d in report.diagnostics}
    assert (found is INVALID) is bool(codes)
    return VALIDATOR.is_valid(value) is not bool(codes & STRUCTURAL)


@pytest.mark.parametrize("row", FAULTS.values(), ids=FAULTS)
def test_schema_and_parser_agree(row: tuple[str, str, str]) -> None:
    """What is structurally wrong is so for both."""
    if row[1] == "duplicate-key":
        return
    report = Report("x", "recipe")
    text = f"schema: 1\nname: x\nversion: '1.2.3'\nbase: scratch\n{row[0]}"
    node = strictyaml.compose(text.encode(), report)

    assert agree(plain(node))


def plain(node: strictyaml.Node) -> Any:
    """Return the node as JSON's values."""
    match node:
        case strictyaml.Mapping():
            return {entry.key: plain(entry.value) for entry in node.entries}
        case strictyaml.Sequence():
            return [plain(part) for part in node.items]
        case strictyaml.Scalar():
            return node.value
        case strictyaml.Broken():
            raise AssertionError(node)


# No floats with whole values: JSON Schema counts 1.0 among the integers, a recipe does not.
LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 70000),
    st.text(max_size=8),
    st.just(0.5),
    st.sampled_from(["latest", "apt", "linux/amd64", "/a", "a", "8080", "2h", "2026-11-23", HEX]),
)
KEY = st.sampled_from(
    [*recipe_schema()["properties"], "run", "copy", "from", "to", "args", "env", "A"]
)
DOCUMENT = st.dictionaries(
    st.sampled_from([*recipe_schema()["properties"], "x"]),
    st.recursive(
        LEAF,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(KEY, inner, max_size=2)
        ),
        max_leaves=6,
    ),
    max_size=6,
)


# Coverage and a busy host are slow.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENT)
def test_schema_and_parser_agree_on_anything(extra: dict[str, Any]) -> None:
    """Whatever the document, schema and parser judge its structure alike."""
    assert agree({"schema": 1, "name": "x", "version": "1", "base": "scratch", **extra})


@settings(deadline=None)  # coverage and a busy host are slow
@given(st.binary(max_size=300))
def test_never_raises_anything_else(raw: bytes) -> None:
    """Whatever the bytes, the answer is values or faults."""
    report = Report("recipe.yaml", "recipe")

    found = RECIPE.read(strictyaml.compose(raw, report), report)

    assert (found is INVALID) is report.failed


@pytest.mark.parametrize("written", ["a[x]==1 ; os_name=='posix'", "a[x]==1;os_name == 'posix'"])
def test_a_marker_is_kept_for_the_images_python(written: str) -> None:
    """It is brought into one form, and hashes stay behind it."""
    hashes = f"--hash=sha256:{HEX} --hash=sha256:{HEX}"

    assert package("pip", f"{written}  {hashes}") == f'a[x]==1 ; os_name == "posix" {hashes}'
