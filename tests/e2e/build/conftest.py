"""What real builds share."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.debian import bootstrap, give


@pytest.fixture(scope="session")
def debian(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Return what gives a new HOME the Debian base, so that its builds bootstrap none."""
    home = tmp_path_factory.mktemp("debian")
    bootstrap(project / "recipes/base/debian", home)
    return partial(give, home)
