import pytest

from prunecheck.training.sparse.build import UnavailableError, load_kernels


@pytest.fixture(scope="session")
def kernels() -> None:
    """Compile the kernels for both types of numbers; they are kept beside the package."""
    try:
        load_kernels("float")
        load_kernels("double")
    except UnavailableError as reason:
        pytest.skip(f"no kernels: {reason}")
