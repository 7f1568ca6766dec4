"""``imagekit publish``: what it says of several recipes."""

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagekit.cli.main import main
from imagekit.errors import BuildError, VerificationError
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.progress import Note, Progress, Started
from imagekit.publish import publish_platforms as pipeline
from imagekit.publish.publish import PublishOptions
from imagekit.publish.published import PublishedImage, Status
from imagekit.recipe.recipe import Recipe
from imagekit.signatures.keys.key_files import generate
from tests.support.repositories import commit, git

_RECIPE = """\
schema: 1
name: {name}
version: "1"
base: {base}
tags: {{immutable: ["1"]}}
"""
Publish = Callable[[list[str]], int]


class _Pipeline:
    """Publishes nothing: each recipe ends as it is told."""

    def __init__(self) -> None:
        self.faults: dict[str, BaseException] = {}
        self.status: dict[str, Status] = {}
        self.done: list[str] = []
        self.anew: dict[str, list[str]] = {}
        """What is made anew for each, whatever the cache has."""
        self.meanwhile: Callable[[str, Progress], None] = lambda *_: None

    def publish(
        self, recipe: Recipe, *, progress: Progress, options: PublishOptions, **_: object
    ) -> PublishedImage:
        """Return what a publish returns."""
        self.anew[recipe.name] = [
            each.name
            for each in options.build.recipes.with_bases(recipe)
            if not options.build.uses_cache(each)
        ]
        self.meanwhile(recipe.name, progress)
        if recipe.name in self.faults:
            raise self.faults[recipe.name]
        self.done.append(recipe.name)
        return PublishedImage(
            reference=PinnedReference(Repository("r.site", recipe.name), Digest.of(b"")),
            location=REGISTRY,
            name=recipe.name,
            version="1",
            tags=("1",),
            status=self.status.get(recipe.name, "published"),
        )


@pytest.fixture
def pipeline_of(monkeypatch: pytest.MonkeyPatch) -> _Pipeline:
    """What stands in the place of publishing."""
    made = _Pipeline()
    monkeypatch.setattr(pipeline, "publish_recipe", made.publish)
    return made


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of four recipes: two on a base, and one alone."""
    root = tmp_path / "recipes"
    root.mkdir()
    (root / "imagekit.toml").touch()
    for name, base in (("a", "base"), ("b", "base"), ("base", ""), ("lone", "")):
        (root / name).mkdir()
        below = f"{{recipe: {base}}}" if base else "scratch"
        (root / name / "recipe.yaml").write_text(_RECIPE.format(name=name, base=below))
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "secret")
    generate(tmp_path, lambda: "secret")
    return root


@pytest.fixture
def publish(tree: Path, pipeline_of: _Pipeline) -> Publish:
    """Return what runs the command on paths below the tree, or on all of it."""
    del pipeline_of

    def run(words: list[str]) -> int:
        paths = [str(tree / word) for word in words if not word.startswith("-")] or [str(tree)]
        options = [word for word in words if word.startswith("-")]
        key = str(tree.parent / "imagekit.key")
        return main(["publish", *paths, "--to", "r.site", "--key", key, *options])

    return run


def _document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def _statuses(document: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["status"] for one in document["published"]}


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_bases_come_first_and_references_in_order(
    publish: Publish, pipeline_of: _Pipeline, capsys: pytest.CaptureFixture[str], jobs: int
) -> None:
    """However many are done at once; stdout has nothing but references."""
    assert publish([f"--jobs={jobs}"]) == 0

    assert sorted(pipeline_of.done) == ["a", "b", "base", "lone"]
    assert pipeline_of.done.index("base") < min(map(pipeline_of.done.index, ("a", "b")))
    printed = capsys.readouterr()
    names = [line.partition("@")[0] for line in printed.out.splitlines()]
    assert names == ["r.site/a", "r.site/b", "r.site/base", "r.site/lone"]
    assert "4 published in" in printed.err


def test_what_fails_ends_what_stands_on_it_and_nothing_else(
    publish: Publish, pipeline_of: _Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are published; table, document and exit code say all of it."""
    pipeline_of.faults["base"] = BuildError("it failed", hint="mend it", code="x")
    pipeline_of.status["lone"] = "unchanged"

    assert publish(["--jobs=2"]) == 6
    printed = capsys.readouterr()
    assert "error[x]: it failed" in printed.err
    assert "mend it" in printed.err
    rows = [line.split() for line in printed.err.splitlines()]
    assert ["skipped", "a", "1", "because", "of", "base"] in rows
    assert any(row[:3] == ["failed", "base", "1"] and row[-2:] == ["it", "failed"] for row in rows)
    assert "2 skipped, 1 failed, 1 unchanged in" in printed.err
    assert printed.out.startswith("r.site/lone@sha256:")
    assert len(printed.out.splitlines()) == 1

    assert publish(["--jobs=2", "--json"]) == 6
    document = _document(capsys)
    assert _statuses(document) == {
        "a": "skipped",
        "b": "skipped",
        "base": "failed",
        "lone": "unchanged",
    }
    a, _, base, _ = document["published"]
    assert a["because"] == ["base"]
    assert base["error"] == {"code": "x", "message": "it failed", "hint": "mend it"}
    assert (document["exit_code"], document["error"]["code"]) == (6, "x")


