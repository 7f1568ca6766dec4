"""The verifier: for every check a test that breaks only this one thing."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from imagekit.errors import (
    AuthError,
    DocumentError,
    ImagekitError,
    IntegrityError,
    NotFoundError,
    RegistryError,
)
from imagekit.oci.codec import index_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.reference import (
    PinnedReference,
    Reference,
    Repository,
    TaggedReference,
    parse_reference,
)
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import CONFIG, INDEX, MANIFEST, Descriptor, Index, RawManifest
from imagekit.policy.ruleset import Deny, SignedIdentity
from imagekit.signatures.bundle import MAX_BUNDLE
from imagekit.signatures.intoto import CYCLONEDX, SLSA_PROVENANCE
from imagekit.verify import collect
from imagekit.verify.context import VerifyContext
from imagekit.verify.judge import judge
from imagekit.verify.verdict import Verdict
from tests.support.fakes import MemoryRegistry, MemorySigner, push_image
from tests.support.signed import NOW, PROVENANCE, SBOM, World, finding, signed_world

_OTHER = Digest.of(b"another image")


@pytest.fixture
def world() -> World:
    """A registry with one image that nobody signed yet."""
    return World()


@pytest.fixture
def signed() -> World:
    """A registry with one image that has all that a policy can ask for."""
    return signed_world()


def _codes(verdict: Verdict) -> dict[str, str]:
    return {each.check: each.code for each in verdict.findings}


def _denied_for(verdict: Verdict, check: str) -> str:
    """Return the code of a check that must be the only one that failed."""
    errors = [each for each in verdict.findings if each.severity == "error"]
    assert [each.check for each in errors] == [check], verdict.findings
    assert not verdict.allowed
    assert errors[0].hint
    return errors[0].code


def _no_registry() -> RegistryReader:
    raise AssertionError("the registry was asked")


class TestAllowed:
    """What is right is allowed, and every check says so."""

    def test_bundle_form(self, world: World) -> None:
        """A signature as bundle is enough."""
        world.sign()

        verdict = world.judge()

        assert verdict.allowed
        assert _codes(verdict) == {"policy": "OK", "image": "OK", "signature": "OK"}
        assert verdict.digest == world.image.digest

    def test_legacy_form(self, world: World) -> None:
        """A signature in the legacy form is enough, too."""
        world.sign_legacy()

        assert _codes(world.judge()) == {"policy": "OK", "image": "OK", "signature": "OK"}

    def test_attestations(self, signed: World) -> None:
        """Each required attestation has a finding of its own."""
        verdict = signed.judge(signed.policy("cyclonedx", "slsaprovenance1"))

        assert verdict.allowed
        assert _codes(verdict)["sbom"] == _codes(verdict)["provenance"] == "OK"

    def test_says_which_policy(self, signed: World) -> None:
        """A verdict names the policy, its version and its bytes."""
        verdict = signed.judge()

        assert (verdict.policy, verdict.policy_version) == ("site", 3)
        assert verdict.policy_digest == Digest.of(b"policy")

    def test_strangers_signature_beside_a_good_one(self, signed: World) -> None:
        """Anybody may attach a signature; that is no remark."""
        signed.sign(signer=MemorySigner())

        verdict = signed.judge()

        assert verdict.allowed
        assert {each.severity for each in verdict.findings} == {"ok"}

    def test_image_signed_under_two_names(self, world: World) -> None:
        """One image may have one signature for each of its tags."""
        world.sign(name="r.site/apps/demo:latest")
        world.sign()
        latest = world.tag("latest", world.image)

        assert world.judge().allowed
        assert world.judge(reference=latest).allowed

    def test_index_is_judged_by_its_own_digest(self, world: World) -> None:
        """Of an index the index is signed, and its manifests are read."""
        child = world.registry.manifest(world.image).descriptor
        raw = index_bytes(Index(media_type=INDEX, manifests=(child,)))
        world.image = world.registry.put_manifest(world.repository, INDEX, raw)
        world.tag("1", world.image)
        world.sign()

        assert world.judge().allowed


class TestPolicy:
    """Check 1, which costs no request."""

    def test_expired(self, signed: World) -> None:
        """An expired policy allows nothing, from that very second on."""
        expires = datetime(2027, 1, 1, tzinfo=UTC)

        verdict = judge(
            signed.reference, signed.policy(), VerifyContext(now=expires, open_reader=_no_registry)
        )

        assert _denied_for(verdict, "policy") == "POLICY_EXPIRED"
        assert signed.judge(now=expires - timedelta(seconds=1)).allowed

    def test_no_rule(self, signed: World) -> None:
        """What no rule speaks of is refused, and nothing is asked."""
        reference = parse_reference("r.site/other/demo:1")

        verdict = judge(
            reference, signed.policy(), VerifyContext(now=NOW, open_reader=_no_registry)
        )

        assert _denied_for(verdict, "policy") == "NO_POLICY"
        assert verdict.digest is None

    def test_excluded(self, signed: World) -> None:
        """An excluded repository has no rule."""
        verdict = signed.judge(signed.policy(exclude=("r.site/apps/demo",)))

        assert _denied_for(verdict, "policy") == "NO_POLICY"

    def test_tie(self, signed: World) -> None:
        """Where two rules match equally well, nobody guesses."""
        from msgspec.structs import replace

        policy = signed.policy()
        rule = replace(policy.images[0], glob="r.site/*pps/d*")
        same = replace(policy.images[0], glob="r.site/a*ps/d*")
        for one in (rule, same):
            assert signed.judge(replace(policy, images=(one,))).allowed
        policy = replace(policy, images=(rule, same))

        assert _denied_for(signed.judge(policy), "policy") == "AMBIGUOUS_POLICY"


class TestDeny:
    """Check 2."""

    def test_digest_asked_for(self, signed: World) -> None:
        """A denied digest is refused before anything is asked."""
        policy = signed.policy(deny=Deny(digests=frozenset({signed.image.digest})))

        verdict = judge(signed.image, policy, VerifyContext(now=NOW, open_reader=_no_registry))

        assert _denied_for(verdict, "deny") == "REVOKED"

    def test_digest_behind_a_tag(self, signed: World) -> None:
        """A denied digest is refused under a tag as well, before its signatures are read."""
        policy = signed.policy(deny=Deny(digests=frozenset({signed.image.digest})))
        registry = _Counting(**vars(signed.registry))

        verdict = signed.judge(policy, registry=registry)

        assert _denied_for(verdict, "deny") == "REVOKED"
        assert registry.asked == [str(signed.reference)]

    @pytest.mark.parametrize("legacy", [False, True])
    def test_key(self, world: World, *, legacy: bool) -> None:
        """A denied key signs nothing, though an authority still lists it."""
        world.sign_legacy() if legacy else world.sign()
        deny = Deny(keys=frozenset({world.signer.public_key.fingerprint}))

        assert _denied_for(world.judge(world.policy(deny=deny)), "signature") == "REVOKED"

    def test_key_of_an_attestation(self, signed: World) -> None:
        """A denied key attests nothing either."""
        attestor = MemorySigner()
        signed.attach("https://x.org/t", {"a": 1}, signer=attestor)
        deny = Deny(keys=frozenset({attestor.public_key.fingerprint}))
        policy = signed.policy("https://x.org/t", attestors=(attestor,), deny=deny)

        assert _denied_for(signed.judge(policy), "https://x.org/t") == "REVOKED"


class TestReference:
    """Check 3: the digest is pinned once."""

    def test_digest_is_that_of_the_bytes(self, signed: World) -> None:
        """What the registry says about a digest counts for nothing."""
        evil = push_image(signed.registry, signed.repository, content=b"evil")
        registry = _Lying(signed, evil)

        verdict = signed.judge(registry=registry)

        assert verdict.digest == evil.digest
        assert _denied_for(verdict, "signature") == "NO_SIGNATURE"

    def test_tag_is_asked_for_once(self, signed: World) -> None:
        """After the tag was resolved, the image is asked for by digest only."""
        registry = _Counting(**vars(signed.registry))

        signed.judge(registry=registry)

        assert registry.asked.count(str(signed.reference)) == 1

    def test_moved_tag_beside_a_digest_is_a_warning(self, signed: World) -> None:
        """Of NAME:TAG@DIGEST the digest counts; the tag may have moved on."""
        other = push_image(signed.registry, signed.repository, content=b"newer")
        signed.tag("1", other)

        verdict = signed.judge(reference=signed.reference.pin(signed.image.digest))

        assert verdict.allowed
        assert finding(verdict, "tag").severity == "warning"
        assert verdict.digest == signed.image.digest

    def test_tag_that_went_away_beside_a_digest_is_a_warning(self, signed: World) -> None:
        """A tag that does not exist any more is told."""
        signed.registry.tagged.clear()

        verdict = signed.judge(reference=signed.reference.pin(signed.image.digest))

        assert verdict.allowed
        assert finding(verdict, "tag").code == "TAG_MOVED"

    def test_tag_that_stands_is_no_remark(self, signed: World) -> None:
        """Nothing is said of a tag that points to the digest."""
        verdict = signed.judge(reference=signed.reference.pin(signed.image.digest))

        assert "tag" not in _codes(verdict)

    def test_image_that_does_not_exist_is_no_verdict(self, signed: World) -> None:
        """An image that is not there cannot be judged."""
        with pytest.raises(NotFoundError):
            signed.judge(reference=TaggedReference(signed.repository, "9"))


class TestImage:
    """Check 4: the bytes."""

    def test_altered_manifest_of_a_digest(self, signed: World) -> None:
        """A body that differs from the digest asked for is a verdict: no."""
        evil = push_image(signed.registry, signed.repository, content=b"evil")
        key = (signed.repository.name, signed.image.digest)
        raw = signed.registry.manifests[signed.repository.name, evil.digest]
        signed.registry.manifests[key] = raw

        verdict = signed.judge(reference=signed.image)

        assert _denied_for(verdict, "image") == "CONTENT_DIGEST_MISMATCH"

    def test_registry_that_does_not_check(self, signed: World) -> None:
        """The verifier hashes the bytes itself."""
        evil = push_image(signed.registry, signed.repository, content=b"evil")

        verdict = signed.judge(reference=signed.image, registry=_Lying(signed, evil))

        assert _denied_for(verdict, "image") == "CONTENT_DIGEST_MISMATCH"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ('{"Config": {}, ', "AMBIGUOUS_JSON"),
            ('{"config": {}, ', "AMBIGUOUS_JSON"),
            ('{"manifests": [], ', "BAD_DOCUMENT"),
            ("[", "BAD_DOCUMENT"),
        ],
    )
    def test_bad_manifest(self, world: World, change: str, code: str) -> None:
        """A signed manifest that programs read differently is refused all the same."""
        raw = world.registry.manifest(world.image).raw.decode().replace("{", change, 1).encode()
        _replace_image(world, raw, MANIFEST)

        assert _denied_for(world.judge(), "image") == code

    def test_ambiguous_configuration(self, world: World) -> None:
        """What decides what runs must be read alike, too."""
        config = world.registry.put_bytes(world.repository, CONFIG, b'{"os": "a", "OS": "b"}')
        _replace_config(world, config)

        assert _denied_for(world.judge(), "image") == "AMBIGUOUS_JSON"

    def test_altered_configuration(self, world: World) -> None:
        """A configuration that differs from its digest is a verdict: no."""
        raw = json.loads(world.registry.manifest(world.image).raw)
        digest = Digest.parse(raw["config"]["digest"])
        world.registry.blobs[world.repository.name, digest] += b" "
        world.sign()

        assert _denied_for(world.judge(), "image") == "CONTENT_DIGEST_MISMATCH"

    @pytest.mark.parametrize("text", ['{"config":{},"Config":{}}', "{}", "[]"])
    def test_bad_manifest_in_an_index(self, world: World, text: str) -> None:
        """The manifests of an index are read as strictly."""
        raw = text.encode()
        child = Descriptor(media_type=MANIFEST, digest=Digest.of(raw), size=len(raw))
        world.registry.manifests[world.repository.name, child.digest] = RawManifest(
            media_type=MANIFEST, digest=child.digest, raw=raw
        )
        _replace_image(world, index_bytes(Index(media_type=INDEX, manifests=(child,))), INDEX)

        assert _denied_for(world.judge(), "image") in {"AMBIGUOUS_JSON", "BAD_DOCUMENT"}

    def test_ambiguous_configuration_in_an_index(self, world: World) -> None:
        """The configuration of each platform is read as strictly."""
        config = world.registry.put_bytes(world.repository, CONFIG, b'{"os": "a", "OS": "b"}')
        _replace_config(world, config)
        child = world.registry.manifest(world.image).descriptor
        _replace_image(world, index_bytes(Index(media_type=INDEX, manifests=(child,))), INDEX)

        assert _denied_for(world.judge(), "image") == "AMBIGUOUS_JSON"

    def test_reader_that_does_not_check_parts(self, world: World) -> None:
        """Configurations and the manifests of an index are hashed here as well."""
        config = _Unchecked(**vars(world.registry), wrong_blob=True)
        world.sign()
        child = world.registry.manifest(world.image).descriptor
        by_config = world.judge(registry=config)
        _replace_image(world, index_bytes(Index(media_type=INDEX, manifests=(child,))), INDEX)
        manifests = _Unchecked(**vars(world.registry), wrong_manifest=child.digest)

        assert _denied_for(by_config, "image") == "CONTENT_DIGEST_MISMATCH"
        verdict = world.judge(registry=manifests)
        assert _denied_for(verdict, "image") == "CONTENT_DIGEST_MISMATCH"

    def test_index_with_a_manifest_that_is_not_there(self, world: World) -> None:
        """An image that was copied in part can be used, with a remark."""
        there = world.registry.manifest(world.image).descriptor
        gone = Descriptor(media_type=MANIFEST, digest=_OTHER, size=9)
        _replace_image(world, index_bytes(Index(media_type=INDEX, manifests=(there, gone))), INDEX)

        verdict = world.judge()

        assert verdict.allowed
        assert finding(verdict, "platforms").code == "MISSING_MANIFEST"

    def test_index_in_an_index(self, world: World) -> None:
        """No runtime follows it, so nothing vouches for what is inside."""
        child = world.registry.manifest(world.image).descriptor
        raw = index_bytes(Index(media_type=INDEX, manifests=(child,)))
        inner = world.registry.put_manifest(world.repository, INDEX, raw)
        entry = world.registry.manifest(inner).descriptor
        _replace_image(world, index_bytes(Index(media_type=INDEX, manifests=(entry,))), INDEX)

        assert _denied_for(world.judge(), "image") == "BAD_DOCUMENT"

    def test_index_without_end(self, world: World) -> None:
        """What an index can make the verifier read is bounded."""
        entries = tuple(
            Descriptor(media_type=MANIFEST, digest=Digest.of(b"%d" % number), size=1)
            for number in range(65)
        )
        _replace_image(world, index_bytes(Index(media_type=INDEX, manifests=entries)), INDEX)

        assert _denied_for(world.judge(), "image") == "TOO_MANY"


class TestSignature:
    """Check 5: the signature."""

    def test_none(self, world: World) -> None:
        """An unsigned image is refused."""
        verdict = world.judge()

        assert _denied_for(verdict, "signature") == "NO_SIGNATURE"
        assert "imagekit sign" in finding(verdict, "signature").hint

    def test_stranger(self, world: World) -> None:
        """A key that the policy does not list signs nothing."""
        world.sign(signer=MemorySigner())

        assert _denied_for(world.judge(), "signature") == "UNTRUSTED_KEY"

    def test_stranger_in_the_legacy_form(self, world: World) -> None:
        """Neither in the other form."""
        world.sign_legacy(MemorySigner())

        assert _denied_for(world.judge(), "signature") == "UNTRUSTED_KEY"

    def test_hint_of_a_trusted_key_proves_nothing(self, world: World) -> None:
        """A stranger who copies the hint of a listed key is a stranger."""
        stranger = MemorySigner()
        world.sign(signer=stranger)
        layer, bundle = _only_bundle(world)
        forged = bundle.replace(
            stranger.public_key.hint.encode(), world.signer.public_key.hint.encode()
        )
        del world.registry.blobs[world.repository.name, layer]
        world.registry.manifests = {
            key: raw for key, raw in world.registry.manifests.items() if b"subject" not in raw.raw
        }
        world.attach_raw(forged)

        assert _denied_for(world.judge(), "signature") == "UNTRUSTED_KEY"

    def test_wrong_hint_of_a_trusted_key(self, world: World) -> None:
        """A hint is a hint only: the right key is found without it."""
        world.sign()
        _, bundle = _only_bundle(world)
        world.registry.manifests = {
            key: raw for key, raw in world.registry.manifests.items() if b"subject" not in raw.raw
        }
        hint = world.signer.public_key.hint.encode()
        world.attach_raw(bundle.replace(hint, MemorySigner().public_key.hint.encode()))

        assert world.judge().allowed

    @pytest.mark.parametrize("legacy", [False, True])
    def test_of_another_image(self, world: World, *, legacy: bool) -> None:
        """A signature that speaks of another digest is none of this image."""
        world.sign_legacy(digest=_OTHER) if legacy else world.sign(digest=_OTHER)

        assert _denied_for(world.judge(), "signature") == "DIGEST_MISMATCH"

    @pytest.mark.parametrize("legacy", [False, True])
    def test_for_another_tag(self, world: World, *, legacy: bool) -> None:
        """Asked for by tag, the image must be signed for exactly that reference."""
        name = "r.site/apps/demo:2"
        world.sign_legacy(identity=name) if legacy else world.sign(name=name)

        assert _denied_for(world.judge(), "signature") == "REFERENCE_MISMATCH"

    def test_name_of_a_subject_with_another_digest(self, world: World) -> None:
        """Only the names of subjects that have the image's digest say anything."""
        payload = json.dumps(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [
                    {"name": "r.site/apps/demo:1", "digest": {"sha256": _OTHER.hex}},
                    {"name": "r.site/apps/demo:2", "digest": {"sha256": world.image.digest.hex}},
                ],
                "predicateType": "https://sigstore.dev/cosign/sign/v1",
                "predicate": {},
            }
        ).encode()
        world.sign(payload=payload)

        assert _denied_for(world.judge(), "signature") == "REFERENCE_MISMATCH"

    def test_without_a_name(self, world: World) -> None:
        """A signature that binds no name passes only where the policy says so."""
        world.sign(name="")

        assert _denied_for(world.judge(), "signature") == "REFERENCE_MISMATCH"
        lax = world.policy(signed_identity=SignedIdentity.DIGEST_ONLY)
        assert world.judge(lax).allowed

    @pytest.mark.parametrize("kind", [CYCLONEDX, SLSA_PROVENANCE, "https://x.org/t"])
    def test_attestation_is_no_signature(self, world: World, kind: str) -> None:
        """An attestation by the right key does not sign the image."""
        world.attach(kind, SBOM)

        verdict = world.judge(world.policy(signed_identity=SignedIdentity.DIGEST_ONLY))

        assert _denied_for(verdict, "signature") == "WRONG_PREDICATE_TYPE"

    def test_threshold(self, world: World) -> None:
        """Two signatures of one key, in both forms and for two names, are one signer."""
        second = MemorySigner()
        world.sign()
        world.sign(name="r.site/apps/demo:latest")
        world.sign_legacy()
        policy = world.policy(signers=(world.signer, second), threshold=2)

        assert _denied_for(world.judge(policy), "signature") == "THRESHOLD_NOT_MET"
        world.sign_legacy(world.signer, second)
        assert world.judge(policy).allowed

    def test_threshold_of_nobody(self, world: World) -> None:
        """An empty set never passes, whatever a policy made in memory says."""
        assert _denied_for(world.judge(world.policy(threshold=0)), "signature") == "NO_SIGNATURE"

    def test_threshold_counts_only_what_holds(self, world: World) -> None:
        """A second key that signed another image is not counted."""
        second = MemorySigner()
        world.sign()
        world.sign(signer=second, digest=_OTHER)
        policy = world.policy(signers=(world.signer, second), threshold=2)

        verdict = world.judge(policy)

        assert _denied_for(verdict, "signature") == "THRESHOLD_NOT_MET"
        assert "another image" in finding(verdict, "signature").message

    def test_by_an_attestor(self, world: World) -> None:
        """A key that may only attest does not sign the image."""
        attestor = MemorySigner()
        world.sign(signer=attestor)
        world.attach(CYCLONEDX, SBOM, signer=attestor)

        verdict = world.judge(world.policy("cyclonedx", attestors=(attestor,)))

        assert _denied_for(verdict, "signature") == "UNTRUSTED_KEY"

    @pytest.mark.parametrize(
        "payload", [b"not json", b"[]", b'{"_type": "https://in-toto.io/Statement/v1"}']
    )
    def test_bad_statement(self, world: World, payload: bytes) -> None:
        """What a listed key signed must be a statement about something."""
        world.sign(payload=payload)

        assert _denied_for(world.judge(), "signature") == "BAD_STATEMENT"

    def test_payload_of_another_type(self, world: World) -> None:
        """An envelope that says that it holds something else proves nothing."""
        world.sign(payload_type="application/vnd.in-toto+jsonx")

        assert _denied_for(world.judge(), "signature") == "BAD_STATEMENT"

    def test_ambiguous_payload(self, world: World) -> None:
        """A statement that two programs read differently is none."""
        world.sign_legacy(payload=b'{"critical": {}, "Critical": {}, "optional": null}')

        assert _denied_for(world.judge(), "signature") == "AMBIGUOUS_JSON"

    def test_certificate(self, world: World) -> None:
        """A bundle by certificate is told as what it is: of no use to a policy by keys."""
        world.sign()
        _, bundle = _only_bundle(world)
        document = json.loads(bundle)
        document["verificationMaterial"] = {"certificate": {"rawBytes": "AAAA"}}
        world.registry.manifests = {
            key: raw for key, raw in world.registry.manifests.items() if b"subject" not in raw.raw
        }
        world.attach_raw(json.dumps(document).encode())

        verdict = world.judge()

        assert _denied_for(verdict, "signature") == "UNTRUSTED_KEY"
        assert "certificate" in finding(verdict, "signature").message


