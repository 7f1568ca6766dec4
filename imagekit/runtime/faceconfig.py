"""Reading /etc/imagekit/verifier.yaml: strict, whole or not at all."""

from pathlib import Path

from imagekit.errors import InputError
from imagekit.formats import strictyaml
from imagekit.formats.report import Report
from imagekit.formats.scalars import Boolean, Integer, ListOf, Text
from imagekit.formats.shape import INVALID, Record, Values, item
from imagekit.model.face import FaceConfig

DEFAULT = Path("/etc/imagekit/verifier.yaml")
VARIABLE = "IMAGEKIT_VERIFIER_CONFIG"
MAX_CONFIG = 1 << 20
_MOST_SECONDS = 300


def _path(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise InputError(f"`{text[:80]}` is relative: nobody knows where a runtime's plugin starts")
    return path


_FILE: Text[Path] = Text(
    "an absolute path", parse=_path, code="bad-path", examples=("/etc/imagekit/policy.yaml",)
)


def _made(values: Values) -> FaceConfig:
    return FaceConfig(
        policy=values["policy"],
        policy_keys=values["policyKeys"],
        state=values["state"],
        plain_http=values["plainHttp"],
        ca_file=values["caFile"],
        seconds=values["seconds"],
    )


CONFIG: Record[FaceConfig] = Record(
    "a verifier's configuration",
    {
        "policy": item(_FILE, "the policy to judge by", required=True),
        "policyKeys": item(
            ListOf(_FILE, min_items=1, max_items=64),
            "public keys; one of them must have signed the policy",
            default=(),
        ),
        "state": item(
            _FILE, "where seen releases are remembered", default=Path("/var/lib/imagekit/seen.db")
        ),
        "plainHttp": item(Boolean("whether"), "registries speak HTTP without TLS", default=False),
        "caFile": item(_FILE, "certificate authorities for registries, besides the system's"),
        "seconds": item(
            Integer("seconds", minimum=1, maximum=_MOST_SECONDS),
            "without a verdict after so long, the answer is no; containerd waits for 10",
            default=8,
        ),
    },
    make=_made,
)


def parse_config(raw: bytes, *, file: str) -> FaceConfig:
    """Read a configuration from its bytes.

    Raises:
        InputError: it cannot be accepted, with the place of every fault.
    """
    report = Report(file, "verifier")
    found = CONFIG.read(strictyaml.compose(raw, report), report)
    report.check(InputError, what="the configuration")
    if found is INVALID:
        raise InputError(f"{file} cannot be accepted", code="verifier/invalid")
    return found
