"""Policies as files: strict, whole or not at all, and every fault with its place."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from imagekit.documents.shape import STRUCTURAL
from imagekit.errors import PolicyError
from imagekit.oci.digest import Digest
from imagekit.policy import schema
from imagekit.policy.load import load_policy, parse_policy
from imagekit.policy.new import new_policy
from imagekit.policy.ruleset import SignedIdentity
from imagekit.policy.schema import policy_schema
from imagekit.signatures.publickey import public_key_pem
from tests.support.fakes import MemorySigner

_KEYS = [MemorySigner().public_key for _ in range(2)]
_PEMS = [public_key_pem(key).decode() for key in _KEYS]
_NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def _document(**rule: Any) -> dict[str, Any]:
    return {
        "apiVersion": "imagekit/v1",
        "kind": "ImagePolicy",
        "metadata": {"name": "site", "version": 7, "expires": "2027-06-30T00:00:00Z"},
        "default": "reject",
        "images": [
            {
                "match": {"glob": "r.site/apps/**"},
                "authorities": [{"name": "a", "key": {"data": _PEMS[0]}}],
                **rule,
            }
        ],
    }


def _parse(document: object) -> Any:
    return parse_policy(yaml.safe_dump(document).encode(), file="policy.yaml")


def _faults(document: object) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        _parse(document)
    assert caught.value.diagnostics
    assert all(each.line and each.source for each in caught.value.diagnostics)
    return [each.code.removeprefix("policy/") for each in caught.value.diagnostics]


def test_all_words() -> None:
    """What the file says is what the policy holds."""
    document = _document(
        threshold=2,
        signedIdentity="matchRepository",
        match={"glob": "r.site/apps/**", "exclude": ["r.site/apps/x"]},
        authorities=[
            {"name": "a", "key": {"data": _PEMS[0]}},
            {"name": "b", "key": {"data": _PEMS[1]}},
        ],
        attestations=[
            {"type": "cyclonedx"},
            {"type": "https://x.org/t", "authorities": ["b"]},
            {"type": "vuln", "authorities": [{"name": "scan", "key": {"data": _PEMS[1]}}]},
        ],
    )
    digest = f"sha256:{'0' * 64}"
    document["deny"] = {"digests": [digest], "keys": [_KEYS[1].fingerprint]}

    policy = _parse(document)

    (rule,) = policy.images
    assert (policy.name, policy.version) == ("site", 7)
    assert policy.expires == datetime(2027, 6, 30, tzinfo=UTC)
    assert policy.deny.digests == {Digest.parse(digest)}
    assert policy.deny.keys == {_KEYS[1].fingerprint}
    assert (rule.glob, rule.exclude, rule.threshold) == ("r.site/apps/**", ("r.site/apps/x",), 2)
    assert rule.signed_identity is SignedIdentity.MATCH_REPOSITORY
    assert [one.key for one in rule.authorities] == _KEYS
    cyclonedx, other, vuln = rule.attestations
    assert cyclonedx.predicate_type == "https://cyclonedx.org/bom"
    assert cyclonedx.authorities == rule.authorities
    assert [one.name for one in other.authorities] == ["b"]
    assert [one.name for one in vuln.authorities] == ["scan"]


def test_defaults() -> None:
    """What is left out is the stricter choice."""
    document = _document()
    del document["default"]

    (rule,) = _parse(document).images

    assert rule.threshold == 1
    assert rule.signed_identity is SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT
    assert rule.attestations == ()


def test_digest_is_that_of_the_files_bytes() -> None:
    """A verdict can say by exactly which file it was judged."""
    raw = yaml.safe_dump(_document()).encode()

    assert parse_policy(raw, file="x").digest == Digest.of(raw)


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ({"authorities": []}, "out-of-range"),
        ({"authorities": None}, "wrong-kind"),
        ({"authorities": [{"name": "a"}]}, "one-key"),
        ({"authorities": [{"name": "a", "key": {}}]}, "one-key"),
        ({"authorities": [{"name": "a", "key": {"path": "a", "data": "b"}}]}, "one-key"),
        ({"authorities": [{"name": "a", "key": {"data": "no key"}}]}, "bad-key"),
        ({"authorities": [{"name": "a", "key": {"path": "a.pub"}}]}, "bad-key"),
        ({"authorities": [{"name": "a", "keyless": {}}]}, "missing-key"),
        ({"threshold": 0}, "out-of-range"),
        ({"threshold": 2}, "threshold"),
        ({"threshold": True}, "wrong-kind"),
        ({"threshold": "1"}, "wrong-kind"),
        ({"signedIdentity": "matchrepository"}, "not-matching"),
        ({"attestations": [{"type": "cyclone"}]}, "unknown-type"),
        ({"attestations": [{"type": "cyclonedx", "authorities": []}]}, "out-of-range"),
        ({"attestations": [{"type": "cyclonedx", "authorities": ["b"]}]}, "unknown-authority"),
        ({"attestations": [{"type": "vuln"}, {"type": "vuln"}]}, "same-type"),
        ({"match": {"glob": "r.site/apps:1"}}, "bad-glob"),
        ({"match": {"glob": "r.site/**", "exclude": ["x"]}}, "bad-glob"),
        ({"match": {}}, "missing-key"),
        ({"match": None}, "wrong-kind"),
        ({"treshold": 1}, "unknown-key"),
    ],
)
def test_bad_rule(rule: dict[str, Any], fault: str) -> None:
    """Each fault of a rule is named, and nothing is verified by the rest of the policy."""
    assert fault in _faults(_document(**rule))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"images": []}, "out-of-range"),
        ({"images": None}, "wrong-kind"),
        ({"default": "accept"}, "not-matching"),
        ({"default": "insecureAcceptAnything"}, "not-matching"),
        ({"apiVersion": "imagekit/v2"}, "not-matching"),
        ({"kind": "ClusterImagePolicy"}, "not-matching"),
        ({"metadata": {"name": "a", "version": 1}}, "missing-key"),
        (
            {"metadata": {"name": "a", "version": 0, "expires": "2027-01-01T00:00:00Z"}},
            "out-of-range",
        ),
        (
            {"metadata": {"name": "a", "version": 1, "expires": "2027-01-01T00:00:00"}},
            "not-matching",
        ),
        ({"metadata": {"name": "a", "version": 1, "expires": "2027-02-30T00:00:00Z"}}, "bad-value"),
        (
            {"metadata": {"name": "a\33b", "version": 1, "expires": "2027-01-01T00:00:00Z"}},
            "not-matching",
        ),
        ({"deny": {"digests": ["sha256:abc"]}}, "bad-value"),
        ({"deny": {"keys": ["SHA256:ABC"]}}, "not-matching"),
        ({"deny": {"identities": []}}, "out-of-range"),
        ({"extra": 1}, "unknown-key"),
    ],
)
def test_bad_policy(change: dict[str, Any], fault: str) -> None:
    """Each fault of the policy is named."""
    assert fault in _faults(_document() | change)


@pytest.mark.parametrize("missing", ["apiVersion", "kind", "metadata", "images"])
def test_missing_key(missing: str) -> None:
    """What makes a policy a policy cannot be left out."""
    document = _document()
    del document[missing]

    assert "missing-key" in _faults(document)


@pytest.mark.parametrize(
    ("authorities", "fault"),
    [
        ([("a", 0), ("b", 0)], "same-key"),
        ([("a", 0), ("a", 1)], "same-name"),
    ],
)
def test_one_key_under_two_names(authorities: list[tuple[str, int]], fault: str) -> None:
    """Neither one key under two names nor two keys under one: thresholds count keys."""
    listed = [{"name": name, "key": {"data": _PEMS[number]}} for name, number in authorities]

    assert fault in _faults(_document(authorities=listed))


def test_threshold_counts_keys_and_not_names() -> None:
    """A threshold that one key under two names would meet does not load."""
    listed = [{"name": name, "key": {"data": _PEMS[0]}} for name in "ab"]

    assert "threshold" in _faults(_document(authorities=listed, threshold=2))


def test_two_rules_with_one_glob() -> None:
    """Two rules for the same images would leave open which one holds."""
    document = _document()
    document["images"] *= 2

    assert _faults(json.loads(json.dumps(document))) == ["overlap"]


def test_all_faults_at_once() -> None:
    """An author mends all faults in one go."""
    document = _document(treshold=1, signedIdentity="x")
    document["kind"] = "x"

    assert len(_faults(document)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "a: &x 1\nb: *x",
        "kind: a\nkind: b",
        "a: !!python/object:x {}",
        "\x00",
        "{",
        "---\n---\n",
    ],
)
def test_hostile_text(text: str) -> None:
    """What is not one plain YAML mapping is refused with an error of ours."""
    with pytest.raises(PolicyError):
        parse_policy(text.encode(), file="x")


@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    """No bytes make the parser fail in any other way."""
    with pytest.raises(PolicyError):
        parse_policy(raw, file="x")


def test_key_beside_the_policy(tmp_path: Path) -> None:
    """Paths are relative to the policy, wherever one stands."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "a.pub").write_text(_PEMS[0])
    document = _document(authorities=[{"name": "a", "key": {"path": "keys/a.pub"}}])
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(document))

    assert load_policy(file).images[0].authorities[0].key == _KEYS[0]


