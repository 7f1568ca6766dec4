"""Where other projects' test cases are: a folder of data that is no part of this project.

``IMAGEKIT_TEST_DATA`` names it; without that it is ``shared/test-data`` beside the checkout. In it
are ``sigstore-bundles`` (cases of sigstore-conformance) and ``containers-image`` (signed images of
containers/image). Where nobody has named a folder and the other one is not there, all tests here
are skipped and say so: nobody else has to have them. A folder that was named must be there.
"""

import os
from pathlib import Path

import pytest

VARIABLE = "IMAGEKIT_TEST_DATA"


def _folder() -> Path | None:
    named = os.environ.get(VARIABLE)
    folder = Path(named or Path(__file__).resolve().parents[4] / "shared/test-data")
    if folder.is_dir():
        return folder
    if named:
        pytest.exit(f"{VARIABLE} names {folder}, which is not there", returncode=1)
    return None


DATA = _folder()
"""The folder, or None where there is none and nobody has promised one."""
