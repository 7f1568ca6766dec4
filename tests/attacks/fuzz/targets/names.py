"""References, digests, destinations, globs: words of the command line, policies and signatures."""

from imagekit.oci.destination import Destination
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, parse_located
from imagekit.oci.reference import PinnedReference, Repository, parse_reference
from imagekit.policy import glob as globs
from imagekit.policy import patterns
from imagekit.policy.ruleset import ImageRule, Remap, SignedIdentity
from imagekit.signatures.authority import Pattern
from imagekit.verify.identity import accepts
from tests.attacks.fuzz.target import Target, same, texts

_DIGEST = "sha256:" + "a" * 64
_IMAGE = PinnedReference(Repository.parse("r.site/apps/demo"), Digest.of(b""), tag="1")


def _text(raw: bytes) -> str:
    # As the operating system hands over arguments.
    return raw.decode("utf-8", "surrogateescape")


def _reference(raw: bytes) -> None:
    found = parse_located(_text(raw))
    same(parse_located(found.full), found)
    same(parse_reference(found.reference.full), found.reference)


def _digest(raw: bytes) -> None:
    found = Digest.parse(_text(raw))
    same(str(found), _text(raw))


def _destination(raw: bytes) -> None:
    text, _, alias = _text(raw).partition("\n")
    found = Destination.parse(text, alias=alias)
    named = f"{found.host}/{found.prefix}" if found.prefix else found.host
    if found.location == REGISTRY:
        same(Destination.parse(named), found)
    else:
        same(Destination.parse(str(found.location), alias=named), found)
    found.place("demo")


def _glob(raw: bytes) -> None:
    glob, _, name = _text(raw).partition("\n")
    globs.matches(glob, name)
    if "*" not in glob:
        same(globs.matches(glob, name), glob == name)
    if not globs.fault(glob):
        same(globs.literal_length(glob) <= len(glob), second=True)


def _identity(raw: bytes) -> None:
    names = _text(raw).split("\n")
    exact = accepts(_rule(SignedIdentity.MATCH_EXACT), _IMAGE, names)
    same(exact, "r.site/apps/demo:1" in names)
    if exact:
        same(accepts(_rule(SignedIdentity.MATCH_REPOSITORY), _IMAGE, names), second=True)
    accepts(_rule(SignedIdentity.REMAP_IDENTITY), _IMAGE, names)


def _rule(identity: SignedIdentity) -> ImageRule:
    remap = Remap(prefix="r.site", signed_prefix="origin.site/x")
    return ImageRule(glob="**", authorities=(), signed_identity=identity, remap=remap)


def _pattern(raw: bytes) -> None:
    text, _, subject = _text(raw).partition("\n")
    pattern = Pattern(text=text, regexp=True)
    found = patterns.matches(pattern, subject)
    if patterns.problem(text):
        same(found, second=False)
    if found:
        same(len(subject) <= patterns.MAX_TEXT and subject.isprintable(), second=True)
    same(patterns.matches(Pattern(text=text), text), text.isprintable())


TARGETS = {
    "reference": Target(
        check=_reference,
        seeds=texts(
            "r.site/apps/demo:1.2",
            f"r.site:5000/a/b__c@{_DIGEST}",
            f"[::1]:80/a-b:t@{_DIGEST}",
            "oci:images:apps/x:1",
            f"oci:/a/b:r.site/x@{_DIGEST}",
        ),
    ),
    "digest": Target(check=_digest, seeds=texts(_DIGEST, "sha512:" + "0" * 128, "md5:aa")),
    "destination": Target(
        check=_destination,
        seeds=texts("r.site:5000/apps", "oci:images", "oci:images\nr.site/apps", "localhost"),
    ),
    "glob": Target(
        check=_glob,
        seeds=texts("r.site/**\nr.site/a/b", "r.site/*a*b*\nr.site/xaxb", "**/x\na/b/x"),
    ),
    "pattern": Target(
        check=_pattern,
        seeds=texts(
            "https://github\\.com/org/[^/]+/\\.github/workflows/.*@refs/heads/main\nhttps://x",
            "(a|b)*c\nababc",
            "((a{1,9}){1,9}){1,9}\naaaa",
            "[[:alpha:]]+@example[.]org\nme@example.org",
        ),
        max_length=2048,
    ),
    "identity": Target(
        check=_identity, seeds=texts("r.site/apps/demo:1", f"r.site/apps/demo@{_DIGEST}\nx")
    ),
}
