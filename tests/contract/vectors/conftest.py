"""The folder of other projects' test cases; see ``place``."""

from pathlib import Path

import pytest

from tests.contract.vectors.place import DATA, VARIABLE


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the data; skips without."""
    if DATA is None:
        pytest.skip(f"other projects' test cases are not here: set {VARIABLE} to their folder")
    return DATA
