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
