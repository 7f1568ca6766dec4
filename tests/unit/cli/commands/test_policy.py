"""``imagekit policy new``: what it prints is a policy."""

import json
from pathlib import Path

import pytest

from imagekit.cli import main as cli
from imagekit.policy.load import load_policy
from imagekit.signatures.publickey import public_key_pem
from tests.support.fakes import MemorySigner


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A public key file."""
    file = tmp_path / "imagekit.pub"
    file.write_bytes(public_key_pem(MemorySigner().public_key))
    return file


def test_output_is_a_policy(
    public: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What goes to stdout can be given to verify as it is."""
    words = ["policy", "new", "--image", "r.site/apps/**", "--key", str(public)]

    assert cli.main([*words, "--require", "cyclonedx, slsaprovenance1"]) == 0

    file = tmp_path / "policy.yaml"
    file.write_text(capsys.readouterr().out)
    (rule,) = load_policy(file).images
    assert [one.type for one in rule.attestations] == ["cyclonedx", "slsaprovenance1"]


def test_json_holds_the_policy(public: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under --json the text is a field of the document, behind the verb as well."""
    words = ["policy", "new", "--image", "r.site/apps/**", "--key", str(public), "--json"]

    assert cli.main(words) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert document["policy"].startswith("# Which images")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (["--image", "r.site/apps:1"], 2),
        (["--require", "cyclone"], 2),
        (["--key", "/no/such/file"], 2),
        (["--name", "a: b"], 2),
        (["--no-such"], 64),
    ],
)
def test_bad_words(
    public: Path, change: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input ends with 2, wrong usage with 64, and nothing is printed that looks like one."""
    words = ["policy", "new", "--image", "r.site/apps/**", "--key", str(public)]

    assert cli.main([*words, *change]) == code
    assert capsys.readouterr().out == ""


_LINTED = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: site, version: 1, expires: 2999-01-01T00:00:00Z}
images:
"""


@pytest.mark.parametrize(
    ("rules", "words", "code", "errors", "warnings"),
    [
        (["r.site/**"], [], 0, 0, 0),
        (["*/**"], [], 0, 0, 1),
        (["*/**"], ["--strict"], 2, 0, 1),
        (["r.site/a*", "r.site/*a"], [], 0, 0, 1),
        (["r.site/a", "r.site/a"], [], 2, 1, 0),
    ],
)
def test_lint(
    public: Path,
    capsys: pytest.CaptureFixture[str],
    rules: list[str],
    words: list[str],
    code: int,
    errors: int,
    warnings: int,
) -> None:
    """Errors end with 2, warnings only where they are asked to; the document counts both."""
    file = public.parent / "policy.yaml"
    rule = "  - match: {{glob: '{}'}}\n    authorities: [{{name: a, key: {{path: {}}}}}]\n"
    file.write_text(_LINTED + "".join(rule.format(glob, public.name) for glob in rules))

    assert cli.main(["policy", "lint", str(file), *words, "--json"]) == code

    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert (document["policies"], document["errors"], document["warnings"]) == (1, errors, warnings)
    assert len(document["diagnostics"]) == errors + warnings
    assert shown.err.count(f"--> {file}") == errors + warnings


def test_each_image_gets_a_rule(
    public: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--image given twice is two rules that say the same, and once more of the same is none."""
    globs = ["a.site/**", "b.site/**", "a.site/**"]
    words = [word for glob in globs for word in ("--image", glob)]

    assert cli.main(["policy", "new", *words, "--key", str(public), "--require", "cyclonedx"]) == 0

    file = tmp_path / "policy.yaml"
    file.write_text(capsys.readouterr().out)
    rules = load_policy(file).images
    assert [rule.glob for rule in rules] == globs[:2]
    assert rules[0].attestations == rules[1].attestations != ()


def test_a_bad_glob_among_good_ones_is_refused(
    public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not only the first one is looked at."""
    words = ["--image", "a.site/**", "--image", "b.site:1"]

    assert cli.main(["policy", "new", *words, "--key", str(public)]) == 2
    assert capsys.readouterr().out == ""