class TestAttestation:
    """Check 5: the attestations."""

    def test_missing(self, world: World) -> None:
        """A required attestation that is not there is missing, whatever else is."""
        world.sign()
        world.attach(SLSA_PROVENANCE, PROVENANCE)

        verdict = world.judge(world.policy("cyclonedx"))

        assert _denied_for(verdict, "sbom") == "MISSING_ATTESTATION"
        assert "--sbom" in finding(verdict, "sbom").hint

    def test_by_a_stranger(self, world: World) -> None:
        """An attestation by a key that the policy does not list is none."""
        world.sign()
        world.attach(CYCLONEDX, SBOM, signer=MemorySigner())

        verdict = world.judge(world.policy("cyclonedx"))

        assert _denied_for(verdict, "sbom") == "UNTRUSTED_KEY"

    def test_by_a_signer_who_is_no_attestor(self, signed: World) -> None:
        """Where an attestation has authorities of its own, the others do not count."""
        verdict = signed.judge(signed.policy("cyclonedx", attestors=(MemorySigner(),)))

        assert _denied_for(verdict, "sbom") == "UNTRUSTED_KEY"

    def test_about_another_image(self, world: World) -> None:
        """An SBOM of another image says nothing of this one."""
        world.sign()
        world.attach(CYCLONEDX, SBOM, digest=_OTHER)

        verdict = world.judge(world.policy("cyclonedx"))

        assert _denied_for(verdict, "sbom") == "DIGEST_MISMATCH"

    @pytest.mark.parametrize(
        ("word", "predicate"),
        [
            ("cyclonedx", {}),
            ("cyclonedx", {"bomFormat": "SPDX"}),
            ("slsaprovenance1", {}),
            ("slsaprovenance1", {"buildDefinition": {"a": 1}}),
            ("slsaprovenance1", {"buildDefinition": {"a": 1}, "runDetails": []}),
            ("https://x.org/t", {}),
        ],
    )
    def test_empty(self, world: World, word: str, predicate: dict[str, object]) -> None:
        """A signed predicate that is no document of its type attests nothing."""
        from imagekit.signatures.intoto import full_type

        world.sign()
        world.attach(full_type(word), predicate)
        check = {"cyclonedx": "sbom", "slsaprovenance1": "provenance"}.get(word, word)

        assert _denied_for(world.judge(world.policy(word)), check) == "BAD_STATEMENT"

    def test_type_is_the_statements_own(self, world: World) -> None:
        """A provenance is not taken for an SBOM because it holds one."""
        world.sign()
        world.attach("https://x.org/t", SBOM)

        verdict = world.judge(world.policy("cyclonedx"))

        assert _denied_for(verdict, "sbom") == "MISSING_ATTESTATION"

    def test_bad_one_beside_a_good_one(self, signed: World) -> None:
        """One good attestation is enough."""
        signed.attach(CYCLONEDX, {})

        assert signed.judge(signed.policy("cyclonedx")).allowed