def test_private_key_in_a_policy(tmp_path: Path) -> None:
    """A private key does not belong here, and the message says so."""
    (tmp_path / "a.key").write_text("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n")
    file = tmp_path / "policy.yaml"
    document = _document(authorities=[{"name": "a", "key": {"path": "a.key"}}])
    file.write_text(yaml.safe_dump(document))

    with pytest.raises(PolicyError) as caught:
        load_policy(file)

    assert "private key" in caught.value.diagnostics[0].message


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """A policy that cannot be read is bad input, with a remedy."""
    with pytest.raises(PolicyError) as caught:
        load_policy(tmp_path / "no.yaml")

    assert "policy new" in caught.value.hint


@pytest.mark.parametrize("name", ["production", "strict-default"])
def test_shipped_policies_load(project: Path, name: str) -> None:
    """What we ship as an example is right, by our own parser and by the schema."""
    file = project / "policies" / f"{name}.yaml"

    policy = load_policy(file)
    document = yaml.safe_load(file.read_text())
    document["metadata"]["expires"] = "2027-12-31T00:00:00Z"
    jsonschema.Draft202012Validator(policy_schema()).validate(document)

    assert policy.name == name


def test_schema_is_the_shipped_one() -> None:
    """The file that editors use is the one that the parser's shape writes."""
    file = Path(schema.__file__).with_name("policy.schema.json")

    assert json.loads(file.read_text()) == policy_schema()


