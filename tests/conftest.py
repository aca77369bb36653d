import sys
from collections.abc import Iterator

import pytest
import torch

pytest_plugins = ["tests.fixtures.answers", "tests.fixtures.recorded", "tests.fixtures.runs"]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """The networks of the tests are too small for more, and the cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def no_columns() -> Iterator[None]:
    """Output is as wide as is usual, whatever the terminal that tests are called in, or readline, which says 80."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        patch.delenv("LINES", raising=False)
        yield


@pytest.fixture(autouse=True)
def forgotten(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what a test has imported of its own folder: the next test may have another module of that name."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    folder = str(tmp_path_factory.getbasetemp())
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(folder):
            del sys.modules[name]
