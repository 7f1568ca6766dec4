"""The images of a registry are judged by the policy, and by what is known today."""

from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.errors import AuthError, InputError, NotFoundError, RegistryError
from imagekit.oci.destination import Destination
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.policy.condition import Severity, VulnerabilityCondition
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.scan.advisory_index import open_index
from imagekit.scan.scan_registry import (
    PublishedFinding,
    PublishedScan,
    published_images,
)
from imagekit.signatures.intoto import CYCLONEDX, full_type
from imagekit.verify.rollback import NoRollbackStore
from imagekit.verify.verify import Verifier
from tests.support.advisories import export, fixed, osv
from tests.support.fakes import FixedClock, MemoryRegistry, MemorySigner
from tests.support.signed import NOW, World

SITE = Destination.parse("r.site/apps")
SBOM = {"bomFormat": "CycloneDX", "components": [{"name": "a", "purl": "pkg:pypi/a@1"}]}
CLEAN = {
    "scanner": {"result": {"Results": [{"Target": "PyPI", "Vulnerabilities": []}]}},
    "metadata": {"scanFinishedOn": "2026-11-22T00:00:00Z"},
}


def world(*, sbom_signer: MemorySigner | None = None) -> World:
    """Return a signed image with an SBOM and a clean report."""
    made = World()
    made.sign()
    made.attach(CYCLONEDX, SBOM, signer=sbom_signer)
    made.attach(full_type("vuln"), CLEAN)
    return made


def policy(made: World, *require: str, max_severity: Severity = Severity.LOW) -> OpenedPolicy:
    """Return a policy that requires these attestations, and no high vulnerability."""
    plain = made.policy(*require)
    (rule,) = plain.images
    condition = VulnerabilityCondition(max_severity=max_severity, max_age=timedelta(days=7))
    attestations = tuple(
        replace(each, condition=condition if each.type == "vuln" else None)
        for each in rule.attestations
    )
    return replace(plain, images=(replace(rule, attestations=attestations),))


def findings(
    made: World, rules: OpenedPolicy, folder: Path | None = None
) -> list[PublishedFinding]:
    """Judge all images; with the advisories of a folder."""
    with nullcontext() if folder is None else closing(open_index(folder)) as index:
        scan = PublishedScan(
            reader=made.registry,
            verifier=Verifier(
                rules, reader=made.registry, clock=FixedClock(NOW), memory=NoRollbackStore()
            ),
            policy=rules,
            clock=FixedClock(NOW),
            index=index,
        )
        return list(scan.findings(published_images(made.registry, SITE).images, SITE))


def test_what_became_known_speaks_against_an_image_that_was_allowed(tmp_path: Path) -> None:
    """By the policy's own condition, and by the SBOM that counted: its layers are no archives."""
    made = world()
    rules = policy(made, "cyclonedx", "vuln")
    export(tmp_path, "PyPI", [osv("A", "PyPI", "a", *fixed("2"))])
    (before,) = findings(made, rules)
    (after,) = findings(made, rules, tmp_path)
    (lenient,) = findings(
        made, policy(made, "cyclonedx", "vuln", max_severity=Severity.HIGH), tmp_path
    )

    assert (before.status, after.status, lenient.status) == ("allowed", "vulnerable", "allowed")
    assert (after.code, after.tags) == ("SEVERITY_TOO_HIGH", ("1",))
    assert lenient.scanned
    assert lenient.judged


def test_an_sbom_that_did_not_count_is_not_asked(tmp_path: Path) -> None:
    """A stranger may attach one without packages; the layers are read, which are none here."""
    made = world(sbom_signer=MemorySigner())
    export(tmp_path, "PyPI", [osv("A", "PyPI", "a", *fixed("2"))])

    (found,) = findings(made, policy(made, "vuln"), tmp_path)

    assert found.status == "refused"
    assert not found.vulnerable
    assert not found.scanned


def test_what_the_policy_refuses_is_not_scanned(tmp_path: Path) -> None:
    """It is listed with its reason, and never withdrawn for it."""
    made = World()
    export(tmp_path, "PyPI", [osv("A", "PyPI", "a", *fixed("2"))])

    (found,) = findings(made, policy(made), tmp_path)

    assert (found.status, found.code, found.vulnerable) == ("refused", "NO_SIGNATURE", False)


def test_without_a_condition_a_scan_decides_nothing(tmp_path: Path) -> None:
    """And that is told."""
    made = world()
    export(tmp_path, "PyPI", [osv("A", "PyPI", "a", *fixed("2"))])

    (found,) = findings(made, policy(made, "cyclonedx"), tmp_path)

    assert (found.status, found.judged) == ("allowed", False)
    assert found.scanned[0].result.vulnerabilities


def test_an_image_is_listed_once_with_its_tags() -> None:
    """What is attached by a tag is no image."""
    made = world()
    made.tag("latest", made.image)
    made.sign_legacy()

    (listed,) = published_images(made.registry, SITE).images

    assert (listed.image.digest, listed.tags) == (made.image.digest, ("1", "latest"))


def test_only_what_is_below_the_destination_is_listed() -> None:
    """By whole names."""
    made = world()
    for name in ("r.site/appsother/x", "r.site/other", "other.site/apps/x"):
        other = World(registry=made.registry, repository=Repository.parse(name))
        other.tag("2", other.image)

    listed = published_images(made.registry, SITE)

    assert [each.image.repository.name for each in listed.images] == ["r.site/apps/demo"]
    assert listed.images[0].tags == ("1",)


class WithoutList(MemoryRegistry):
    """A registry that lists no repositories."""

    def repositories(self, host: str) -> tuple[Repository, ...]:
        """Refuse, as Docker Hub does."""
        raise RegistryError(f"{host}: 404", http_status=404)


def test_of_a_registry_without_a_list_one_repository_is_named() -> None:
    """Or the user is told to do that."""
    made = World(registry=WithoutList())
    one = published_images(made.registry, Destination.parse("r.site/apps/demo"))
    with pytest.raises(InputError) as refused:
        published_images(made.registry, SITE)

    assert [each.tags for each in one.images] == [("1",)]
    assert refused.value.code == "scan/no-catalog"


class Losing(MemoryRegistry):
    """A registry in which a tag points to what is not there, and a repository is not for us."""

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the tags of a repository; of one only to others."""
        if repository.path == "apps/secret":
            raise AuthError(f"{repository}: 403", http_status=403)
        return super().tags(repository)

    def resolve(self, reference: TaggedReference) -> PinnedReference:
        """Return what the tag points to, as a registry does: by reading it."""
        if reference.tag == "lost":
            raise NotFoundError(f"{reference} does not exist", http_status=404)
        return super().resolve(reference)


def test_what_cannot_be_read_is_told() -> None:
    """And the others are judged."""
    made = World(registry=Losing())
    made.tag("lost", made.image)
    World(registry=made.registry, repository=Repository.parse("r.site/apps/secret"))

    listed = published_images(made.registry, SITE)

    assert [each.tags for each in listed.images] == [("1",)]
    assert listed.unread == (
        "r.site/apps/demo:lost: r.site/apps/demo:lost does not exist",
        "r.site/apps/secret: r.site/apps/secret: 403",
    )