def test_the_exit_code_is_the_highest_of_any(
    publish: Publish, pipeline_of: _Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the error of the document is that one's."""
    pipeline_of.faults["a"] = VerificationError("it does not verify")
    pipeline_of.faults["b"] = BuildError("it failed")

    assert publish(["--json"]) == 6
    document = _document(capsys)
    assert document["error"]["message"] == "it failed"
    assert [one.get("exit_code") for one in document["published"]] == [4, 6, None, None]


def test_quiet_tells_what_failed_all_the_same(
    publish: Publish, pipeline_of: _Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors are no progress."""
    pipeline_of.faults["a"] = BuildError("it failed")

    assert publish(["--quiet"]) == 6

    printed = capsys.readouterr().err
    assert printed.splitlines() == ["a 1 failed:", "error: it failed"]


def test_each_line_of_a_log_names_its_recipe(
    publish: Publish, pipeline_of: _Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several; one alone needs no name."""
    pipeline_of.meanwhile = lambda name, tell: tell(Note(message=f"of {name}"))

    publish([])
    assert "a:  ! of a\n" in capsys.readouterr().err

    publish(["a"])
    assert "\n  ! of a\n" in capsys.readouterr().err


def test_ctrl_c_ends_all_and_says_what_was_done(
    publish: Publish, pipeline_of: _Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """One document: published, interrupted, and not begun."""
    at_work = threading.Barrier(2)

    def meanwhile(name: str, tell: Progress) -> None:
        if name == "base":
            return
        if at_work.wait(30) == 0:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        while True:
            tell(Started(stage="steps"))

    pipeline_of.meanwhile = meanwhile

    assert publish(["--jobs=2", "--json", "a", "b", "base"]) == 130

    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert _statuses(document) == {"a": "interrupted", "b": "interrupted", "base": "published"}
    assert (document["exit_code"], document["error"]["code"]) == (130, "INTERRUPTED")
    assert "interrupted: nothing was left half done" in printed.err
    assert "1 published" in printed.err


def test_ctrl_c_of_one_recipe_has_a_document(
    publish: Publish, pipeline_of: _Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of several."""
    pipeline_of.faults["lone"] = KeyboardInterrupt()

    assert publish(["--json", "lone"]) == 130

    assert _statuses(_document(capsys)) == {"lone": "interrupted"}


def test_bases_are_published_where_they_are_asked_for(
    publish: Publish, pipeline_of: _Pipeline
) -> None:
    """Without the option they are built, and not published."""
    publish(["a"])
    assert pipeline_of.done == ["a"]

    publish(["a", "--with-bases"])
    assert pipeline_of.done == ["a", "base", "a"]


def test_without_the_cache_a_base_is_made_once(publish: Publish, pipeline_of: _Pipeline) -> None:
    """What stands on it stands on what was published of it, and not on another build."""
    publish(["--no-cache", "--jobs=2"])

    assert pipeline_of.anew == {"a": ["a"], "b": ["b"], "base": ["base"], "lone": ["lone"]}

    publish(["a"])
    assert pipeline_of.anew["a"] == []


def test_only_what_changed_is_published(
    tree: Path,
    publish: Publish,
    pipeline_of: _Pipeline,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And why is said; where nothing changed, nothing is asked of the key."""
    git(tree, "init", "-q")
    commit(tree, "README", 1_700_000_000)

    assert publish(["--changed-since=HEAD", "--key=nowhere", "--json"]) == 0
    assert _document(capsys) == {"schema": 1, "published": []}
    commit(tree, "base/file", 1_700_000_000)
    assert publish(["--changed-since=HEAD~1"]) == 0
    assert sorted(pipeline_of.done) == ["a", "b", "base"]
    assert "  base: base/file differs" in capsys.readouterr().err
    assert publish(["--changed-since=nowhere"]) == 2


@pytest.mark.parametrize("jobs", ["0", "257", "-1"])
def test_a_number_of_jobs_that_is_none_is_refused(publish: Publish, jobs: str) -> None:
    """It never counts as the default."""
    assert publish([f"--jobs={jobs}"]) == 64


@pytest.mark.parametrize(
    ("fault", "code"), [(BuildError("it failed", code="x"), 6), (OSError(28, "No space left"), 6),
                        (RuntimeError("boom"), 1)],
)  # fmt: skip
def test_what_was_published_before_a_failure_is_in_the_document(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: Exception,
    code: int,
) -> None:
    """GOOD BAD: both outcomes are in one document, whatever ended the second one."""
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.yaml").write_text(_RECIPE.format(name=name, base="scratch"))

    def publish(recipe: Recipe, **_: object) -> PublishedImage:
        if recipe.name == "bad":
            raise fault
        image = PinnedReference(Repository("r.site", recipe.name), Digest.of(b""))
        return PublishedImage(
            reference=image,
            location=REGISTRY,
            name=recipe.name,
            version="1",
            tags=("1",),
            status="published",
        )

    monkeypatch.setattr(pipeline, "publish_recipe", publish)
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "secret")
    generate(tmp_path, lambda: "secret")
    words = [str(tmp_path / name) for name in ("good", "bad")]

    key = str(tmp_path / "imagekit.key")
    assert main(["publish", *words, "--to", "r.site", "--key", key, "--json"]) == code

    document = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["status"]) for one in document["published"]] == [
        ("good", "published"),
        ("bad", "failed"),
    ]
    assert document["published"][0]["digest"] == str(Digest.of(b""))
    assert document["exit_code"] == code
