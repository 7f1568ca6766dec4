"""The variables that steps see: the same on every host.

Of the host a step sees the proxies only, which Buildah hands on where the step has a network. What
no variable fixes is the number of processors, the kernel's version, the clock, and random numbers.
"""

from collections.abc import Mapping

from imagekit.oci.types import ImageConfig

FIXED: Mapping[str, str] = {
    # Else it is the id of the working container, which differs each time.
    "HOSTNAME": "localhost",
    # Else the order of a set of texts differs each time (Python's command line, PYTHONHASHSEED).
    "PYTHONHASHSEED": "0",
}
"""Variables without which a program makes something else each time."""
DEFAULTS: Mapping[str, str] = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TZ": "UTC",
}
"""Variables that the base may have otherwise."""


def step_environment(
    own: Mapping[str, str],
    build_args: Mapping[str, str],
    *,
    inherited: ImageConfig | None,
    epoch: int,
) -> dict[str, str]:
    """Return the variables that a step sees besides those of its base.

    Args:
        own: those that the recipe, or its stage, says.
        build_args: those of the build alone.
        inherited: the configuration of the base.
        epoch: the image's time (https://reproducible-builds.org/specs/source-date-epoch/).
    """
    known = {text.partition("=")[0] for text in (inherited.env if inherited is not None else ())}
    missing = {name: value for name, value in DEFAULTS.items() if name not in known}
    return {**missing, **FIXED, "SOURCE_DATE_EPOCH": str(epoch), **own, **build_args}
