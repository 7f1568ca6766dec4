"""Reading /etc/imagekit/verifier.yaml strictly: it is accepted as a whole, or refused."""

from pathlib import Path

from imagekit.documents import strictyaml
from imagekit.documents.report import Report
from imagekit.documents.scalars import Boolean, Found, Integer, ListOf, Located, Text
from imagekit.documents.shape import INVALID, Record, Values, item
from imagekit.errors import InputError
from imagekit.hosts.hook_types import GateConfig, HookConfig
from imagekit.oci.hostname import canonical_host, is_loopback, realm_host
from imagekit.oci.reference import check_path, is_host

DEFAULT = Path("/etc/imagekit/verifier.yaml")
VARIABLE = "IMAGEKIT_VERIFIER_CONFIG"
MAX_CONFIG = 1 << 20
_MOST_SECONDS = 300
_OF_POLICY = ("policyKeys", "state", "plainHttp", "caFile", "realms")
_OF_GATE = ("gateCa", "registries")


def _path(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise InputError(f"`{text[:80]}` is relative, and a runtime starts plugins in any folder")
    return path


def _gate(text: str) -> tuple[str, bool]:
    """Return the address, and whether it is asked by TLS."""
    scheme, _, address = text.removesuffix("/").partition("://")
    if scheme not in {"https", "http"} or not is_host(address):
        raise InputError(f"`{text[:80]}` is no address of a gate")
    address = canonical_host(address, scheme=scheme)
    if scheme == "http" and not is_loopback(address):
        raise InputError(
            f"`{text[:80]}` would be asked without TLS, and is not on this host",
            hint="give the gate a certificate (imagekit gate --tls-cert) and write https://",
        )
    return address, scheme == "https"


def _registry(text: str) -> tuple[str, str]:
    """Return a registry and the gate's name for it, as ``imagekit trust install`` takes them."""
    name, equals, registry = text.rpartition("=")
    if not is_host(registry):
        raise InputError(f"`{text[:80]}` names no registry")
    if equals:
        check_path(name, whole=text)
        if "/" in name:
            raise InputError(f"`{text[:80]}`: the gate's name for a registry has no slash")
    return canonical_host(registry), name


_FILE: Text[Path] = Text(
    "an absolute path", parse=_path, code="bad-path", examples=("/etc/imagekit/policy.yaml",)
)
GATE: Text[tuple[str, bool]] = Text(
    "the gate's address", parse=_gate, code="bad-gate", examples=("https://gate.example.org:5443",)
)
_REGISTRY: Text[tuple[str, str]] = Text(
    "a registry behind the gate, [NAME=]HOST[:PORT]",
    parse=_registry,
    code="bad-registry",
    examples=("registry.example.org", "hub=docker.io"),
)

_REALM: Text[str] = Text(
    "a host, with a port or without",
    parse=realm_host,
    code="bad-host",
    examples=("auth.example.org", "auth.example.org:5001"),
)


def _belongings(values: Values, report: Report) -> None:
    """Refuse keys without effect: a reader would believe that they protect."""
    for owner, names in (("policy", _OF_POLICY), ("gate", _OF_GATE)):
        for name in names:
            if name in values and owner not in values:
                message = f"`{name}` has no effect without `{owner}`"
                report.error(values.key(name), "bad-combination", message, hint="remove it")
    if "gate" in values and "registries" not in values:
        message = "the registries behind the gate are not listed"
        hint = "add `registries: [registry.example.org]`, or [NAME=HOST, ...] as its --upstream has"
        report.error(values.key("gate"), "missing-key", message, hint=hint)


def _distinct(values: Values, report: Report) -> None:
    registries: tuple[Found[tuple[str, str]], ...] = values.get("registries") or ()
    seen: set[str] = set()
    for located in registries:
        registry, name = located.value
        if registry in seen:
            report.error(located.span, "twice", f"{registry} is listed twice")
        if len(registries) > 1 and not name:
            message = "a gate before several registries has a name for each"
            hint = f"write NAME={registry}, as the gate's --upstream has it"
            report.error(located.span, "bad-registry", message, hint=hint)
        seen.add(registry)


def _asked(values: Values) -> GateConfig | None:
    if "gate" not in values:
        return None
    address, tls = values["gate"]
    return GateConfig(
        address=address,
        tls=tls,
        ca_file=values["gateCa"],
        registries=dict(located.value for located in values["registries"]),
    )


def _made(values: Values) -> HookConfig:
    return HookConfig(
        policy=values["policy"],
        gate=_asked(values),
        policy_keys=values["policyKeys"],
        state=values["state"],
        plain_http=values["plainHttp"],
        ca_file=values["caFile"],
        realms=values["realms"],
        seconds=values["seconds"],
    )


CONFIG: Record[HookConfig] = Record(
    "a verifier's configuration",
    {
        "policy": item(_FILE, "the policy to judge by"),
        "gate": item(GATE, "the running gate to ask instead; http:// on loopback only"),
        "gateCa": item(_FILE, "the only certificate authorities that the gate is trusted by"),
        "registries": item(
            ListOf(Located(_REGISTRY), min_items=1, max_items=64),
            "what is behind the gate, with NAME= where it has several; no other image is allowed",
        ),
        "policyKeys": item(
            ListOf(_FILE, min_items=1, max_items=64),
            "public keys; one of them must have signed the policy",
            default=(),
        ),
        "state": item(
            _FILE, "where seen releases are recorded", default=Path("/var/lib/imagekit/seen.db")
        ),
        "plainHttp": item(Boolean("whether"), "registries speak HTTP without TLS", default=False),
        "caFile": item(_FILE, "certificate authorities for registries, besides the system's"),
        "realms": item(
            ListOf(_REALM, max_items=16),
            "hosts that may see this host's registry logins, besides a registry's own",
            default=(),
        ),
        "seconds": item(
            Integer("seconds", minimum=1, maximum=_MOST_SECONDS),
            "without a verdict after so long, the answer is no; containerd waits for 10",
            default=8,
        ),
    },
    make=_made,
    one_of=(("policy", "gate"),),
    rules=(_belongings, _distinct),
)


def parse_config(raw: bytes, *, file: str) -> HookConfig:
    """Read a configuration from its bytes.

    Raises:
        InputError: it cannot be accepted, with the place of every fault.
    """
    report = Report(file, "verifier")
    config = CONFIG.read(strictyaml.compose(raw, report), report)
    report.check(InputError, what="the configuration")
    if config is INVALID:
        raise InputError(f"{file} cannot be accepted", code="verifier/invalid")
    return config