class TestReferrers:
    """What a registry loses, hides or adds."""

    def test_emptied_fallback_tag(self, world: World) -> None:
        """A fallback tag that lists nothing once listed something."""
        _empty_fallback(world)

        verdict = world.judge()

        assert _denied_for(verdict, "signature") == "REFERRERS_LOST"
        assert "referrers were lost" in finding(verdict, "signature").message

    def test_emptied_fallback_tag_beside_a_legacy_signature(self, world: World) -> None:
        """The other form still signs the image; that referrers were lost is told."""
        _empty_fallback(world)
        world.sign_legacy()

        verdict = world.judge()

        assert verdict.allowed
        assert finding(verdict, "referrers").code == "REFERRERS_LOST"

    def test_attestation_lost_beside_a_legacy_signature(self, world: World) -> None:
        """A signed image without one bundle lost its attestations on the way."""
        world.sign_legacy()

        verdict = world.judge(world.policy("cyclonedx"))

        assert _denied_for(verdict, "sbom") == "REFERRERS_LOST"

    def test_referrer_that_is_listed_and_not_there(self, world: World) -> None:
        """A listing that promises what is not there shows a loss."""
        world.sign()
        layer, _ = _only_bundle(world)
        del world.registry.blobs[world.repository.name, layer]

        assert _denied_for(world.judge(), "signature") == "REFERRERS_LOST"

    def test_unsigned_image_with_a_plain_sbom_lost_nothing(self, world: World) -> None:
        """A referrer that is no bundle shows no loss."""
        world.attach_raw(b"{}", media_type="application/vnd.cyclonedx+json")

        assert _denied_for(world.judge(), "signature") == "NO_SIGNATURE"

    @pytest.mark.parametrize("error", [DocumentError("x"), IntegrityError("y")])
    def test_listing_that_is_no_list(
        self, world: World, error: DocumentError | IntegrityError
    ) -> None:
        """Something else in the place of the list: refused, whatever other forms there are."""
        world.sign_legacy()
        registry = _FailingListing(**vars(world.registry), error=error)

        verdict = world.judge(registry=registry)

        assert _denied_for(verdict, "referrers") == "REFERRERS_LOST"
        assert "referrers were lost" in finding(verdict, "referrers").message

    def test_sig_tag_that_is_no_manifest(self, world: World) -> None:
        """Junk under the .sig tag takes no good bundle away."""
        world.sign()
        tag = f"sha256-{world.image.digest.hex}.sig"
        raw = index_bytes(Index(media_type=INDEX, manifests=()))
        world.tag(tag, world.registry.put_manifest(world.repository, INDEX, raw))

        verdict = world.judge()

        assert verdict.allowed
        assert finding(verdict, "attached").code == "BAD_DOCUMENT"

    @pytest.mark.parametrize("error", [RegistryError("500"), AuthError("401")])
    def test_listing_that_fails_is_no_verdict(self, world: World, error: RegistryError) -> None:
        """Not one form may stand in silence for the other."""
        world.sign_legacy()
        registry = _FailingListing(**vars(world.registry), error=error)

        with pytest.raises(RegistryError):
            world.judge(registry=registry)

    def test_sig_tag_that_fails_is_no_verdict(self, world: World) -> None:
        """Neither may the other for the one."""
        world.sign()

        with pytest.raises(RegistryError, match="timeout"):
            world.judge(registry=_FailingTag(**vars(world.registry)))

    @pytest.mark.parametrize(
        ("junk", "code"),
        [
            (b"not json", "BAD_BUNDLE"),
            (b'{"mediaType": 1, "MediaType": 2}', "AMBIGUOUS_JSON"),
        ],
    )
    def test_junk(self, world: World, junk: bytes, code: str) -> None:
        """Junk alone is the reason of the refusal; beside a good signature it is a remark."""
        world.attach_raw(junk)
        alone = world.judge()
        world.sign()
        beside = world.judge()

        assert _denied_for(alone, "signature") == code
        assert beside.allowed
        assert finding(beside, "attached").code == code
        assert finding(beside, "attached").severity == "warning"

    def test_altered_bundle(self, world: World) -> None:
        """A bundle that differs from its digest is junk."""
        world.sign()
        layer, _ = _only_bundle(world)
        world.registry.blobs[world.repository.name, layer] = b"x" * 3

        assert _denied_for(world.judge(), "signature") == "CONTENT_DIGEST_MISMATCH"

    def test_bundle_without_end(self, world: World) -> None:
        """A bundle that says it is huge is not fetched."""
        world.sign()
        registry = _Counting(**vars(world.registry))
        (referrer,) = registry.referrers(world.image)
        document = json.loads(registry.manifests[world.repository.name, referrer.digest].raw)
        document["layers"][0]["size"] = MAX_BUNDLE + 1
        del registry.manifests[world.repository.name, referrer.digest]
        registry.put_manifest(world.repository, MANIFEST, json.dumps(document).encode())

        assert _denied_for(world.judge(registry=registry), "signature") == "TOO_LARGE"
        assert document["layers"][0]["digest"] not in registry.asked

    def test_beyond_the_bound_nothing_is_read(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What lies behind the flood is not read, and so proves nothing."""
        monkeypatch.setattr(collect, "MAX_CANDIDATES", 1)
        world.sign(signer=MemorySigner())
        world.sign()

        assert _denied_for(world.judge(), "signature") == "TOO_MANY"

    def test_referrer_with_a_huge_manifest(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An honest referrer has one kilobyte; a huge one is not read."""
        monkeypatch.setattr(collect, "MAX_REFERRER", 100)
        world.sign()

        assert _denied_for(world.judge(), "signature") == "TOO_LARGE"

    def test_referrer_with_two_layers(self, world: World) -> None:
        """A bundle stands alone in its manifest, as for cosign."""
        world.sign()
        (referrer,) = world.registry.referrers(world.image)
        document = json.loads(world.registry.manifests[world.repository.name, referrer.digest].raw)
        document["layers"] *= 2
        del world.registry.manifests[world.repository.name, referrer.digest]
        raw = json.dumps(document).encode()
        world.registry.put_manifest(world.repository, MANIFEST, raw)

        assert _denied_for(world.judge(), "signature") == "NO_SIGNATURE"

    def test_too_many(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """A flood of referrers is cut, and the refusal says so."""
        monkeypatch.setattr(collect, "MAX_CANDIDATES", 3)
        for _ in range(4):
            world.sign(signer=MemorySigner())

        verdict = world.judge()

        assert finding(verdict, "attached").code == "TOO_MANY"
        assert not verdict.allowed

    def test_too_much(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """All bundles together cost a bounded number of bytes."""
        monkeypatch.setattr(collect, "MAX_TOTAL", 2000)
        for _ in range(4):
            world.sign(signer=MemorySigner())

        assert finding(world.judge(), "attached").code == "TOO_LARGE"

    def test_text_of_strangers_steers_no_terminal(self, world: World) -> None:
        """Escapes in a name are shown as what they are not."""
        world.sign(name="r.site/apps/demo\33[2J\nallowed:1")

        message = finding(world.judge(), "signature").message

        assert message.isprintable()


class _Counting(MemoryRegistry):
    """Notes which manifests and blobs are asked for."""

    def __init__(self, **kept: object) -> None:
        super().__init__(**kept)  # type: ignore[arg-type]  # the fields of another registry
        self.asked: list[str] = []

    def manifest(self, reference: Reference) -> RawManifest:
        self.asked.append(str(reference))
        return super().manifest(reference)

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        self.asked.append(str(descriptor.digest))
        return super().blob(repository, descriptor, limit=limit)


class _Lying(MemoryRegistry):
    """Serves the bytes of another image under the digest of the signed one."""

    def __init__(self, world: World, evil: PinnedReference) -> None:
        super().__init__(**vars(world.registry))
        self._wanted = world.image.digest
        self._evil = evil

    def manifest(self, reference: Reference) -> RawManifest:
        found = super().manifest(reference)
        if found.digest != self._wanted:
            return found
        evil = super().manifest(self._evil)
        return RawManifest(media_type=evil.media_type, digest=self._wanted, raw=evil.raw)


class _Unchecked(MemoryRegistry):
    """Passes altered bytes on, which differ by a space at the end."""

    def __init__(
        self, *, wrong_blob: bool = False, wrong_manifest: Digest | None = None, **kept: object
    ) -> None:
        super().__init__(**kept)  # type: ignore[arg-type]  # the fields of another registry
        self._wrong_blob = wrong_blob
        self._wrong_manifest = wrong_manifest

    def manifest(self, reference: Reference) -> RawManifest:
        found = super().manifest(reference)
        space = b" " if found.digest == self._wrong_manifest else b""
        return RawManifest(media_type=found.media_type, digest=found.digest, raw=found.raw + space)

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        space = b" " if self._wrong_blob else b""
        return super().blob(repository, descriptor, limit=limit) + space


class _FailingListing(MemoryRegistry):
    """Cannot list referrers."""

    def __init__(self, *, error: ImagekitError, **kept: object) -> None:
        super().__init__(**kept)  # type: ignore[arg-type]  # the fields of another registry
        self._error = error

    def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        del reference
        raise self._error


class _FailingTag(MemoryRegistry):
    """Does not answer about .sig tags."""

    def manifest(self, reference: Reference) -> RawManifest:
        if isinstance(reference, TaggedReference) and reference.tag.endswith(".sig"):
            raise RegistryError("timeout")
        return super().manifest(reference)


def _only_bundle(world: World) -> tuple[Digest, bytes]:
    (referrer,) = world.registry.referrers(world.image)
    raw = world.registry.manifests[world.repository.name, referrer.digest].raw
    digest = Digest.parse(json.loads(raw)["layers"][0]["digest"])
    return digest, world.registry.blobs[world.repository.name, digest]


def _replace_image(world: World, raw: bytes, media_type: str) -> None:
    """Put other bytes in the place of the image, tag and sign them."""
    digest = Digest.of(raw)
    world.registry.manifests[world.repository.name, digest] = RawManifest(
        media_type=media_type, digest=digest, raw=raw
    )
    world.image = PinnedReference(world.repository, digest)
    world.registry.tagged[world.repository.name, "1"] = digest
    world.sign()


def _replace_config(world: World, config: Descriptor) -> None:
    document = json.loads(world.registry.manifest(world.image).raw)
    document["config"] |= {"digest": str(config.digest), "size": config.size}
    _replace_image(world, json.dumps(document).encode(), MANIFEST)


def _empty_fallback(world: World) -> None:
    raw = index_bytes(Index(media_type=INDEX, manifests=()))
    empty = world.registry.put_manifest(world.repository, INDEX, raw)
    world.tag(f"sha256-{world.image.digest.hex}", empty)
