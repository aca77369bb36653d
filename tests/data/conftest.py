import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data() -> Path:
    """Return the folder that holds the real data sets in their publishers' layouts."""
    folder = os.environ.get("PRUNECHECK_TEST_DATA")
    if not folder:
        pytest.skip("PRUNECHECK_TEST_DATA names no folder that holds the real data sets")
    return Path(folder)
