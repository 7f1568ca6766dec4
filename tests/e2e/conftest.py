"""What real builds share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.debian import SHARED, give_debian


@pytest.fixture(scope="session")
def debian(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Return what gives a new HOME the Debian base, so that its builds bootstrap none."""

    def give(home: Path) -> None:
        shared = os.environ.get(SHARED)
        give_debian(
            home,
            base=project / "recipes/base/debian",
            folder=Path(shared) if shared else tmp_path_factory.getbasetemp() / "bases",
            work=tmp_path_factory.mktemp("debian"),
        )

    return give
