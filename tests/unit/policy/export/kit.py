"""Policies to export: with fixed keys, so that what comes out can be compared with files."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.policy.export import Effect, PolicyExport, export_policy
from imagekit.policy.ruleset import ImageRule, Policy, SignedIdentity
from imagekit.signatures.authority import Authority, Identity, Need, Pattern, TrustRoot
from imagekit.signatures.publickey import parse_public_key, public_key_of

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LATER = datetime(2027, 6, 30, tzinfo=UTC)
EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
_FOLDER = Path(__file__).parents[4] / "policies/keys"
KEYS = tuple(
    parse_public_key((_FOLDER / f"example-{name}.pub").read_bytes())
    for name in ("release", "security", "demo")
)
_ED25519 = public_key_of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key())
SOMEBODY = Identity(issuer=Pattern(text="https://issuer"), subject=Pattern(text="a@site.example"))
WORKFLOW = Identity(
    issuer=Pattern(text="https://ci.example"),
    subject=Pattern(text="https://ci.example/.*@refs/tags/v.*", regexp=True),
)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _authority(name: str) -> dict[str, object]:
    return {
        "subject": {"organization": "site", "commonName": name},
        "uri": f"https://{name}.site",
        "certChain": {"certificates": [{"rawBytes": _b64(f"certificate of {name}".encode())}]},
    }


def _log(name: str, der: bytes) -> dict[str, object]:
    return {"baseUrl": f"https://{name}.site", "publicKey": {"rawBytes": _b64(der)}}


ROOT_DOCUMENT = {
    "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "tlogs": [_log("rekor", KEYS[2].der), _log("rekor2", _ED25519.der)],
    "ctlogs": [_log("ct", KEYS[1].der)],
    "certificateAuthorities": [_authority("fulcio")],
    "timestampAuthorities": [_authority("tsa")],
}


def trust_root(**changes: object) -> TrustRoot:
    """Return a trusted root."""
    raw = json.dumps(ROOT_DOCUMENT | changes).encode()
    return TrustRoot(name="site", raw=raw, digest=Digest.of(raw))


ROOT = trust_root()
A, B, C = (Authority(name=name, key=key) for name, key in zip(("a", "b", "c"), KEYS, strict=True))
PERSON = Authority(name="person", identities=(SOMEBODY,), trust_root=ROOT, tlog=Need.REQUIRED)
CI = Authority(name="ci", identities=(WORKFLOW,), trust_root=ROOT, tlog=Need.REQUIRED)
RULE = ImageRule(glob="r.site/**", authorities=(A,), signed_identity=SignedIdentity.DIGEST_ONLY)
"""What each target can say, as far as any can."""


def policy(*rules: ImageRule, **changes: object) -> Policy:
    """Return a policy with these rules, or with ``RULE``."""
    made = Policy(
        name="site",
        version=3,
        expires=LATER,
        images=rules or (RULE,),
        digest=Digest.of(b"the policy"),
    )
    return replace(made, **changes)


def rule(**changes: object) -> ImageRule:
    """Return ``RULE``, changed."""
    return replace(RULE, **changes)


def export(made: Policy, target: str = "containers-policy", *, now: datetime = NOW) -> PolicyExport:
    """PolicyExport a policy."""
    return export_policy(made, target, now=now)


def codes(found: PolicyExport, *effects: Effect) -> set[str]:
    """Return the codes of the losses of these effects; of those that want permission by default."""
    wanted = effects or (Effect.WEAKER, Effect.DROPPED)
    return {loss.code for loss in found.losses if loss.effect in wanted}
