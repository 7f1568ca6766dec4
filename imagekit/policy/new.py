"""Writes policies: complete, strict and commented, in one file with the key inside."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from imagekit.errors import PolicyError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository
from imagekit.policy import glob as globs
from imagekit.policy.ruleset import ImageRule, Policy, RequiredAttestation
from imagekit.signatures.authority import Authority
from imagekit.signatures.intoto import SHORT_TYPES, full_type
from imagekit.signatures.publickey import PublicKey, describe, public_key_pem

LIFETIME = timedelta(days=365)

_TEMPLATE = """\
# Which images are allowed here. Check an image against it:
#   imagekit verify REFERENCE --policy FILE
# The JSON Schema for editors: imagekit schema policy
apiVersion: imagekit/v1
kind: ImagePolicy
metadata:
  name: {name}
  # Raise it with every change.
  version: 1
  # From then on this policy allows nothing: review it, and set a new date.
  expires: {expires}
# What no rule below matches is refused. There is no other word.
default: reject
images:
  # `*` stands for characters within a component, `**` for one or more components. The longest
  # match wins; `exclude: [GLOB, ...]` takes repositories out of this rule.
{rules}
# Refused whoever signed it, looked up before anything else:
# deny: {{digests: ["sha256:..."], keys: ["SHA256:..."]}}
"""
_RULE = """\
  - match: {{glob: "{glob}"}}
    authorities:
      # {kind}, {fingerprint}
      - name: release
        key:
          data: |
{pem}
    # How many distinct keys must have signed.
    threshold: 1
    # By tag, the image must be signed for exactly that reference; by digest, for the repository.
    # matchRepository ignores the tag; digestOnly is for images that others sign without a name.
    signedIdentity: matchRepoDigestOrExact
{attestations}"""
_REQUIRED = """\
    # What must be there besides, signed by the authorities named, or by all where none is."""
_NOT_REQUIRED = """\
    # An SBOM and a provenance can be demanded as well:
    # attestations: [{type: cyclonedx}, {type: slsaprovenance1}]"""


def new_policy(
    glob: str,
    key: PublicKey,
    *,
    now: datetime,
    more: Sequence[str] = (),
    require: Sequence[str] = (),
    name: str = "site",
) -> str:
    """Return the text of a policy for the images of globs, signed by a key.

    Args:
        glob: which repositories.
        key: whose signatures count.
        now: the present time; the policy expires a year later.
        more: further globs, each with a rule of its own that says the same.
        require: types of attestations that must be there.
        name: what the policy is called.

    Raises:
        PolicyError: a glob can never match, or a type is unknown.
    """
    images = tuple(dict.fromkeys((glob, *more)))
    for image in images:
        problem = globs.fault(image)
        if problem:
            raise PolicyError(
                f"{image!r:.120} is not a glob of repositories",
                hint=problem,
                code="policy/bad-glob",
            )
    expires = (now + LIFETIME).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    pem = public_key_pem(key).decode().rstrip("\n")
    rules = (
        _RULE.format(
            glob=image,
            kind=describe(key),
            fingerprint=key.fingerprint,
            pem="\n".join(" " * 12 + line for line in pem.splitlines()),
            attestations=_attestations(require),
        )
        for image in images
    )
    return _TEMPLATE.format(name=name, expires=f"{expires.isoformat()}Z", rules="\n".join(rules))


def own_policy(
    repository: Repository, key: PublicKey, *, require: Sequence[str], now: datetime
) -> Policy:
    """Return the policy that a publisher judges by what it has just published itself.

    Args:
        repository: where it was published; no other is allowed.
        key: the publisher's.
        require: types of attestations that must be there.
        now: the present time; the policy is good for a day.
    """
    authority = (Authority(name="publisher", key=key),)
    rule = ImageRule(
        glob=repository.name,
        authorities=authority,
        attestations=tuple(
            RequiredAttestation(type=word, predicate_type=full_type(word), authorities=authority)
            for word in require
        ),
    )
    return Policy(
        name="publisher",
        version=1,
        expires=now + timedelta(days=1),
        images=(rule,),
        digest=Digest.of(f"{repository.name} {key.fingerprint}".encode()),
    )


def _attestations(require: Sequence[str]) -> str:
    if not require:
        return _NOT_REQUIRED
    for word in require:
        known = word in SHORT_TYPES or ":" in word
        if not known or not word.isprintable() or set(word) & set("\"'\\ "):
            raise PolicyError(
                f"{word!r:.120} is not a known type of attestation",
                hint=f"write the URI of its predicate type, or one of: {', '.join(SHORT_TYPES)}",
                code="policy/unknown-type",
            )
    lines = [_REQUIRED, "    attestations:"]
    lines += [f'      - {{type: "{word}"}}' for word in dict.fromkeys(require)]
    return "\n".join(lines)
