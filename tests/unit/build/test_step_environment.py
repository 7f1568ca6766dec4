"""The variables of steps: the same whatever host builds."""

from imagekit.build.step_environment import step_environment
from imagekit.oci.types import ImageConfig, Platform

_FIXED = {"HOSTNAME": "localhost", "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": "7"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _base(*env: str) -> ImageConfig:
    platform = Platform(os="linux", architecture="amd64")
    return ImageConfig(platform=platform, created="", diff_ids=(), env=env)


def test_all_of_them() -> None:
    """There are no others."""
    seen = step_environment({}, {}, inherited=None, epoch=7)

    assert seen == {**_FIXED, "LANG": "C.UTF-8", "PATH": _PATH, "TZ": "UTC"}


def test_a_bases_own_stay() -> None:
    """Its programs lie where it says, and speak as it says; what has to be fixed is."""
    base = _base("PATH=/opt/bin", "LANG=de_DE.UTF-8", "PYTHONHASHSEED=random", "OTHER=x")

    # Buildah gives a step what its base has, so only what differs is said.
    assert step_environment({}, {}, inherited=base, epoch=7) == {**_FIXED, "TZ": "UTC"}


def test_the_recipe_goes_before_all() -> None:
    """And the arguments of its build before the variables of the image."""
    own = {"TZ": "Asia/Tokyo", "HOSTNAME": "own", "A": "env"}

    seen = step_environment(own, {"A": "argument"}, inherited=_base("TZ=Europe/Rome"), epoch=7)

    assert (seen["TZ"], seen["HOSTNAME"], seen["A"]) == ("Asia/Tokyo", "own", "argument")
