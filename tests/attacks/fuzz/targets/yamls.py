"""Files that people write: policies, recipes, Containerfiles and configurations."""

from pathlib import Path

from imagekit.documents import strictyaml
from imagekit.documents.report import Report
from imagekit.documents.shape import INVALID
from imagekit.errors import PolicyError, RecipeError
from imagekit.oci.digest import Digest
from imagekit.policy.glob import matches
from imagekit.policy.load import parse_policy
from imagekit.policy.new import new_policy
from imagekit.recipe.containerfile import read_containerfile
from imagekit.recipe.whole import RECIPE, Where, make
from imagekit.settings.document import KINDS, read_settings
from imagekit.verify.expected import parse_table
from tests.attacks.fuzz.target import Target, same, texts
from tests.support.fakes import MemorySigner
from tests.support.signed import NOW

_PROJECT = Path(__file__).resolve().parents[4]
_YAML = """\
a: {b: [1, 0x1f, 0o17, -2.5e3, .inf, ~, true, "quoted \\u00e9 \\x41", 'it''s']}
? long key
: |+
  block
   text
list:
  - >-
    folded
    text
  - {x: y, "z": [a, b]}
"""
_POLICY = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: site, version: 3, expires: "2027-01-01T00:00:00+01:00"}
default: reject
images:
  - match: {glob: "r.site/apps/**", exclude: ["r.site/apps/old/*"]}
    authorities: [{name: a, key: {path: a.pub}}]
    threshold: 1
    signedIdentity: matchExact
    attestations: [{type: cyclonedx, authorities: [a]}, {type: "https://x.org/v1"}]
"""
_TABLE = f"""\
apiVersion: imagekit/v1
kind: PolicyTest
policy: ../site.yaml
now: "2026-11-25T00:00:00Z"
cases:
  - name: a
    reference: r.site/apps/demo:1
    evidence: .
    expect: deny
    code: ROLLBACK
    seen: {{"r.site/apps/demo:1": 7, "r.site/b:2": {{sequence: 1, digest: "sha256:{"0" * 64}"}}}}
  - {{name: b, reference: "oci:x:b:1", expect: allow, now: "2026-11-25T00:00:00+01:00"}}
"""
_CONTAINERFILE = """\
# syntax=docker/dockerfile:1
ARG BASE=r.site/base@sha256:{hex}
FROM ${BASE} AS one
RUN --mount=type=bind,from=localhost/tools,target=/t \\
    true
FROM scratch
COPY --from=one --chown=1:1 /a /b
COPY <<EOF /c
FROM evil
EOF
"""


def _strictyaml(raw: bytes) -> None:
    report = Report("fuzz.yaml", "fuzz")
    node = strictyaml.compose(raw, report)
    if isinstance(node, strictyaml.Broken):
        same(report.failed, second=True)
    report.check(PolicyError, what="it")


def _policy(raw: bytes) -> None:
    policy = parse_policy(raw, file="fuzz.yaml")
    same(policy.digest, Digest.of(raw))
    for rule in policy.images:
        matches(rule.glob, "r.site/apps/demo")


def _table(raw: bytes) -> None:
    table = parse_table(raw, file=Path("fuzz.yaml"))
    same(len(table.cases), len({case.name for case in table.cases}))


def _recipe(raw: bytes) -> None:
    folder = _PROJECT / "recipes" / "hello-mpi"
    report = Report("recipe.yaml", "recipe", folder=folder)
    found = RECIPE.read(strictyaml.compose(raw, report), report)
    report.check(RecipeError, what="the recipe")
    same(found is INVALID, second=False)
    if found is not INVALID:
        where = Where(folder, folder / "recipe.yaml", Digest.of(raw), None)
        same(make(found, where).digest, Digest.of(raw))


def _containerfile(raw: bytes) -> None:
    report = Report("Containerfile", "recipe")
    read_containerfile(raw, {"BASE": "scratch"}, report)
    report.check(RecipeError, what="the Containerfile")


def _settings(raw: bytes) -> None:
    for name, entry in read_settings(raw, Path("/folder/imagekit.toml")).items():
        same(name in KINDS, second=True)
        same(entry.line <= raw.count(b"\n") + 1, second=True)


TARGETS = {
    "settings": Target(
        check=_settings,
        seeds=texts(
            'policy = "p.yaml"\nplain-http = ["r.site:5000"]\nkeyless = true\n',
            "# none\n[a.b]\n'c d' = {e = 1979-05-27T07:32:00Z}\n",
            'key = """\npkcs11:object=x"""\nrealms = [\n "a.site",\n]\n',
        ),
    ),
    "strictyaml": Target(check=_strictyaml, seeds=texts(_YAML, _POLICY, "[" * 40, "&a [*a]")),
    "policy": Target(
        check=_policy,
        seeds=texts(
            _POLICY,
            new_policy(
                "r.site/apps/**", MemorySigner().public_key, now=NOW, require=("cyclonedx",)
            ),
            *(path.read_text() for path in sorted(_PROJECT.glob("policies/*.yaml"))),
        ),
    ),
    "policy-test": Target(check=_table, seeds=texts(_TABLE)),
    "recipe": Target(
        check=_recipe,
        seeds=tuple(path.read_bytes() for path in sorted(_PROJECT.glob("recipes/*/recipe.yaml"))),
    ),
    "containerfile": Target(
        check=_containerfile,
        seeds=texts(
            _CONTAINERFILE.replace("{hex}", "a" * 64),
            *(path.read_text() for path in sorted(_PROJECT.glob("recipes/*/Containerfile"))),
        ),
    ),
}