_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 3),
    st.text("ab:/*", max_size=4),
    st.just([]),
    st.just({}),
)


@given(
    path=st.sampled_from(
        [
            ("kind",),
            ("default",),
            ("deny",),
            ("images",),
            ("metadata", "name"),
            ("metadata", "version"),
            ("metadata", "expires"),
            ("images", 0, "threshold"),
            ("images", 0, "signedIdentity"),
            ("images", 0, "attestations"),
            ("images", 0, "authorities"),
            ("images", 0, "authorities", 0, "key"),
            ("images", 0, "match"),
            ("images", 0, "match", "glob"),
            ("images", 0, "unknown"),
        ]
    ),
    value=_VALUES,
)
def test_schema_and_parser_agree(path: tuple[str | int, ...], value: object) -> None:
    """The schema refuses exactly what the parser refuses for its structure."""
    document = json.loads(json.dumps(_document()))
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    by_schema = not jsonschema.Draft202012Validator(policy_schema()).is_valid(document)
    try:
        parse_policy(json.dumps(document).encode(), file="x")
        codes: set[str] = set()
    except PolicyError as error:
        codes = {each.code.removeprefix("policy/") for each in error.diagnostics}

    assert by_schema == bool(codes & STRUCTURAL)


@pytest.mark.parametrize(
    "require", [(), ("cyclonedx",), ("cyclonedx", "slsaprovenance1", "https://x.org/t")]
)
def test_new_policy_loads(require: tuple[str, ...]) -> None:
    """What `policy new` writes is complete: it loads, and says what was asked for."""
    text = new_policy("r.site/apps/**", _KEYS[0], now=_NOW, require=require)

    policy = parse_policy(text.encode(), file="x")

    (rule,) = policy.images
    assert rule.glob == "r.site/apps/**"
    assert [one.key for one in rule.authorities] == [_KEYS[0]]
    assert tuple(one.type for one in rule.attestations) == require
    assert policy.expires == datetime(2027, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize("glob", ["", "r.site", 'r.site/a"', "r.site/a\n"])
def test_new_policy_refuses_a_bad_glob(glob: str) -> None:
    """A policy that could never match, or that is no YAML, is not written."""
    with pytest.raises(PolicyError):
        new_policy(glob, _KEYS[0], now=_NOW)


@pytest.mark.parametrize("word", ["", "cyclone", 'a:"b', "a:\n", "a: b"])
def test_new_policy_refuses_an_unknown_type(word: str) -> None:
    """Neither is one with a type that nobody knows."""
    with pytest.raises(PolicyError):
        new_policy("r.site/**", _KEYS[0], now=_NOW, require=[word])
