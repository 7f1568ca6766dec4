"""All targets, by name. The module of a target is imported only when the target is loaded."""

import importlib

from tests.attacks.fuzz.target import Target

_MODULES = {
    "documents": (
        "release", "cyclonedx",
        "strictjson", "manifest", "index", "config", "descriptor", "bundle", "statement",
        "envelope", "payload", "record",
    ),
    "predicates": (
        "sbom", "provenance", "vulnerabilities", "vsa", "tests", "rebuild", "needs", "summary",
        "selfcontained", "licence", "image-uri", "expression",
    ),
    "yamls": ("strictyaml", "policy", "policy-test", "recipe", "containerfile", "settings"),
    "names": ("reference", "digest", "destination", "glob", "identity", "pattern"),
    "wire": (
        "tags", "repositories", "link", "redirect", "challenge", "token", "refusal", "credentials",
    ),
    "keys": ("public-key", "private-key", "cosign-key", "signature", "key-uri"),
    "witness": ("log-entry", "proofs", "timestamp", "promise"),
    "offline": ("export-record", "archive", "receipt", "docker", "containerd", "face"),
    "hosts": ("review", "installed", "local-images", "gate-path", "gate-config", "engines"),
    "cataloguers": (
        "rpm", "apk", "conda", "spack", "easybuild", "npm", "java", "r", "perl", "gem", "module",
        "go", "rust", "elf-package", "elf-sections",
    ),
    "layers": (
        "tar", "layer", "gzip", "zstd", "elf", "dynamic-elf", "dpkg", "python", "os-release",
    ),
    "scans": ("osv", "debian-tracker", "scan-report", "scan-archive", "affected-versions"),
}  # fmt: skip

NAMES = tuple(name for names in _MODULES.values() for name in names)


def load(name: str) -> Target:
    """Return a target.

    Raises:
        KeyError: there is none of that name.
    """
    targets: dict[str, Target] = importlib.import_module(
        f"tests.attacks.fuzz.targets.{module_of(name)}"
    ).TARGETS
    return targets[name]


def module_of(name: str) -> str:
    """Return the module that has a target.

    Raises:
        KeyError: there is none of that name.
    """
    for module, names in _MODULES.items():
        if name in names:
            return module
    raise KeyError(name)
