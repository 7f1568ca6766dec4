"""``imagekit publish``: what it says of several recipes."""

import json
from pathlib import Path

import pytest

from imagekit.cli.main import main
from imagekit.errors import BuildError
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.publish import publish as pipeline
from imagekit.publish.published import PublishedImage
from imagekit.recipe.recipe import Recipe
from imagekit.signatures.keys.key_files import generate

_RECIPE = """\
schema: 1
name: {name}
version: "1"
base: scratch
tags: {{immutable: ["1"]}}
"""


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
        (tmp_path / name / "recipe.yaml").write_text(_RECIPE.format(name=name))

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

    monkeypatch.setattr(pipeline, "publish", publish)
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
