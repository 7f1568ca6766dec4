"""What an image needs, in the words that other programs know.

The artifact is that of Node Feature Discovery, as the OCI working group on image compatibility
has it: a list of compatibilities with rules, as in its NodeFeatureGroup (api/image-compatibility,
v1alpha1). Only features and operators of every version of it are used. What it has no feature for
stands in annotations: those of supercontainers' compspec and archspec, and CDI's.
"""

import json
from collections.abc import Iterator

from imagekit.needs.needs import Needs, flags_of, numbers

SPEC = "application/vnd.nfd.image-compatibility.spec.v1alpha1+yaml"
"""Media type of the only layer of the artifact, whose type is ``COMPATIBILITY``."""
MPI_LABEL = "org.supercontainers.mpi.implementation"
"""The name of the image's MPI: an annotation of the artifact, and a label of the image."""
_MPI_VERSION = "org.supercontainers.mpi.version"
_GPU = "org.supercontainers.hardware.gpu.available"
_CPU = "io.archspec.cpu.target"
# CDI specification, "Annotations": the prefix, and who asks for the devices.
_DEVICES = "cdi.k8s.io/imagekit_needs"
ANNOTATIONS = frozenset({MPI_LABEL, _MPI_VERSION, _GPU, _CPU, _DEVICES})
"""Names of all annotations that ``annotations`` may return."""
_NVIDIA = "10de"
_DISPLAYS = ("0300", "0302")
"""PCI classes of graphics adapters, and of those without an output."""


def compatibility(needs: Needs) -> dict[str, object]:
    """Return the document of Node Feature Discovery, which may hold no rule."""
    rules = list(_rules(needs))
    sets = [{"description": "what the image needs of its node", "rules": rules}] if rules else []
    return {"version": "v1alpha1", "compatibilities": sets}


def compatibility_yaml(needs: Needs) -> bytes:
    """Return the bytes of the document: the same for the same needs.

    They are JSON, which is YAML (YAML 1.2, section 1.2), so that every reader takes them alike.
    """
    return json.dumps(compatibility(needs), indent=1).encode() + b"\n"


def annotations(needs: Needs) -> dict[str, str]:
    """Return the annotations of the artifact, which are labels of the image as well."""
    known = {
        MPI_LABEL: needs.mpi.implementation if needs.mpi else "",
        _MPI_VERSION: needs.mpi.version if needs.mpi else "",
        _GPU: "yes" if needs.cuda else "",
        # archspec writes x86_64, x86_64_v2 and so on.
        _CPU: needs.cpu.replace("-v1", "").replace("-", "_"),
        _DEVICES: ",".join(device for device in needs.devices if "=" in device),
    }
    return {name: value for name, value in known.items() if value}


def _rules(needs: Needs) -> Iterator[dict[str, object]]:
    flags = sorted(flags_of(needs.cpu).values())
    if flags:
        yield _rule(needs.cpu, "cpu.cpuid", {flag: {"op": "Exists"} for flag in flags})
    if needs.kernel.minimum:
        yield {"name": f"Linux {needs.kernel.minimum}", "matchAny": _kernel(needs.kernel.minimum)}
    if needs.kernel.config:
        # The values of kernel.config are those of the file: y, or m for modules.
        wanted = {name: _in("y", "m") for name in needs.kernel.config}
        yield _rule("kernel options", "kernel.config", wanted)
    if needs.cuda:
        card = {"vendor": _in(_NVIDIA), "class": _in(*_DISPLAYS)}
        yield _rule("NVIDIA GPU", "pci.device", card)


def _kernel(minimum: str) -> list[dict[str, object]]:
    """Return the alternatives for a kernel of at least this version.

    The operator ``Gt`` is as old as the rules are; ``Ge`` and versions came later.
    """
    wanted = numbers(minimum)
    names = ("major", "minor", "revision")
    alternatives: list[dict[str, object]] = []
    for at, number in enumerate(wanted):
        same = {names[n]: _in(str(value)) for n, value in enumerate(wanted[:at])}
        alternatives.append(_match("kernel.version", same | {names[at]: _gt(number)}))
    equal = {names[n]: _in(str(value)) for n, value in enumerate(wanted)}
    return [*alternatives, _match("kernel.version", equal)]


def _rule(name: str, feature: str, expressions: dict[str, dict[str, object]]) -> dict[str, object]:
    return {"name": name, **_match(feature, expressions)}


def _match(feature: str, expressions: dict[str, dict[str, object]]) -> dict[str, object]:
    return {"matchFeatures": [{"feature": feature, "matchExpressions": expressions}]}


def _in(*values: str) -> dict[str, object]:
    return {"op": "In", "value": list(values)}


def _gt(number: int) -> dict[str, object]:
    return {"op": "Gt", "value": [str(number)]}
