"""The version of imagekit that runs."""

from pathlib import Path


def own_version() -> str:
    """Return the version, also where imagekit runs from a checkout."""
    # importlib.metadata costs more than all the rest of --help.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("imagekit")
    except PackageNotFoundError:
        return _checkout_version()


def _checkout_version() -> str:
    """Return the version of a checkout that runs without being installed."""
    import tomllib

    stated = Path(__file__).parents[2] / "pyproject.toml"
    try:
        return str(tomllib.loads(stated.read_text("utf-8"))["project"]["version"])
    except (OSError, ValueError, LookupError, TypeError):
        return "of unknown version"
